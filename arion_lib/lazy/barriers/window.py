"""Calls under way: a bounded window of futures, taken in the order of the elements or as they complete.

Idea        Submit ahead, but only a window ahead.
Invariant   At most `size` calls are under way, so memory does not follow the input; a window that is left cancels what
            has not begun.
When wrong  An error of the source waits for the results of the elements before it.
See         tests/lazy/test_parallel.py · arion_lib/lazy/barriers/parallel.py
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from queue import SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

X = TypeVar("X")
R = TypeVar("R")


class Window(Generic[X, R]):
    """Calls under way, each with what it was given."""

    def __init__(self, size: int, ordered: bool) -> None:
        self.size = size
        self._waiting: dict[Future[R], X] = {}  # in the order of submission
        self._done: SimpleQueue[Future[R]] | None = None if ordered else SimpleQueue()

    def run(
        self, elements: Iterable[X], submit: Callable[[X], Future[R]]
    ) -> Generator[tuple[X, Future[R]], None, None]:
        """Submit a call for each element and yield (element, future); only the futures of an unordered one are done."""
        try:
            for x in elements:
                future = submit(x)
                self._waiting[future] = x
                if self._done is not None:
                    future.add_done_callback(self._done.put)
                if len(self._waiting) >= self.size:
                    yield self._next()
            while self._waiting:
                yield self._next()
        finally:
            cancel(self._waiting)

    def _next(self) -> tuple[X, Future[R]]:
        future = next(iter(self._waiting)) if self._done is None else self._done.get()
        return self._waiting.pop(future), future


def cancel(futures: Iterable[Future[R]]) -> None:
    """Cancel calls that have not begun."""
    for future in tuple(futures):
        future.cancel()


class Ahead(Generic[X]):
    """A source, read until it fails or ends; what it raised is kept for the moment when its turn has come."""

    def __init__(self, source: Iterable[X]) -> None:
        self._elements = iter(source)
        self.error: Exception | None = None

    def __iter__(self) -> Iterator[X]:
        return self

    def __next__(self) -> X:
        if self.error is not None:
            raise StopIteration
        try:
            return next(self._elements)
        except StopIteration:
            raise
        except Exception as error:  # noqa: BLE001 - raised by `finish`, after the results of the elements before it
            self.error = error
            raise StopIteration from None

    def finish(self) -> None:
        """Raise what the source raised."""
        if self.error is not None:
            raise self.error
