"""When a periodic call is due: at equal distances, at times that somebody names, at those of a cron expression.

Idea        Whoever asks gets one number: in how many seconds the next time comes. Clocks are arguments.
Invariant   Times that have passed are skipped and counted, never made up for; no time comes twice (test_times.py).
When wrong  What is no time, no zone or no cron expression is refused where it is written.
See         tests/scheduler/test_times.py · tests/scheduler/test_periodic.py

Equal distances are counted by a clock that nobody sets. Named times follow the clock on the wall, looked at when a run
has ended: a clock that is set, or a machine that sleeps, while a run waits for its time shifts that run and no other.

A cron expression means the clock on the wall of its zone, UTC unless `cron(expression, zone)` names another. In the
night when clocks go forward, a fixed time that is left out comes at the moment of the change; in the night when they
go back, a fixed time comes once, the first time. Where minutes or hours have a `*`, times go on by real time. These
are the rules of Debian's cron.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, tzinfo
from typing import Protocol


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


def cron(expression: str, zone: str | tzinfo = UTC, *, clock: Callable[[], float] = time.time) -> Iterator[datetime]:
    """Return the times of a cron expression from now on, by the wall clock of a zone: a name, or a `tzinfo`.

    Five fields: minute, hour, day of the month, month, day of the week; six: seconds before them.
    `scheduler.every(cron("0 9 * * 1-5", "Europe/Berlin"), fn)` runs at nine on working days. Raises `ValueError`.

    >>> times = cron("*/20 9 * * *", clock=lambda: 0.0)
    >>> [next(times).strftime("%H:%M") for _ in range(4)]
    ['09:00', '09:20', '09:40', '09:00']
    """
    from zoneinfo import ZoneInfo  # most programs name no zone

    from cronsim import CronSim, CronSimError

    try:
        where = ZoneInfo(zone) if isinstance(zone, str) else zone
    except (ValueError, LookupError, OSError):  # OSError: the name of a folder of zones
        raise ValueError(f"zone must be the name of a time zone, such as 'Europe/Berlin', got {zone!r}") from None
    try:
        return CronSim(expression, datetime.fromtimestamp(clock(), where))
    except CronSimError as error:
        wanted = "a cron expression of five fields, such as '*/5 * * * *'"
        raise ValueError(f"when must be {wanted}, got {expression!r}: {error}") from None


def times_of(when: float | str | Iterable[datetime]) -> Times:
    """Return the times that somebody wrote: seconds, a cron expression, or datetimes with a time zone."""
    if isinstance(when, (int, float)):
        return EqualDistances(when)
    return NamedTimes(cron(when) if isinstance(when, str) else when)
