"""A pipeline to look at: as an expression, as a plan, as generated code, in a notebook.

Idea        A description can be read without being run. A notebook shows elements only where they are in memory
            already: those of a list, or what a cache has kept.
Invariant   Looking (`repr`, HTML, `explain`) pulls nothing, starts nothing, uses nothing up, and calls no function of
            the user's but the `repr` of elements that are shown.
When wrong  An element whose `repr` raises is named by its type; displaying a collection never raises.
See         notebooks/4_lazy_collection.ipynb · tests/lazy/test_show.py
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import zip_longest
from typing import Any

from arion_lib.lazy.barriers.engine import function_of
from arion_lib.lazy.cache.replay import Replay
from arion_lib.lazy.inline.paste import Called, Pasted
from arion_lib.lazy.pushdown import WHOLE, Pipeline, push_down
from arion_lib.lazy.sinks import ToList
from arion_lib.lazy.source import describe
from arion_lib.lazy.stages import Stage
from arion_lib.short_repr import short_repr

SHOWN = 10
LONG = 12
"""Stages up to which all are written out."""


def written_out(collection: Pipeline) -> str:
    """Return the collection as an expression, shortened in the middle when it has many stages."""
    labels = _shortened([_call(stage) for stage in collection.stages])
    return f"lazy({describe(collection.source)}){''.join(labels)}"


def explained(collection: Pipeline, code: bool) -> str:
    """Return the plan before and after push-down, side by side, and on request the generated functions."""
    pushed = push_down(collection.stages)
    source = describe(collection.source)
    before = ["as written", source, *(stage.label for stage in collection.stages)]
    after = ["as run", source + _cut_text(pushed.cut), *(_as_run(stage) for stage in pushed.stages)]
    width = max(map(len, before[: 3 * LONG])) + 4
    plan = [f"{a:{max(width, 24)}}{b}".rstrip() for a, b in zip_longest(before, after, fillvalue="")]
    return "\n".join([*_shortened(plan, 3 * LONG), *_reasons(collection), *(_functions(collection) if code else [])])


def html(collection: Pipeline) -> str:
    """Return the collection's expression and its first elements, where they are in memory already."""
    rows, remark = _at_hand(collection)
    items = "".join(f"<li><code>{escape(short_repr(row))}</code></li>" for row in rows)
    return f"<div><code>{escape(written_out(collection))}</code><p>{escape(remark)}</p><ol start='0'>{items}</ol></div>"


def _at_hand(collection: Pipeline) -> tuple[Sequence[Any], str]:
    """Return the first elements that are there without calling anything, and a sentence about them."""
    source: Any = collection.source
    if collection.stages or type(source) not in (list, tuple, range, Replay):
        return (), f"nothing has run; .take({SHOWN}).to_list() runs it for the first {SHOWN} elements"
    kept = source.head(SHOWN) if isinstance(source, Replay) else tuple(source[:SHOWN])
    return kept, f"the first {len(kept)} of the elements in memory; nothing has run for this display"


def _call(stage: Stage) -> str:
    return stage.label if stage.label.startswith("[") else f".{stage.label}"


def _as_run(stage: Stage) -> str:
    return f"{stage.label}  [pasted]" if isinstance(stage, Pasted) else stage.label


def _cut_text(cut: tuple[int, int | None]) -> str:
    """Write a cut of the source as a slice.

    >>> _cut_text((10, None)), _cut_text((0, None))
    ('[10:]', '')
    """
    start, stop = cut
    return "" if cut == WHOLE else f"[{start or ''}:{'' if stop is None else stop}]"


def _reasons(collection: Pipeline) -> list[str]:
    """Say, for a compiled pipeline, which functions stay calls and why."""
    reasons = [f"{s.label} stays a call: {s.reason}" for s in collection.stages if isinstance(s, Called)]
    return ["", *reasons] if reasons else []


def _functions(collection: Pipeline) -> list[str]:
    return [f"\n{fused.text.rstrip()}" for fused in function_of(collection, ToList())]


def _shortened(lines: Sequence[str], most: int = LONG) -> list[str]:
    """Leave out the middle of a long list, and say how much that is.

    >>> _shortened(["a", "b", "c", "d", "e"], 2)
    ['a', ' ... 3 more ... ', 'e']
    """
    if len(lines) <= most:
        return list(lines)
    half = most // 2
    return [*lines[:half], f" ... {len(lines) - 2 * half} more ... ", *lines[-half:]]
