"""The worker processes: how many there are, how they come and go, what their deaths cost.

Idea        The pool is brought back to size in the moment in which a death is told; everybody else goes on.
Invariant   A worker's death costs the call that it was running and no other: what it had answered is read from its
            pipe, what it had not begun is put back.
When wrong  Workers that die before they ever answered are not started for ever: the lane's tasks fail with the reason.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_conformance.py
"""

from __future__ import annotations

import functools
import logging
import math
import os
import selectors
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from arion_lib.scheduler.errors import MemoryLimitError, StartError
from arion_lib.scheduler.lane import Core
from arion_lib.scheduler.processes.frames import INITIALIZER, Message
from arion_lib.scheduler.processes.note import STARTED
from arion_lib.scheduler.processes.usage import Usage
from arion_lib.scheduler.processes.worker_handle import TooLarge, WorkerHandle
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
MEMORY_LOOK = 0.25
"""Seconds between two looks at the workers' memory, where it has a limit."""
STILLBORN = 5
"""Workers in a row that may end without a word before the lane gives up."""


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
        self._ready, self._initializer = ready, initializer
        self.size, self.method = size, method
        self.restarts = 0
        self._preload, self._grace = tuple(preload), grace
        self.recycle_after, self.memory_limit = recycle_after, memory_limit
        self.workers: dict[int, WorkerHandle] = {}
        self._numbers = 0
        self._stillborn = 0
        self.usage = Usage()
        self._memory_check = 0.0
        self._starter: Starter
        self._open = False
        self.core: Core
        self._watched: int | None = None
        self.trouble = ""
        """Why there are fewer workers than `size`; "" when there are not."""
        self._refusal: OSError | None = None
        self._pause, self._retry_at = FIRST_PAUSE, 0.0
        self._closing = False

    def _hear(self, worker: WorkerHandle) -> None:
        """Read what a worker has written."""
        try:
            messages = worker.receive()
            if messages:
                self.take(worker, messages)
        except Exception as error:  # noqa: BLE001  (a stream that cannot be read: this worker's, and no other's)
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
        self._watch_starter()
        self._fill_up()

    def try_again(self) -> None:
        """Start workers again after too many have ended without a word, now that there is work again."""
        if self._stillborn >= STILLBORN:
            self._stillborn = 0
            self._fill_up()
            self._watch_starter()

    def scale(self, size: int) -> None:
        """Change the number of workers: more at once, fewer as their running tasks end.

        Raises `OSError` when the system does not give as many; the pool then has what it can, and goes on trying.
        """
        self.size = size
        live = [worker for worker in self.workers.values() if not worker.draining]
        surplus = sorted(live, key=lambda worker: len(worker.outstanding))[: max(0, len(live) - size)]
        for worker in surplus:
            self._drain(worker)
        self._fill_up()
        if self._refusal is not None:
            raise self._refusal

    def _fill_up(self) -> None:
        """Start what is missing, a few at a time; what the system refuses is tried again after a pause."""
        self._refusal = None
        if time.monotonic() < self._retry_at:
            return
        while self._missing() > 0 and self._starter.busy() < MOST_AT_ONCE:
            try:
                self._start()
            except OSError as error:
                self._put_off(error)
                return
        if not self._missing():
            self.trouble = ""

    def _missing(self) -> int:
        return self.size - sum(not worker.draining for worker in self.workers.values())

    def _put_off(self, error: OSError) -> None:
        """Try to start workers again in a while."""
        self._refusal = error
        if not self.trouble:
            self.core.later(log.warning, "no more worker processes can be started now, trying again: %s", error)
        self.trouble = f"no more worker processes can be started now: {error}"
        self._pause = min(LONGEST_PAUSE, 2 * self._pause)
        self._retry_at = time.monotonic() + self._pause

    def check_size(self, now: float) -> float:
        """Bring the pool to its size where that has not been possible so far; return when to look again."""
        if not self._open or self._closing or not (self._missing() > 0 or self._starter.busy()):
            return math.inf
        if self._starter.busy():
            self._look_for_ends()
        if now >= self._retry_at:
            self._retry_at = 0.0
            self._fill_up()
            self._watch_starter()
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
        if worker.choked:
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
            worker = self.workers.get(child.number)
            if worker is None:
                continue
            if child.refused is not None:
                self._strike_out(worker)
                self._put_off(OSError(child.refused, os.strerror(child.refused)))
            else:
                self._bury(worker)
        if not self._closing and self._missing() > 0 and not self._refusal:
            self._fill_up()
            self._watch_starter()

    def _strike_out(self, worker: WorkerHandle) -> None:
        """Forget a worker: nothing is read from it or written to it any more. What it had is put back."""
        del self.workers[worker.number]
        self.core.unwatch(worker.child.outbox.fileno())
        if worker.choked:
            self.core.unwatch(worker.child.inbox.fileno())
        if worker.child.watch is not None:
            self.core.unwatch(worker.child.watch)
        for task in reversed(worker.outstanding.values()):
            self.core.life.put_back(task)
        worker.outstanding.clear()
        self.usage.forget(worker.child.pid)
        worker.child.close()

    def _bury(self, worker: WorkerHandle) -> None:
        """Read a dead worker's last answers, blame its death on the call that it was running, put back the others."""
        try:
            while messages := worker.receive():
                self.take(worker, messages)
                if worker.at_end:
                    break
        except Exception as error:  # noqa: BLE001  (what it wrote last cannot be read: the worker is dead all the same)
            self.core.report(error)
        number = worker.child.note.words[STARTED]
        victim = worker.outstanding.pop(number, None)
        began = worker.began(number) or 0.0
        interrupted = worker.interrupting is not None and worker.interrupting[0] == number
        self._strike_out(worker)
        if victim is not None:
            life, run = self.core.life, (worker.number, began, time.monotonic())
            if interrupted:
                self.core.for_task(victim, life.time_out, victim, *run)
            elif worker.too_large is not None and worker.too_large.error is not None:
                self.core.for_task(victim, life.fail, victim, worker.too_large.error, *run)
            else:
                self.core.for_task(victim, life.lose, victim, worker.child.exit_code, *run)
        self._pause = FIRST_PAUSE
        if not worker.draining:
            self.restarts += 1
            began_well = worker.heard and (victim is not None or worker.done or self._initializer is None)
            self._stillborn = 0 if began_well else self._stillborn + 1
            if self._stillborn >= STILLBORN:
                self._give_up(worker)
            else:
                self._fill_up()
                self._watch_starter()

    def _give_up(self, worker: WorkerHandle) -> None:
        code = worker.child.exit_code
        error = StartError(
            f"worker processes cannot be started: {STILLBORN} in a row ended (the last with exit code {code}) before "
            "they answered; see the standard error for their reason, often a module named in preload or the initializer"
        )
        self.core.settle()  # what the dead worker had is in the queue again
        for task in self._ready.drain():
            self.core.life.reject(task, error, time.monotonic())

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
            self._fill_up()

    def recycle(self, worker: WorkerHandle) -> None:
        self._drain(worker)
        self.restarts += 1
        self._fill_up()

    def check_memory(self, now: float) -> float:
        if now >= self._memory_check:
            self._memory_check, limit = now + MEMORY_LOOK, self.memory_limit or 0
            for worker in list(self.workers.values()):
                if worker.too_large is not None and worker.too_large.error is not None:
                    continue  # it is dying of that
                rss, task = self.usage.rss(worker.child.pid), worker.current()
                if rss is None or rss <= limit:
                    worker.too_large = None
                elif worker.too_large is not None and worker.too_large.call == worker.child.note.words[STARTED]:
                    if task is not None:  # the same call as at the last look: the memory is its own
                        worker.too_large = TooLarge(worker.too_large.call, MemoryLimitError(task.name, limit, rss))
                        self.replace(worker)
                else:
                    worker.too_large = TooLarge(worker.child.note.words[STARTED])
                    if not worker.draining:
                        self.recycle(worker)
        return self._memory_check

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
            self._strike_out(worker)

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
