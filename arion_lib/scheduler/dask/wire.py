"""What travels between a submitter and a Dask cluster: a bundle of calls there, an answer for each back.

Idea        Users' functions, arguments, results and exceptions travel as their pickles, so that only the process that
            runs a call and the thread that asks for its result unpickle them: never dask's scheduler or its workers.
Invariant   A value that a call may change is its own: buffers that others may see are copied when they are opened.
When wrong  What a call came to is a value as well; `CallFailed` carries it for a dask task of one call.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_dask_wire.py
"""

from __future__ import annotations

import asyncio
import enum
import functools
import inspect
import os
import pickle
from collections.abc import Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Any, NamedTuple

from arion_lib.scheduler.calls.arguments import NEEDED
from arion_lib.scheduler.calls.context import context_of
from arion_lib.scheduler.calls.failures import TaskInterrupted, pack_failure
from arion_lib.scheduler.calls.values import ATOMS, Packed, encode
from arion_lib.scheduler.errors import NotTransferableError


class Sealed:
    """One pickled value with its large buffers; dask moves, counts and spills it as the bytes that it is."""

    __slots__ = ("buffers", "data")

    def __init__(self, data: bytes, buffers: Sequence[Any] = ()) -> None:
        self.data, self.buffers = data, tuple(buffers)

    def open(self, *, copy: bool = False) -> Any:
        """Return a new copy of the value; `copy` where the buffers are somebody else's, too."""
        own = [bytearray(one) if copy or memoryview(one).readonly else one for one in self.buffers]
        return pickle.loads(self.data, buffers=own)

    def __sizeof__(self) -> int:
        """Return the bytes that it takes: dask's measure of memory asks for it."""
        return len(self.data) + sum(memoryview(one).nbytes for one in self.buffers)

    def __reduce_ex__(self, protocol: Any) -> Any:
        beside: Callable[[Any], Any] = pickle.PickleBuffer if protocol >= 5 else bytearray
        return Sealed, (self.data, tuple(map(beside, self.buffers)))


def seal(value: Any) -> Any:
    """Return what `encode` gave as something that any pickler can carry: an atom, or a `Sealed`."""
    return Sealed(value.data, value.buffers) if type(value) is Packed else value


def opened(value: Any, *, copy: bool = False) -> Any:
    """Return what was sealed.

    >>> opened(seal(encode([1, 2], "result")))
    [1, 2]
    """
    return value.open(copy=copy) if type(value) is Sealed else value


def size_of(value: Any) -> int:
    """Return how many bytes a sealed value takes."""
    return value.__sizeof__() if type(value) in (Sealed, bytes, str) else 0


class Place(NamedTuple):
    """In a call: the value is the n-th of those that dask brings along."""

    number: int


class Call(NamedTuple):
    """One attempt of one task. `arguments`: a tuple of atoms, a `Sealed` of (args, kwargs), or the `Place` of one."""

    ticket: int
    arguments: Any
    needs: tuple[Any, ...]
    """The sealed results of other tasks that the arguments have places for, or their `Place`s."""
    name: str


@dataclass(frozen=True, slots=True)
class Bundle:
    """Calls of one function that make one dask task."""

    host: str
    """The name of the plugin that runs them."""
    key: tuple[str, int]
    function: bytes
    context: bytes | None
    lane: str
    priority: int
    timeout: float | None
    calls: tuple[Call, ...]


class Kind(enum.IntEnum):
    """What a call came to."""

    RETURNED = 0
    FAILED = 1
    TIMED_OUT = 2
    DIED = 3
    STOPPED = 4


class Answer(NamedTuple):
    """A call's end. `value`: a sealed result, a `Failure`, or an exit code."""

    kind: Kind
    value: Any


class CallFailed(Exception):
    """What a dask task of one call raises: the answer, and the words that dask's dashboard shows.

    >>> print(CallFailed(Answer(Kind.FAILED, None), "ValueError: no such row"))
    ValueError: no such row
    """

    def __init__(self, answer: Answer, text: str) -> None:
        super().__init__(answer, text)
        self.answer, self.text = answer, text

    def __str__(self) -> str:
        return self.text


# --- in the process that runs a call ---


def run(function: bytes, context: bytes | None, arguments: Any, needs: tuple[Any, ...], copy: bool) -> Answer:
    """Run a call; return its answer. Neither the result nor the exception is unpickled on its way."""
    try:
        call, args, kwargs = _prepared(function, arguments, needs, copy)
        value = _context(context).run(call, *args, **kwargs)
        if inspect.iscoroutine(value):
            value = asyncio.run(value)
        return _returned(call, value)
    except TaskInterrupted:
        raise
    except BaseException as error:  # noqa: BLE001  (a worker's boundary: any exception becomes the result)
        return Answer(Kind.FAILED, pack_failure(error, os.getpid()))


def run_atoms(function: bytes, context: bytes | None, *arguments: Any) -> Any:
    """Run a call of atoms; return an atom as it is, and whatever else it comes to as its answer."""
    answer = run(function, context, arguments, (), False)
    return answer.value if answer.kind is Kind.RETURNED and type(answer.value) in ATOMS else answer


async def run_in_loop(function: bytes, context: bytes | None, arguments: Any, needs: tuple[Any, ...]) -> Answer:
    """Run an asynchronous call, as `run` does."""
    try:
        call, args, kwargs = _prepared(function, arguments, needs, True)
        return _returned(call, await asyncio.create_task(call(*args, **kwargs), context=_context(context)))
    except Exception as error:  # noqa: BLE001  (a worker's boundary: any exception becomes the result)
        return Answer(Kind.FAILED, pack_failure(error, os.getpid()))


def _returned(call: Any, value: Any) -> Answer:
    return Answer(Kind.RETURNED, seal(encode(value, f"result of {getattr(call, '__qualname__', call)}")))


def _context(context: bytes | None) -> Context:
    return context_of(pickle.loads(context) if context is not None else [])


def _prepared(
    function: bytes, arguments: Any, needs: tuple[Any, ...], copy: bool
) -> tuple[Callable[..., Any], Any, Any]:
    call = _loaded(function)
    if type(arguments) is tuple:
        return call, arguments, {}
    NEEDED.values = [opened(one, copy=copy) for one in needs]
    try:
        args, kwargs = opened(arguments, copy=copy)
    finally:
        NEEDED.values = ()
    return call, args, kwargs


@functools.lru_cache(maxsize=256)
def _loaded(function: bytes) -> Callable[..., Any]:
    try:
        call: Callable[..., Any] = pickle.loads(function)
    except Exception as error:
        raise NotTransferableError(
            f"the function could not be loaded in the worker: {type(error).__name__}: {error}; the module that defines "
            "it must be installed on the dask workers"
        ) from error
    return call
