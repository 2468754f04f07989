"""What a measurement found: frozen values that read in one line and lay out as a table.

Idea        A result is a value: it can be kept, compared, plotted and printed long after the process is gone.
Invariant   Seconds are seconds, sizes are bytes, times of samples count from the start of the measured work.
When wrong  A returned value that could not be sent back raises when it is asked for, with the reason; the figures stay.
See         arion_lib/measure/tables.py · tests/measure/test_results.py
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from arion_lib.units import amount_text, bytes_text, how_many, rate_text, seconds_text

Sample = tuple[float, int]
"""(seconds since the start, bytes over the baseline) or (seconds since the start, things counted)."""


@dataclass(frozen=True, slots=True)
class Returned:
    """What the measured function gave back, or why that stayed in its process."""

    value: object = None
    lost: str = ""

    def get(self) -> object:
        """Return the value. Raises `ValueError` when it was not sent back."""
        if self.lost:
            raise ValueError(f"the returned value must be small and picklable to be sent back: {self.lost}")
        return self.value


@dataclass(frozen=True, slots=True, repr=False)
class Memory:
    """How the memory of a process and its children grew.

    `peak` is the largest growth in bytes over `baseline`, exact where the system keeps a high-water mark
    (`exact`), else the largest sample. `seconds` is the run's duration, watched.
    """

    peak: int
    baseline: int
    seconds: float
    samples: tuple[Sample, ...]
    exact: bool
    returned: Returned = Returned()

    @property
    def value(self) -> object:
        """What the function returned. Raises `ValueError` when it could not be sent back."""
        return self.returned.get()

    def __repr__(self) -> str:
        over = f"peak +{bytes_text(self.peak)} over {bytes_text(self.baseline)}"
        return f"Memory({over}, {seconds_text(self.seconds)}, {how_many(len(self.samples), 'samples')})"


@dataclass(frozen=True, slots=True, repr=False)
class Throughput:
    """How much the code counted with `tick`, and how fast. `samples` show the count as it grew."""

    seconds: float
    count: int
    unit: str
    samples: tuple[Sample, ...]
    returned: Returned = Returned()

    @property
    def rate(self) -> float:
        """Things per second over the whole run."""
        return self.count / self.seconds if self.seconds else 0.0

    @property
    def value(self) -> object:
        """What the function returned. Raises `ValueError` when it could not be sent back."""
        return self.returned.get()

    def __repr__(self) -> str:
        if not self.count:
            return f"Throughput({seconds_text(self.seconds)}; nothing counted: call tick(n) in the function)"
        amount = amount_text(self.count, self.unit)
        return f"Throughput({rate_text(self.rate, self.unit)}: {amount} in {seconds_text(self.seconds)})"


@dataclass(frozen=True, slots=True, repr=False)
class Measurement:
    """Memory and throughput of the same function, from two separate runs."""

    memory: Memory
    throughput: Throughput

    @property
    def peak(self) -> int:
        """Largest growth of memory in bytes over the baseline."""
        return self.memory.peak

    @property
    def seconds(self) -> float:
        """Duration of the run whose memory nobody watched."""
        return self.throughput.seconds

    @property
    def rate(self) -> float:
        """Things counted per second."""
        return self.throughput.rate

    @property
    def value(self) -> object:
        """What the function returned. Raises `ValueError` when it could not be sent back."""
        return self.throughput.value

    def __repr__(self) -> str:
        rate = f", {rate_text(self.rate, self.throughput.unit)}" if self.throughput.count else ""
        return f"Measurement(peak +{bytes_text(self.peak)}, {seconds_text(self.seconds)}{rate})"


Result = Memory | Throughput | Measurement


def thinned(samples: tuple[Sample, ...], most: int, pick: Callable[[list[Sample]], Sample]) -> tuple[Sample, ...]:
    """Keep at most `most` samples: one picked from each run of neighbours (`max_sample` keeps every peak).

    >>> thinned(((0.0, 1), (0.1, 9), (0.2, 3), (0.3, 4)), 2, max_sample)
    ((0.1, 9), (0.3, 4))
    """
    step = -(-len(samples) // most) or 1
    return tuple(pick(list(samples[i : i + step])) for i in range(0, len(samples), step))


def max_sample(samples: list[Sample]) -> Sample:
    """Pick the sample with the largest figure."""
    return max(samples, key=lambda sample: sample[1])
