"""The changes of all tasks as an iterator: `for event in scheduler.events()`.

Idea        A subscriber that puts events into a bounded deque; the loop that reads takes them out.
Invariant   At most `most` events are held; of more, the oldest are dropped and counted.
When wrong  The iterator ends with its scheduler, or by its own `close`.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_conformance.py
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

from arion_lib.scheduler.bounds.checks import check_count
from arion_lib.scheduler.states import Event


class Source(Protocol):
    """What events come from."""

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]: ...

    def at_end(self, command: Callable[[], None]) -> Callable[[], object]: ...


class EventStream:
    """An iterator over the changes of all tasks from the moment it was made."""

    def __init__(self, source: Source, most: int) -> None:
        check_count("most", most, 1)
        self._events: deque[Event] = deque(maxlen=most)
        self._changed = threading.Condition()
        self._closed = False
        self.dropped = 0
        """How many events were dropped because nobody took them."""
        self._unsubscribe = source.subscribe(self._take)
        self._forget: Callable[[], object] = lambda: None
        self._forget = source.at_end(self.close)

    def _take(self, event: Event) -> None:
        with self._changed:
            self.dropped += len(self._events) == self._events.maxlen
            self._events.append(event)
            self._changed.notify()

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        with self._changed:
            self._changed.wait_for(lambda: self._events or self._closed)
            if not self._events:
                raise StopIteration
            return self._events.popleft()

    def __enter__(self) -> EventStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the iteration behind what is still there."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._unsubscribe()
        self._forget()
