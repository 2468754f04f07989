"""When a periodic call is due, by clocks that the tests drive: missed times, clocks that are set, daylight saving."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from arion_lib.scheduler.submitting.times import EqualDistances, NamedTimes, cron, times_of

BERLIN = ZoneInfo("Europe/Berlin")


class Clock:
    """Stands still until a test sets it."""

    def __init__(self, *moment: int, zone: ZoneInfo = BERLIN) -> None:
        self.zone, self.now = zone, 0.0
        self.set(*moment)

    def set(self, *moment: int, fold: int = 0) -> None:
        self.now = datetime(*moment, tzinfo=self.zone, fold=fold).timestamp()  # type: ignore[misc,arg-type]

    def __call__(self) -> float:
        return self.now


def walls(expression: str, clock: Clock, count: int) -> list[str]:
    """Return the next times of an expression, as the clock on the wall shows them, with the distance from UTC."""
    times = cron(expression, clock.zone, clock=clock)
    return [next(times).strftime("%d %H:%M %z") for _ in range(count)]


def follow(expression: str, clock: Clock) -> NamedTimes:
    return NamedTimes(cron(expression, clock.zone, clock=clock), clock)


def daily(hour: int, zone: str) -> Iterator[datetime]:
    """What a library for cron expressions does: the same hour on the wall each day."""
    day = datetime(2026, 3, 28, hour, tzinfo=ZoneInfo(zone))
    while True:
        yield day
        day += timedelta(days=1)


def test_the_same_hour_on_the_wall_is_an_hour_earlier_after_the_clocks_change() -> None:
    moment = datetime(2026, 3, 28, 0, tzinfo=UTC).timestamp()
    clock = iter([moment, moment + 9 * 3_600]).__next__
    times = NamedTimes(daily(9, "Europe/Berlin"), clock)
    assert times.following() == (8 * 3_600, 0)
    assert times.following() == (22 * 3_600, 0), "23 hours lie between the two"


def test_missed_times_are_reckoned_not_counted_one_by_one() -> None:
    clock: Any = iter([0.0, 1e9]).__next__
    assert EqualDistances(0.001, clock).following()[1] == pytest.approx(1e12, rel=1e-6)


def test_times_that_pass_while_a_run_runs_are_skipped_and_counted() -> None:
    clock = Clock(2026, 6, 1, 12, 0)
    times = follow("*/5 * * * *", clock)
    assert times.following() == (300, 0)
    clock.set(2026, 6, 1, 12, 31)  # it began at 12:05 and took 26 minutes: 12:10 to 12:30 are missed
    assert times.following() == (4 * 60, 5)


def test_a_clock_that_is_put_back_brings_no_time_twice() -> None:
    clock = Clock(2026, 6, 1, 12, 0)
    times = follow("*/5 * * * *", clock)
    assert times.following() == (300, 0)
    clock.set(2026, 6, 1, 11, 0)
    assert times.following() == (70 * 60, 0), "12:05 has been; 12:10 is next"


def test_a_clock_that_is_put_forward_misses_what_it_leaps_over() -> None:
    clock = Clock(2026, 6, 1, 12, 0)
    times = follow("0 * * * *", clock)
    assert times.following() == (3_600, 0)
    clock.set(2026, 6, 2, 12, 30)
    assert times.following() == (1_800, 23)


def test_in_the_night_when_clocks_go_forward_a_time_that_is_left_out_comes_at_the_change() -> None:
    clock = Clock(2026, 3, 28, 12, 0)
    assert walls("30 2 * * *", clock, 3) == ["29 03:00 +0200", "30 02:30 +0200", "31 02:30 +0200"]
    clock.set(2026, 3, 29, 1, 30)
    assert walls("*/30 * * * *", clock, 3) == ["29 03:00 +0200", "29 03:30 +0200", "29 04:00 +0200"]


def test_in_the_night_when_clocks_go_back_a_fixed_time_comes_once_and_a_step_by_real_time() -> None:
    clock = Clock(2026, 10, 24, 12, 0)
    assert walls("30 2 * * *", clock, 2) == ["25 02:30 +0200", "26 02:30 +0100"]
    clock.set(2026, 10, 25, 1, 45)
    halves = ["25 02:00 +0200", "25 02:30 +0200", "25 02:00 +0100", "25 02:30 +0100", "25 03:00 +0100"]
    assert walls("*/30 * * * *", clock, 5) == halves


def test_the_control_naive_days_of_24_hours_leave_the_hour_on_the_wall() -> None:
    before = datetime(2026, 3, 28, 9, tzinfo=BERLIN)
    after = datetime.fromtimestamp(before.timestamp() + 24 * 3_600, BERLIN)
    assert after.hour == 10
    clock = Clock(2026, 3, 28, 8, 0)
    assert walls("0 9 * * *", clock, 2) == ["28 09:00 +0100", "29 09:00 +0200"]


def test_without_a_zone_an_expression_means_utc() -> None:
    assert next(cron("0 9 * * *", clock=lambda: 0.0)) == datetime(1970, 1, 1, 9, tzinfo=UTC)
    assert isinstance(times_of("0 9 * * *"), NamedTimes)


@pytest.mark.parametrize("expression", ["", "* * * *", "61 * * * *", "0 25 * * *", "@daily", "* * * * * * *"])
def test_what_is_no_cron_expression_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match=r"when must be a cron expression of five fields, such as .*, got"):
        times_of(expression)


@pytest.mark.parametrize("zone", ["Europe/Nowhere", "", "../etc", "Europe"])
def test_what_is_no_zone_is_refused(zone: str) -> None:
    with pytest.raises(ValueError, match="zone must be the name of a time zone"):
        cron("0 9 * * *", zone)
