"""The memory limit of worker processes: who has more is replaced, and a call that goes on holding it is ended.

Idea        Two looks, a quarter of a second apart: seen once, a worker takes no further calls; seen again with the same
            call, the memory is that call's own.
Invariant   A call is ended by the memory limit only when it ran at both looks (test_progress.py).
When wrong  A process whose memory cannot be told is left alone.
See         tests/scheduler/test_progress.py · tests/scheduler/test_processes.py
"""

from __future__ import annotations

from typing import Protocol

from arion_lib.scheduler.errors import MemoryLimitError
from arion_lib.scheduler.processes.note import STARTED
from arion_lib.scheduler.processes.usage import Usage
from arion_lib.scheduler.processes.worker_handle import TooLarge, WorkerHandle

LOOK = 0.25
"""Seconds between two looks."""


class Staffed(Protocol):
    """The pool, as far as memory is concerned."""

    workers: dict[int, WorkerHandle]
    usage: Usage

    def replace(self, worker: WorkerHandle, /) -> None: ...

    def recycle(self, worker: WorkerHandle, /) -> None: ...


class Memory:
    """Looks at the memory of a pool's workers; `limit` is in bytes."""

    def __init__(self, pool: Staffed, limit: int) -> None:
        self._pool, self._limit, self._next = pool, limit, 0.0

    def check(self, now: float) -> float:
        """Look, if it is time to; return when to look again."""
        if now >= self._next:
            self._next = now + LOOK
            for worker in list(self._pool.workers.values()):
                self._check_one(worker)
        return self._next

    def _check_one(self, worker: WorkerHandle) -> None:
        if worker.too_large is not None and worker.too_large.error is not None:
            return  # it is dying of that
        rss, task, call = self._pool.usage.rss(worker.child.pid), worker.current(), worker.child.note.words[STARTED]
        if rss is None or rss <= self._limit:
            worker.too_large = None
        elif worker.too_large is not None and worker.too_large.call == call:
            if task is not None:  # the same call as at the last look: the memory is its own
                worker.too_large = TooLarge(call, MemoryLimitError(task.name, self._limit, rss))
                self._pool.replace(worker)
        else:
            worker.too_large = TooLarge(call)
            if not worker.draining:
                self._pool.recycle(worker)
