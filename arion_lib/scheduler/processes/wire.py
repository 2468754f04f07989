"""A call as a supervisor writes it and as a worker reads it: both ends on one page.

Idea        marshal knows tuples and no classes, so a call is a tuple; the functions here make the four kinds of it, and
            `Call` and `Need` name their parts for whoever reads.
Invariant   What one of the functions writes, `opened` reads as the same arguments (test_wire.py). Buffers are in the
            order in which the worker wants them: those of what a call needs, then its own.
When wrong  A call that needs the result of one that failed is skipped, not run: `lacks` tells.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_wire.py

::

    (function, atom, atom ...)                  all arguments are atoms: most calls, made and read where they are
    (-function, arguments, place, number)       a link: one argument is the result of the call of that number
    (-function, arguments, places, needs)       some arguments are other tasks' results
    (-function, pickle, buffers, needs)         the arguments are pickled; so many buffers beside the message

The number of a function is positive, and negative where a call is more than its atoms. Of the results that a call
needs, one is an atom, one a pickle with its buffers, and one the result of a call to the same worker: an earlier one of
the message, or the last one before it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

from arion_lib.scheduler.calls.arguments import NEEDED
from arion_lib.scheduler.calls.values import Encoded, Packed, decode

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


# --- the supervisor's end ---


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


# --- the worker's end ---


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
