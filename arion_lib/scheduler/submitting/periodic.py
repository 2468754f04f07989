"""Periodic tasks: a call that is submitted again and again, at equal distances or at times that somebody names.

Idea        One delayed task at a time: when it has ended, the next one is submitted for the first time that is still to
            come. So waiting costs no worker and no timer of its own.
Invariant   Missed runs are not made up for: while one runs, or the machine sleeps, the times that pass are skipped and
            counted in `missed`. Two runs never overlap (test_periodic.py).
When wrong  A run that fails is logged and counted, and the next one comes at its time. The scheduler's end cancels the
            run that waits.
See         tests/scheduler/test_periodic.py

Equal distances are counted by a clock that nobody sets. Times (`every(times, ...)`) are `datetime`s with a time zone,
in order; what a change of the clocks means, at night in March, is decided by what makes them. So any library for cron
expressions will do: `every(CronSim("0 9 * * 1-5", datetime.now(ZoneInfo("Europe/Berlin"))), fn)`.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from datetime import datetime
from typing import Any, Protocol

from arion_lib.scheduler.errors import ShutDownError
from arion_lib.scheduler.task import Task

log = logging.getLogger(__name__)


class Periodic:
    """One periodic call. `runs`, `failed` and `missed` count; `due` is when it is due next, by `time.time()`."""

    def __init__(
        self, submit_in: Callable[[float], Task[Any]], cancel: Callable[[Task[Any]], None], times: Times, name: str
    ) -> None:
        self._submit_in, self._cancel, self._times, self.name = submit_in, cancel, times, name
        self.runs = self.failed = self.missed = 0
        self.due: float | None = None
        self._task: Task[Any] | None = None
        self._paused = self._over = False

    @property
    def state(self) -> str:
        """ "waiting", "running", "paused" or "over"."""
        task = self._task
        if self._over:
            return "over"
        if task is not None and task.running():
            return "running"
        return "paused" if self._paused else "waiting"

    def pause(self) -> None:
        """Let no further run begin; one that runs goes on."""
        self._paused = True
        task = self._task
        if task is not None and not task.running():
            self._cancel(task)

    def resume(self) -> None:
        """Go on with the first time that is still to come; those that passed meanwhile count as missed."""
        if self._paused:
            self._paused = False
            if self._task is None or self._task.done():
                self.go_on()

    def end(self) -> None:
        """Let no further run begin, ever; one that runs goes on."""
        self._over = True
        self.pause()

    def cancel(self) -> None:
        """End it; a run that runs is cancelled, too."""
        self._over = True
        if self._task is not None:
            self._cancel(self._task)

    def go_on(self) -> None:
        """Submit the next run. Never in the supervisor's thread: what names the times may be anybody's code."""
        try:
            seconds, missed = self._times.following()
        except BaseException:
            self._over, self.due = True, None
            raise
        self.missed += missed
        if seconds is None or self._over:
            self._over, self.due = True, None
            return
        try:
            self._task = self._submit_in(seconds)
        except ShutDownError:
            self._over, self.due = True, None
            return
        self.due = time.time() + seconds
        self._task.add_done_callback(self._ended)
        if self._over or self._paused:  # said while the run was being submitted
            self._cancel(self._task)

    def _ended(self, task: Future[Any]) -> None:
        if not task.cancelled():
            self.runs += 1
            error = task.exception()
            if error is not None:
                self.failed += 1
                log.error("run %d of %s failed: %r", self.runs, self.name, error)
        if self._over:
            self.due = None
        elif not self._paused:
            self.go_on()

    def __repr__(self) -> str:
        return f"<Periodic {self.name}: {self.state}, {self.runs} runs, {self.failed} failed, {self.missed} missed>"


class Times(Protocol):
    """When a call is due."""

    def following(self) -> tuple[float | None, int]:
        """Return in how many seconds it is due next, None for never, and how many times have passed unused."""


class EqualDistances:
    """Every so many seconds, counted from the making by a clock that nobody sets.

    >>> times = EqualDistances(10.0, clock=iter([0.0, 1.0, 35.0]).__next__)
    >>> times.following(), times.following()
    ((9.0, 0), (5.0, 2))
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        if not 0 < seconds < math.inf:
            raise ValueError(f"seconds must be > 0, got {seconds!r}")
        self._seconds, self._clock = seconds, clock
        self._begin, self._number = clock(), 0

    def following(self) -> tuple[float | None, int]:
        passed = self._clock() - self._begin
        number = max(self._number, math.floor(passed / self._seconds)) + 1
        missed, self._number = number - self._number - 1, number
        return number * self._seconds - passed, missed


class NamedTimes:
    """The times that an iterable names, in order.

    >>> from datetime import timezone
    >>> moments = [datetime.fromtimestamp(second, timezone.utc) for second in (10, 20, 30)]
    >>> times = NamedTimes(moments, clock=iter([1.0, 25.0, 40.0]).__next__)
    >>> times.following(), times.following(), times.following()
    ((9.0, 0), (5.0, 1), (None, 0))
    """

    def __init__(self, times: Iterable[datetime], clock: Callable[[], float] = time.time) -> None:
        self._times, self._clock = iter(times), clock

    def following(self) -> tuple[float | None, int]:
        now, missed = self._clock(), 0
        for when in self._times:
            if not (isinstance(when, datetime) and when.tzinfo is not None):
                raise TypeError(f"times must be datetimes with a time zone, got {when!r}")
            if (seconds := when.timestamp() - now) >= 0:
                return seconds, missed
            missed += 1
        return None, missed
