"""A map whose calls overlap: threads for waiting, processes for computing, any executor for more than one machine.

Idea        Submit ahead, but only a window ahead; hand results out in the order of the elements.
Invariant   At most `window` calls (chunks of calls, for processes) are under way, so memory does not follow the input.
            When the iteration ends - done, failed or abandoned - the pool is shut down, and no thread or process is
            left.
When wrong  An error comes out at its element's place, after the results before it, with the stage and the element as a
            note. A worker process that dies raises `BrokenProcessPool` here.
See         notebooks/4_lazy_collection.ipynb · tests/lazy/test_parallel.py · arion_lib/lazy/chunks.py
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from arion_lib.lazy.chunks import Chunk, ChunkSize, Reply, Shipped, call_each
from arion_lib.lazy.source import name_of
from arion_lib.lazy.stages import Barrier, Blame
from arion_lib.lazy.stop import refuse_stop

if TYPE_CHECKING:  # at run time they are imported where they are used: they cost more than all the rest of this part
    from concurrent.futures import Executor, Future, ProcessPoolExecutor

WINDOW_PER_WORKER = 2
"""One call under way and one waiting, so that a worker never waits for us."""

EXECUTOR_WINDOW = 32
"""Chunks under way on an executor whose number of workers we cannot know."""

Function: TypeAlias = Callable[[Any], object]


class ParallelMap(Barrier):
    """`fn` of each element, several at a time, in the order of the elements."""

    __slots__ = ("executor", "processes", "threads", "window")
    name = "map"
    one_to_one = element_wise = True

    def __init__(
        self, fn: Function, threads: int | None, processes: int | None, executor: Executor | None, window: int | None
    ) -> None:
        super().__init__(fn)
        self.threads, self.processes, self.executor, self.window = threads, processes, executor, window

    @property
    def label(self) -> str:
        if self.executor is not None:
            how = f"executor={type(self.executor).__name__}"
        else:
            how = f"threads={self.threads}" if self.threads else f"processes={self.processes}"
        return f"map({name_of(self.args[0])}, {how})"

    def attach(self, upstream: Iterable[object], blame: Blame) -> Iterator[object]:
        from concurrent.futures import ThreadPoolExecutor

        (fn,) = self.args
        assert callable(fn)  # noqa: S101 - checked when the stage was made
        if self.threads:
            pool: Pool = lambda: _owned(ThreadPoolExecutor(self.threads, "lazy map"))  # noqa: E731 - opened with the first pull
            return _one_by_one(upstream, fn, pool, self.window or WINDOW_PER_WORKER * self.threads, blame)
        if self.executor is not None:
            executor = self.executor
            pool = lambda: _lent(executor)  # noqa: E731
            if isinstance(executor, ThreadPoolExecutor):
                return _one_by_one(upstream, fn, pool, self.window or EXECUTOR_WINDOW, blame)
            return _by_chunks(upstream, fn, pool, self.window or EXECUTOR_WINDOW, blame)
        workers = self.processes or 1
        pool = lambda: _owned(_processes(workers))  # noqa: E731
        return _by_chunks(upstream, fn, pool, self.window or WINDOW_PER_WORKER * workers, blame)


Pool: TypeAlias = Callable[[], Any]
"""Makes a context manager that gives an executor."""


def start_method() -> str:
    """Return how worker processes start: as the program chose, but by fork only where that is safe, else by spawn.

    Fork copies the calling thread alone: a lock that another thread holds stays locked in the child for ever. So it is
    used only on Linux and while this process has a single thread, which a notebook's kernel never has.
    """
    import multiprocessing

    chosen: str | None = multiprocessing.get_start_method(allow_none=True)
    default = multiprocessing.get_all_start_methods()[0]  # it is what `chosen` says once anybody asked for it
    if chosen not in (None, "fork", default):
        return str(chosen)
    tasks = Path("/proc/self/task")
    alone = sys.platform == "linux" and tasks.is_dir() and sum(1 for _ in tasks.iterdir()) == 1
    return "fork" if alone else "spawn"


def _processes(workers: int) -> ProcessPoolExecutor:
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    return ProcessPoolExecutor(workers, multiprocessing.get_context(start_method()))


@contextmanager
def _owned(executor: Executor) -> Iterator[Executor]:
    try:
        yield executor
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _lent(executor: Executor) -> Iterator[Executor]:
    yield executor


class _Ahead:
    """The source, read until it fails or ends; what it raised is kept for the moment when its turn has come."""

    def __init__(self, source: Iterable[object]) -> None:
        self._elements = iter(source)
        self.error: Exception | None = None

    def __iter__(self) -> Iterator[object]:
        return self

    def __next__(self) -> object:
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


def _one_by_one(source: Iterable[object], fn: Function, pool: Pool, window: int, blame: Blame) -> Iterator[object]:
    """A call for each element: for threads, where handing one over costs little."""
    ahead = _Ahead(source)
    waiting: deque[tuple[object, Future[object]]] = deque()
    with pool() as executor:
        try:
            for x in ahead:
                waiting.append((x, executor.submit(fn, x)))
                if len(waiting) >= window:
                    yield _result(*waiting.popleft(), blame)
            while waiting:
                yield _result(*waiting.popleft(), blame)
            ahead.finish()
        finally:
            _cancel(future for _, future in waiting)


def _result(element: object, future: Future[object], blame: Blame) -> object:
    try:
        return future.result()
    except Exception as error:
        blame(error, element)
        refuse_stop(error)
        raise


def _by_chunks(source: Iterable[object], fn: Function, pool: Pool, window: int, blame: Blame) -> Iterator[object]:
    """A call for each chunk: for processes, where handing one over costs as much as thousands of short calls."""
    ahead, size, shipped = _Ahead(source), ChunkSize(), Shipped(fn)
    waiting: deque[tuple[list[object], Future[Reply]]] = deque()
    with pool() as executor:
        try:
            while chunk := size.fill(ahead):
                waiting.append((chunk, executor.submit(call_each, shipped, Chunk(chunk))))
                if len(waiting) >= window:
                    yield from _results(*waiting.popleft(), size, blame)
            while waiting:
                yield from _results(*waiting.popleft(), size, blame)
            ahead.finish()
        finally:
            _cancel(future for _, future in waiting)


def _results(chunk: list[object], future: Future[Reply], size: ChunkSize, blame: Blame) -> Iterator[object]:
    try:
        reply = future.result()
    except Exception as error:
        blame(error)
        raise
    size.learn(len(reply.results), reply.seconds)
    yield from reply.results
    if reply.error is not None:
        blame(reply.error, chunk[len(reply.results)])
        refuse_stop(reply.error)
        raise reply.error


def _cancel(futures: Iterable[Future[Any]]) -> None:
    for future in futures:
        future.cancel()
