"""How often each plugin's methods are called, how often they fail and how long they take, in bounded memory.

Idea        A call appends one number to a queue, which is atomic and cheap; the queue is poured into a histogram
            whose buckets grow by a factor, so any time from a nanosecond to a month has one.
Invariant   At most `QUEUE` waiting numbers and `BUCKETS` counts for each method, whatever the number of calls; a
            percentile is at most 6.25 % above the true one, and count, mean and maximum are exact.
When wrong  A call that raises is counted as an error, and its time counts too.
See         notebooks/3_contracts_and_plugins.ipynb · tests/contracts/test_metrics.py
"""

from __future__ import annotations

import threading
from collections import deque
from contextvars import ContextVar
from dataclasses import dataclass

STEPS = 16
"""Buckets for each doubling of the time: the relative width of a bucket is 1 / STEPS."""
BUCKETS = 60 * STEPS
QUEUE = 512


@dataclass(frozen=True, slots=True)
class Figures:
    """What is known of one method. Times are seconds; `None` where there was no call."""

    calls: int
    errors: int
    mean: float | None
    p50: float | None
    p95: float | None
    max: float | None


def bucket(nanoseconds: int) -> int:
    """Return the number of the bucket that a time falls into: exact below 16 ns, then 16 to a doubling.

    >>> bucket(0), bucket(15), bucket(16), bucket(33), bucket(1_000_000_000)
    (0, 15, 16, 32, 429)
    """
    if nanoseconds < STEPS:
        return max(nanoseconds, 0)
    shift = nanoseconds.bit_length() - STEPS.bit_length()
    return min((shift + 1) * STEPS + (nanoseconds >> shift) - STEPS, BUCKETS - 1)


def upper_end(number: int) -> int:
    """Return the longest time, in nanoseconds, that falls into this bucket.

    >>> [upper_end(bucket(n)) for n in (7, 16, 33, 1_000_000)]
    [7, 16, 33, 1015807]
    """
    if number < STEPS:
        return number
    shift, step = divmod(number - STEPS, STEPS)
    return ((STEPS + step + 1) << shift) - 1


class Metrics:
    """The calls of one method of one class. Thread-safe."""

    __slots__ = ("_buckets", "_calls", "_errors", "_lock", "_max", "_queue", "_sum", "add", "inside", "running")

    def __init__(self) -> None:
        self._queue: deque[int] = deque()
        self.add = self._queue.append  # nanoseconds of a call; ~nanoseconds (negative) of one that raised
        self.running: set[int] = set()  # threads that are inside the method
        self.inside: ContextVar[bool] = ContextVar("inside", default=False)  # tasks that are
        self._lock = threading.Lock()
        self._calls = self._errors = self._sum = self._max = 0
        self._buckets: dict[int, int] = {}

    def full(self) -> bool:
        """Tell whether `pour` is due."""
        return len(self._queue) >= QUEUE

    def pour(self) -> None:
        """Move what waits in the queue into the histogram."""
        with self._lock:
            for _ in range(len(self._queue)):
                self._count(self._queue.popleft())

    def _count(self, signed: int) -> None:
        nanoseconds = signed if signed >= 0 else ~signed
        self._errors += signed < 0
        self._calls += 1
        self._sum += nanoseconds
        self._max = max(self._max, nanoseconds)
        number = bucket(nanoseconds)
        self._buckets[number] = self._buckets.get(number, 0) + 1

    def figures(self) -> Figures:
        """Return what is known so far."""
        self.pour()
        with self._lock:
            if not self._calls:
                return Figures(0, 0, None, None, None, None)
            mean, longest = self._sum / self._calls / 1e9, self._max / 1e9
            return Figures(self._calls, self._errors, mean, self._percentile(0.50), self._percentile(0.95), longest)

    def _percentile(self, share: float) -> float:
        wanted, seen = share * self._calls, 0
        for number in sorted(self._buckets):
            seen += self._buckets[number]
            if seen >= wanted:
                return min(upper_end(number), self._max) / 1e9
        raise AssertionError("the buckets hold fewer calls than were counted")

    def clear(self) -> None:
        """Forget all calls."""
        with self._lock:
            self._queue.clear()
            self._buckets.clear()
            self._calls = self._errors = self._sum = self._max = 0


class MetricsByClass(dict[type, Metrics]):
    """The metrics of one method for each class that inherits it: `by_class[type(self)]` always finds one.

    Each class keeps its own for good, so that `super()` and every class of the family count into the right one.
    """

    def __init__(self, method: str) -> None:
        super().__init__()
        self.method = method

    def __missing__(self, cls: type) -> Metrics:
        found = metrics_of(cls).setdefault(self.method, Metrics())
        self[cls] = found
        return found


ATTRIBUTE = "__contract_metrics__"


def metrics_of(cls: type) -> dict[str, Metrics]:
    """Return the metrics of `cls` itself by method name (empty until something was called)."""
    if ATTRIBUTE not in vars(cls):
        type.__setattr__(cls, ATTRIBUTE, {})
    found: dict[str, Metrics] = vars(cls)[ATTRIBUTE]
    return found
