"""Ends of tasks: a final place is written, whoever waits for it is told, and what needed it goes on or has failed, too.

Idea        The end of one task may be that of a thousand that need it: they are taken from a list, one after the other.
Invariant   A task ends once; when it has, it keeps nothing of what it needed, and nobody waits for it any more.
When wrong  A dependent that has begun already, sent ahead to its worker, is stopped there.
See         tests/scheduler/test_lifecycle_fuzz.py
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from arion_lib.scheduler.calls.failures import Failure, Raised
from arion_lib.scheduler.deciding.instructions import Instruction, Over, Stop, Withdraw
from arion_lib.scheduler.deciding.needs import acceptable, let_go
from arion_lib.scheduler.errors import DependencyFailedError
from arion_lib.scheduler.monitoring.telling import Telling
from arion_lib.scheduler.states import QUEUED, At, Ended, Finishing, State, ended_from
from arion_lib.scheduler.task import Task

Error = BaseException | Failure | Raised


class Ends:
    """Ends tasks of one lifecycle. `go_on` is called for a task when something it needs has ended well, `hand_on` for
    one that has ended: others of its tags have their turn."""

    def __init__(
        self,
        out: list[Instruction],
        telling: Telling,
        waiting: set[Task[Any]],
        go_on: Callable[[Task[Any], float], None],
        hand_on: Callable[[Task[Any], float], None],
    ) -> None:
        self._out, self._telling, self._waiting, self._go_on, self._hand_on = out, telling, waiting, go_on, hand_on
        self.count = 0
        """How many tasks have ended."""
        self.doomed: deque[tuple[Task[Any], Task[Any]]] = deque()
        """Tasks that are still to be ended, with what they needed and has not ended well."""

    def where_it_is(self, task: Task[Any], state: State, error: BaseException | None, now: float) -> None:
        """End a task, whatever it is doing."""
        place = task._place
        self.end(task, ended_from(task._place, state, now), error)
        if place is QUEUED:
            self._out.append(Withdraw(task))
        elif isinstance(place, At):
            self._out.append(Stop(task, place))

    def end(self, task: Task[Any], end: Ended, error: Error | None) -> None:
        """End a task, and those that it dooms."""
        self.one(task, end, error)
        self.end_the_doomed(end.ended)

    def end_the_doomed(self, now: float) -> None:
        """End what needs something that has not ended well. A loop: a thousand links would be a thousand calls deep."""
        while self.doomed:
            task, needed = self.doomed.popleft()
            place = task._place
            if place.final:
                continue
            self.one(
                task, ended_from(task._place, State.FAILED, now), DependencyFailedError(task.name, needed.name), needed
            )
            if isinstance(place, At):  # it followed the other one to its worker, and may have begun there
                self._out.append(Stop(task, place))

    def one(self, task: Task[Any], end: Ended, error: Error | None, cause: Task[Any] | None = None) -> None:
        """End a task; those that it dooms are in `doomed`."""
        more = task._more
        if error is not None:
            more = task.more()
            more.error, more.cause = error, cause
        if self._telling.wanted:
            self._telling.ended(task, end, error)
        if type(task._place) is Finishing:
            self._waiting.discard(task)
        task._place, task._call = end, None
        self.count += 1
        last = self._out[-1] if self._out else None
        if type(last) is Over:
            last.tasks.append(task)
        else:
            self._out.append(Over([task]))
        if more is None:
            return
        self._waiting.discard(task)
        self._hand_on(task, end.ended)
        for dependent in let_go(task):
            if not dependent._place.final:
                self._meet(dependent, task, end.ended)

    def _meet(self, dependent: Task[Any], needed: Task[Any], now: float) -> None:
        """Let a task go on, if it can, that waited for one that has ended."""
        if acceptable(dependent, needed):
            self._go_on(dependent, now)
        else:
            self.doomed.append((dependent, needed))
