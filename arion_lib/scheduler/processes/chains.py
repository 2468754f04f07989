"""Chains sent ahead: what needs only the call before it follows that to its worker, and its argument stays there.

Idea        Of a chain, each link would cost a way back, a turn of the supervisor and a way out; sent along behind the
            call that it needs, it costs one entry in a message. The worker keeps that call's result for it.
Invariant   Only a task that waits for exactly one call, among its arguments, of the same priority, follows; and only
            while nothing else waits for a worker (test_chains.py).
When wrong  A link whose call failed is skipped by the worker, and put back.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_chains.py

What it buys: `bench scheduler --only chain`, 1,000 links of a call that does nothing: 34x ProcessPoolExecutor with it.
Without it, each link waits for two processes to wake one another: about as fast as ProcessPoolExecutor, 2.5x is wanted.
"""

from __future__ import annotations

from typing import Any

from arion_lib.scheduler.processes.parcel import Parcel, Sending, to_be_packed
from arion_lib.scheduler.processes.pool import Pool
from arion_lib.scheduler.processes.worker_handle import WorkerHandle
from arion_lib.scheduler.ready import ReadyQueue
from arion_lib.scheduler.states import State, Waiting
from arion_lib.scheduler.task import Task

MOST_FOLLOWING = 200
"""Links of a chain in one message: the worker begins with the first of a longer one while the others are packed."""
LONGEST = 0.05
"""Seconds from which a call is no link: what follows a long one may run elsewhere by then."""


class Chains:
    """What sends links ahead, for the workers of a pool."""

    def __init__(self, ready: ReadyQueue[Task[Any]], pool: Pool, sending: Sending, most: int) -> None:
        self._ready, self._pool, self._sending, self._most = ready, pool, sending, most

    def extend_all(self) -> None:
        """Send what has come to follow calls that are at workers already."""
        for worker in self._pool.workers.values():
            if not (worker.draining or worker.revoking or worker.interrupting or worker.at_end or worker.unsent):
                self.extend(worker)

    def extend(self, worker: WorkerHandle) -> None:
        """Send what needs only the last call that the worker was sent: it keeps that one's result for the next."""
        while not worker.unsent:
            task = worker.outstanding.get(worker.last)
            if task is None or task._more is None or not task._more.dependents:
                return
            before, parcel = worker.last, Parcel(worker)
            try:
                worker.last = self.follow(worker, parcel, task, before + 1) - 1
                if worker.last == before:
                    return
                self._sending.post(worker, parcel, before + 1)
            except BaseException as error:
                self._sending.fail(parcel, [], before, error)
                raise

    def follow(self, worker: WorkerHandle, parcel: Parcel, task: Task[Any], number: int) -> int:
        """Send along the links behind a call that is in a message; return the number of the next call."""
        most = min(MOST_FOLLOWING, self._most - len(worker.outstanding)) + len(parcel.calls)
        while not self._ready and len(parcel.calls) < most and self._pool.recycle_after is None:
            link = self._link(task)
            if link is None or not (parcel.add_link(link, number - 1) or self._sending.pack(parcel, link)):
                break
            worker.outstanding[number] = link
            self._pool.core.life.send_ahead(link, worker, number)
            task, number = link, number + 1
        return number

    def _link(self, task: Task[Any]) -> Task[Any] | None:
        """Return the one task that may follow another to its worker; None when there is none."""
        more, mean = task._more, task._function.mean
        if more is None or len(more.dependents) != 1 or mean is None or mean > LONGEST:
            return None
        link = more.dependents[0]
        place, its = link._place, link._more
        waits = type(place) is Waiting and place.state is State.PENDING and its is not None and its.blocked == 1
        if not waits or link.lane != self._pool.name:
            return None
        if link.options.priority != task.options.priority:  # it would overtake, or be overtaken, unseen
            return None
        # Only a missing argument keeps a worker from running it after a failure: what comes from `after` does not.
        return link if task in link.more().needs and not to_be_packed(link) else None
