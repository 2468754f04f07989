"""What travels between a supervisor and a worker: a call there, an answer for it back. Both ends on one page.

Idea        marshal knows tuples and no classes, so each is a tuple; the functions here make their kinds, and `Call`,
            `Need` and `Answer` name their parts for whoever reads.
Invariant   What one of the functions writes, the other end reads as the same (test_wire.py). Buffers are in the order
            in which the worker wants them: those of what a call needs, then its own.
When wrong  A call that needs the result of one that failed is skipped, not run: `lacks` tells, and `skipped` says so.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_wire.py

::

    (function, atom, atom ...)                  all arguments are atoms: most calls, made and read where they are
    (-function, arguments, place, number)       a link: one argument is the result of the call of that number
    (-function, arguments, places, needs)       some arguments are other tasks' results
    (-function, pickle, buffers, needs)         the arguments are pickled; so many buffers beside the message

    (number, kind, value, started, ended)       an answer, one for each call that was begun, in order
    (first, SKIPPED, last, 0, 0)                these calls were not begun: recalled, or what they need has failed
    (0, kind, ...)                              what belongs to no call's end: the worker is there, a call has printed

The number of a function is positive, and negative where a call is more than its atoms. Of the results that a call
needs, one is an atom, one a pickle with its buffers, and one the result of a call to the same worker: an earlier one of
the message, or the last one before it.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

from arion_lib.scheduler.calls.arguments import NEEDED
from arion_lib.scheduler.calls.values import Encoded, Packed, decode

SMALL = 1 << 16
"""Bytes from which the last result is not kept until the next message."""
ATOM, PICKLE, CALL = range(3)
"""What a needed result is."""
Written: TypeAlias = tuple[Any, ...]
"""A call, or something that it needs, as marshal takes it."""


class Call(NamedTuple):
    """A call that is more than its atoms; `how`: a place, places, or how many buffers are its own."""

    function: int
    arguments: Any
    how: Any
    needs: Any


class Need(NamedTuple):
    """A result that a call needs: an atom, a pickle, or the number of a call."""

    kind: int
    value: Any
    buffers: int = 0


RETURNED, RETURNED_PACKED, FAILED, INTERRUPTED, SKIPPED = range(5)
"""How a call ended: its value is an atom, a pickle, a `Failure`'s parts, nothing; or it was not begun."""
NO_CALL = 0
"""In place of a call's number."""
PRINTED, LOGGED, BEGUN = range(3)
"""What belongs to no call's end."""


class Answer(NamedTuple):
    """How a call ended. Times are seconds of `time.monotonic()`, a clock that all processes of a machine share."""

    number: int
    kind: int
    value: Any
    started: float
    ended: float
    buffers: tuple[Any, ...] | list[Any] = ()


# --- the supervisor's end: calls ---


def link(function: int, arguments: tuple[Any, ...], place: int, call: int) -> Written:
    """Write a call of atoms and of one earlier call's result.

    >>> opened(link(7, (1, None), 1, 3), iter(()), {3: 2.5})
    ((1, 2.5), {})
    """
    return -function, arguments, place, call


def filled(function: int, arguments: tuple[Any, ...], places: tuple[int, ...], needs: tuple[Written, ...]) -> Written:
    """Write a call of atoms and of other tasks' results.

    >>> opened(filled(7, (None, "a"), (0,), (need_value(5),)), iter(()), {})
    ((5, 'a'), {})
    """
    return -function, arguments, places, needs


def pickled(function: int, arguments: Packed, needs: tuple[Written, ...]) -> Written:
    """Write a call whose arguments are pickled; its buffers travel beside the message."""
    return -function, arguments.data, len(arguments.buffers), needs


def need_value(value: Encoded) -> Written:
    """Write a result that travels along; the buffers of a pickled one travel beside the message."""
    return (PICKLE, value.data, len(value.buffers)) if type(value) is Packed else (ATOM, value)


def need_call(number: int) -> Written:
    """Write that the result of a call to the same worker is needed."""
    return CALL, number


# --- either end ---


def buffers_of(call: Written) -> int:
    """Return how many buffers of the message belong to a call: those of what it needs, and its own.

    >>> buffers_of(pickled(7, Packed(b"", (b"a", b"b")), (need_value(Packed(b"", (b"c",))), need_call(3))))
    3
    """
    _, arguments, how, needs = call
    if type(needs) is int:
        return 0
    own = 0 if type(arguments) is tuple else int(how)
    return own + sum(int(need[2]) for need in needs if need[0] == PICKLE)


# --- the worker's end: answers ---


def skipped(first: int, last: int) -> Written:
    """Write that calls have not been begun and will not be.

    >>> passed_over(skipped(3, 5))
    range(3, 6)
    """
    return first, SKIPPED, last, 0, 0


def begun() -> Written:
    """Write that the worker is there."""
    return NO_CALL, BEGUN


def printed(stream: str, text: str) -> Written:
    """Write what the call that runs has printed."""
    return NO_CALL, PRINTED, stream, text


def logged(record: bytes) -> Written:
    """Write what the call that runs has logged."""
    return NO_CALL, LOGGED, record


def may_be_kept(kind: int, value: Any) -> bool:
    """Whether a call has a result, and one so small that it may wait for the next message's first call."""
    if kind == RETURNED:
        return sys.getsizeof(value) < SMALL
    return kind == RETURNED_PACKED and len(value.data) < SMALL and not value.buffers


# --- the supervisor's end: answers ---


def passed_over(message: Written) -> range:
    """Return the numbers of the calls that a worker has skipped."""
    return range(message[0], message[2] + 1)


# --- the worker's end: calls ---


def lacks(call: Written, results: dict[int, Encoded]) -> bool:
    """Whether a call needs a result that has not come to be.

    >>> lacks(link(7, (None,), 0, 3), {}), lacks(filled(7, (None,), (0,), (need_call(3),)), {3: 1})
    (True, False)
    """
    needs = call[3]
    if type(needs) is int:
        return needs not in results
    return any(need[0] == CALL and need[1] not in results for need in needs)


def opened(
    written: Written, buffers: Iterator[Any], results: dict[int, Encoded]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return a call's arguments and keywords, with the results that it needs in their places."""
    call = Call(*written)
    if type(call.needs) is int:
        args = list(call.arguments)
        args[call.how] = decode(results[call.needs])
        return tuple(args), {}
    needed = [_needed(Need(*need), buffers, results) for need in call.needs]
    if type(call.arguments) is tuple:
        args = list(call.arguments)
        for place, value in zip(call.how, needed, strict=True):
            args[place] = value
        return tuple(args), {}
    NEEDED.values = needed
    try:
        found: tuple[tuple[Any, ...], dict[str, Any]] = Packed(call.arguments, tuple(buffers)).unpack()
    finally:
        NEEDED.values = ()
    return found


def _needed(need: Need, buffers: Iterator[Any], results: dict[int, Encoded]) -> Any:
    if need.kind == CALL:
        return decode(results[need.value])
    if need.kind == PICKLE:
        return Packed(need.value, tuple(itertools.islice(buffers, need.buffers))).unpack()
    return need.value
