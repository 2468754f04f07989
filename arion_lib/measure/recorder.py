"""What a live figure remembers: the last seconds of some series, and of who did what.

Idea        Points and bars are added by whoever sees them, in any thread; drawing asks for them. Both widgets keep one.
Invariant   What is kept is bounded, and older than `seconds` is nothing.
When wrong  A bar whose end nobody saw is closed as "unseen" when its lane begins another: never drawn as a success.
See         arion_lib/measure/live.py, arion_lib/measure/lanes.py (draw it) · tests/measure/test_recorder.py

    recorder = Recorder(seconds=10)
    recorder.add("queue depth", 12)
    recorder.begin("worker 1", task=7, name="resize", at=time.monotonic())
    recorder.end("worker 1", task=7, kind="succeeded", at=time.monotonic())
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from arion_lib.measure.describe import Point

MOST_BARS = 2_000  # that are kept of a lane


@dataclass(frozen=True, slots=True)
class Bar:
    """What a lane did from `start` to `end`, seconds of one clock; `end` None: it still does."""

    task: int
    name: str
    start: float
    end: float | None = None
    kind: str = "running"


class Recorder:
    """The last `seconds` of series of points and of lanes of bars, for each lane one at a time. Any thread may add.

    At most 10,000 points of a series are kept, and 2,000 bars of a lane.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        if not seconds > 0:
            raise ValueError(f"seconds must be > 0, got {seconds}")
        self.seconds = seconds
        self._clock = clock
        self._start = clock()
        self._lock = threading.Lock()
        self._series: dict[str, deque[Point]] = {}
        self._bars: dict[str, deque[Bar]] = {}
        self._open: dict[str, Bar] = {}

    def add(self, name: str, value: float) -> None:
        """Add a point now."""
        at = self._clock() - self._start
        with self._lock:
            points = self._series.setdefault(name, deque(maxlen=10_000))
            points.append((at, value))
            while points[0][0] < at - self.seconds:
                points.popleft()

    def points(self, name: str) -> list[Point]:
        """Give (seconds before now as a negative number, value), oldest first."""
        now = self._clock() - self._start
        with self._lock:
            return [(at - now, value) for at, value in self._series.get(name, ()) if at >= now - self.seconds]

    def begin(self, lane: str, task: int, name: str, at: float) -> None:
        """Open a bar; one of this lane that is still open is closed as "unseen"."""
        with self._lock:
            if (left := self._open.get(lane)) is not None:
                self._close(lane, left, "unseen", at)
            self._open[lane] = Bar(task, name, at)

    def end(self, lane: str, task: int, kind: str, at: float) -> None:
        """Close the lane's bar if it is this task's."""
        with self._lock:
            left = self._open.get(lane)
            if left is not None and left.task == task:
                del self._open[lane]
                self._close(lane, left, kind, at)

    def _close(self, lane: str, bar: Bar, kind: str, at: float) -> None:
        bars = self._bars.setdefault(lane, deque(maxlen=MOST_BARS))
        bars.append(replace(bar, end=max(at, bar.start), kind=kind))

    def lanes(self, now: float, also: Iterable[str] = ()) -> dict[str, list[Bar]]:
        """Give the bars of each lane, oldest first; what ended `seconds` before `now` is forgotten.

        Lanes come in the order of `also`, which names those that may have no bar, then in that of their first bar.
        """
        with self._lock:
            for lane, bars in list(self._bars.items()):
                while bars and (bars[0].end or 0.0) < now - self.seconds:
                    bars.popleft()
                if not bars:
                    del self._bars[lane]
            names = dict.fromkeys([*also, *self._bars, *self._open])
            return {lane: [*self._bars.get(lane, ()), *self._opened(lane)] for lane in names}

    def _opened(self, lane: str) -> list[Bar]:
        return [self._open[lane]] if lane in self._open else []
