"""What workers are at: calls that have had their time, workers that do not move, calls that wait behind long ones.

Idea        The status page of each worker says what it runs and since when; it is looked at, not asked for.
Invariant   A call that has had its time is interrupted, and its worker killed if it has not stopped in the grace time.
When wrong  What a worker does not come to, stopped or swapped out as it may be, is taken back while another is idle.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_processes.py · tests/scheduler/test_loading.py
"""

from __future__ import annotations

import itertools
import math
import time
from typing import Any

from arion_lib.scheduler.processes.note import STARTED
from arion_lib.scheduler.processes.pool import FIRST_PAUSE, TRUST, Pool
from arion_lib.scheduler.processes.worker_handle import WorkerHandle
from arion_lib.scheduler.ready import ReadyQueue
from arion_lib.scheduler.states import At
from arion_lib.scheduler.task import Task

STUCK = 0.002
"""Seconds that calls may wait behind a running one while another worker is idle."""
STILL = 0.25
"""Seconds after which a worker that has not begun what it was sent is taken for one that stands still."""
LEAD = 0.03
"""Seconds before the end of an interrupted call's grace time at which its worker's successor is started."""


class Watching:
    """What watches over the workers of a pool."""

    def __init__(self, ready: ReadyQueue[Task[Any]], pool: Pool, grace: float) -> None:
        self._ready, self._pool, self._grace = ready, pool, grace

    def check(self, now: float) -> float:
        """Do what is due; return when to look again."""
        soonest = self._pool.check_size(now)
        for worker in list(self._pool.workers.values()):
            soonest = min(soonest, self._check_one(worker, now))
            if worker.unwatched:
                worker.unwatched = not worker.flush()
                soonest = min(soonest, now + FIRST_PAUSE)
        if self._pool.memory is not None:
            soonest = min(soonest, self._pool.memory.check(now))
        return soonest

    def _check_one(self, worker: WorkerHandle, now: float) -> float:
        soonest = math.inf
        if worker.revoking is not None:
            if now < worker.revoking[1]:
                return worker.revoking[1]
            self._take_back(worker)
        if worker.interrupting is not None:
            _, kill_at = worker.interrupting
            if now >= kill_at:
                self._pool.replace(worker)
            elif now >= kill_at - LEAD:  # it will hardly stop by itself: have the next one up when this one is killed
                if not worker.draining:
                    self._pool.recycle(worker)
                soonest = kill_at
            else:
                soonest = min(kill_at - LEAD, worker.insist(now))
        elif worker.outstanding:
            soonest = self._check_time(worker, now)
        elif worker.passing and not worker.unsent:
            self._forget_dropped(worker)
        return soonest

    def _forget_dropped(self, worker: WorkerHandle) -> None:
        """Tell an idle worker to forget the functions whose tasks nobody holds any more, and what they captured."""
        gone = worker.forgettable()
        if gone and not worker.send((worker.last + 1, gone, False, [], []), []):
            self._pool.wait_to_write(worker)

    def _take_back(self, worker: WorkerHandle) -> None:
        for task in reversed(worker.taken_back()):
            self._pool.core.life.put_back(task)
        current = worker.current()
        if current is not None and current._place.final and worker.interrupting is None:  # ended just as it began
            worker.interrupt(worker.child.note.words[STARTED], time.monotonic() + self._grace)
        if worker.draining and not worker.outstanding:
            self._pool.close_inbox(worker, time.monotonic())
        self._pool.core.again()

    def _check_time(self, worker: WorkerHandle, now: float) -> float:
        """Look whether the running call has had its time; return when to look again."""
        number = worker.child.note.words[STARTED]
        task = worker.outstanding.get(number)
        soonest = math.inf
        if task is None:
            soonest = self._check_still(worker, now)
        else:
            limit = task.options.timeout
            if limit is not None and not task._place.final:
                due = (worker.began(number) or now) + limit
                if now >= due:
                    self._pool.core.life.overrun(task, now)
                    worker.interrupt(number, now + self._grace)
                    return min(now + self._grace, worker.insist(now))
                soonest = due
            waiting = self._waiting(worker, task) if len(worker.outstanding) > 1 else None
            if waiting is not None:
                soonest = min(soonest, self._check_stuck(worker, now, worker.began(number) or now, waiting))
        for other in worker.outstanding.values():
            if other.options.timeout is not None:
                soonest = min(soonest, now + other.options.timeout)
        return soonest

    def _waiting(self, worker: WorkerHandle, running: Task[Any]) -> Task[Any] | None:
        """Return what waits first here and could run elsewhere: the links of a chain could not."""
        few = itertools.islice(worker.outstanding.values(), 4)
        return next((task for task in few if type(task._place) is At and task is not running), None)

    def _check_stuck(self, worker: WorkerHandle, now: float, began: float, waiting: Task[Any]) -> float:
        """Take back calls that wait behind a long one while another worker has nothing to do, or nothing as urgent."""
        highest = self._ready.highest()
        if highest is not None and waiting.options.priority <= highest:
            return math.inf
        if not (self._idle() if highest is None else self._moving(now)):
            return now + STUCK * 5
        if now - began >= STUCK:
            worker.still = True
            worker.revoke(now, TRUST)
            return now + TRUST
        return began + STUCK

    def _moving(self, now: float) -> bool:
        """Whether a worker is between two calls, or at one that has just begun."""
        return any(
            worker.current() is None or now - (worker.began(worker.child.note.words[STARTED]) or now) < STUCK
            for worker in self._pool.workers.values()
            if worker.heard and not (worker.draining or worker.still)
        )

    def _idle(self) -> bool:
        """Whether another worker, that is there and answers, has nothing to do."""
        return any(
            not other.outstanding and other.heard and not (other.draining or other.still)
            for other in self._pool.workers.values()
        )

    def _check_still(self, worker: WorkerHandle, now: float) -> float:
        """Take back what a worker does not begin, stopped or swapped out as it may be, while another is idle."""
        if now < worker.moved_at + STILL:
            return worker.moved_at + STILL
        if not self._idle():
            return now + STILL
        worker.still = True
        worker.revoke(now, TRUST)
        return now + TRUST

    def stop(self, at: At) -> None:
        """Stop a call whose task has ended."""
        worker, number = self._pool.workers.get(at.worker.number), at.call
        if worker is None or number not in worker.outstanding:
            return
        now, started = time.monotonic(), worker.child.note.words[STARTED]
        if started == number:
            worker.interrupt(number, now + self._grace)
        elif started < number:  # else it is over, and only its answer has not been heard
            worker.revoke(now, TRUST)
