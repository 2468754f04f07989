"""How many workers each lane has: a number that was set, or the one that the work there is asks for.

Idea        To set a size and to have it adapted are two ways to say the same; the one that was said last holds.
Invariant   Sizes change in the supervisor's thread alone, and never after the scheduler's end.
When wrong  A size that cannot be is refused where it is written; what the system refuses is the caller's error.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_adapt.py · tests/scheduler/test_exhaustion.py
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Protocol

from arion_lib.scheduler.bounds.adapt import Adaptation, Scaled
from arion_lib.scheduler.bounds.checks import check_count, check_workers
from arion_lib.scheduler.front import Front

LOOK = 0.25
"""Seconds between two looks at what is queued."""


class Resizable(Protocol):
    """A lane."""

    def scale(self, size: int) -> None:
        """Change the number of workers."""


class Sizing:
    """The sizes of one scheduler's lanes; `adapted` is the one whose size may follow the work."""

    def __init__(self, core: Front, lanes: Mapping[str, Resizable], adapted: Scaled) -> None:
        self._core, self._lanes, self._adapted = core, lanes, adapted
        self._adaptation: Adaptation | None = None

    def scale(self, workers: int, lane: str) -> None:
        """Give a lane so many workers, and have none adapted any more."""
        if lane not in self._lanes:
            raise ValueError(f"lane must be one of {', '.join(self._lanes)}, got {lane!r}")
        check_count("workers", workers, 0)
        if self._lanes[lane] is self._adapted:
            check_workers(workers)
        self._adaptation = None
        self._command(lambda: self._lanes[lane].scale(workers))

    def adapt(self, minimum: int, maximum: int, target: float) -> None:
        """Look at the work every few moments from now on, until another size is set."""
        check_workers(maximum)
        self._adaptation = adaptation = Adaptation(self._adapted, minimum, maximum, target)

        def look() -> None:
            if self._adaptation is adaptation and not self._core.supervisor.closing:
                adaptation.look(time.monotonic())
                self._core.supervisor.at(time.monotonic() + LOOK, look)

        self._command(look)

    def _command(self, command: Callable[[], None]) -> None:
        if self._core.supervisor.closing:
            raise self._core.refusal()
        self._core.ask(command)
