"""The lane of threads: for calls that wait for something, a socket or a disk, and for what cannot leave this process.

Idea        One idle thread is given one task, so priorities hold here as they do for processes.
Invariant   At most `size` tasks run; a thread that does not stop when told to is given up and replaced.
When wrong  Python cannot end a thread: a cancelled call that is stuck in C code goes on unseen, as a daemon thread.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_threads.py
"""

from __future__ import annotations

import math
import queue
import threading
import time
from contextvars import Context
from typing import Any

from arion_lib.interrupting import calm, interrupt, settle
from arion_lib.scheduler.calls.failures import Raised, TaskInterrupted, describe, without_our_frame
from arion_lib.scheduler.calls.substitute import filled_in
from arion_lib.scheduler.lane import Core
from arion_lib.scheduler.monitoring.progress import HERE, Progress
from arion_lib.scheduler.monitoring.snapshot import LaneStatus, WorkerStatus
from arion_lib.scheduler.ready import ReadyQueue
from arion_lib.scheduler.states import At
from arion_lib.scheduler.task import Task

FIRST_NUMBER = 1_000
"""Threads are numbered from here: a worker's number tells what it is."""


class _Slot:
    """One thread, and what it is at."""

    def __init__(self, lane: ThreadLane, number: int) -> None:
        self.lane, self.number = lane, number
        self.task: Task[Any] | None = None
        self.since: float | None = None
        """When the code of the present task began."""
        self.interrupting: float | None = None
        """When it is given up if it has not stopped by then."""
        self.given_up = False
        self.progress: Progress | None = None
        self.done = self.failed = 0
        self.work: queue.SimpleQueue[tuple[Task[Any], Context] | None] = queue.SimpleQueue()
        self.thread = threading.Thread(target=self._live, name=f"arion-thread-{number}", daemon=True)
        self.thread.start()

    def _report(self, done: float, total: float | None) -> None:
        self.progress = done, total

    def began(self, call: int) -> float | None:
        """Return when the code of the task of this number began."""
        return self.since if self.task is not None and self.task.number == call else None

    def _live(self) -> None:
        HERE.sink = self._report
        while not self.given_up:
            try:
                given = self.work.get()
                if given is None:
                    return
                self._run(*given)
                del given  # an idle thread must keep no task, and with it a result
            except TaskInterrupted:  # it came after the task's own code had ended
                continue

    def _run(self, task: Task[Any], context: Context) -> None:
        error: Raised | None = None
        args: Any = None
        kwargs: Any = None
        value: Any = None
        self.progress = None
        self.since = began = time.monotonic()
        try:
            args, kwargs = filled_in(task)
            value = context.run(task._function.call, *args, **kwargs)
        except BaseException as raised:  # noqa: BLE001  (a worker's boundary: any exception becomes the result)
            error = Raised(without_our_frame(raised), describe(raised))
        ended = time.monotonic()
        try:
            self.lane.report(self, task, value, error, began, ended)
        except TaskInterrupted:
            self.lane.report(self, task, value, error, began, ended)
        finally:  # the error's traceback leads here by way of the frames below
            args = kwargs = error = value = None
            del task

    def interrupt(self, given_up_at: float) -> None:
        """Raise `TaskInterrupted` in the thread, at its next line of Python."""
        self.interrupting = given_up_at
        interrupt(self.thread, TaskInterrupted)

    def calm(self) -> None:
        """Take back an interruption that has not been raised yet: it would strike, and lose, the next task."""
        self.interrupting = None
        calm(self.thread)


class ThreadLane:
    """The lane "threads"."""

    name = "threads"

    def __init__(self, size: int, *, ageing: float | None, grace: float) -> None:
        self.ready: ReadyQueue[Task[Any]] = ReadyQueue(ageing)
        self.size, self._grace = size, grace
        self.restarts = 0
        self._slots: dict[int, _Slot] = {}
        self._idle: list[_Slot] = []
        self._numbers = FIRST_NUMBER
        self._core: Core

    def open(self, core: Core) -> None:
        self._core = core

    def scale(self, size: int) -> None:
        """Change how many tasks run at once; a surplus thread ends when its task has."""
        self.size = size
        while self._idle and len(self._slots) > size:
            self._let_go(self._idle.pop())

    def dispatch(self, _now: float) -> None:
        while self.ready and (self._idle or len(self._slots) < self.size):
            if not self._idle:
                self._add_slot()
            slot = self._idle[-1]
            try:
                slot.since, slot.task = None, self.ready.pop()
                self._core.life.give(slot.task, slot, slot.task.number)
                given = slot.task, (slot.task._function.context or Context()).copy()
                del self._idle[-1]
                slot.work.put(given)
            except BaseException as error:  # a defect: nobody would ever come to the task
                self._take_back(slot, error)
                raise

    def _add_slot(self) -> None:
        self._numbers += 1
        self._slots[self._numbers] = slot = _Slot(self, self._numbers)
        self._idle.append(slot)

    def _take_back(self, slot: _Slot, error: BaseException) -> None:
        """Fail a task that a thread was to have, and let the thread have the next."""
        task, slot.task = slot.task, None
        if slot not in self._idle:
            self._idle.append(slot)
        if task is not None:
            self._core.life.reject(task, error, time.monotonic())

    def report(
        self, slot: _Slot, task: Task[Any], value: Any, error: Raised | None, began: float, ended: float
    ) -> None:
        """Bring back what a call came to. The slot's own thread."""
        self._core.post(lambda: self._take(slot, task, value, error, began, ended))

    def _take(self, slot: _Slot, task: Task[Any], value: Any, error: Raised | None, began: float, ended: float) -> None:
        if slot.task is not task:
            return  # told twice: an interruption came while it was being told
        late = slot.interrupting is not None
        if late:
            slot.calm()
        slot.task, slot.since = None, None
        slot.done += 1
        if slot.number in self._slots:
            if len(self._slots) > self.size:
                self._let_go(slot)
            else:
                self._idle.append(slot)
        if task._place.final:
            return
        if late:
            self._core.for_task(task, self._core.life.time_out, task, slot.number, began, ended)
        elif error is None:
            self._core.for_task(task, self._core.life.succeed, task, value, slot.number, began, ended)
        else:
            slot.failed += 1
            self._core.for_task(task, self._core.life.fail, task, error, slot.number, began, ended)

    def assigned(self) -> list[Task[Any]]:
        return [slot.task for slot in self._slots.values() if slot.task is not None]

    def running(self) -> list[Task[Any]]:
        return [slot.task for slot in self._slots.values() if slot.task is not None and slot.since is not None]

    def stop(self, at: At) -> None:
        slot = self._slots.get(at.worker.number)
        if slot is not None and slot.task is not None and slot.task.number == at.call:
            slot.interrupt(time.monotonic() + self._grace)

    def check(self, now: float) -> float:
        soonest = math.inf
        for slot in list(self._slots.values()):
            if slot.task is None:
                continue
            if slot.interrupting is not None:
                if now >= slot.interrupting:
                    self._give_up(slot, now)
                else:
                    soonest = min(soonest, slot.interrupting)
            elif slot.task.options.timeout is not None:
                due = (slot.since or now) + slot.task.options.timeout
                if now >= due:
                    self._core.life.overrun(slot.task, now)
                    slot.interrupt(now + self._grace)
                    due = now + self._grace
                soonest = min(soonest, due)
        return soonest

    def _give_up(self, slot: _Slot, now: float) -> None:
        """Do without a thread that does not stop; its task's attempt is over for everybody but that thread."""
        slot.given_up = True
        settle()
        slot.work.put(None)  # should it be idle after all, its last report struck down: it must not wait for ever
        del self._slots[slot.number]
        self.restarts += 1
        task, slot.task = slot.task, None
        if task is not None:
            self._core.for_task(task, self._core.life.time_out, task, slot.number, slot.since or now, now)
        self._core.again()

    def _let_go(self, slot: _Slot) -> None:
        self._slots.pop(slot.number, None)
        slot.work.put(None)

    def status(self, now: float) -> LaneStatus:
        workers = tuple(
            WorkerStatus(
                slot.number,
                self.name,
                "idle" if slot.task is None else "running",
                task=slot.task.name if slot.task is not None else None,
                task_number=slot.task.number if slot.task is not None else None,
                age=now - slot.since if slot.since is not None else None,
                done=slot.done,
                failed=slot.failed,
                progress=slot.progress if slot.since is not None else None,
            )
            for slot in self._slots.values()
        )
        running = sum(worker.state == "running" for worker in workers)
        return LaneStatus(self.name, self.size, workers, self.ready.counts(), running, self.restarts)

    def close(self, _now: float) -> bool:
        self.kill()
        return True

    def abandon(self) -> None:
        """Nothing of it is in a forked process."""

    def kill(self) -> None:
        slots = list(self._slots.values())
        for slot in slots:
            if slot.task is not None:
                slot.interrupt(math.inf)
                slot.work.put(None)  # one of the two may be lost to the interruption
            self._let_go(slot)
        settle()
        for slot in slots:
            if slot.task is None:  # it ends at once; one that is stuck in a call is left behind
                slot.thread.join(timeout=1.0)
        self._idle.clear()
