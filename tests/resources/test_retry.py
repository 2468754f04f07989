"""The schedule of waits, and who is tried again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arion_lib.resources import Resources, Retry, resource
from tests.resources.probes import MODES, Log, manager, run


@given(st.integers(1, 30), st.floats(0, 5, allow_nan=False), st.floats(0, 60), st.lists(st.floats(0, 1), min_size=30))
def test_waits_double_up_to_the_bound_and_jitter_only_shortens(
    attempts: int, backoff: float, more: float, drawn: list[float]
) -> None:
    draws = iter(drawn)
    schedule = Retry(attempts, backoff, backoff + more, draw=lambda: next(draws))
    waits = list(schedule.waits())
    assert len(waits) == attempts - 1
    for number, (wait, draw) in enumerate(zip(waits, drawn, strict=False)):
        assert wait == pytest.approx(min(backoff + more, backoff * 2**number) * draw)


def test_jitter_keeps_two_clients_apart() -> None:
    assert list(Retry(attempts=5).waits()) != list(Retry(attempts=5).waits())


@pytest.mark.parametrize("wrong", [{"attempts": 0}, {"backoff": -1}, {"backoff": 2, "longest": 1}])
def test_a_wrong_schedule_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"must be"):
        Retry(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"attempts": "3"}, "attempts must be a whole number, got '3'"),
        ({"attempts": 2.5}, "attempts must be a whole number, got 2.5"),
        ({"backoff": "1"}, "backoff must be a number of seconds, got '1'"),
        ({"longest": None}, "longest must be a number of seconds, got None"),
        ({"on": OSError}, r"on must be a tuple of Exception classes, got .*; write on=\(OSError,\)"),
    ],
)
def test_a_schedule_of_the_wrong_type_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Retry(**wrong)


@pytest.mark.parametrize("mode", MODES)
def test_only_the_named_errors_are_tried_again(mode: str) -> None:
    tries: list[int] = []
    probe = Log().probe("a", on_open=ValueError("no"), hooks={"open": lambda: tries.append(1)})
    with pytest.raises(ValueError, match="no"):
        run(mode, manager(mode, a=resource(probe, retry=Retry(attempts=5, backoff=0, on=(OSError,)))))
    assert tries == [1]


@pytest.mark.parametrize("mode", MODES)
def test_the_last_attempts_error_says_how_many_there_were(mode: str) -> None:
    probe = Log().probe("a", on_open=OSError("down"))
    managed: Resources = manager(mode, a=resource(probe, retry=Retry(attempts=3, backoff=0)))
    with pytest.raises(OSError, match="down") as caught:
        run(mode, managed)
    assert "attempt 3 of 3 was the last" in caught.value.__notes__
    assert managed.snapshot()["a"].failures == {"attempt": 2, "acquire": 1}
