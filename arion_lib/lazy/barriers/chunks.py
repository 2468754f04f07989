"""What travels to a worker process and back: a function, a chunk of elements, the results.

Idea        A message costs about 0.2 ms, whatever is in it. So a chunk holds as many elements as keep a worker busy for
            20 ms.
Invariant   A chunk starts with one element and never holds more than `LARGEST`; results come back in order, up to the
            error.
When wrong  An exception that cannot travel is replaced by a `RuntimeError` with its text; the worker's traceback is its
            cause.
See         tests/lazy/test_chunks.py · arion_lib/lazy/barriers/parallel.py
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

T = TypeVar("T")

AIM = 0.02
"""Seconds that a chunk should keep a worker busy."""

LARGEST = 2_048
"""Elements in a chunk, at most: they are held in memory, times the window."""


class ChunkSize:
    """How many elements go into the next chunk, learnt from how long the last one took."""

    def __init__(self) -> None:
        self.now = 1

    def fill(self, source: Iterator[T]) -> list[T]:
        """Take the next chunk; an empty one means the end."""
        return list(islice(source, self.now))

    def learn(self, count: int, seconds: float) -> None:
        """Take note that `count` calls took `seconds`.

        >>> size = ChunkSize()
        >>> size.learn(1, 0.00001); size.now
        8
        """
        wanted = int(AIM * count / seconds) if seconds > 0 and count else LARGEST
        self.now = max(1, min(wanted, self.now * 8, LARGEST))


class Shipped:
    """A function that crosses to another process by value: lambdas and functions of a notebook cell too.

    In this process (a thread pool, say) it is simply called; nothing is pickled before it must be.
    """

    def __init__(self, fn: Callable[[Any], object]) -> None:
        self.fn = fn
        self._pickled: bytes | None = None

    def __reduce__(self) -> tuple[Callable[[bytes], Shipped], tuple[bytes]]:
        if self._pickled is None:
            self._pickled = _dumps(self.fn)
        return _unshipped, (self._pickled,)


class Chunk:
    """Elements that cross to another process, with whatever classes a notebook cell defined."""

    def __init__(self, elements: Sequence[object]) -> None:
        self.elements = elements

    def __reduce__(self) -> tuple[Callable[[bytes], Chunk], tuple[bytes]]:
        return _unchunked, (_dumps(self.elements),)


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a chunk: results up to the first error."""

    results: list[object]
    error: Exception | None
    seconds: float

    def __reduce__(self) -> tuple[Callable[[bytes], Reply], tuple[bytes]]:
        try:
            cause = self.error.__cause__ if self.error else None  # pickle leaves it behind
            return _replied, (_dumps((self.results, self.error, self.seconds, cause)),)
        except Exception as e:  # noqa: BLE001 - the boundary of a process: what cannot travel becomes an error that can
            failed = RuntimeError(f"a result must be picklable to come back from a process: {type(e).__name__}: {e}")
            return _replied, (_dumps(([], failed, self.seconds, None)),)


class WorkerTraceback(Exception):
    """The traceback of an error as the worker saw it; a traceback itself cannot travel."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


def call_each(shipped: Shipped, chunk: Chunk) -> Reply:
    """Call the function with each element, in a worker."""
    fn, results = shipped.fn, []
    began = time.perf_counter()
    try:
        for x in chunk.elements:
            results.append(fn(x))  # noqa: PERF401 - the results before an error count
        error = None
    except Exception as e:  # noqa: BLE001 - the boundary of a process: any exception becomes a value
        error = _portable(e)
    return Reply(results, error, time.perf_counter() - began)


def _portable(error: Exception) -> Exception:
    """Return the error, or one that says the same, in a form that survives the way back."""
    text = "".join(traceback.format_exception(error))
    try:
        again = _loads(_dumps(error))
    except Exception:  # noqa: BLE001 - a user's exception may fail to pickle in any way
        again = None
    if type(again) is not type(error):
        error = RuntimeError(f"{type(error).__name__}: {error}")
    error.__cause__ = WorkerTraceback(text)
    return error


def _unshipped(pickled: bytes) -> Shipped:
    return Shipped(_loads(pickled))


def _unchunked(pickled: bytes) -> Chunk:
    return Chunk(_loads(pickled))


def _replied(pickled: bytes) -> Reply:
    results, error, seconds, cause = _loads(pickled)
    if error is not None:
        error.__cause__ = cause
    return Reply(results, error, seconds)


def _dumps(value: object) -> bytes:
    import cloudpickle  # only who sends something to a process pays for its import

    pickled: bytes = cloudpickle.dumps(value)
    return pickled


def _loads(pickled: bytes) -> Any:
    import pickle

    return pickle.loads(pickled)
