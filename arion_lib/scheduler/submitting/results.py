"""The results of a `map`, in order, each let go of as soon as it is given.

Idea        A generator over tasks that run already; a bar, where one is wanted, is moved by the tasks' ends.
Invariant   A result that was given is kept by nobody here; an iterator that is given up cancels the rest; one of which
            no result was ever asked lets all run, as that of `Executor.map` does.
When wrong  What a task raised is raised where its result would have been.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_scheduler.py
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias, TypeVar

from arion_lib.scheduler.task import Task

T = TypeVar("T")


Cancel: TypeAlias = Callable[[list[Task[Any]]], object]


def results_of(
    tasks: list[Task[T]],
    until: float | None,
    progress: bool,
    cancel: Cancel,
    more: Callable[[int], list[Task[T]]] | None = None,
    chunksize: int = 1,
) -> Iterator[T]:
    """Yield the results in order, letting go of each task; cancel the rest when nobody wants them any more.

    Before its first `next` it cancels nothing, closed or dropped (a generator cannot tell these two apart): a caller
    that drops it at once wants the calls and not their results, `with pool: pool.map(send, letters)`.

    `more(n)` submits n further calls, as far as there are any, once so many results, `chunksize`, have been taken.
    """
    bar = _Bar(tasks) if progress else None
    tasks.reverse()
    taken = 0
    try:
        while tasks:
            left = None if until is None else max(0.0, until - time.monotonic())
            yield _result_or_cancel(tasks.pop(), left, cancel)
            taken += 1
            if more is not None and taken >= chunksize:
                tasks[:0] = reversed(more(taken))
                taken = 0
    finally:
        if tasks:
            cancel(tasks)
        if bar is not None:
            bar.close(complete=not tasks)


def _result_or_cancel(task: Task[T], left: float | None, cancel: Cancel) -> T:
    try:
        return task.result(left)
    except BaseException:  # it may run still: its time was over, or the caller's Ctrl-C came
        cancel([task])
        raise


class _Bar:
    """A progress bar that the tasks' ends move on."""

    def __init__(self, tasks: list[Task[Any]]) -> None:
        from tqdm.auto import tqdm

        self._bar, self._total = tqdm(total=len(tasks), unit="task"), len(tasks)
        self._lock, self._closed = threading.Lock(), False
        for task in tasks:
            task.add_done_callback(self._count)

    def _count(self, _: object) -> None:
        with self._lock:
            if not self._closed:
                self._bar.update()

    def close(self, *, complete: bool) -> None:
        """End the bar; `complete`: all tasks have ended, though the last ends may not have been told yet."""
        with self._lock:
            self._closed = True
            if complete:
                self._bar.update(self._total - self._bar.n)
            self._bar.close()
