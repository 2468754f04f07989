"""What those are told who want events: each change once, in order, whether they came early or late.

Idea        The lifecycle names the changes; here they become events, with what follows from one another: that a task
            ran is told when it is seen to, or else with its end.
Invariant   What is told of a task is, event for event, its history (test_conformance.py, test_processes.py).
When wrong  Nothing is made while nobody wants events.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_lifecycle_fuzz.py
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from arion_lib.scheduler.calls.failures import Failure, Raised
from arion_lib.scheduler.monitoring.history import change, in_words
from arion_lib.scheduler.states import At, Ended, Event, State
from arion_lib.scheduler.task import Task


class Telling:
    """Gives events to `tell` while `wanted`."""

    def __init__(self, tell: Callable[[Event], None]) -> None:
        self._tell = tell
        self.wanted = False
        """Whether somebody wants events; set by `want`."""
        self._running: set[int] = set()
        """Tasks of whose present attempt it was told that it runs."""

    def want(self, wanted: bool) -> None:
        """Begin or cease to tell."""
        self.wanted = wanted
        if not wanted:
            self._running.clear()

    def became(self, task: Task[Any], state: State, when: float) -> None:
        """Tell of a change that no worker has to do with."""
        if self.wanted:
            self._tell(change(task, state, when))

    def runs(self, task: Task[Any]) -> None:
        """Tell that a task was seen to run. Not one that has ended, nor one that is only ahead at its worker."""
        place = task._place
        if type(place) is At and task.number not in self._running and (began := place.worker.began(place.call)):
            self._running.add(task.number)
            self._tell(change(task, State.RUNNING, began, place.worker.number))

    def ended(self, task: Task[Any], end: Ended, error: BaseException | Failure | Raised | None) -> None:
        """Tell how an attempt ended, and before that that it ran, if nobody has told yet."""
        if not self.wanted:
            return
        told = task.number in self._running
        self._running.discard(task.number)
        if end.began is not None and not told:
            self._tell(change(task, State.RUNNING, end.began, end.worker))
        self._tell(change(task, end.state, end.ended, end.worker, in_words(error)))
