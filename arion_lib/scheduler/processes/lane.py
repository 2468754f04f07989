"""The lane of worker processes: its parts put together.

Idea        The pool has the workers; giving.py sends them calls, answers.py takes in what they came to, watching.py
            looks at what they are at. Each part knows the pool, none the others.
Invariant   The answers of the conformance suite are those of the other lanes.
When wrong  Each part says it for itself.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_processes.py · tests/scheduler/test_conformance.py
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from arion_lib.scheduler.monitoring.snapshot import LaneStatus
from arion_lib.scheduler.processes.answers import Answers
from arion_lib.scheduler.processes.giving import Giving
from arion_lib.scheduler.processes.pool import Pool
from arion_lib.scheduler.processes.view import describe
from arion_lib.scheduler.processes.watching import Watching
from arion_lib.scheduler.ready import ReadyQueue
from arion_lib.scheduler.starting.launch import StartMethod
from arion_lib.scheduler.task import Task

SAMPLE = 1_000
"""Waiting tasks looked at to tell how long the queue takes."""


class ProcessLane:
    """The lane "processes"."""

    name = "processes"

    def __init__(
        self,
        size: int,
        method: StartMethod,
        *,
        preload: Sequence[str],
        ageing: float | None,
        grace: float,
        recycle_after: int | None,
        memory_limit: int | None,
        initializer: bytes | None = None,
    ) -> None:
        self.ready: ReadyQueue[Task[Any]] = ReadyQueue(ageing)
        self.method = method
        self.pool = pool = Pool(
            self.ready,
            size,
            method,
            preload=preload,
            grace=grace,
            recycle_after=recycle_after,
            memory_limit=memory_limit,
            initializer=initializer,
        )
        self.pool.take = Answers(self.pool).take
        watching = Watching(self.ready, self.pool, grace)
        self.dispatch = Giving(self.ready, self.pool).dispatch
        self.check, self.stop = watching.check, watching.stop
        self.open, self.close, self.kill, self.abandon = pool.open, pool.close, pool.kill, pool.abandon
        self.scale = pool.scale

    @property
    def size(self) -> int:
        """How many workers there should be."""
        return self.pool.size

    def assigned(self) -> list[Task[Any]]:
        return [task for worker in self.pool.workers.values() for task in worker.outstanding.values()]

    def running(self) -> list[Task[Any]]:
        current = [worker.current() for worker in self.pool.workers.values() if not worker.in_doubt()]
        return [task for task in current if task is not None]

    def status(self, now: float) -> LaneStatus:
        return describe(self.pool, self.ready, now)

    def queued_seconds(self) -> float:
        """Return how long one worker would take for what waits and runs here; `inf` when that is not known."""
        tasks = [*itertools.islice(self.ready, SAMPLE), *itertools.islice(self.assigned(), SAMPLE)]
        means = [task._function.mean for task in tasks]
        known = [mean for mean in means if mean is not None]
        if not tasks:
            return 0.0
        return self.unfinished() * sum(known) / len(known) if len(known) == len(means) else math.inf

    def unfinished(self) -> int:
        """Return how many tasks wait or run here."""
        return len(self.ready) + sum(len(worker.outstanding) for worker in self.pool.workers.values())
