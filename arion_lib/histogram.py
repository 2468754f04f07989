"""Percentiles of durations: exact ones of a list at hand, and close ones of any number in bounded memory.

Idea        Durations are counted in buckets whose bounds grow by 2 % (as in DDSketch: Masson, Rim, Lee, VLDB 2019).
Invariant   A percentile is within 1 % of the exact one; memory does not grow with the count.
When wrong  A percentile of nothing is None, never a number that looks like a measurement.
See         tests/ground/test_histogram.py
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

GROWTH = 1.02
SHORTEST, LONGEST = 1e-9, 1e6
"""Seconds: a duration outside counts at the bound."""
_PER_LOG = 1 / math.log(GROWTH)
_SHIFT = 1 - math.log(SHORTEST) * _PER_LOG
_log = math.log
BUCKETS = int(math.log(LONGEST / SHORTEST) * _PER_LOG) + 2
"""A histogram holds at most so many counts."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Durations in seconds; None where nothing was counted."""

    count: int
    mean: float | None
    p50: float | None
    p95: float | None
    p99: float | None
    longest: float | None


class Histogram:
    """Seconds, counted in buckets. One thread adds; a reader in another may miss what is being added.

    >>> seconds = Histogram()
    >>> for value in range(1, 101): seconds.add(value)
    >>> 49 < seconds.percentile(0.5) < 51
    True
    """

    __slots__ = ("count", "counts", "longest", "total")

    def __init__(self) -> None:
        self.counts: dict[int, int] = defaultdict(int)
        self.count = 0
        self.total = 0.0
        self.longest = 0.0

    def add(self, seconds: float, times: int = 1) -> None:
        """Count a duration, as often as it stands for. Cost: a logarithm and an increment."""
        self.counts[_bucket(seconds)] += times
        self.count += times
        self.total += seconds * times
        self.longest = max(self.longest, seconds)

    def extend(self, durations: Iterable[float]) -> None:
        """Count many durations; about three times as fast as `add` for each."""
        counts = self.counts
        for seconds in durations:
            counts[int(_log(seconds) * _PER_LOG + _SHIFT) if SHORTEST < seconds < LONGEST else _edge(seconds)] += 1
            self.count += 1
            self.total += seconds
            if seconds > self.longest:
                self.longest = seconds

    def merge(self, other: Histogram) -> None:
        """Count what another one has counted."""
        for bucket, number in dict(other.counts).items():  # a copy: the other's thread goes on
            self.counts[bucket] += number
        self.count += other.count
        self.total += other.total
        self.longest = max(self.longest, other.longest)

    @property
    def mean(self) -> float | None:
        """The exact mean in seconds; None when nothing was counted."""
        return self.total / self.count if self.count else None

    def percentile(self, share: float) -> float | None:
        """Return the duration in seconds that a `share` (0 to 1) of all stayed within; None when there were none."""
        rank, seen = _rank(share, sum(self.counts.values())), 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= rank:
                return min(self.longest, SHORTEST * math.exp((bucket - 0.5) / _PER_LOG))
        return None

    def summary(self) -> Timing:
        """Return the numbers of now, as a value."""
        p50, p95, p99 = map(self.percentile, (0.50, 0.95, 0.99))
        return Timing(self.count, self.mean, p50, p95, p99, self.longest if self.count else None)


def exact_percentiles(values: Iterable[float], shares: Sequence[float]) -> list[float]:
    """Return, for each share (0 to 1), the smallest value that at least that share of all does not exceed.

    There must be a value. Cost: one sort.

    >>> exact_percentiles([0.3, 0.1, 0.2], [0.5, 1.0])
    [0.2, 0.3]
    """
    ordered = sorted(values)
    return [ordered[_rank(share, len(ordered)) - 1] for share in shares]


def _rank(share: float, count: int) -> int:
    if not 0 <= share <= 1:
        raise ValueError(f"share must be 0 to 1, got {share}: write 0.95 for the 95th percentile")
    return max(1, math.ceil(share * count))


def _bucket(seconds: float) -> int:
    return int(_log(seconds) * _PER_LOG + _SHIFT) if SHORTEST < seconds < LONGEST else _edge(seconds)


def _edge(seconds: float) -> int:
    return 0 if seconds <= SHORTEST else BUCKETS - 1
