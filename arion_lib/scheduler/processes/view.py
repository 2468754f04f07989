"""What the worker processes look like: for the snapshot.

Idea        State, age and load of each worker, read off its handle and its status page.
Invariant   Looking costs no worker anything.
When wrong  What the system cannot tell of a process is None.
See         tests/scheduler/test_scheduler.py
"""

from __future__ import annotations

from typing import Any

from arion_lib.scheduler.monitoring.snapshot import LaneStatus, WorkerState, WorkerStatus
from arion_lib.scheduler.processes.note import STARTED
from arion_lib.scheduler.processes.pool import Pool
from arion_lib.scheduler.processes.worker_handle import WorkerHandle
from arion_lib.scheduler.ready import ReadyQueue
from arion_lib.scheduler.task import Task


def describe(pool: Pool, ready: ReadyQueue[Task[Any]], now: float) -> LaneStatus:
    """Describe a pool and what waits for it."""
    workers = tuple(_describe(pool, worker, now) for worker in pool.workers.values())
    running = sum(worker.state == "running" for worker in workers)
    queued = ready.counts()
    for worker in pool.workers.values():
        for number, task in worker.outstanding.items():
            if worker.began(number) is None and not task._place.final:
                queued[task.options.priority] = queued.get(task.options.priority, 0) + 1
    return LaneStatus(pool.name, pool.size, workers, queued, running, pool.restarts, pool.trouble)


def _describe(pool: Pool, worker: WorkerHandle, now: float) -> WorkerStatus:
    task, pid = worker.current(), worker.child.pid
    state: WorkerState = "running" if task is not None else "idle" if worker.heard else "starting"
    if worker.draining:
        state = "draining" if worker.outstanding else "stopping"
    began = worker.began(worker.child.note.words[STARTED]) if task is not None else None
    return WorkerStatus(
        worker.number,
        pool.name,
        state,
        pid,
        task.name if task is not None else None,
        task.number if task is not None else None,
        max(0.0, now - began) if began else None,
        worker.done,
        worker.failed,
        pool.usage.cpu(pid),
        pool.usage.rss(pid),
        worker.child.note.progress() if task is not None else None,
    )
