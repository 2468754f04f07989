"""Percentiles are close, memory is bounded."""

from __future__ import annotations

import math
import os
import tracemalloc
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arion_lib.histogram import Histogram, exact_percentiles

MANY = int(os.environ.get("ARION_METRIC_ADDS", "200000"))  # ten million take a minute
BOUND = 128 * 1024  # bytes: 1,700 buckets of larger ints

durations = st.lists(st.floats(1e-8, 1e5), min_size=1, max_size=300)


@given(durations, st.sampled_from([0.01, 0.5, 0.95, 0.99, 1.0]))
def test_any_percentile_is_within_one_percent_of_the_exact_one(seconds: list[float], share: float) -> None:
    histogram = Histogram()
    histogram.extend(seconds)
    exact = sorted(seconds)[max(1, math.ceil(share * len(seconds))) - 1]
    assert histogram.percentile(share) == pytest.approx(exact, rel=0.0101)


def test_percentiles_of_nothing_are_none() -> None:
    assert Histogram().summary().p95 is None


def test_a_share_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"write 0\.95 for the 95th percentile"):
        Histogram().percentile(95)


@pytest.mark.parametrize("seconds", [0.0, -1.0, 1e-30, 1e30])
def test_durations_beyond_the_bounds_are_counted_at_them(seconds: float) -> None:
    histogram = Histogram()
    histogram.add(seconds)
    assert histogram.count == sum(histogram.counts.values()) == 1


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


@given(durations, durations, st.integers(1, 5))
def test_merged_and_weighted_counts_are_those_of_all_durations(one: list[float], two: list[float], times: int) -> None:
    weighted, other, whole = Histogram(), Histogram(), Histogram()
    for seconds in one:
        weighted.add(seconds, times)
    other.extend(two)
    weighted.merge(other)
    whole.extend([*one * times, *two])
    assert (weighted.count, weighted.counts, weighted.longest) == (whole.count, whole.counts, whole.longest)
    assert weighted.mean == pytest.approx(whole.mean)


@given(st.lists(st.integers(), min_size=1), st.floats(0, 1))
def test_an_exact_percentile_is_the_smallest_value_that_enough_do_not_exceed(values: list[int], share: float) -> None:
    (found,) = exact_percentiles(values, [share])
    assert sum(value <= found for value in values) >= share * len(values)
    below = [value for value in values if value < found]
    assert not below or len(below) < share * len(values)
