"""Other people's process pools, as their authors would use them, behind one way to submit.

Idea        A misfortune is the same for every pool only when each is asked by the same code.
Invariant   What is submitted is pickled by value, so a notebook's functions do; each pool is closed by its `with`.
When wrong  A pool that is not installed raises `ImportError` when it is opened.
See         notebooks/5_task_scheduler.ipynb · tests/workbook/test_pools.py
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from multiprocessing import get_context
from typing import Any, Protocol

from arion_lib.workbook.by_value import by_value


class Submits(Protocol):
    """What all of them have."""

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Any:
        """Have a call made by a worker; return a future."""


def loky_pool(workers: int = 2) -> Any:
    """Open loky's executor, the one inside joblib."""
    import loky  # type: ignore[import-untyped]

    return loky.ProcessPoolExecutor(workers)


@contextmanager
def pebble_pool(workers: int = 2) -> Iterator[Submits]:
    """Open pebble's pool with fresh processes; what it calls `schedule` is called `submit` here."""
    import pebble

    class Scheduling:
        def submit(self, fn: Callable[..., Any], /, *args: Any) -> Any:
            return pool.schedule(fn, args)

    spawn: Any = get_context("spawn")  # pebble's own word for it does not fit Windows' pipes
    with pebble.ProcessPool(workers, context=spawn) as pool:
        yield Scheduling()


def can_stop(open_pool: Callable[[], AbstractContextManager[Any]]) -> bool:
    """Return whether `cancel()` ends a call that runs; the call sleeps for a second."""
    with open_pool() as pool:
        job = pool.submit(by_value(time.sleep), 1.0)
        while not (job.running() or job.done()):
            time.sleep(0.005)
        return bool(job.cancel())


def no_ops(pool: Submits, count: int = 500) -> Callable[[], int]:
    """Return what submits `count` calls that do nothing, one by one, and waits for all: something to be timed."""

    def run() -> int:
        return sum(job.result() for job in [pool.submit(abs, number) for number in range(count)])

    return run
