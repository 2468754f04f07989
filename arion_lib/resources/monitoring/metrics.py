"""How often, how long, how many are open: counted per resource in bounded memory.

Idea        Three histograms a resource: the seconds that acquiring, holding and releasing took.
Invariant   Memory depends on the number of resources alone: ten million acquisitions take what ten take.
When wrong  A percentile of nothing is None, never a number that looks like a measurement.
See         notebooks/2_resource_manager.ipynb · tests/resources/test_metrics.py
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from arion_lib.histogram import Histogram, Timing

Entry = TypeVar("Entry")


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
