"""The lives of resources as spans: when each was acquired, held and released.

Idea        The events of one entry already hold every time; a timeline is those times laid out by resource.
Invariant   Rows stand in the order of opening; times are seconds since the entry's first moment.
When wrong  What failed is a span of its own kind, wide enough to be seen.
See         notebooks/2_resource_manager.ipynb · tests/resources/test_show.py
"""

from __future__ import annotations

from collections.abc import Iterable

from arion_lib.resources.monitoring.events import Event, Step

Span = tuple[float, float, str]
_SEEN = 0.015  # the least width of a failure, as a share of the whole


def timeline(events: Iterable[Event], entry: int | None = None) -> dict[str, list[Span]]:
    """Lay out one entry (the last one, unless its number is given): a list of (start, end, kind) for each resource.

    >>> acquired = Event(1.0, 1, Step.ACQUIRED, "db", seconds=0.25)
    >>> timeline([acquired, Event(3.0, 1, Step.RELEASED, "db", seconds=0.5)])
    {'db': [(0.0, 0.25, 'acquire'), (0.25, 1.75, 'hold'), (1.75, 2.25, 'release')]}
    """
    all_events = list(events)
    if not all_events:
        return {}
    wanted = all_events[-1].entry if entry is None else entry
    mine = [event for event in all_events if event.entry == wanted]
    start = min(event.at - event.seconds for event in mine)
    least = _SEEN * (max(event.at for event in mine) - start)
    spans: dict[str, list[Span]] = {}
    for event in mine:
        row = spans.setdefault(event.resource, [])
        began, ended = event.at - event.seconds - start, event.at - start
        held_since = next((end for _, end, kind in reversed(row) if kind == "acquire"), None)
        if event.step is Step.ACQUIRED:
            row.append((began, ended, "acquire"))
            continue
        if event.step in (Step.RELEASED, Step.FAILED) and held_since is not None:
            row.append((held_since, began, "hold"))
        if event.step is Step.RELEASED:
            row.append((began, ended, "release"))
        elif event.step in (Step.FAILED, Step.ABSENT):
            row.append((began, max(ended, began + least), "failed"))
    return spans
