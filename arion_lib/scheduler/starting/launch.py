"""Three ways to start a worker process, behind one seam: `start(number)` gives its pipes, its note and later its end.

Idea        forkserver: a zygote of our own, started afresh, forks the workers (3 to 4 ms each). fork: the same, but the
            zygote is forked from this process, so the workers share all it had loaded. spawn: each worker is a fresh
            interpreter (a tenth of a second, and the only way on Windows).
Invariant   No worker imports this program's main module: a script needs no `if __name__ == "__main__"`.
When wrong  A worker that could not be started is told as one that ended, with the exit code there is.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_endings.py
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from typing import Literal, Protocol

from arion_lib.scheduler.starting.child import Child
from arion_lib.scheduler.starting.spawner import Spawner
from arion_lib.scheduler.starting.zygote import ZygoteStarter

StartMethod = Literal["forkserver", "spawn", "fork"]
START_METHODS: tuple[StartMethod, ...] = ("spawn",) if sys.platform == "win32" else ("forkserver", "spawn", "fork")


class Starter(Protocol):
    """Starts workers and learns of their ends. All its methods are called by the supervisor's thread."""

    @property
    def coming(self) -> Collection[int]:
        """The numbers of the workers that were ordered and are not there yet."""

    def start(self, number: int) -> Child:
        """Start one; it may still be on its way when this returns."""

    def watched(self) -> int | None:
        """Return a descriptor that becomes readable when `ended` has something to tell, None where there is none."""

    def ended(self, children: Sequence[Child]) -> list[Child]:
        """Return those of the children that have ended since, their exit codes set; does not block."""

    def close(self) -> None:
        """End what starts workers, whatever it does; workers that are left end with it."""

    def abandon(self) -> None:
        """Close what this process, a fork of the scheduler's, has inherited; end nothing."""


def starter(method: StartMethod, preload: Sequence[str]) -> Starter:
    """Return the starter for a start method. Raises `ValueError` for one that this system does not have."""
    if method not in START_METHODS:
        raise ValueError(f"start_method must be one of {', '.join(START_METHODS)} on this system, got {method!r}")
    return Spawner() if method == "spawn" else ZygoteStarter(preload, fresh=method == "forkserver")
