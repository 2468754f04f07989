"""How often, how long, how many are open: counted per resource in bounded memory.

Idea        A histogram whose bucket bounds grow by 2 % answers any percentile within 1 %, whatever the count.
Invariant   Memory depends on the number of resources alone: ten million acquisitions take what ten take.
When wrong  A percentile of nothing is None, never a number that looks like a measurement.
See         notebooks/2_resource_manager.ipynb · tests/resources/test_metrics.py
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

Entry = TypeVar("Entry")

GROWTH = 1.02
SHORTEST, LONGEST = 1e-9, 1e6  # seconds: what is outside counts at the bound
_PER_LOG = 1 / math.log(GROWTH)
_BUCKETS = int(math.log(LONGEST / SHORTEST) * _PER_LOG) + 2
_SHIFT = 1 - math.log(SHORTEST) * _PER_LOG
_log = math.log


class Histogram:
    """Seconds, counted in buckets whose bounds grow by `GROWTH` (as in DDSketch: Masson, Rim, Lee, VLDB 2019).

    >>> seconds = Histogram()
    >>> for value in range(1, 101): seconds.add(value)
    >>> 49 < seconds.percentile(0.5) < 51
    True
    """

    __slots__ = ("count", "counts", "longest", "total")

    def __init__(self) -> None:
        self.counts: list[int] = []  # made at the first count: a manager that is never entered pays nothing
        self.count = 0
        self.total = 0.0
        self.longest = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration. Cost: a logarithm and an increment."""
        self.extend((seconds,))

    def extend(self, durations: Iterable[float]) -> None:
        """Count many durations."""
        counts = self.counts = self.counts or [0] * _BUCKETS
        for seconds in durations:
            counts[int(_log(seconds) * _PER_LOG + _SHIFT) if SHORTEST < seconds < LONGEST else _edge(seconds)] += 1
            self.count += 1
            self.total += seconds
            if seconds > self.longest:
                self.longest = seconds

    def percentile(self, share: float) -> float | None:
        """The duration in seconds that a `share` (0 to 1) of all stayed within; None when there were none."""
        if not 0 <= share <= 1:
            raise ValueError(f"share must be 0 to 1, got {share}: write 0.95 for the 95th percentile")
        rank, seen = max(1, math.ceil(share * self.count)), 0
        for bucket, number in enumerate(self.counts):
            seen += number
            if seen >= rank:
                return min(self.longest, SHORTEST * math.exp((bucket - 0.5) / _PER_LOG))
        return None

    def summary(self) -> Timing:
        """The figures of now, as a value."""
        mean = self.total / self.count if self.count else None
        p50, p95, p99 = map(self.percentile, (0.50, 0.95, 0.99))
        return Timing(self.count, mean, p50, p95, p99, self.longest if self.count else None)


def _edge(seconds: float) -> int:
    return 0 if seconds <= SHORTEST else _BUCKETS - 1


@dataclass(frozen=True, slots=True)
class Timing:
    """Durations in seconds; None where nothing was counted."""

    count: int
    mean: float | None
    p50: float | None
    p95: float | None
    p99: float | None
    longest: float | None


@dataclass(frozen=True, slots=True)
class Figures:
    """What is known of one resource at one moment."""

    acquisitions: int
    open: int
    failures: Mapping[str, int]  # by phase: "acquire", "attempt" (one that was tried again), "release"
    acquire: Timing
    hold: Timing
    release: Timing


PENDING = 512
"""So many durations are kept as they come before they are sorted into buckets, all at once."""


class Meter:
    """Counts for one resource, over all entries of its manager, from any thread.

    The hot path only appends to a deque, which no thread can see half done; buckets are filled now and then.
    """

    __slots__ = ("_lock", "acquire", "acquired", "failures", "hold", "release", "released")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.failures: dict[str, int] = {}
        self.acquire, self.hold, self.release = Histogram(), Histogram(), Histogram()
        self.acquired: deque[float] = deque()  # seconds that acquisitions took
        self.released: deque[tuple[float, float]] = deque()  # seconds held, seconds that the release took

    def tidy(self) -> None:
        """Sort what is pending into the buckets. To be called when there is more of it than `PENDING`."""
        with self._lock:
            self.acquire.extend(_taken(self.acquired))
            if pairs := list(_taken(self.released)):
                held, closing = zip(*pairs, strict=True)
                self.hold.extend(held)
                self.release.extend(closing)

    def failed(self, phase: str) -> None:
        """Count a failure of a phase."""
        with self._lock:
            self.failures[phase] = self.failures.get(phase, 0) + 1

    def figures(self) -> Figures:
        """The figures of now, as a value."""
        self.tidy()
        with self._lock:
            count, still = self.acquire.count, self.acquire.count - self.release.count
            timings = self.acquire.summary(), self.hold.summary(), self.release.summary()
            return Figures(count, still, dict(self.failures), *timings)


def _taken(pending: deque[Entry]) -> Iterator[Entry]:
    """Take out what is there now; what other threads append meanwhile stays for the next time."""
    for _ in range(len(pending)):
        yield pending.popleft()
