"""What happened lately, in bounded memory: counts for ever, the last tasks one by one.

Idea        One ring of ended tasks feeds the percentiles, the throughput and the list of recent events; the price of an
            ended task is one tuple, everything else is computed when somebody looks.
Invariant   Memory does not grow with the number of tasks; no entry keeps a result or an argument alive.
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
        self._ring.append((task.number, task._function, task.options.name, state, task._submitted, task._run))

    def succeeded(self, tasks: list[Task[Any]]) -> None:
        """Note several that have succeeded."""
        self.counts[SUCCEEDED] += len(tasks)
        self._ring.extend(
            [(task.number, task._function, task.options.name, SUCCEEDED, task._submitted, task._run) for task in tasks]
        )

    def recent(self) -> tuple[Event, ...]:
        """Return the last ends of tasks, the oldest first."""
        events = []
        for number, function, name, state, submitted, run in list(self._ring):
            known = type(run) is tuple and len(run) == 3
            worker, when = (run[0], run[2]) if known else (None, submitted)
            events.append(Event(when, number, name or function.name, state, 1 if known else 0, worker))
        return tuple(events)

    def lately(self, now: float, workers: int) -> tuple[float, float, float, Spread, Spread]:
        """Return the window in seconds, throughput, utilisation of `workers`, spreads of waiting and running."""
        runs = [(entry[4], *entry[5][1:]) for entry in list(self._ring) if _ran(entry) and entry[5][2] >= now - WINDOW]
        if not runs:
            return WINDOW, 0.0, 0.0, Spread(), Spread()
        full = len(self._ring) == self._ring.maxlen
        start = max(now - WINDOW, self.opened, runs[0][2] if full else 0.0)
        window = max(now - start, 1e-6)
        busy = sum(ended - max(started, start) for _, started, ended in runs)
        waiting = spread([started - submitted for submitted, started, _ in runs])
        running = spread([ended - started for _, started, ended in runs])
        return window, len(runs) / window, min(1.0, busy / window / max(1, workers)), waiting, running


def _ran(entry: tuple[Any, ...]) -> bool:
    return type(entry[5]) is tuple and len(entry[5]) == 3


def spread(seconds: list[float]) -> Spread:
    """Return the percentiles of some durations (the smallest value that at least that share is not above).

    >>> spread([0.3, 0.1, 0.2]).p50
    0.2
    """
    if not seconds:
        return Spread()
    p50, p95, p99, most = exact_percentiles((max(0.0, value) for value in seconds), (0.50, 0.95, 0.99, 1.0))
    return Spread(len(seconds), p50, p95, p99, most)
