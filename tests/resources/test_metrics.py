"""Percentiles are close, memory is bounded, counts are exact."""

from __future__ import annotations

import math
import os
import threading
import tracemalloc
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arion_lib.resources import Resources, resource
from arion_lib.resources.metrics import PENDING, Histogram, Meter
from tests.resources.probes import MODES, Log, manager, run

MANY = int(os.environ.get("ARION_METRIC_ADDS", "200000"))  # ten million take a minute
BOUND = 128 * 1024  # bytes: 1,700 buckets of larger ints

durations = st.lists(st.floats(1e-8, 1e5), min_size=1, max_size=300)


@given(durations, st.sampled_from([0.01, 0.5, 0.95, 0.99, 1.0]))
def test_any_percentile_is_within_five_percent_of_the_exact_one(seconds: list[float], share: float) -> None:
    histogram = Histogram()
    histogram.extend(seconds)
    exact = sorted(seconds)[max(1, math.ceil(share * len(seconds))) - 1]
    assert histogram.percentile(share) == pytest.approx(exact, rel=0.05)


def test_percentiles_of_nothing_are_none() -> None:
    assert Histogram().summary().p95 is None


def test_a_share_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"write 0\.95 for the 95th percentile"):
        Histogram().percentile(95)


@pytest.mark.parametrize("seconds", [0.0, -1.0, 1e-30, 1e30])
def test_durations_beyond_the_bounds_are_counted_at_them(seconds: float) -> None:
    histogram = Histogram()
    histogram.add(seconds)
    assert histogram.count == sum(histogram.counts) == 1


def growth(count: Callable[[Iterable[float]], object]) -> int:
    """Bytes that counting `MANY` more durations adds, once 20,000 were counted."""
    count(1e-6 * n for n in range(1, 20_000))
    tracemalloc.start()
    count(1e-6 * (n % 20_000 + 1) for n in range(MANY))
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return grown


def test_millions_more_acquisitions_take_no_more_memory() -> None:
    assert growth(Histogram().extend) < BOUND


def test_a_list_of_durations_would_grow() -> None:
    kept: list[float] = []
    assert growth(kept.extend) > BOUND


def test_what_is_pending_is_bounded() -> None:
    managed = Resources(a=Log().probe("a"))
    for _ in range(3 * PENDING):
        with managed:
            pass
    meter = managed._meters["a"]
    assert max(len(meter.acquired), len(meter.released)) <= PENDING + 1
    assert managed.snapshot()["a"].acquisitions == 3 * PENDING


def test_threads_that_count_at_once_lose_nothing() -> None:
    meter, barrier = Meter(), threading.Barrier(4, timeout=10)

    def count() -> None:
        barrier.wait()
        for _ in range(5_000):
            meter.acquired.append(1.0)
            if len(meter.acquired) > 64:
                meter.tidy()
            meter.failed("acquire")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    figures = meter.figures()
    assert (figures.acquisitions, figures.failures) == (20_000, {"acquire": 20_000})


@pytest.mark.parametrize("mode", MODES)
def test_the_snapshot_counts_what_is_open_and_what_failed_where(mode: str) -> None:
    log = Log()
    managed = manager(mode, a=log.probe("a", on_close=ValueError("late")), b=resource(log.probe("b"), after=["a"]))
    seen = []
    with pytest.raises(ValueError, match="late"):
        run(mode, managed, lambda r: seen.append(managed.snapshot()["a"].open))
    figures = managed.snapshot()
    assert seen == [1]
    assert (figures["a"].acquisitions, figures["a"].open, figures["a"].failures) == (1, 0, {"release": 1})
    assert figures["b"].failures == {}
    assert figures["b"].acquire.count == figures["b"].hold.count == figures["b"].release.count == 1


def test_managers_of_one_class_are_counted_together() -> None:
    class Shop(Resources):
        db = resource(lambda: Log().probe("db"))

    for _ in range(3):
        with Shop():
            pass
    with Shop().override(db=Log().probe("fake")) as fake:
        assert fake.snapshot()["db"].acquisitions == 1
    assert Shop().snapshot()["db"].acquisitions == 3
