"""A pipeline to look at: as an expression, as a plan, as generated code, as a preview in a notebook.

Idea        A description can be read without being run. Only the notebook's preview runs anything, and it says how
            much.
Invariant   `repr` and `explain` pull nothing and call no function of the user's. A preview reads at most `READ` source
            elements, shows at most `SHOWN`, and never touches a one-shot source.
When wrong  An error inside a preview is shown in its place; displaying a collection never raises.
See         notebooks/4_lazy_collection.ipynb · tests/lazy/test_show.py
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from itertools import islice, zip_longest
from typing import TYPE_CHECKING, Any

from arion_lib.lazy.barriers import Progress, Sort
from arion_lib.lazy.engine import Cropped, function_of, start
from arion_lib.lazy.failure import shown
from arion_lib.lazy.parallel import ParallelMap
from arion_lib.lazy.paste import Called, Pasted
from arion_lib.lazy.pushdown import WHOLE, push_down
from arion_lib.lazy.sinks import Each, ToList
from arion_lib.lazy.source import OneShot, describe
from arion_lib.lazy.stages import Stage

if TYPE_CHECKING:
    from arion_lib.lazy.collection import LazyCollection

SHOWN = 10
READ = 1_000
LONG = 12
"""Stages up to which all are written out."""


def written_out(collection: LazyCollection[Any]) -> str:
    """Return the collection as an expression, shortened in the middle when it has many stages."""
    labels = _shortened([_call(stage) for stage in collection.stages])
    return f"lazy({describe(collection.source)}){''.join(labels)}"


def explained(collection: LazyCollection[Any], code: bool) -> str:
    """Return the plan before and after push-down, side by side, and on request the generated functions."""
    pushed = push_down(collection.stages)
    source = describe(collection.source)
    before = ["as written", source, *(stage.label for stage in collection.stages)]
    after = ["as run", source + _cut_text(pushed.cut), *(_as_run(stage) for stage in pushed.stages)]
    width = max(map(len, before[: 3 * LONG])) + 4
    plan = [f"{a:{max(width, 24)}}{b}".rstrip() for a, b in zip_longest(before, after, fillvalue="")]
    return "\n".join([*_shortened(plan, 3 * LONG), *_reasons(collection), *(_functions(collection) if code else [])])


def html(collection: LazyCollection[Any]) -> str:
    """Return the collection's expression and a preview of its first elements."""
    rows, remark = _preview(collection)
    items = "".join(f"<li><code>{escape(shown(row))}</code></li>" for row in rows)
    return f"<div><code>{escape(written_out(collection))}</code><p>{escape(remark)}</p><ol start='0'>{items}</ol></div>"


def _preview(collection: LazyCollection[Any]) -> tuple[list[Any], str]:
    refusal = _no_preview(collection)
    if refusal:
        return [], refusal
    limited, described = _bounded(collection)
    try:
        rows = list(islice(start(_over(limited, described), Each()), SHOWN + 1))
    except Exception as error:  # noqa: BLE001 - shown instead of the preview: displaying must not raise
        return [], f"no preview: {type(error).__name__}: {error}"
    if len(rows) > SHOWN:
        return rows[:SHOWN], f"a preview: the first {SHOWN} elements, computed for this display"
    if limited.reached:
        return (
            rows,
            f"a preview: {len(rows)} elements come from the first {READ:,} of the source; the rest was not read",
        )
    return rows, f"all {len(rows)} elements, computed for this display"


def _no_preview(collection: LazyCollection[Any]) -> str:
    if isinstance(collection.source, OneShot):
        return "no preview: it would use up the one-shot source"
    if any(isinstance(stage, Sort) for stage in collection.stages):
        return "no preview: sort would read the whole source"
    if any(isinstance(stage, ParallelMap) for stage in collection.stages):
        return "no preview: it would start workers"
    return ""


def _bounded(collection: LazyCollection[Any]) -> tuple[_Limited, Sequence[Stage]]:
    """Return the source with its bound, and the stages to run on it; a cut is free where the source has an index."""
    described = [stage for stage in collection.stages if not isinstance(stage, Progress)]
    if not isinstance(collection.source, Sequence):
        return _Limited(collection.source), described
    pushed = push_down(described)
    return _Limited(Cropped(collection.source, *pushed.cut)), pushed.stages


def _over(source: Iterable[Any], described: Sequence[Stage]) -> LazyCollection[Any]:
    from arion_lib.lazy.collection import made  # collection.py imports this module

    return made(source, tuple(described), False)


class _Limited:
    """A source that ends after `READ` elements and remembers that it did."""

    def __init__(self, source: Iterable[Any]) -> None:
        self._source = source
        self.reached = False

    def __iter__(self) -> Any:
        for number, x in enumerate(self._source):
            if number == READ:
                self.reached = True
                return
            yield x


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


def _reasons(collection: LazyCollection[Any]) -> list[str]:
    """Say, for a compiled pipeline, which functions stay calls and why."""
    reasons = [f"{s.label} stays a call: {s.reason}" for s in collection.stages if isinstance(s, Called)]
    return ["", *reasons] if reasons else []


def _functions(collection: LazyCollection[Any]) -> list[str]:
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
