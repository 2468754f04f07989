"""At most so many tasks of a tag at once: a count for each limited tag, and a queue of those that wait for their turn.

Idea        A task takes a place of each limited tag that it has before it becomes ready, and gives them back when its
            attempt ends; what finds no place waits here, and so keeps no worker from others.
Invariant   No tag has more tasks ready or running than its limit; the most urgent waiting one goes first.
When wrong  A limit that is none is refused where it is written; a tag without a limit is only a word.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_limits.py
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar

from arion_lib.scheduler.ready import ReadyQueue

T = TypeVar("T")


class Limits(Generic[T]):
    """Places of tags. Items are anything; their tags and priorities are given with them.

    >>> limits = Limits[str]({"db": 1})
    >>> limits.take("a", {"db"}, 0), limits.take("b", {"db"}, 0), limits.take("c", {"other"}, 0)
    (True, False, True)
    >>> limits.give_back({"db"})
    ['b']
    """

    def __init__(self, limits: Mapping[str, int]) -> None:
        for tag, most in limits.items():
            if not isinstance(tag, str) or type(most) is not int or most < 1:
                raise ValueError(f"limits must be tags, each with an int >= 1, got {tag!r}: {most!r}")
        self._free = dict(limits)
        self._queues: dict[str, ReadyQueue[tuple[T, int]]] = {tag: ReadyQueue() for tag in limits}

    def concern(self, tags: frozenset[str] | set[str]) -> bool:
        """Whether some of the tags have a limit."""
        return not self._free.keys().isdisjoint(tags)

    def take(self, item: T, tags: frozenset[str] | set[str], priority: int) -> bool:
        """Take a place of each tag; False when one has none: then the item waits, holding nothing."""
        limited = self._free.keys() & tags
        for tag in sorted(limited):
            if not self._free[tag]:
                self._queues[tag].push((item, priority), priority)
                return False
        for tag in limited:
            self._free[tag] -= 1
        return True

    def give_back(self, tags: frozenset[str] | set[str]) -> list[T]:
        """Give back the places of an item; return those that may ask again now."""
        for tag in self._free.keys() & tags:
            self._free[tag] += 1
        return self.asking(tags)

    def asking(self, tags: frozenset[str] | set[str]) -> list[T]:
        """Return, for each of the tags that has a place, the most urgent item that waits for it; it is to ask again.

        To be called, too, with the tags of an item that asked again and found no place of another tag.
        """
        free = (self._queues[tag] for tag in sorted(self._free.keys() & tags) if self._free[tag])
        return [queue.pop()[0] for queue in free if queue]
