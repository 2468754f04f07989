"""What is in a deque that other threads append to, as a list.

Idea        `list(queue)` is one step of an interpreter with a GIL. In a free-threaded Python it raises when another
            thread appends meanwhile; then the items are taken one by one, from the newest to the oldest.
Invariant   What it returns stood side by side in the deque, in order, each item once: an append moves the older ones
            from the right end, so one may be met twice, but none is passed over. It ends, however many threads append.
When wrong  The oldest may be missing: taken out at the left end meanwhile, or moved away by threads that append as fast
            as this one looks. An object that is in the deque twice may be listed once.
See         tests/ground/test_listed.py
"""

from __future__ import annotations

from collections import deque
from typing import TypeVar

T = TypeVar("T")

LOOKS = 4
"""Looks for each item, at most: one that is met again costs one more."""


def listed(queue: deque[T]) -> list[T]:
    """Return the items, the oldest first.

    >>> listed(deque("abc"))
    ['a', 'b', 'c']
    """
    try:
        return list(queue)
    except RuntimeError:  # it was changed meanwhile
        return _one_by_one(queue)


def _one_by_one(queue: deque[T]) -> list[T]:
    found: dict[int, T] = {}
    most = len(queue)
    for place in range(1, LOOKS * most + 1):
        try:
            item = queue[-place]
        except IndexError:  # the older ones were taken out, or there are none
            break
        found.setdefault(id(item), item)
        if len(found) == most:
            break
    return [*reversed(found.values())]
