"""Hand a run's elements to C code, where `sum` or `Counter` is faster than a line in the loop.

Idea        The loop becomes a generator, and C code takes its elements; `sum` of a flat_map takes whole parts.
Invariant   The result is what the loop would give.
When wrong  When the C code itself fails (adding, hashing), the generator is suspended at the element it handed out
            last: that one is named.
See         tests/lazy/test_failure.py · tests/lazy/test_random_pipelines.py
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator
from itertools import chain
from types import FrameType, GeneratorType
from typing import Any, TypeVar

from arion_lib.lazy.failure import note
from arion_lib.lazy.pushdown import Pipeline
from arion_lib.lazy.refusals.stop import refuse_stop
from arion_lib.lazy.sinks import Sink
from arion_lib.lazy.source import PLAIN
from arion_lib.lazy.template import END

R = TypeVar("R")


class EachOf(Sink):
    """Hand out `f` of the elements."""

    name, given = "count_by", "f"
    body = "yield $f($x)"


class PartOf(Sink):
    """Hand out `f` of the elements, kept in a variable for the note of an error."""

    name, given = "flat_map", "f"
    body = """\
$part = $f($x)
yield $part"""


def consume(plan: Pipeline, elements: Iterator[Any], sink: Sink, into: Callable[[Iterator[Any]], R]) -> R:
    """Return `into(elements)`; an error of `into` itself is noted for `sink`."""
    try:
        return into(elements)
    except Exception as error:
        frame = getattr(elements, "gi_frame", None)  # none: the loop failed, and has named its stage
        if frame is not None:
            note(error, plan, len(plan.stages), sink, _element(frame))
        refuse_stop(error)
        raise


def sum_of_parts(plan: Pipeline, parts: Iterator[Any], sink: Sink, start: Any) -> Any:
    """Return the sum of the elements of all `parts`, those that the flat_map at the end of `plan` gives."""
    try:
        return builtins.sum(chain.from_iterable(parts), start)
    except Exception as error:
        frame = getattr(parts, "gi_frame", None)
        if frame is not None:
            part = frame.f_locals.get("part_")
            if _is_sound(part, error):
                note(error, plan, len(plan.stages), sink, part, "on an element of")
            else:
                note(error, plan, len(plan.stages) - 1, sink, _element(frame))
        refuse_stop(error)
        raise


def _element(frame: FrameType) -> object:
    """Return what the suspended loop handed out last."""
    place = frame.f_locals["places"].get(frame.f_lineno)
    return frame.f_locals.get(place.element, END) if place else END


def _is_sound(part: object, error: Exception) -> bool:
    """Return whether the elements of `part` came without the error, so that it is their sum that failed."""
    if isinstance(part, GeneratorType):
        return part.gi_frame is not None  # one that raised has ended
    return type(part) in PLAIN or (isinstance(error, TypeError) and "operand" in str(error))
