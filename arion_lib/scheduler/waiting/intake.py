"""What was put into the inbox, taken in: tasks are admitted, questions answered.

Idea        Most tasks come in runs of one function with the same options; such a run is admitted at once.
Invariant   A bounded number is taken in at a time: deadlines are looked after in between.
When wrong  What cannot be admitted has failed; the others are admitted all the same.
See         tests/scheduler/test_scheduler.py
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from arion_lib.scheduler.lifecycle import Lifecycle
from arion_lib.scheduler.task import Task
from arion_lib.scheduler.waiting.inbox import Inbox

Command = Callable[[], object]


class Intake:
    """Takes in what is in an inbox; `guard` makes a step whose error must not keep others from being made."""

    def __init__(self, inbox: Inbox[Task[Any] | Command], life: Lifecycle, guard: Callable[..., None]) -> None:
        self._inbox, self._life, self._guard = inbox, life, guard

    def admit(self, most: int) -> None:
        """Take in up to so many items, all for -1."""
        alike: list[Task[Any]] = []
        now = time.monotonic()
        for item in self._inbox.take(most):
            if not isinstance(item, Task):
                self._admit_alike(alike)
                self._guard(item)
            elif item._more is not None or item.options.deadline is not None or self._life.telling.wanted:
                self._admit_alike(alike)
                self._admit_one(item, now)
            else:
                if alike and (item._function is not alike[0]._function or item.options is not alike[0].options):
                    self._admit_alike(alike)
                alike.append(item)
        self._admit_alike(alike)

    def _admit_alike(self, tasks: list[Task[Any]]) -> None:
        if tasks:
            run = tasks.copy()
            tasks.clear()
            self._life.admitted += len(run)
            try:
                self._life.admit_alike(run)
            except Exception as error:
                self._reject(run, error)
                raise

    def _admit_one(self, task: Task[Any], now: float) -> None:
        self._life.admitted += 1
        try:
            self._life.admit(task, now)
        except Exception as error:
            self._reject([task], error)
            raise

    def _reject(self, tasks: list[Task[Any]], error: BaseException) -> None:
        """End tasks that could not be admitted: the defect is theirs, and no others'. The next turn goes on."""
        for task in tasks:
            self._life.reject(task, error, time.monotonic())
