"""The figures: exact counts for ever, the last tasks one by one, in bounded memory."""

from __future__ import annotations

import math
import time
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arion_lib.scheduler.monitoring.figures import WINDOW, Figures, spread
from arion_lib.scheduler.monitoring.snapshot import Spread
from arion_lib.scheduler.states import Ended, State

FUNCTION = SimpleNamespace(name="resize")


def ended(
    number: int,
    submitted: float,
    started: float | None = None,
    ended_at: float = 0.0,
    state: State = State.SUCCEEDED,
) -> Any:
    end = Ended(state, None if started is None else 1, started, ended_at)
    return SimpleNamespace(
        number=number,
        _function=FUNCTION,
        options=SimpleNamespace(name=None),
        _submitted=submitted,
        _place=end,
        _more=None,
        name="resize",
    )


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=300))
def test_a_percentile_is_the_smallest_value_that_this_share_does_not_exceed(seconds: list[float]) -> None:
    got = spread(seconds)
    for share, value in ((0.5, got.p50), (0.95, got.p95), (0.99, got.p99), (1.0, got.most)):
        assert value in seconds
        assert sum(one <= value for one in seconds) >= math.floor(share * len(seconds))
        smaller = [one for one in seconds if one < value]
        assert len(smaller) <= share * len(seconds)
    assert got.count == len(seconds)


def test_of_nothing_there_is_no_percentile() -> None:
    assert spread([]) == Spread() == Spread(0, None, None, None, None)
    assert spread([-1e-9]).p50 == 0.0  # two clocks read one after the other


def test_counts_are_for_ever_and_the_ring_is_bounded() -> None:
    figures = Figures(keep=10)
    for number in range(1_000):
        figures.ended([ended(number, 0.0, 1.0, 2.0)])
    figures.ended([ended(1_000, 0.0, state=State.CANCELLED)])
    assert figures.counts[State.SUCCEEDED] == 1_000
    assert figures.counts[State.CANCELLED] == 1
    recent = figures.recent()
    assert [event.task for event in recent] == [*range(991, 1_001)]
    assert recent[-1].state is State.CANCELLED
    assert recent[0].name == "resize"


def test_throughput_and_utilisation_are_about_the_window() -> None:
    figures = Figures(keep=1_000)
    now = figures.opened = 1_000.0
    now += 100.0
    for number in range(100):  # one each half second, 0.25 s long, on one worker
        began = now - number / 2 - 0.25
        figures.ended([ended(number, began - 1.0, began, began + 0.25)])
    window, throughput, utilisation, waiting, running = figures.lately(now, 1)
    assert window == pytest.approx(WINDOW)
    assert throughput == pytest.approx(2.0, rel=0.1)
    assert utilisation == pytest.approx(0.5, rel=0.1)
    assert waiting.p50 == pytest.approx(1.0)
    assert running.most == pytest.approx(0.25)
    assert figures.lately(now, 4)[2] == pytest.approx(0.125, rel=0.1)


def test_a_scheduler_that_did_nothing_has_no_throughput() -> None:
    figures = Figures(keep=10)
    figures.ended([ended(1, 0.0, state=State.CANCELLED)])
    assert figures.lately(time.monotonic(), 2)[1:3] == (0.0, 0.0)


def test_utilisation_is_right_though_one_worker_is_heard_of_after_another() -> None:
    """The full ring begins with the last answer of one worker, followed by earlier ones of another."""
    figures = Figures(keep=3)
    now = figures.opened = 1_000.0
    figures.ended([ended(0, 0.0, now, now + 1.0)])
    figures.ended(
        [ended(1, 0.0, now + 8.0, now + 9.0), ended(2, 0.0, now, now + 4.0), ended(3, 0.0, now + 4.0, now + 8.0)]
    )
    assert figures.lately(now + 9.0, 2)[2] == pytest.approx((0.0 + 1.0 + 4.0) / 5.0 / 2)
