"""What a lane is: a place where tasks run, behind one seam.

Idea        Worker processes, threads, an event loop and a Dask cluster differ in how a call gets there and how it is
            stopped; the supervisor knows them by these few questions.
Invariant   A lane says what a call came to and the lifecycle decides what follows; only plain successes, most of all
            ends, the process lane writes itself (`ended_plainly`), for half of a short task's cost.
When wrong  A lane that cannot work any more fails its tasks with the reason; it never leaves them waiting.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_conformance.py
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from arion_lib.scheduler.ready import ReadyQueue
from arion_lib.scheduler.snapshot import LaneStatus

if TYPE_CHECKING:
    from arion_lib.scheduler.supervisor import Supervisor
    from arion_lib.scheduler.task import Task


class Lane(Protocol):
    """A place where tasks run. All methods are called under the lock, by the supervisor unless they say otherwise."""

    ready: ReadyQueue[Task[Any]]

    def open(self, core: Supervisor) -> None:
        """Begin; register what is to be watched with `core.watch`."""

    def dispatch(self, now: float, /) -> None:
        """Give ready tasks to whoever can take them."""

    def check(self, now: float) -> float:
        """Do what is due (deadlines, kills); return when to be asked again, `inf` for never."""

    def started(self, task: Task[Any]) -> float | None:
        """Return when an assigned task's code began, None when it has not. Any thread."""

    def assigned(self) -> list[Task[Any]]:
        """Return the tasks that were given out and have not come back."""

    def running(self) -> list[Task[Any]]:
        """Return the tasks whose code runs now."""

    def stop(self, place: tuple[Any, ...]) -> None:
        """Stop what runs, or is about to run, at a place: its task has just become final. Any thread."""

    def status(self, now: float, /) -> LaneStatus:
        """Describe the lane."""

    def close(self, now: float, /) -> bool:
        """End the workers; called until it says True: nothing is left."""

    def kill(self) -> None:
        """End the workers at once, whatever they do."""

    def abandon(self) -> None:
        """Close what this process, a fork of the scheduler's, has inherited; stop nothing."""
