"""The one way into the supervisor's thread: any thread puts tasks and questions here, that one takes them in.

Idea        An append to a deque, and a byte down a socket when the other side sleeps. What is urgent has a deque of its
            own: it must not wait until a long queue has been taken in. Most tasks come in runs of one function with the
            same options; such a run is admitted at once.
Invariant   No lost wake-ups: `asleep` is set before the inbox is looked at for the last time, and looked at here after
            the append; of the two threads, one sees the other (test_waiting.py). So many are taken in at a time and no
            more: deadlines are looked after in between.
When wrong  A full socket has woken the sleeper already; a closed one has nobody behind it. What cannot be admitted has
            failed; the others are admitted all the same.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_interrupts.py
"""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Generic, TypeVar

from arion_lib.listed import listed
from arion_lib.scheduler.lifecycle import Lifecycle
from arion_lib.scheduler.task import Task

T = TypeVar("T")
Command = Callable[[], object]


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
        return len(self._items) + sum(type(item) is kind for item in listed(self._urgent))

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
            except BaseException as error:
                self._reject(run, error)
                raise

    def _admit_one(self, task: Task[Any], now: float) -> None:
        self._life.admitted += 1
        try:
            self._life.admit(task, now)
        except BaseException as error:
            self._reject([task], error)
            raise

    def _reject(self, tasks: list[Task[Any]], error: BaseException) -> None:
        """End tasks that could not be admitted: the defect is theirs, and no others'. The next turn goes on."""
        for task in tasks:
            self._life.reject(task, error, time.monotonic())
