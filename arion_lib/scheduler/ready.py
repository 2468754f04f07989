"""The ready queue: the highest priority first, and within one priority in the order of arrival.

Idea        A heap of the priorities in use and one queue for each: a push or a pop costs the same however many wait.
Invariant   What comes out is what a stable sort by priority would give; what was discarded never comes out.
When wrong  Low priorities may wait for ever; with `ageing`, every `ageing` seconds of waiting count as one step more.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_ready.py
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class ReadyQueue(Generic[T]):
    """A queue of anything, each with its priority.

    `ageing`: seconds of waiting worth one step of priority, None for none. `clock` gives seconds.

    >>> queue = ReadyQueue[str]()
    >>> for name, priority in [("a", 0), ("b", 5), ("c", 0)]:
    ...     queue.push(name, priority)
    >>> [queue.pop(), queue.pop(), queue.pop()]
    ['b', 'a', 'c']
    """

    def __init__(self, ageing: float | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        if ageing is not None and not ageing > 0:
            raise ValueError(f"ageing must be seconds > 0 or None, got {ageing!r}")
        self._ageing, self._clock = ageing, clock
        self._queues: dict[int, deque[T]] = {}
        self._since: dict[int, deque[float]] = {}
        self._heap: list[int] = []
        self._discarded: set[int] = set()
        self._counts: dict[int, int] = {}
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def push(self, item: T, priority: int) -> None:
        """Put an item behind those of its priority. Constant cost, but for a priority that is not in use."""
        queue = self._queues.get(priority)
        if queue is None:
            queue = self._open(priority)
        queue.append(item)
        self._counts[priority] += 1
        self._length += 1
        if self._ageing is not None:
            self._since[priority].append(self._clock())

    def extend(self, items: Sequence[T], priority: int) -> None:
        """Push several items of one priority."""
        queue = self._queues.get(priority)
        if queue is None:
            queue = self._open(priority)
        queue.extend(items)
        self._counts[priority] += len(items)
        self._length += len(items)
        if self._ageing is not None:
            self._since[priority].extend(itertools.repeat(self._clock(), len(items)))

    def push_front(self, item: T, priority: int) -> None:
        """Put back an item that was popped and not used: before those of its priority."""
        queue = self._queues.get(priority)
        if queue is None:
            queue = self._open(priority)
        queue.appendleft(item)
        self._counts[priority] += 1
        self._length += 1
        if self._ageing is not None:
            self._since[priority].appendleft(self._since[priority][0] if self._since[priority] else self._clock())

    def pop(self) -> T:
        """Take the first item. Raises `IndexError` when there is none."""
        while True:
            priority = self._first()
            item = self._queues[priority].popleft()
            if self._ageing is not None:
                self._since[priority].popleft()
            if self._discarded and id(item) in self._discarded:
                self._discarded.discard(id(item))
                continue
            self._counts[priority] -= 1
            self._length -= 1
            return item

    def take(self, most: int) -> list[T]:
        """Pop up to `most` items at once."""
        if self._ageing is not None or self._discarded:
            return [self.pop() for _ in range(min(most, self._length))]
        taken: list[T] = []
        while self._length and len(taken) < most:
            priority = self._first()
            queue = self._queues[priority]
            count = min(most - len(taken), len(queue))
            popleft = queue.popleft
            taken += [popleft() for _ in range(count)]
            self._counts[priority] -= count
            self._length -= count
        return taken

    def discard(self, item: T, priority: int) -> None:
        """Take out an item that is in the queue. It is passed over when its turn comes; half of all such are swept."""
        self._discarded.add(id(item))
        self._counts[priority] -= 1
        self._length -= 1
        if len(self._discarded) > max(1_000, self._length):
            self._sweep()

    def highest(self) -> int | None:
        """Return the priority of what `pop` gives next; None when empty."""
        while self._length:
            priority = self._first()
            queue = self._queues[priority]
            if id(queue[0]) not in self._discarded:
                return priority
            self._discarded.discard(id(queue.popleft()))  # let go of: its waiting must not count
            if self._ageing is not None:
                self._since[priority].popleft()
        return None

    def counts(self) -> dict[int, int]:
        """Return how many wait at each priority, the highest first."""
        return {priority: count for priority, count in sorted(self._counts.items(), reverse=True) if count}

    def __iter__(self) -> Iterator[T]:
        """Yield what waits, in no promised order."""
        queues = list(self._queues.values())
        return (item for queue in queues for item in list(queue) if id(item) not in self._discarded)

    def drain(self) -> Iterator[T]:
        """Take out everything, in order."""
        while self._length:
            yield self.pop()

    def _open(self, priority: int) -> deque[T]:
        queue = self._queues[priority] = deque()
        self._counts.setdefault(priority, 0)
        if self._ageing is not None:
            self._since[priority] = deque()
        heapq.heappush(self._heap, -priority)
        return queue

    def _first(self) -> int:
        """Return the priority whose turn it is, closing the queues that have run empty."""
        while self._heap and not self._queues[-self._heap[0]]:
            self._close(-heapq.heappop(self._heap))
        if not self._heap:
            raise IndexError("the queue is empty")
        if self._ageing is None or len(self._heap) == 1:
            return -self._heap[0]
        return self._oldest_counts(self._ageing)

    def _oldest_counts(self, ageing: float) -> int:
        """Return the priority whose first item is ahead, waiting counted in; the cost follows the priorities in use."""
        now = self._clock()
        waiting = (-negative for negative in self._heap if self._queues[-negative])
        return max(waiting, key=lambda priority: (priority + (now - self._since[priority][0]) / ageing, priority))

    def _close(self, priority: int) -> None:
        del self._queues[priority]
        self._counts.pop(priority, None)
        self._since.pop(priority, None)

    def _sweep(self) -> None:
        for priority, queue in self._queues.items():
            since = self._since.get(priority)
            kept = [place for place, item in enumerate(queue) if id(item) not in self._discarded]
            items = list(queue)
            self._queues[priority] = deque(items[place] for place in kept)
            if since is not None:
                times = list(since)
                self._since[priority] = deque(times[place] for place in kept)
        self._discarded.clear()
