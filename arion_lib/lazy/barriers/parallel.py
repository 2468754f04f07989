"""A map or a filter whose calls overlap: threads or coroutines for waiting, processes for computing, any executor.

Idea        Submit ahead, but only a window ahead; hand results out in the order of the elements, or as they complete.
Invariant   At most `window` calls (chunks of calls, for processes) are under way, so memory does not follow the input.
            A call in a thread or a coroutine sees the context variables of the thread that iterates. When the iteration
            ends - done, failed or abandoned - the pool is shut down, and no thread, process or task is left.
When wrong  An error comes out at its element's place, after the results before it, with the stage and the element as a
            note. A worker process that dies raises `BrokenProcessPool` here.
See         notebooks/4_lazy_collection.ipynb · tests/lazy/test_parallel.py · barriers/window.py, chunks.py
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

from arion_lib.lazy.asynchronous.loops import loop_of_run
from arion_lib.lazy.barriers.chunks import Chunk, ChunkSize, Reply, Shipped, call_each
from arion_lib.lazy.barriers.window import Ahead, Window
from arion_lib.lazy.refusals import checks
from arion_lib.lazy.refusals.stop import refuse_stop
from arion_lib.lazy.source import name_of
from arion_lib.lazy.stages import Barrier, Blame

if TYPE_CHECKING:  # at run time they are imported where they are used: they cost more than all the rest of this part
    from concurrent.futures import Executor, Future, ProcessPoolExecutor

WINDOW_PER_WORKER = 2
"""One call under way and one waiting, so that a worker never waits for us."""

EXECUTOR_WINDOW = 32
"""Chunks under way on an executor whose number of workers we cannot know."""

Function: TypeAlias = Callable[[Any], object]


@dataclass(frozen=True, slots=True)
class Workers:
    """Who makes the calls of a stage: one of the first four is given."""

    threads: int | None = None
    processes: int | None = None
    executor: Executor | None = None
    concurrency: int | None = None
    window: int | None = None
    ordered: bool = True

    @property
    def size(self) -> int:
        """How many calls, or chunks of calls, are under way at most."""
        if self.window or self.concurrency:
            return self.window or self.concurrency or 1
        return WINDOW_PER_WORKER * (self.threads or self.processes or EXECUTOR_WINDOW // WINDOW_PER_WORKER)

    def __str__(self) -> str:
        if self.executor is not None:
            how = f"executor={type(self.executor).__name__}"
        else:
            named = {"threads": self.threads, "processes": self.processes, "concurrency": self.concurrency}
            how = next(f"{name}={number}" for name, number in named.items() if number)
        return how if self.ordered else f"{how}, ordered=False"


class How(TypedDict, total=False):
    """How calls overlap: by one of the first three."""

    threads: int | None
    processes: int | None
    executor: Executor | None
    window: int | None
    ordered: bool


class HowAsync(How, total=False):
    """The same, or as coroutines."""

    concurrency: int | None


def workers_for(name: str, fn: object, how: Mapping[str, Any]) -> Workers:
    """Return who makes the calls of `fn`, checked; `name` is the transformation's."""
    checks.options(name, how, Workers.__slots__)
    workers = Workers(**how)
    if workers.concurrency is None:
        checks.function("fn", fn)
    else:
        checks.async_function("fn", fn)
    checks.workers(
        workers.threads, workers.processes, workers.executor, workers.concurrency, workers.window, workers.ordered
    )
    return workers


class ParallelMap(Barrier):
    """`fn` of each element, several at a time."""

    __slots__ = ("workers",)
    name = "map"
    waits = True

    def __init__(self, fn: Function, workers: Workers) -> None:
        super().__init__(fn)
        self.workers = workers

    @property
    def one_to_one(self) -> bool:  # type: ignore[override]
        return self.workers.ordered

    @property
    def element_wise(self) -> bool:  # type: ignore[override]
        return self.workers.ordered

    @property
    def label(self) -> str:
        return f"{self.name}({name_of(self.args[0])}, {self.workers})"

    def attach(self, upstream: Iterable[object], blame: Blame) -> Iterator[object]:
        return (result for _, result in self.calls(upstream, blame))

    def calls(self, upstream: Iterable[object], blame: Blame) -> Iterator[tuple[object, object]]:
        """Yield each element with the result of its call."""
        from concurrent.futures import ThreadPoolExecutor

        (fn,), workers = self.args, self.workers
        assert callable(fn)  # noqa: S101 - checked when the stage was made
        window: Any = Window(workers.size, workers.ordered)
        if workers.concurrency:
            return _one_by_one(upstream, partial(_on_loop, fn), window, blame)
        if workers.threads or isinstance(workers.executor, ThreadPoolExecutor):
            return _one_by_one(upstream, partial(_in_threads, fn, workers.threads, workers.executor), window, blame)
        return _by_chunks(upstream, fn, partial(_executor, workers.processes or 1, workers.executor), window, blame)


class ParallelFilter(ParallelMap):
    """Elements for which `fn` is true, several calls at a time."""

    name = "filter"
    one_to_one = element_wise = False

    def attach(self, upstream: Iterable[object], blame: Blame) -> Iterator[object]:
        return (x for x, kept in self.calls(upstream, blame) if kept)


Submit: TypeAlias = "Callable[[object], Future[object]]"


@contextmanager
def _in_threads(fn: Function, threads: int | None, lent: Executor | None) -> Iterator[Submit]:
    from concurrent.futures import ThreadPoolExecutor

    executor = lent or ThreadPoolExecutor(threads, "lazy map")
    try:
        yield lambda x: executor.submit(copy_context().run, fn, x)
    finally:
        if lent is None:
            executor.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _on_loop(fn: Callable[[Any], Any]) -> Iterator[Submit]:
    with loop_of_run() as loop:
        yield partial(loop.submit, fn)


@contextmanager
def _executor(processes: int, lent: Executor | None) -> Iterator[Executor]:
    executor = lent or _processes(processes)
    try:
        yield executor
    finally:
        if lent is None:
            executor.shutdown(wait=True, cancel_futures=True)


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


def _one_by_one(
    source: Iterable[object], pool: Callable[[], Any], window: Window[object, object], blame: Blame
) -> Iterator[tuple[object, object]]:
    """A call for each element: for threads and coroutines, where handing one over costs little."""
    ahead = Ahead(source)
    with pool() as submit, closing(window.run(ahead, submit)) as calls:
        for x, future in calls:
            try:
                result = future.result()
            except Exception as error:
                blame(error, x)
                refuse_stop(error)
                raise
            yield x, result
        ahead.finish()


def _by_chunks(
    source: Iterable[object], fn: Function, pool: Callable[[], Any], window: Window[list[object], Reply], blame: Blame
) -> Iterator[tuple[object, object]]:
    """A call for each chunk: for processes, where handing one over costs as much as thousands of short calls."""
    ahead, size, shipped = Ahead(source), ChunkSize(), Shipped(fn)
    chunks = iter(partial(size.fill, ahead), [])
    with (
        pool() as executor,
        closing(window.run(chunks, lambda chunk: executor.submit(call_each, shipped, Chunk(chunk)))) as calls,
    ):
        for chunk, future in calls:
            try:
                reply = future.result()
            except Exception as error:
                blame(error)
                raise
            size.learn(len(reply.results), reply.seconds)
            yield from zip(chunk, reply.results, strict=False)
            if reply.error is not None:
                blame(reply.error, chunk[len(reply.results)])
                refuse_stop(reply.error)
                raise reply.error
        ahead.finish()
