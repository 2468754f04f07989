"""Say where it happened: the stage and the element, added to the exception as a note.

Idea        Python already knows: the traceback holds the line of the generated function, and its frame holds the
            element. A table from line to stage turns both into a sentence. Nothing is recorded while all goes well.
Invariant   The exception stays what it is, with its type and traceback. Only a leaking `StopIteration` is replaced, by
            a `RuntimeError`: left alone, it would end the loop as if the source had run out.
When wrong  An element whose `repr` raises is named by its type.
See         notebooks/4_lazy_collection.ipynb · tests/lazy/test_failure.py · PEP 678 (notes), PEP 479 (StopIteration)
"""

from __future__ import annotations

from collections.abc import Mapping
from types import FrameType, TracebackType

from arion_lib.lazy.pushdown import Pipeline
from arion_lib.lazy.refusals.stop import refuse_stop
from arion_lib.lazy.sinks import Each
from arion_lib.lazy.stages import Stage
from arion_lib.lazy.template import END, SOURCE, Place
from arion_lib.short_repr import short_repr

AROUND = 4
"""Stages shown before and after the failing one in the note."""


def fail(error: BaseException, plan: Pipeline, offset: int, sink: Stage, places: Mapping[int, Place]) -> None:
    """Add the note to `error`, which the calling frame has just caught; raise `RuntimeError` for a `StopIteration`."""
    frame, line = _own(error.__traceback__)
    place = places.get(line)
    if place is not None and not (place.stage == SOURCE and offset):  # there, the loop before has said it all
        element = frame.f_locals.get(place.element, END)
        number = SOURCE if place.stage == SOURCE else plan.written(offset + place.stage)
        if number < len(plan.stages) or type(sink) is not Each:  # to hand an element out does not fail: thrown in
            note(error, plan, number, sink, element)
    refuse_stop(error)


def note(
    error: BaseException,
    plan: Pipeline,
    number: int,
    sink: Stage | None,
    element: object = END,
    on: str = "on element",
) -> None:
    """Add to `error` the stage `number` (0-based; `SOURCE`, or past the last for the terminal) and the element."""
    total = len(plan.stages)
    if number == SOURCE:
        where, on = f"in the source, {plan.source_label}", "after element"
    elif number >= total:
        where = f"in the terminal operation {sink.label if sink else ''}"
    else:
        where = f"in stage {number + 1} of {total}, {plan.stages[number].label}"
    error.add_note(where if element is END else f"{where}, {on} {short_repr(element)}")
    error.add_note("\n".join(_marked(plan, number, sink)))


def _own(trace: TracebackType | None) -> tuple[FrameType, int]:
    """Return the frame of the generated function and the line it was at."""
    assert trace is not None  # noqa: S101 - called from an except clause
    return trace.tb_frame, trace.tb_lineno


def _marked(plan: Pipeline, number: int, sink: Stage | None) -> list[str]:
    """Lay out the pipeline with an arrow at the failing stage, leaving out what is far from it."""
    labels = [plan.source_label, *(stage.label for stage in plan.stages), *([sink.label] if sink else [])]
    at = min(number + 1, len(labels) - 1)
    low, high = max(0, at - AROUND), min(len(labels), at + AROUND + 1)
    lines = [f"{'  > ' if i == at else '    '}{labels[i]}" for i in range(low, high)]
    before = [f"    ... {low} more"] if low else []
    after = [f"    ... {len(labels) - high} more"] if high < len(labels) else []
    return [*before, *lines, *after]
