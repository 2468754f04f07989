"""The times that tasks wait for, and the ones that they must have ended by.

Idea        A heap of (time, task); what a time means is decided when it has come, by where the task is then.
Invariant   A task that has ended does not live, result and all, until its time would have come: the heap holds weakly.
When wrong  Times of ended tasks are swept out when they are most of the heap.
See         tests/scheduler/test_lifecycle_fuzz.py · tests/scheduler/test_released.py
"""

from __future__ import annotations

import heapq
import itertools
import math
import weakref
from typing import Any

from arion_lib.scheduler.task import Task


class Timers:
    """Times of tasks."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, weakref.ref[Task[Any]]]] = []
        self._numbers = itertools.count()
        self._sweep_at = 1_000

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, when: float, task: Task[Any]) -> None:
        heapq.heappush(self._heap, (when, next(self._numbers), weakref.ref(task)))
        if len(self._heap) > self._sweep_at:
            self._heap = [entry for entry in self._heap if (its := entry[2]()) is not None and not its._place.final]
            heapq.heapify(self._heap)
            self._sweep_at = 1_000 + 2 * len(self._heap)

    def next(self) -> float:
        """Return when the next one comes, `inf` for never."""
        return self._heap[0][0] if self._heap else math.inf

    def due(self, now: float) -> tuple[float, Task[Any]] | None:
        """Take out the first time that has come, with its task if that has not ended; None when none has."""
        while self._heap and self._heap[0][0] <= now:
            when, _, found = heapq.heappop(self._heap)
            task = found()
            if task is not None and not task._place.final:
                return when, task
        return None
