"""Run a pipeline that one loop cannot hold: cut the source, split the stages at barriers, join the loops.

Idea        Cuts are pushed down first. Each barrier ends a loop, and an iterator joins it with the next one.
Invariant   Nothing is opened or pulled before the first element is asked for (iteration) or the terminal operation is
            called.
When wrong  Each loop names the errors of its own stages; a barrier those of its own.
See         tests/lazy/test_laziness.py · tests/lazy/test_fuse.py
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from arion_lib.lazy.failure import note
from arion_lib.lazy.fuse import LOOPS, Fused, fuse
from arion_lib.lazy.inline.paste import names_of
from arion_lib.lazy.pushdown import WHOLE, Pipeline, push_down
from arion_lib.lazy.sinks import EACH, Each, Sink
from arion_lib.lazy.source import PLAIN, cut
from arion_lib.lazy.stages import Barrier, Blame, FlatMap, Stage, Take
from arion_lib.lazy.template import END

BELOW_TAKE = 40
"""Stages below a counted take in one function, at most: they are indented, and Python allows 100 levels."""


def join(plan: Pipeline, sink: Sink, stages: Sequence[Stage]) -> Any:
    """Run `plan` into `sink` as several loops, and return its result; for `Each`, an iterator that has pulled nothing.

    `stages` are those of the plan, or the first few, where the sink does the work of the others.
    """
    pushed = push_down(stages)
    elements = plan.source if pushed.cut == WHOLE else Cropped(plan.source, *pushed.cut)
    at = 0
    for end in ends(pushed.stages):
        elements = _loop(plan, pushed.stages[at:end], EACH, elements, at) if end > at else elements
        at = end
        stage = pushed.stages[end]
        if isinstance(stage, Barrier):
            if not end and type(plan.source) not in PLAIN:  # no loop has named the errors of the source
                elements = _loop(plan, (), EACH, elements, 0)
            elements = stage.attach(elements, _blame(plan, end, sink))
            at += 1
    return _loop(plan, pushed.stages[at:], sink, elements, at)


def function_of(plan: Pipeline, sink: Sink) -> list[Fused]:
    """Return the compiled functions that run `plan`, the last one ending in `sink`; runs nothing."""
    stages = push_down(plan.stages).stages
    found, at = [], 0
    for end in ends(stages):
        found += [_fused(stages[at:end], EACH)] if end > at else []
        at = end + isinstance(stages[end], Barrier)
    return [*found, _fused(stages[at:], sink)]


def ends(stages: Sequence[Stage]) -> Iterator[int]:
    """Yield the places where a loop has to end: at each barrier, and where it would nest deeper than Python allows."""
    loops = below = 0
    for number, stage in enumerate(stages):
        loops += isinstance(stage, FlatMap)
        below += 1 if below or isinstance(stage, Take) else 0
        if isinstance(stage, Barrier) or loops > LOOPS or below > BELOW_TAKE:
            yield number
            loops, below = int(isinstance(stage, FlatMap)), int(isinstance(stage, Take))


class Cropped:
    """A source from `start` up to `stop`, opened when it is iterated over."""

    __slots__ = ("_bounds", "_source")

    def __init__(self, source: Iterable[Any], start: int, stop: int | None) -> None:
        self._source, self._bounds = source, (start, stop)

    def __iter__(self) -> Iterator[Any]:
        return iter(cut(self._source, *self._bounds))


def _loop(plan: Pipeline, stages: Sequence[Stage], sink: Sink, source: Iterable[Any], offset: int) -> Any:
    if not stages and isinstance(sink, Each) and offset:
        return iter(source)
    fused = _fused(stages, sink)
    module, cells = names_of(stages)
    run = fused.bound_to(module, cells) if module or cells else fused.run
    return run(source, plan, offset, sink, *[a for stage in stages for a in stage.args], *sink.args)


def _fused(stages: Sequence[Stage], sink: Sink) -> Fused:
    return fuse(tuple([stage.shape for stage in stages]), type(sink))  # type: ignore[arg-type]  # a class is hashable


def _blame(plan: Pipeline, number: int, sink: Sink) -> Blame:
    def blame(error: BaseException, element: object = END) -> None:
        note(error, plan, plan.written(number), sink, element)

    return blame
