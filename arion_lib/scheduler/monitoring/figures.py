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
from typing import TYPE_CHECKING, Any

from arion_lib.histogram import exact_percentiles
from arion_lib.scheduler.snapshot import Spread
from arion_lib.scheduler.states import Event, State

if TYPE_CHECKING:
    from arion_lib.scheduler.task import Task

SUCCEEDED = State.SUCCEEDED
WINDOW = 30.0
"""Seconds that throughput and percentiles are about."""


class Figures:
    """Counts and the ring of the last `keep` ended tasks."""

    def __init__(self, keep: int) -> None:
        self.opened = time.monotonic()
        self.counts: Counter[State] = Counter()
        self.retries = 0
        self._ring: deque[tuple[Any, ...]] = deque(maxlen=keep)

    def ended(self, task: Task[Any], state: State) -> None:
        """Note a task that has just come to its final state."""
        self.counts[state] += 1
        run = task._run if type(task._run) is tuple and len(task._run) == 3 else None
        attempts = task._more.attempts if task._more is not None else 0
        when = run[2] if run is not None else time.monotonic()
        self._ring.append((task.number, task.name, state, task._submitted, run, attempts + (run is not None), when))

    def succeeded(self, tasks: list[Task[Any]]) -> None:
        """Note several that have succeeded."""
        self.counts[SUCCEEDED] += len(tasks)
        self._ring.extend(
            [
                (
                    task.number,
                    task.options.name or task._function.name,
                    SUCCEEDED,
                    task._submitted,
                    task._run,
                    1 if task._more is None else task._more.attempts + 1,
                    task._run[2],
                )
                for task in tasks
            ]
        )

    def recent(self) -> tuple[Event, ...]:
        """Return the last ends of tasks, the oldest first."""
        return tuple(
            Event(when, number, name, state, attempt, None if run is None else run[0])
            for number, name, state, _, run, attempt, when in list(self._ring)
        )

    def lately(self, now: float, workers: int) -> tuple[float, float, float, Spread, Spread]:
        """Return the window in seconds, throughput, utilisation of `workers`, spreads of waiting and running."""
        runs = [(entry[3], *entry[4][1:]) for entry in list(self._ring) if entry[4] and entry[4][2] >= now - WINDOW]
        if not runs:
            return WINDOW, 0.0, 0.0, Spread(), Spread()
        full = len(self._ring) == self._ring.maxlen
        start = max(now - WINDOW, self.opened, runs[0][2] if full else 0.0)
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
