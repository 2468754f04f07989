"""The contenders of the scheduler's benchmark: one small class each, in its library's own way of doing it.

Idea        All can submit a call and wait for its result; what one cannot do (deadlines, priorities) it does not have,
            and the row that asks for it says so.
Invariant   Every pool is opened with its defaults but for the number of workers, does the same calls, and is closed.
When wrong  A peer that is not installed raises `ModuleNotFoundError` when it is opened.
See         arion_lib/bench/scheduler · tests/bench/test_scheduler.py
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import Any

from arion_lib.scheduler import Scheduler

Call = Callable[..., Any]
TASKS = "arion_lib.bench.scheduler.tasks"
"""What ours imports before it forks workers; the pools that fork this process have it from the start."""
CLOSING = 8.0
"""Seconds that closing may take: a pool with a killed worker may never manage it."""


class Pool:
    """What all of them can do."""

    submit: Any
    """`submit(fn, *args)` hands in a call and returns a handle: the library's own where it can be, as it is timed."""

    def __init__(self, workers: int) -> None:
        raise NotImplementedError

    def result(self, handle: Any, timeout: float | None = None) -> Any:
        """Wait for a call's result. Raises `TimeoutError`, or what became of it."""
        return handle.result(timeout)

    def results(self, handles: Iterable[Any]) -> list[Any]:
        """Wait for many."""
        return [handle.result() for handle in handles]

    def map(self, fn: Call, items: Iterable[Any], chunk: int = 1) -> list[Any]:
        """Return `fn` of each item, the batch handed in at once."""
        raise NotImplementedError

    def close(self) -> None:
        """End the pool and what runs in it."""
        raise NotImplementedError

    def after(self, fn: Call, *handles: Any) -> Any:
        """Hand in a call that takes the results of others: here by waiting for them."""
        return self.submit(fn, *self.results(handles))

    def gathered(self, fn: Call, handles: list[Any]) -> Any:
        """Hand in a call that takes a list of the results of others."""
        return self.submit(fn, self.results(handles))


class Ours(Pool):
    """`arion_lib.scheduler`, every feature on."""

    def __init__(self, workers: int, **options: Any) -> None:
        self.scheduler = Scheduler(workers, preload=(TASKS,), **options)
        self.submit = self.scheduler.submit

    def submit_timed(self, fn: Call, timeout: float, *args: Any) -> Any:
        """Hand in a call that may run for `timeout` seconds."""
        return self.scheduler.with_options(timeout=timeout).submit(fn, *args)

    def map(self, fn: Call, items: Iterable[Any], chunk: int = 1) -> list[Any]:  # noqa: ARG002
        return list(self.scheduler.map(fn, items))

    def after(self, fn: Call, *handles: Any) -> Any:
        return self.scheduler.submit(fn, *handles)

    def gathered(self, fn: Call, handles: list[Any]) -> Any:
        return self.scheduler.submit(fn, handles)

    def close(self) -> None:
        self.scheduler.shutdown(wait=True, cancel_futures=True, deadline=0.01)


class Standard(Pool):
    """`concurrent.futures.ProcessPoolExecutor`."""

    def __init__(self, workers: int) -> None:
        self.pool = self.opened(workers)
        self.submit = self.pool.submit

    def opened(self, workers: int) -> Any:
        """Open the executor."""
        from concurrent.futures import ProcessPoolExecutor

        return ProcessPoolExecutor(workers)

    def map(self, fn: Call, items: Iterable[Any], chunk: int = 1) -> list[Any]:
        return list(self.pool.map(fn, items, chunksize=chunk))

    def close(self) -> None:
        self.pool.shutdown(wait=True, cancel_futures=True)


class Loky(Standard):
    """`loky.ProcessPoolExecutor`."""

    def opened(self, workers: int) -> Any:
        from loky import ProcessPoolExecutor  # type: ignore[import-untyped]

        return ProcessPoolExecutor(workers)

    def close(self) -> None:
        self.pool.shutdown(wait=True, kill_workers=True)


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

    def map(self, fn: Call, items: Iterable[Any], chunk: int = 1) -> list[Any]:
        return self.pool.map(fn, items, chunksize=chunk)

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
        from distributed import Client, LocalCluster

        dask.config.set({"distributed.admin.tick.limit": "1h"})
        open_cluster: Any = LocalCluster  # untyped
        open_client: Any = Client
        self.cluster = open_cluster(
            n_workers=workers, threads_per_worker=1, dashboard_address=None, silence_logs=logging.CRITICAL
        )
        self.client = open_client(self.cluster)

    def submit(self, fn: Call, *args: Any) -> Any:
        return self.client.submit(fn, *args, pure=False)

    def results(self, handles: Iterable[Any]) -> list[Any]:
        return list(self.client.gather(list(handles)))

    def map(self, fn: Call, items: Iterable[Any], chunk: int = 1) -> list[Any]:
        found = self.client.map(fn, list(items), pure=False, batch_size=None if chunk == 1 else chunk)
        return self.results(found)

    def after(self, fn: Call, *handles: Any) -> Any:
        return self.submit(fn, *handles)

    def gathered(self, fn: Call, handles: list[Any]) -> Any:
        return self.submit(fn, handles)

    def close(self) -> None:
        self.client.close(timeout=CLOSING)
        self.cluster.close(timeout=CLOSING)


class OursOnDask(Pool):
    """`arion_lib.scheduler.dask`, on a local cluster of its own."""

    def __init__(self, workers: int) -> None:
        from arion_lib.scheduler.dask import DaskScheduler

        self.scheduler = DaskScheduler(workers=workers)
        self.submit = self.scheduler.submit

    def map(self, fn: Call, items: Iterable[Any], chunk: int = 1) -> list[Any]:
        return list(self.scheduler.map(fn, items, chunksize=chunk))

    def close(self) -> None:
        self.scheduler.shutdown(wait=True, cancel_futures=True, deadline=0.01)


POOLS: dict[str, type[Pool]] = {
    "ours": Ours,
    "ours on dask": OursOnDask,
    "PPE": Standard,
    "mp.Pool": Multiprocessing,
    "pebble": Pebble,
    "loky": Loky,
    "dask": Dask,
}
"""The contenders by the names that tables use; PPE is `concurrent.futures.ProcessPoolExecutor`."""

PEERS = tuple(name for name in POOLS if name != "ours")

DISTRIBUTIONS = ("pebble", "loky", "distributed")


@contextmanager
def opened(name: str, workers: int = 2) -> Iterator[Any]:
    """Open a contender's pool; close it afterwards, or leave it behind when that takes too long.

    What is left behind ends with the process, which is one for such cases.
    """
    pool = POOLS[name](workers)
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


PATIENCE = 6.0
"""Seconds after which a peer's answer is not waited for any more."""
PATIENCES = {"dask": 30.0}
"""It starts a whole interpreter for a killed worker."""


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
