"""`submit` and `map` with options: what `with_options` returns.

Idea        Options stand beside the call; the same object submits any number of calls with them.
Invariant   What is chosen here goes before what a function declares.
When wrong  A wrong option is refused by `with_options`, before any task exists.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_options.py
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Any, ParamSpec, Protocol, TypeVar

from arion_lib.scheduler.bounds.checks import check_count
from arion_lib.scheduler.calls.functions import Function
from arion_lib.scheduler.options import PLAIN, Options
from arion_lib.scheduler.submitting.periodic import Periodic
from arion_lib.scheduler.submitting.results import results_of
from arion_lib.scheduler.submitting.times import Times, times_of
from arion_lib.scheduler.task import Task

P = ParamSpec("P")
T = TypeVar("T")


class Chosen:
    """Options that were chosen for some submits, over what their functions declare."""

    def __init__(self, changes: dict[str, Any]) -> None:
        self.changes, self.plain = changes, PLAIN.but(**changes)

    def of(self, function: Function) -> Options:
        return self.plain if function.options is PLAIN else function.options.but(**self.changes)


class Submits(Protocol):
    """What makes tasks of calls: `Submission`, and the scheduler on Dask."""

    def _submit(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], chosen: Chosen | None, /
    ) -> Task[Any]: ...

    def _submit_many(
        self, fn: Callable[..., Any], calls: Iterable[tuple[Any, ...]], chosen: Chosen, chunksize: int, /
    ) -> list[Task[Any]]: ...

    def _cancel_many(self, tasks: list[Task[Any]], /) -> object: ...

    def _every(
        self, times: Times, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], chosen: Chosen, /
    ) -> Periodic: ...


class Submitter:
    """`submit` and `map` of a scheduler, with options."""

    def __init__(self, scheduler: Submits, options: dict[str, Any]) -> None:
        self._scheduler, self._chosen = scheduler, Chosen(options)

    def with_options(self, **options: Any) -> Submitter:
        """Return a submitter with these options, too."""
        return Submitter(self._scheduler, {**self._chosen.changes, **options})

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Task[T]:
        """Run a call with the options; see `Scheduler.submit`."""
        return self._scheduler._submit(fn, args, kwargs, self._chosen)

    def every(
        self, when: float | str | Iterable[datetime], fn: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs
    ) -> Periodic:
        """Run a call again and again with the options; see `Scheduler.every`."""
        return self._scheduler._every(times_of(when), fn, args, kwargs, self._chosen)

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
        progress: bool = False,
    ) -> Iterator[T]:
        """Run a call for each of the iterables' items with the options; see `Scheduler.map`."""
        if chunksize < 1:
            raise ValueError(f"chunksize must be >= 1, got {chunksize!r}")
        if buffersize is not None:
            check_count("buffersize", buffersize, 1)
            if progress:
                raise ValueError("progress must be False beside a buffersize: how many tasks will come is not known")
        until = None if timeout is None else time.monotonic() + timeout
        calls = zip(*iterables, strict=False)

        def more(most: int | None) -> list[Task[Any]]:
            return self._scheduler._submit_many(fn, islice(calls, most), self._chosen, chunksize)

        tasks, cancel = more(buffersize), self._scheduler._cancel_many
        if buffersize is None:
            return results_of(tasks, until, progress, cancel)
        return results_of(tasks, until, progress, cancel, more, min(chunksize, buffersize))
