"""What the death of a worker costs: the call that it was running, and no other.

Idea        The status page says which call ran; what had been answered before is still in the pipe, what was not begun
            is put back.
Invariant   Each call that a dead worker had ends up somewhere: answered, blamed for the death, or queued again.
When wrong  Workers that die before they ever answered are not started for ever: the lane's tasks fail with the reason.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_processes.py
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, Protocol

from arion_lib.scheduler.errors import StartError
from arion_lib.scheduler.lane import Core
from arion_lib.scheduler.processes.frames import Message
from arion_lib.scheduler.processes.note import STARTED
from arion_lib.scheduler.processes.usage import Usage
from arion_lib.scheduler.processes.worker_handle import WorkerHandle
from arion_lib.scheduler.ready import ReadyQueue
from arion_lib.scheduler.starting.child import Child
from arion_lib.scheduler.states import At
from arion_lib.scheduler.task import Task

STILLBORN = 5
"""Workers in a row that may end without a word before the lane gives up."""


class Staffed(Protocol):
    """The pool, as far as deaths are concerned."""

    core: Core
    workers: dict[int, WorkerHandle]
    usage: Usage
    restarts: int
    take: Callable[[WorkerHandle, list[Message]], None]

    def fill_up(self) -> None: ...

    def put_off(self, error: OSError) -> None: ...


class Deaths:
    """Deals with the ends of a pool's workers; `prepared`: whether each has to run an initializer first."""

    def __init__(self, pool: Staffed, ready: ReadyQueue[Task[Any]], *, prepared: bool) -> None:
        self._pool, self._ready, self._prepared = pool, ready, prepared
        self._stillborn = 0
        self.given_up = False
        """Whether too many have ended without a word, since `forgive` was called last."""

    def forgive(self) -> None:
        """Count anew: there is work again."""
        self._stillborn, self.given_up = 0, False

    def told(self, child: Child) -> None:
        """A process has ended, or the system gave none. After an error of ours in here, what is nowhere fails by it."""
        worker = self._pool.workers.get(child.number)
        if worker is None:
            return
        had: list[Task[Any]] = []
        try:
            had += worker.outstanding.values()
            if child.refused is not None:
                self.strike_out(worker)
                self._pool.put_off(OSError(child.refused, os.strerror(child.refused)))
            else:
                self._bury(worker)
        except BaseException as error:  # noqa: BLE001  (without this nobody would ever come to what the worker had)
            self._pool.core.report(error)
            self.strike_out(worker)
            for task in had:
                if isinstance(task._place, At) and task._place.worker is worker:
                    self._pool.core.life.reject(task, error, time.monotonic())

    def strike_out(self, worker: WorkerHandle) -> None:
        """Forget a worker: nothing is read from it or written to it any more. What it had is put back.

        Begun again after an error, it goes on.
        """
        child = worker.child
        for watched in (child.outbox.fileno(), child.inbox.fileno(), child.watch):
            if watched is not None and watched >= 0:
                self._pool.core.unwatch(watched)
        for task in reversed(worker.outstanding.values()):
            self._pool.core.life.put_back(task)
        worker.outstanding.clear()
        self._pool.usage.forget(child.pid)
        self._pool.workers.pop(worker.number, None)
        child.close()

    def _bury(self, worker: WorkerHandle) -> None:
        """Read a dead worker's last answers, blame its death on the call that it was running, put back the others."""
        try:
            while messages := worker.receive():
                self._pool.take(worker, messages)
                if worker.at_end:
                    break
        except BaseException as error:  # noqa: BLE001  (what it wrote last cannot be read: the worker is dead all the same)
            self._pool.core.report(error)
        number = worker.child.note.words[STARTED]
        victim = worker.outstanding.pop(number, None)
        # Begun before it, and no answer came: they have run. Windows resets a killed process's sockets, which forget
        # what was not read; from a pipe every answer has been read by now, and there are none of these.
        unheard = [worker.outstanding.pop(call) for call in list(worker.outstanding) if call < number]
        began = worker.began(number) or 0.0
        interrupted = worker.interrupting is not None and worker.interrupting[0] == number
        self.strike_out(worker)
        if victim is not None:
            life, run = self._pool.core.life, (worker.number, began, time.monotonic())
            if interrupted:
                self._pool.core.for_task(victim, life.time_out, victim, *run)
            elif worker.too_large is not None and worker.too_large.error is not None:
                self._pool.core.for_task(victim, life.fail, victim, worker.too_large.error, *run)
            else:
                self._pool.core.for_task(victim, life.lose, victim, worker.child.exit_code, *run)
        for task in unheard:
            now = time.monotonic()
            self._pool.core.for_task(
                task, self._pool.core.life.lose, task, worker.child.exit_code, worker.number, now, now
            )
        if not worker.draining:
            self._pool.restarts += 1
            began_well = worker.heard and (victim is not None or worker.done or not self._prepared)
            self._stillborn = 0 if began_well else self._stillborn + 1
            self.given_up = self._stillborn >= STILLBORN
            if self.given_up:
                self._give_up(worker)
            else:
                self._pool.fill_up()

    def _give_up(self, worker: WorkerHandle) -> None:
        code = worker.child.exit_code
        error = StartError(
            f"worker processes cannot be started: {STILLBORN} in a row ended (the last with exit code {code}) before "
            "they answered; see the standard error for their reason, often a module named in preload or the initializer"
        )
        self._pool.core.settle()  # what the dead worker had is in the queue again
        for task in self._ready.drain():
            self._pool.core.life.reject(task, error, time.monotonic())
