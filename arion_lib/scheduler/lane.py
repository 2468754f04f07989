"""What a lane is: a place where tasks run, behind one seam.

Idea        Worker processes, threads, an event loop and a Dask cluster differ in how a call gets there and how it is
            stopped; the supervisor knows them by these few questions, and they know it by `Core`.
Invariant   A lane says what a call came to (`core.life`) and the lifecycle decides what follows.
When wrong  A lane that cannot work any more fails its tasks with the reason; it never leaves them waiting.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_conformance.py
"""

from __future__ import annotations

import selectors
from collections.abc import Callable
from typing import Any, Protocol

from arion_lib.scheduler.lifecycle import Lifecycle
from arion_lib.scheduler.monitoring.snapshot import LaneStatus
from arion_lib.scheduler.ready import ReadyQueue
from arion_lib.scheduler.states import At
from arion_lib.scheduler.task import Task
from arion_lib.scheduler.waiting.aside import Aside


class Core(Protocol):
    """What a lane has of its supervisor. All but `post` is for the supervisor's own thread."""

    life: Lifecycle
    aside: Aside
    """Runs users' code on behalf of single tasks."""

    def post(self, command: Callable[[], object], /) -> None:
        """Have something called in the supervisor's thread. Any thread."""

    def watch(self, what: Any, heard: Callable[[], None], events: int = selectors.EVENT_READ, /) -> None:
        """Call `heard()` when `what` becomes readable (or as `events` say)."""

    def unwatch(self, what: Any, /) -> None:
        """End that."""

    def again(self) -> None:
        """Go round once more at once: something became ready that could not before."""

    def settle(self) -> None:
        """Carry out at once what the lifecycle wants done so far: afterwards the ready queues are complete."""

    def later(self, callback: Callable[..., object], /, *arguments: Any) -> None:
        """Call something in the thread for users' code."""

    def for_task(self, task: Task[Any], step: Callable[..., object], /, *arguments: Any) -> None:
        """Make a step about a task that is nowhere else now. An error in it is a defect: the task has failed by it."""

    def report(self, error: BaseException, /) -> None:
        """Log an error that is nobody's task's."""


class Lane(Protocol):
    """A place where tasks run. All methods are called by the supervisor's thread."""

    ready: ReadyQueue[Task[Any]]

    def open(self, core: Core, /) -> None:
        """Begin; register what is to be watched with `core.watch`."""

    def dispatch(self, now: float, /) -> None:
        """Give ready tasks to whoever can take them."""

    def check(self, now: float, /) -> float:
        """Do what is due (time limits, kills); return when to be asked again, `inf` for never."""

    def assigned(self) -> list[Task[Any]]:
        """Return the tasks that were given out and have not come back."""

    def running(self) -> list[Task[Any]]:
        """Return the tasks whose code runs now."""

    def stop(self, at: At, /) -> None:
        """Stop what runs, or is about to run, at a worker: its task has just become final."""

    def status(self, now: float, /) -> LaneStatus:
        """Describe the lane."""

    def close(self, now: float, /) -> bool:
        """End the workers; called until it says True: nothing is left."""

    def kill(self) -> None:
        """End the workers at once, whatever they do."""

    def abandon(self) -> None:
        """Close what this process, a fork of the scheduler's, has inherited; stop nothing."""
