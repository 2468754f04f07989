"""Many tasks cancelled at once: those of a list, all that have not begun, all there are.

Idea        A task is waiting, in a lane's queue, or given out: to look at these places finds every one that has not
            ended.
Invariant   What was handed over before is taken in first: nobody's task is overlooked (test_endings.py).
When wrong  A task that ends meanwhile stays as it ended.
See         tests/scheduler/test_endings.py
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from arion_lib.scheduler.lane import Lane
from arion_lib.scheduler.lifecycle import Lifecycle
from arion_lib.scheduler.states import State
from arion_lib.scheduler.task import Task


class Cancelling:
    """Cancels tasks of one scheduler. The supervisor's thread; `take_in` admits what was handed over."""

    def __init__(
        self,
        life: Lifecycle,
        lanes: Mapping[str, Lane],
        take_in: Callable[[int], None],
        settle: Callable[[], None],
    ) -> None:
        self._life, self._lanes, self._take_in, self._settle = life, lanes, take_in, settle

    def each(self, tasks: list[Task[Any]]) -> None:
        """Cancel these."""
        now = time.monotonic()
        for task in tasks:
            self._life.cancel(task, now)
        self._settle()

    def unstarted(self) -> None:
        """Cancel every task whose code has not begun."""
        self._take_in(-1)
        self.each([task for task in self.alive() if task._place.state is not State.RUNNING])

    def all(self) -> None:
        """Cancel everything that has not ended."""
        self._take_in(-1)
        self.each(self.alive())

    def alive(self) -> list[Task[Any]]:
        """Return the admitted tasks that have not ended, by looking at every place where one may be."""
        self._settle()
        alive = list(self._life.waiting)
        for lane in self._lanes.values():
            alive += [*lane.ready, *lane.assigned()]
        return [task for task in alive if not task._place.final]
