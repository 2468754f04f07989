"""Every moment lies in exactly one window, however it is written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arion_lib.pipeline.numbers.windows import Window
from arion_lib.pipeline.projection import projection

moments = st.datetimes(
    min_value=datetime(1900, 1, 1),
    max_value=datetime(2200, 1, 1),
    timezones=st.just(UTC),
)


@given(moments, st.integers(1, 10**6))
def test_the_window_starts_at_or_before_the_moment_and_ends_behind_it(moment: datetime, seconds: int) -> None:
    start = datetime.fromisoformat(str(Window("at", seconds).start(moment)))
    assert start <= moment < start + timedelta(seconds=seconds)
    assert (start - datetime(1970, 1, 1, tzinfo=UTC)) % timedelta(seconds=seconds) == timedelta()


@given(moments, st.integers(-12, 14))
def test_one_moment_has_one_window_however_it_is_written(moment: datetime, hours: int) -> None:
    window, name = Window("at", 60), Window("at", 60).start(moment)
    elsewhere = moment + timedelta(hours=hours)
    written = elsewhere.replace(tzinfo=None).isoformat() + f"{'-' if hours < 0 else '+'}{abs(hours):02d}:00"
    micros = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert window.start(written) == name
    assert window.start(moment.replace(tzinfo=None)) == name
    assert Window("at", 60, per_second=1_000_000).start(micros) == name
    assert window.start(micros // 1_000_000) == name


def test_dividing_floats_would_put_a_moment_into_the_window_before() -> None:
    assert 0.3 // 0.1 == 2.0  # the control
    assert Window("at", 0.1).start(0.3) == "1970-01-01T00:00:00.300000Z"


@pytest.mark.parametrize("time", ["yesterday", "2026-13-01T00:00:00Z", True, [], 1e300, 10**30, "", -(10**15)])
def test_a_time_that_cannot_be_read_is_refused(time: object) -> None:
    with pytest.raises(ValueError, match="must"):
        Window("at", 60)({"at": time})


def test_a_missing_time_belongs_to_the_window_none() -> None:
    assert Window("at", 60)({}) is None


@pytest.mark.parametrize("arguments", [("at", 0), ("at", float("nan")), ("at", -1), ("at", 60, 0), ("", 60)])
def test_wrong_arguments_are_refused_when_it_is_built(arguments: tuple[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Window(*arguments)


@pytest.mark.parametrize(
    "time", ["1772123100123", "1772352000123", "20260301T105959", "2026-W09-7", "2026-03-01", "1772352000"]
)
def test_a_text_that_a_projection_refuses_is_refused_in_a_dict_too(time: str) -> None:
    assert datetime.fromisoformat("1772123100123").year == 1772  # the control: milliseconds in another century
    with pytest.raises(ValueError, match="must be an ISO 8601 date-time"):
        Window("at", 60)({"at": time})
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode({"at": time}), type=projection(times=["at"]))
