"""Whose turn it is: tasks with limited tags take their places before they are queued, and hand them on.

Idea        `Limits` counts places; this asks it for tasks, remembers on each whether it has its places, and tells who
            has got some when others are given back.
Invariant   A task holds its places exactly from when it becomes ready until its attempt has ended.
When wrong  A task that ended while it waited for its turn hands that on to the next one.
See         tests/scheduler/test_limits.py · tests/scheduler/test_lifecycle_fuzz.py
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from arion_lib.scheduler.bounds.limits import Limits
from arion_lib.scheduler.task import Task


class Turns:
    """The limits of one scheduler, None for none."""

    def __init__(self, limits: Limits[Task[Any]] | None) -> None:
        self._limits = limits

    def take(self, task: Task[Any]) -> bool:
        """Whether a task may be queued now; when not, `hand_on` will bring it."""
        limits, options = self._limits, task.options
        if limits is None or not limits.concern(options.tags):
            return True
        more = task.more()
        more.has_places = more.has_places or limits.take(task, options.tags, options.priority)
        return more.has_places

    def hand_on(self, task: Task[Any]) -> Iterator[Task[Any]]:
        """Give back the places of a task, if it has any; yield the tasks that have got theirs by that."""
        more, limits = task._more, self._limits
        if limits is None or more is None or not more.has_places:
            return
        more.has_places = False
        asking = limits.give_back(task.options.tags)
        while asking:
            other = asking.pop()
            its = other.options
            if not limits.take(other, its.tags, its.priority):
                asking += limits.asking(its.tags)
            elif other._place.final:  # it needs no more what it has waited for
                asking += limits.give_back(its.tags)
            else:
                other.more().has_places = True
                yield other
