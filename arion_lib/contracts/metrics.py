"""How often each plugin's methods are called, how often they fail and how long they take, in bounded memory.

Idea        A call appends one number to a list of its thread's own; now and then the list goes into a histogram whose
            buckets grow by a factor, so any time from a nanosecond to a month has one.
Invariant   At most `QUEUE` waiting numbers for each live thread and `BUCKETS` counts for each method. Count, mean and
            maximum are exact; a percentile is at most 6.25 % above the true one, or, past the first `QUEUE`
            calls, above that of a regular sample.
When wrong  A call that raises is counted as an error, and its time counts too.
See         notebooks/3_contracts_and_plugins.ipynb · tests/contracts/test_metrics.py
"""

from __future__ import annotations

import threading
import weakref
from contextvars import ContextVar
from dataclasses import dataclass

STEPS = 16
"""Buckets for each doubling of the time: the relative width of a bucket is 1 / STEPS."""
BUCKETS = 60 * STEPS
QUEUE = 512
"""Calls of one thread that wait before the histogram takes them."""
SAMPLE = 16
"""Of calls that come faster than anybody reads, the histogram takes one in so many. (Counts and sums take all.)"""


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


class Recorder:
    """What one thread has recorded and nobody has collected yet. Only that thread writes."""

    __slots__ = ("_metrics", "busy", "errors", "thread", "times")

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self.busy = False  # this thread is inside the method
        self.times: list[float] = []  # seconds of each call
        self.errors = 0  # ever
        self.thread = weakref.ref(threading.current_thread())

    def settle(self) -> None:
        """Hand over what was recorded; called when `QUEUE` calls are waiting."""
        self._metrics.collect(self, sampled=True)


class _Recorders(threading.local):
    """The recorder of the thread that asks."""

    def __init__(self, metrics: Metrics) -> None:
        self.recorder = metrics.new_recorder()


class Metrics:
    """The calls of one method of one class. Thread-safe."""

    __slots__ = ("_buckets", "_calls", "_errors", "_lock", "_max", "_recorders", "_skip", "_sum", "inside", "local")

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._recorders: list[Recorder] = []
        self._calls = self._errors = self._skip = 0
        self._sum = self._max = 0.0
        self._buckets: dict[int, int] = {}
        self.inside: ContextVar[bool] = ContextVar("inside", default=False)  # this task is inside the method
        self.local = _Recorders(self)

    def new_recorder(self) -> Recorder:
        """Return a recorder for the current thread, and forget those of threads that have ended."""
        made = Recorder(self)
        with self._lock:
            for recorder in [r for r in self._recorders if (thread := r.thread()) is None or not thread.is_alive()]:
                self.collect(recorder)
                self._errors += recorder.errors
                self._recorders.remove(recorder)
            self._recorders.append(made)
        return made

    def collect(self, recorder: Recorder, *, sampled: bool = False) -> None:
        """Move what waits into the histogram; of a long queue every `SAMPLE`th, with its weight."""
        with self._lock:
            waiting = recorder.times[:]
            del recorder.times[: len(waiting)]  # its thread may have appended meanwhile: that stays
            self._calls += len(waiting)
            self._sum += sum(waiting)
            self._max = max(self._max, max(waiting, default=0.0))
            step = SAMPLE if sampled else 1
            for seconds in waiting[self._skip % step :: step]:
                number = bucket(int(seconds * 1e9))
                self._buckets[number] = self._buckets.get(number, 0) + step
            self._skip += 1

    def figures(self) -> Figures:
        """Return what is known so far."""
        with self._lock:
            for recorder in self._recorders:
                self.collect(recorder)
            errors = self._errors + sum(recorder.errors for recorder in self._recorders)
            if not self._calls:
                return Figures(0, errors, None, None, None, None)
            mean = self._sum / self._calls
            return Figures(self._calls, errors, mean, self._percentile(0.50), self._percentile(0.95), self._max)

    def _percentile(self, share: float) -> float:
        wanted, seen = share * sum(self._buckets.values()), 0
        for number in sorted(self._buckets):
            seen += self._buckets[number]
            if seen >= wanted:
                return min(upper_end(number) / 1e9, self._max)
        raise AssertionError("the buckets hold fewer calls than were counted")

    def clear(self) -> None:
        """Forget all calls."""
        with self._lock:
            for recorder in self._recorders:
                recorder.times.clear()
                recorder.errors = 0
            self._buckets.clear()
            self._calls = self._errors = self._skip = 0
            self._sum = self._max = 0.0


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
