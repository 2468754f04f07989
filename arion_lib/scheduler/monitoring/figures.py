"""What happened lately, in bounded memory: counts for ever, the last tasks one by one.

Idea        One ring of ended tasks feeds the percentiles, the throughput and the list of recent events; the price of an
            ended task is one tuple, everything else is computed when somebody looks.
Invariant   Memory does not grow with the number of tasks; no entry keeps a result or an argument alive
            (test_released.py).
When wrong  When more tasks end within the window than the ring holds, the figures are about the part that it holds.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_figures.py
"""

from __future__ import annotations

import time
from collections import Counter, deque
from typing import Any, cast

from arion_lib.histogram import exact_percentiles
from arion_lib.scheduler.monitoring.snapshot import Spread
from arion_lib.scheduler.states import Ended, Event, State
from arion_lib.scheduler.task import Task

WINDOW = 30.0
"""Seconds that throughput and percentiles are about."""


class Figures:
    """Counts and the ring of the last `keep` ended tasks."""

    def __init__(self, keep: int) -> None:
        self.opened = time.monotonic()
        self.counts: Counter[State] = Counter()
        self._ring: deque[tuple[int, str, float, int, Ended]] = deque(maxlen=keep)

    def ended(self, tasks: list[Task[Any]]) -> None:
        """Note tasks that have just come to their final states."""
        for task in tasks:
            end = cast("Ended", task._place)
            self.counts[end.state] += 1
            more = task._more
            attempts = (0 if more is None else more.attempts) + (end.began is not None)
            self._ring.append((task.number, task.options.name or task._function.name, task._submitted, attempts, end))

    def recent(self) -> tuple[Event, ...]:
        """Return the last ends of tasks, the oldest first."""
        return tuple(
            Event(end.ended, number, name, end.state, attempt, end.worker)
            for number, name, _, attempt, end in list(self._ring)
        )

    def lately(self, now: float, workers: int) -> tuple[float, float, float, Spread, Spread]:
        """Return the window in seconds, throughput, utilisation of `workers`, spreads of waiting and running."""
        runs = [
            (submitted, end.began, end.ended)
            for _, _, submitted, _, end in list(self._ring)
            if end.began is not None and end.ended >= now - WINDOW
        ]
        if not runs:
            return WINDOW, 0.0, 0.0, Spread(), Spread()
        full = len(self._ring) == self._ring.maxlen
        # In the order in which they were heard of: a worker's answers may be read behind another's later ones.
        start = max(now - WINDOW, self.opened, min(ended for _, _, ended in runs) if full else 0.0)
        window = max(now - start, 1e-6)
        busy = sum(ended - max(started, start) for _, started, ended in runs)
        waiting = spread([started - submitted for submitted, started, _ in runs])
        running = spread([ended - started for _, started, ended in runs])
        return window, len(runs) / window, min(1.0, busy / window / max(1, workers)), waiting, running


def spread(seconds: list[float]) -> Spread:
    """Return the percentiles of some durations (the smallest value that at least that share is not above).

    >>> spread([0.3, 0.1, 0.2]).p50
    0.2
    """
    if not seconds:
        return Spread()
    p50, p95, p99, most = exact_percentiles((max(0.0, value) for value in seconds), (0.50, 0.95, 0.99, 1.0))
    return Spread(len(seconds), p50, p95, p99, most)
