"""The contenders of the scheduler's benchmark, each in its library's own way of doing it.

Idea        All can submit a call and wait for its result. Most have the interface of `concurrent.futures`; the others
            are a small class that gives them the same words.
Invariant   Every pool is opened with its defaults but for the number of workers, does the same calls, and is closed.
When wrong  A peer that is not installed raises `ModuleNotFoundError` when it is opened.
See         arion_lib/bench/scheduler · tests/bench/test_scheduler.py
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

from arion_lib.scheduler import Scheduler

Call = Callable[..., Any]
TASKS = "arion_lib.bench.scheduler.tasks"
"""What ours imports before it forks workers; the pools that fork this process have it from the start."""
CLOSING = 8.0
"""Seconds that closing may take: a pool with a killed worker may never manage it."""
ANSWER = 6.0
"""Seconds after which a pool's answer is not waited for any more."""


class Pool:
    """A pool that has the interface of `concurrent.futures`; `ending` is what its `shutdown` takes."""

    submit: Any
    """Hands in `fn(*args)` and returns a handle: the library's own method where it can be, as it is timed."""

    def __init__(self, pool: Any, **ending: Any) -> None:
        self.pool, self.ending = pool, ending
        self.submit = pool.submit

    def result(self, handle: Any, timeout: float | None = None) -> Any:
        """Wait for a call's result. Raises `TimeoutError`, or what became of it."""
        return handle.result(timeout)

    def results(self, handles: Iterable[Any]) -> list[Any]:
        """Wait for many."""
        return [handle.result() for handle in handles]

    def map(self, fn: Call, items: Iterable[Any], chunk: int = 1) -> list[Any]:
        """Return `fn` of each item, the batch handed in at once."""
        return list(self.pool.map(fn, items, chunksize=chunk))

    def after(self, fn: Call, *handles: Any) -> Any:
        """Hand in a call that takes the results of others: here by waiting for them."""
        return self.submit(fn, *self.results(handles))

    def gathered(self, fn: Call, handles: list[Any]) -> Any:
        """Hand in a call that takes a list of the results of others."""
        return self.submit(fn, self.results(handles))

    def close(self) -> None:
        """End the pool and what runs in it."""
        self.pool.shutdown(wait=True, **self.ending)


class Ours(Pool):
    """`arion_lib.scheduler`, every feature on: it takes handles as arguments."""

    def __init__(self, workers: int, **options: Any) -> None:
        super().__init__(Scheduler(workers, preload=(TASKS,), **options), cancel_futures=True, deadline=0.01)

    def submit_timed(self, fn: Call, timeout: float, *args: Any) -> Any:
        """Hand in a call that may run for `timeout` seconds."""
        return self.pool.with_options(timeout=timeout).submit(fn, *args)

    def after(self, fn: Call, *handles: Any) -> Any:
        return self.submit(fn, *handles)

    def gathered(self, fn: Call, handles: list[Any]) -> Any:
        return self.submit(fn, handles)


class Multiprocessing(Pool):
    """`multiprocessing.Pool`."""

    def __init__(self, workers: int) -> None:
        import multiprocessing

        self.pool = multiprocessing.Pool(workers)

    def submit(self, fn: Call, *args: Any) -> Any:
        return self.pool.apply_async(fn, args)

    def result(self, handle: Any, timeout: float | None = None) -> Any:
        try:
            return handle.get(timeout)
        except Exception as error:
            if type(error).__name__ == "TimeoutError":  # multiprocessing has one of its own
                raise TimeoutError from error
            raise

    def results(self, handles: Iterable[Any]) -> list[Any]:
        return [handle.get() for handle in handles]

    def close(self) -> None:
        self.pool.terminate()
        self.pool.join()


class Pebble(Pool):
    """`pebble.ProcessPool`."""

    def __init__(self, workers: int) -> None:
        from pebble import ProcessPool

        self.pool: Any = ProcessPool(max_workers=workers)

    def submit(self, fn: Call, *args: Any) -> Any:
        return self.pool.schedule(fn, args=list(args))

    def submit_timed(self, fn: Call, timeout: float, *args: Any) -> Any:
        """Hand in a call that may run for `timeout` seconds."""
        return self.pool.schedule(fn, args=list(args), timeout=timeout)

    def map(self, fn: Call, items: Iterable[Any], chunk: int = 1) -> list[Any]:
        return list(self.pool.map(fn, items, chunksize=chunk).result())

    def close(self) -> None:
        self.pool.stop()
        self.pool.join()


class Dask(Pool):
    """`dask.distributed.LocalCluster`."""

    def __init__(self, workers: int) -> None:
        import logging

        import dask
        import distributed

        dask.config.set({"distributed.admin.tick.limit": "1h"})
        library: Any = distributed  # untyped
        self.cluster = library.LocalCluster(
            n_workers=workers, threads_per_worker=1, dashboard_address=None, silence_logs=logging.CRITICAL
        )
        self.client = library.Client(self.cluster)

    def submit(self, fn: Call, *args: Any) -> Any:
        return self.client.submit(fn, *args, pure=False)

    def results(self, handles: Iterable[Any]) -> list[Any]:
        return list(self.client.gather(list(handles)))

    def map(self, fn: Call, items: Iterable[Any], chunk: int = 1) -> list[Any]:  # noqa: ARG002  it has another idea
        return self.results(self.client.map(fn, list(items), pure=False))

    def close(self) -> None:
        self.client.close(timeout=CLOSING)
        self.cluster.close(timeout=CLOSING)


def _standard(workers: int) -> Pool:
    return Pool(ProcessPoolExecutor(workers), cancel_futures=True)


def _loky(workers: int) -> Pool:
    from loky import ProcessPoolExecutor  # type: ignore[import-untyped]

    return Pool(ProcessPoolExecutor(workers), kill_workers=True)


def _ours_on_dask(workers: int) -> Pool:
    from arion_lib.scheduler.dask import DaskScheduler

    return Pool(DaskScheduler(workers=workers), cancel_futures=True, deadline=0.01)


POOLS: dict[str, Callable[..., Pool]] = {
    "ours": Ours,
    "PPE": _standard,
    "mp.Pool": Multiprocessing,
    "pebble": Pebble,
    "loky": _loky,
    "dask": Dask,
    "ours on dask": _ours_on_dask,
}
"""The contenders by the names that tables use; PPE is `concurrent.futures.ProcessPoolExecutor`."""
PEERS = ("PPE", "mp.Pool", "pebble", "loky", "dask")
"""Those that a run can leave out. Dask, which is slower by a factor of a hundred, is measured in a row of its own."""
LOCAL = PEERS[:-1]


@contextmanager
def opened(name: str, workers: int = 2, **options: Any) -> Iterator[Any]:
    """Open a contender's pool; close it afterwards, or leave it behind when that takes too long.

    What is left behind ends with the process, which is one for such cases.
    """
    pool = POOLS[name](workers, **options)
    try:
        yield pool
    finally:
        closing = threading.Thread(target=pool.close, daemon=True)
        closing.start()
        closing.join(CLOSING)


def timed(call: Callable[[], object], expected: object) -> float:
    """Return the seconds of a call that starts with no garbage left. Raises `ValueError` for a wrong result."""
    gc.collect()
    began = time.perf_counter()
    found = call()
    seconds = time.perf_counter() - began
    check(found, expected)
    return seconds


def check(found: object, expected: object) -> None:
    """Raise `ValueError` for a wrong result: a contender must not be fast by leaving something out."""
    if found != expected:
        raise ValueError("wrong results")


def fate_of(pool: Pool, handle: Any, until: float) -> Any:
    """Return a result, or what came instead of it."""
    try:
        return pool.result(handle, max(0.001, until - time.monotonic()))
    except TimeoutError:
        return "hangs"
    except CancelledError:
        return "cancelled"
    except Exception as error:  # noqa: BLE001  (what a pool raises for a lost task is what is asked)
        return type(error).__name__
