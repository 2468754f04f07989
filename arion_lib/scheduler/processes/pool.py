"""The worker processes: how many there are, how they come and go.

Idea        The pool is brought back to size in the moment in which a death is told (deaths.py); everybody else goes on.
Invariant   There are never more workers than `size` that take calls, and fewer only while the system gives no more.
When wrong  What the system refuses is tried again after a pause, and told in `status()`; running tasks are untouched.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_processes.py · tests/scheduler/test_exhaustion.py
"""

from __future__ import annotations

import functools
import logging
import math
import selectors
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from arion_lib.scheduler.lane import Core
from arion_lib.scheduler.processes.deaths import Deaths
from arion_lib.scheduler.processes.frames import INITIALIZER, Message
from arion_lib.scheduler.processes.memory import Memory
from arion_lib.scheduler.processes.usage import Usage
from arion_lib.scheduler.processes.worker_handle import WorkerHandle
from arion_lib.scheduler.ready import ReadyQueue
from arion_lib.scheduler.starting.launch import Starter, StartMethod, starter
from arion_lib.scheduler.task import Task

log = logging.getLogger(__name__)

TRUST = 0.0005
"""Seconds from a revocation until the note is believed: a store of the worker reaches us in far less."""
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
"""Seconds between two attempts to start a worker that the system refuses, at first and at most."""
MOST_AT_ONCE = 16
"""Workers on their way at once: the descriptors of each are needed twice until it is there."""


class Pool:
    """Worker processes of one lane. `take` is what becomes of their answers."""

    name = "processes"
    take: Callable[[WorkerHandle, list[Message]], None]

    def __init__(
        self,
        ready: ReadyQueue[Task[Any]],
        size: int,
        method: StartMethod,
        *,
        preload: Sequence[str],
        grace: float,
        recycle_after: int | None,
        memory_limit: int | None,
        initializer: bytes | None,
    ) -> None:
        self._initializer = initializer
        self.size, self.method = size, method
        self.restarts = 0
        self._preload, self._grace = tuple(preload), grace
        self.recycle_after = recycle_after
        self.workers: dict[int, WorkerHandle] = {}
        self._numbers = 0
        self.usage = Usage()
        self._starter: Starter
        self._open = False
        self.core: Core
        self._watched: int | None = None
        self.trouble = ""
        """Why there are fewer workers than `size`; "" when there are not."""
        self._refusal: OSError | None = None
        self._pause, self._retry_at = FIRST_PAUSE, 0.0
        self._closing = False
        self.deaths = Deaths(self, ready, prepared=initializer is not None)
        self.memory = None if memory_limit is None else Memory(self, memory_limit)

    def _hear(self, worker: WorkerHandle) -> None:
        """Read what a worker has written."""
        try:
            messages = worker.receive()
            if messages:
                self.take(worker, messages)
        except BaseException as error:  # noqa: BLE001  (a stream that cannot be read: this worker's, and no other's)
            self.core.report(error)
            self.core.unwatch(worker.child.outbox.fileno())
            self.replace(worker)
            return
        if worker.at_end and worker.number in self.workers:
            self.core.unwatch(worker.child.outbox.fileno())
            if worker.heard and (worker.done or self._initializer is None):
                self.replace(worker)  # its end will be told in some milliseconds; the next one can start now
            else:
                worker.kill()  # whatever closed its pipe, it cannot answer any more
            if worker.child.process is not None:
                worker.child.process.wait()
            self._look_for_ends()

    def open(self, core: Core) -> None:
        self.core = core
        self._starter = starter(self.method, self._preload)
        self._open = True
        self.fill_up()

    def try_again(self) -> None:
        """Start workers again after too many have ended without a word, now that there is work again."""
        self.deaths.forgive()
        self.fill_up()

    def scale(self, size: int) -> None:
        """Change the number of workers: more at once, fewer as their running tasks end.

        Raises `OSError` when the system does not give as many; the pool then has what it can, and goes on trying.
        """
        self.size = size
        live = [worker for worker in self.workers.values() if not worker.draining]
        surplus = sorted(live, key=lambda worker: len(worker.outstanding))[: max(0, len(live) - size)]
        for worker in surplus:
            self._drain(worker)
        self.fill_up()
        if self._refusal is not None:
            raise self._refusal

    def fill_up(self) -> None:
        """Start what is missing, a few at a time; what the system refuses is tried again after a pause."""
        self._start_missing()
        self._watch_starter()

    def _start_missing(self) -> None:
        self._refusal = None
        if time.monotonic() < self._retry_at:
            return
        while self._missing() > 0 and len(self._starter.coming) < MOST_AT_ONCE:
            try:
                self._start()
            except OSError as error:
                self.put_off(error)
                return
        if not self._missing():
            self.trouble = ""

    def _missing(self) -> int:
        return self.size - sum(not worker.draining for worker in self.workers.values())

    def put_off(self, error: OSError) -> None:
        """Try to start workers again in a while."""
        self._refusal = error
        if not self.trouble:
            self.core.later(log.warning, "no more worker processes can be started now, trying again: %s", error)
        self.trouble = f"no more worker processes can be started now: {error}"
        self._pause = min(LONGEST_PAUSE, 2 * self._pause)
        self._retry_at = time.monotonic() + self._pause

    def check_size(self, now: float) -> float:
        """Bring the pool to its size where that has not been possible so far; return when to look again."""
        if not self._open or self._closing or not (self._missing() > 0 or self._starter.coming):
            return math.inf
        if self._starter.coming:
            self._look_for_ends()
        if now >= self._retry_at:
            self._retry_at = 0.0
            self.fill_up()
        return max(self._retry_at, now + FIRST_PAUSE)

    def _start(self) -> None:
        worker = WorkerHandle(self._starter.start(self._numbers + 1))
        self._numbers += 1
        try:
            self.core.watch(worker.child.outbox.fileno(), functools.partial(self._hear, worker))
            if worker.child.watch is not None:
                self.core.watch(worker.child.watch, self._look_for_ends)
        except OSError:
            self.core.unwatch(worker.child.outbox.fileno())
            worker.kill()
            worker.child.close()
            raise
        self.workers[worker.number] = worker
        if self._initializer is not None and not worker.send(
            (1, (), False, [(INITIALIZER, self._initializer, None)], []), []
        ):
            self.wait_to_write(worker)

    def _drain(self, worker: WorkerHandle) -> None:
        """Let a worker finish what it runs and nothing else."""
        worker.draining = True
        if worker.unstarted():
            worker.revoke(time.monotonic(), TRUST)
        elif not worker.outstanding:
            self.close_inbox(worker, time.monotonic())

    def close_inbox(self, worker: WorkerHandle, now: float) -> None:
        if worker.unsent:
            self.core.unwatch(worker.child.inbox.fileno())
        worker.close_inbox(now)

    def _watch_starter(self) -> None:
        watched = self._starter.watched()
        if watched != self._watched:
            if self._watched is not None:
                self.core.unwatch(self._watched)
            if watched is not None:
                self.core.watch(watched, self._look_for_ends)
            self._watched = watched

    def _look_for_ends(self) -> None:
        children = [worker.child for worker in self.workers.values()]
        before = self._starter.watched()
        ended = self._starter.ended(children)
        if self._starter.watched() != before and self._watched is not None:
            self.core.unwatch(self._watched)
            self._watched = None
        for child in ended:
            if child.refused is None:
                self._pause = FIRST_PAUSE
            self.deaths.told(child)
        if not self._closing and self._missing() > 0 and not self._refusal:
            self.fill_up()

    def wait_to_write(self, worker: WorkerHandle) -> None:
        inbox = worker.child.inbox.fileno()

        def write() -> None:
            if worker.flush():
                self.core.unwatch(inbox)

        try:
            self.core.watch(inbox, write, selectors.EVENT_WRITE)
        except OSError:  # it is looked at from time to time then
            worker.unwatched = True

    def replace(self, worker: WorkerHandle) -> None:
        """Kill a worker, and start the next one at the same moment."""
        worker.kill()
        if not worker.draining:
            worker.draining = True
            self.restarts += 1
            self.fill_up()

    def recycle(self, worker: WorkerHandle) -> None:
        self._drain(worker)
        self.restarts += 1
        self.fill_up()

    def kill_worker(self, number: int) -> None:
        """Kill a worker by its number. Raises `ValueError` when there is none."""
        worker = self.workers.get(number)
        if worker is None:
            raise ValueError(f"number must be that of a worker process ({[*self.workers]}), got {number!r}")
        worker.kill()

    # --- the end ---

    def close(self, now: float) -> bool:
        self._closing = True
        for worker in self.workers.values():
            worker.draining = True
            self.close_inbox(worker, now)
            if worker.closing_since is not None and now - worker.closing_since > max(self._grace, 0.5):
                worker.kill()
                if worker.child.pid is None:  # it is not there yet: what starts it hangs, perhaps in a preload
                    self.kill()
                    return True
        self._look_for_ends()
        if self.workers:
            return False
        self._finish()
        return True

    def kill(self) -> None:
        self._closing = True
        for worker in list(self.workers.values()):
            worker.draining = True
            worker.kill()
        deadline = time.monotonic() + 2.0
        while any(worker.child.pid for worker in self.workers.values()) and time.monotonic() < deadline:
            self._look_for_ends()
            time.sleep(0.001)
        self._finish()
        for worker in list(self.workers.values()):  # not there yet: with what starts it, it will never be
            self.deaths.strike_out(worker)

    def _finish(self) -> None:
        if self._watched is not None:
            self.core.unwatch(self._watched)
            self._watched = None
        if self._open:
            self._open = False
            self._starter.close()

    def abandon(self) -> None:
        for worker in self.workers.values():
            with suppress(OSError):
                worker.child.close()
        if self._open:
            self._starter.abandon()
