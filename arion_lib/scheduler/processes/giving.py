"""Which worker gets what, and how much in advance.

Idea        A worker is sent ahead what it will need for a few milliseconds, measured in time and not in tasks: short
            tasks travel by the hundred, long ones one by one, and what was sent too early is taken back.
Invariant   At most one running call per worker is ahead of a more urgent task, whatever was sent before that.
When wrong  How long a function takes nobody knows before its first run: until then its calls go one by one.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_processes.py
"""

from __future__ import annotations

import operator
import time
from typing import Any

from arion_lib.scheduler.processes.chains import MOST_FOLLOWING, Chains
from arion_lib.scheduler.processes.parcel import Parcel, Sending, to_be_packed
from arion_lib.scheduler.processes.pool import TRUST, Pool
from arion_lib.scheduler.processes.watching import STUCK
from arion_lib.scheduler.processes.worker_handle import PER_CALL, WorkerHandle
from arion_lib.scheduler.ready import ReadyQueue
from arion_lib.scheduler.task import Task

FIRST_WINDOW = 0.01
"""Seconds of work sent ahead to a worker, at first."""
WIDEST_WINDOW = 0.02
"""Seconds of work sent ahead at most, however often a worker ran out of it."""
FEWEST_AHEAD = 2
"""Calls that a worker has, the running one included, however long a window they fill: it need not wait for the next."""
MOST_AHEAD = 2_000
"""Calls sent ahead at most."""
LOAD = operator.attrgetter("load")
LONG = 0.05
"""Seconds from which a task is worth waiting for: the next one is sent when it has ended."""


class Giving:
    """What gives ready tasks to the workers of a pool."""

    def __init__(self, ready: ReadyQueue[Task[Any]], pool: Pool) -> None:
        self._ready, self._pool = ready, pool
        self._sending = Sending(pool)
        self._chains = Chains(ready, pool, self._sending, MOST_AHEAD)
        self._window = FIRST_WINDOW

    def dispatch(self, _now: float) -> None:
        """Send each worker that has room its share."""
        if self._pool.deaths.given_up:
            self._pool.try_again()
        if self._overtaken():
            self._give_urgent()
            return
        if self._pool.core.life.extended:
            self._chains.extend_all()
        able = sorted(filter(self._has_room, self._pool.workers.values()), key=LOAD)
        for place, worker in enumerate(able):
            if not self._ready:
                return
            if (
                not worker.outstanding
                and worker.heard
                and self._window < WIDEST_WINDOW
                and len(self._ready) > MOST_AHEAD
            ):
                self._window *= 1.5  # it ran out of work although there was plenty: send further ahead
            self._send(worker, len(able) - place)

    def _has_room(self, worker: WorkerHandle) -> bool:
        if worker.draining or worker.revoking or worker.at_end or worker.unsent or worker.still:
            return False
        count = len(worker.outstanding)
        if not count:
            return True
        if self._pool.recycle_after is not None and worker.done + count >= self._pool.recycle_after:
            return False
        return (count < FEWEST_AHEAD or (count < MOST_AHEAD and worker.load < self._window)) and not self._long(worker)

    def _long(self, worker: WorkerHandle) -> bool:
        """Whether what it has takes so long, or nobody knows how long, that nothing should wait behind it."""
        return any(
            task._function.mean is None or task._function.mean > LONG for task in list(worker.outstanding.values())[:2]
        )

    def _overtaken(self) -> bool:
        """Take back what was sent ahead of a task that now goes first; True while that is under way."""
        highest = self._ready.highest()
        under_way = False
        for worker in self._pool.workers.values():
            if worker.lowest is not None and highest is not None and worker.lowest < highest:
                if worker.unstarted():
                    worker.revoke(time.monotonic(), TRUST)
                    self._window = FIRST_WINDOW
                elif not worker.revoking:
                    worker.lowest = None
            under_way = under_way or worker.revoking is not None
        return under_way and all(worker.revoking or worker.outstanding for worker in self._pool.workers.values())

    def _give_urgent(self) -> None:
        """Send what goes first behind what is being taken back: the worker passes over that and comes to it at once.

        To a worker that is about to be free, only; behind a longer call it would wait, while another might take it.
        """
        for worker in self._pool.workers.values():
            highest, current = self._ready.highest(), worker.current()
            if highest is None or worker.lowest is None or highest <= worker.lowest or current is None:
                continue
            blocked = worker.unsent or worker.draining or worker.still
            if worker.revoking and worker.last == worker.revoking[0] and not blocked:
                mean = current._function.mean
                if mean is not None and mean < STUCK:
                    self._send(worker, len(self._ready))  # one task

    def _share(self, worker: WorkerHandle, sharers: int, tasks: list[Task[Any]]) -> None:
        """Take from the queue one worker's share into `tasks`: what fits its window, at least one. Count its load."""
        fair = max(1, len(self._ready) // (2 * sharers))
        most = min(fair, MOST_AHEAD - len(worker.outstanding))
        if self._pool.recycle_after is not None:
            most = min(most, self._pool.recycle_after - worker.done - len(worker.outstanding))
        ready, window, load = self._ready, self._window, worker.load
        tasks += ready.take(1)
        mean = tasks[0]._function.mean
        if mean is not None and mean < LONG:  # a coarse clock may say 0.0
            tasks += ready.take(min(most, int((window - load) / (mean + PER_CALL)) + 1) - 1)
        for place, task in enumerate(tasks):
            mean = task._function.mean
            if place and (mean is None or load >= window):  # these are longer than the first one led to expect
                while len(tasks) > place:
                    ready.push_front(tasks[-1], tasks[-1].options.priority)
                    del tasks[-1]
                break
            load += LONG if mean is None else mean + PER_CALL
        worker.load = load

    def _send(self, worker: WorkerHandle, sharers: int) -> None:
        """Send a worker its share. An error on the way is a defect: it is that of the tasks that were taken."""
        before, parcel, tasks = worker.last, Parcel(worker), list[Task[Any]]()
        try:
            self._share(worker, sharers, tasks)
            self._send_all(worker, tasks, parcel)
        except BaseException as error:
            self._sending.fail(parcel, tasks, before, error)
            raise
        if worker.last - before >= MOST_FOLLOWING:
            self._chains.extend(worker)

    def _send_all(self, worker: WorkerHandle, tasks: list[Task[Any]], parcel: Parcel) -> None:
        known, outstanding, give = worker.known, worker.outstanding, self._pool.core.life.give
        first = number = worker.last + 1
        lowest = worker.lowest
        for task in tasks:
            if type(task._call) is tuple and task._function.number in known:
                parcel.calls.append(task._call)
            elif unpacked := to_be_packed(task):
                self._pool.core.aside.pack_first(task, unpacked)
                continue
            elif not self._sending.pack(parcel, task):
                continue
            give(task, worker, number)
            outstanding[number] = task
            priority = task.options.priority
            if lowest is None or priority < lowest:
                lowest = priority
            number += 1
            if task._more is not None and task._more.dependents:
                number = self._chains.follow(worker, parcel, task, number)
        worker.lowest, worker.last = lowest, number - 1
        self._sending.post(worker, parcel, first)
