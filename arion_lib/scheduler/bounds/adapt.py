"""How many workers there should be: enough to finish what is queued within a target time.

Idea        Work queued, in seconds, over the target is how many workers; what is unknown counts as one worker a task.
Invariant   Never fewer than the minimum nor more than the maximum; fewer only after they were not needed for a while.
When wrong  Bounds that are none are refused where they are given.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_adapt.py
"""

from __future__ import annotations

import math
from typing import Protocol

PATIENCE = 2.0
"""Seconds that fewer workers must have been enough before some are let go."""


class Scaled(Protocol):
    """What is adapted."""

    @property
    def size(self) -> int: ...

    def queued_seconds(self) -> float:
        """Return how many seconds of one worker the queue should take; `inf` when nobody knows."""

    def unfinished(self) -> int:
        """Return how many tasks wait or run here."""

    def scale(self, size: int) -> None:
        """Change the number of workers."""


class Adaptation:
    """The rule, with its memory of when fewer workers began to be enough."""

    def __init__(self, lane: Scaled, minimum: int, maximum: int, target: float) -> None:
        if not 0 <= minimum <= maximum or maximum < 1:
            raise ValueError(f"minimum and maximum must be 0 <= minimum <= maximum >= 1, got {minimum} and {maximum}")
        if not target > 0:
            raise ValueError(f"target must be seconds > 0, got {target!r}")
        self._lane, self._minimum, self._maximum, self._target = lane, minimum, maximum, target
        self._enough_since: float | None = None

    def wanted(self) -> int:
        """Return how many workers there should be now."""
        seconds, tasks = self._lane.queued_seconds(), self._lane.unfinished()
        needed = tasks if math.isinf(seconds) else min(tasks, math.ceil(seconds / self._target))
        return max(self._minimum, min(self._maximum, max(needed, 1 if tasks else 0)))

    def look(self, now: float) -> None:
        """Change the number of workers if it is time to."""
        wanted = self.wanted()
        if wanted >= self._lane.size:
            self._enough_since = None
            if wanted > self._lane.size:
                self._lane.scale(wanted)
        elif self._enough_since is None:
            self._enough_since = now
        elif now - self._enough_since >= PATIENCE:
            self._enough_since = None
            self._lane.scale(wanted)
