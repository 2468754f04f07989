"""The one way into the supervisor's thread: tasks, questions and reports are put here, by any thread.

Idea        An append to a deque, and a byte down a socket when the other side sleeps. What is urgent has a deque of its
            own: it must not wait until a long queue has been taken in.
Invariant   No lost wake-ups: `asleep` is set before the inbox is looked at for the last time, and looked at here after
            the append; of the two threads, one sees the other (test_waiting.py).
When wrong  A full socket has woken the sleeper already; a closed one has nobody behind it.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_interrupts.py
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Generic, TypeVar

T = TypeVar("T")


class Inbox(Generic[T]):
    """Lock-free: Ctrl-C may end a `put` between any two steps, and harms nothing."""

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._urgent: deque[T] = deque()
        self.asleep = False
        """Whether the other side sleeps, and has to be woken. Written by that side alone."""
        self.bell, self._ring = socket.socketpair()
        for end in (self.bell, self._ring):
            end.setblocking(False)

    def put(self, item: T, urgent: bool = False) -> None:
        (self._urgent if urgent else self._items).append(item)
        if self.asleep:
            self.wake()

    def put_many(self, items: Sequence[T], urgent: bool = False) -> None:
        """Put several, in order."""
        (self._urgent if urgent else self._items).extend(items)
        if self.asleep:
            self.wake()

    def wake(self) -> None:
        """End the other side's sleep."""
        with suppress(OSError):
            self._ring.send(b"\0")

    # --- the other side ---

    def take(self, most: int) -> Iterator[T]:
        """Take out up to `most` items, looking for an urgent one before each."""
        items, urgent = self._items, self._urgent
        while most and (urgent or items):
            most -= 1
            yield (urgent or items).popleft()

    def __len__(self) -> int:
        return len(self._items) + len(self._urgent)

    def count(self, kind: type[object]) -> int:
        """Return how many are of a kind. All that is not urgent counts."""
        return len(self._items) + sum(type(item) is kind for item in list(self._urgent))

    def hear(self) -> None:
        """Read the bytes that woke the sleeper."""
        with suppress(BlockingIOError, TimeoutError):
            self.bell.recv(4096)

    def wait(self, seconds: float) -> None:
        """Sleep until something is put in, so many seconds at most, and hear nothing else meanwhile."""
        if self:
            return
        self.bell.settimeout(seconds)
        try:
            self.hear()
        finally:
            self.bell.setblocking(False)

    def clear(self) -> None:
        self._items.clear()
        self._urgent.clear()

    def close(self) -> None:
        for end in (self.bell, self._ring):
            with suppress(OSError):
                end.close()
