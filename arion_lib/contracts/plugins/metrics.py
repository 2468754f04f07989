"""How often each plugin's methods are called, how often they fail and how long they take, in bounded memory.

Idea        Each thread counts for itself, without a lock, and times go into a histogram. Two looks at the clock cost
            more than a short call: once a thread has made `ALL_TIMED` calls, one in about `STRIDE` is timed of those
            that are over in `FAST`.
Invariant   `calls` and `errors` are exact, and one histogram is kept for each method and live thread. Where
            `timed` equals `calls`, mean and maximum are exact and a percentile is within 1 % of the true one.
            Where not, each timed call stands for the calls since the one before: mean and percentiles are estimates,
            and the maximum is that of the timed calls, so a rare slow call among fast ones may be missing. A method
            that takes `FAST` or longer is always timed; so is a coroutine.
When wrong  A call that raises is counted as an error, and its time counts too.
See         notebooks/3_contracts_and_plugins.ipynb · tests/contracts/test_metrics.py
"""

from __future__ import annotations

import threading
import weakref
from contextvars import ContextVar
from dataclasses import dataclass

from arion_lib.histogram import Histogram

ALL_TIMED = 512
"""Calls of one method and thread that are all timed, before the fast ones among them are sampled."""
STRIDE = 32
"""Of fast calls, one in so many is timed, on average."""
FAST = 5e-6
"""Seconds: after a call at least as long, the next one is timed."""
GOLDEN = 0.618_033_988_749_895


@dataclass(frozen=True, slots=True)
class Figures:
    """What is known of one method. Times are seconds; `None` where there was no call.

    They are those of the `timed` calls: of all, unless the method is so fast that it is sampled.
    """

    calls: int
    errors: int
    timed: int
    mean: float | None
    p50: float | None
    p95: float | None
    max: float | None


class Recorder:
    """What one thread has recorded. Only it writes; a reader elsewhere may miss the call that is going on."""

    __slots__ = ("busy", "calls", "errors", "next", "phase", "stride", "thread", "timed", "times")

    def __init__(self) -> None:
        self.busy = False  # this thread is inside the method
        self.thread = weakref.ref(threading.current_thread())
        self.clear()

    def clear(self) -> None:
        self.calls = self.errors = self.timed = 0
        self.next = 0  # the number of the call that is to be timed
        self.stride = 1  # calls that it stands for
        self.phase = 0.0
        self.times = Histogram()

    def add(self, seconds: float) -> None:
        """Take the time of one call, which stands for `stride` calls."""
        self.times.add(seconds, self.stride)
        self.timed += 1

    def sample(self, seconds: float) -> None:
        """Take the time of the call that is about to be counted, and choose the next one to be timed."""
        self.add(seconds)
        if seconds >= FAST or self.calls < ALL_TIMED:
            self.stride = 1
        else:
            # Uneven strides: even ones would meet, of calls that take turns, always the same kind.
            self.phase = (self.phase + GOLDEN) % 1.0
            self.stride = 1 + int(self.phase * (2 * STRIDE - 1))
        self.next = self.calls + self.stride

    def take(self, other: Recorder) -> None:
        """Add what another one has recorded."""
        self.calls += other.calls
        self.errors += other.errors
        self.timed += other.timed
        self.times.merge(other.times)

    def figures(self) -> Figures:
        known = self.times.summary()
        return Figures(self.calls, self.errors, self.timed, known.mean, known.p50, known.p95, known.longest)


class _Recorders(threading.local):
    """The recorder of the thread that asks."""

    def __init__(self, metrics: Metrics) -> None:
        self.recorder = metrics.new_recorder()


class Metrics:
    """The calls of one method of one class. Thread-safe."""

    __slots__ = ("_ended", "_lock", "_recorders", "inside", "local")

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._recorders: list[Recorder] = []
        self._ended = Recorder()  # what threads recorded that have ended
        self.inside: ContextVar[bool] = ContextVar("inside", default=False)  # this task is inside the method
        self.local = _Recorders(self)

    def new_recorder(self) -> Recorder:
        """Return a recorder for the current thread, and forget those of threads that have ended."""
        made = Recorder()
        with self._lock:
            for recorder in [r for r in self._recorders if (thread := r.thread()) is None or not thread.is_alive()]:
                self._ended.take(recorder)
                self._recorders.remove(recorder)
            self._recorders.append(made)
        return made

    def figures(self) -> Figures:
        """Return what is known so far."""
        known = Recorder()
        with self._lock:
            for recorder in (self._ended, *self._recorders):
                known.take(recorder)
        return known.figures()

    def clear(self) -> None:
        """Forget all calls."""
        with self._lock:
            for recorder in (self._ended, *self._recorders):
                recorder.clear()


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
_making = threading.Lock()


def metrics_of(cls: type) -> dict[str, Metrics]:
    """Return the metrics of `cls` itself by method name (empty until something was called)."""
    if ATTRIBUTE not in vars(cls):
        with _making:  # the first calls may come from many threads
            if ATTRIBUTE not in vars(cls):
                type.__setattr__(cls, ATTRIBUTE, {})
    found: dict[str, Metrics] = vars(cls)[ATTRIBUTE]
    return found
