"""Results as values that read in one line."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arion_lib.measure.results import Measurement, Memory, Returned, Throughput, max_sample, thinned

MEMORY = Memory(12_300_000, 21_000_000, 1.23, ((0.0, 0), (0.01, 5)), exact=True, returned=Returned(7))
SPEED = Throughput(0.5, 100_000_000, "B", ((0.0, 0),), Returned(7))


def test_the_repr_is_one_line_with_units():
    assert repr(MEMORY) == "Memory(peak +12.3 MB over 21.0 MB, 1.23 s, 2 samples)"
    assert repr(SPEED) == "Throughput(200 MB/s: 100 MB in 500 ms)"
    assert repr(Measurement(MEMORY, SPEED)) == "Measurement(peak +12.3 MB, 500 ms, 200 MB/s)"


def test_code_that_never_ticked_is_told_how_to():
    assert repr(Throughput(0.5, 0, "", ())) == "Throughput(500 ms; nothing counted: call tick(n) in the function)"
    assert repr(Measurement(MEMORY, Throughput(0.5, 0, "", ()))) == "Measurement(peak +12.3 MB, 500 ms)"


def test_a_result_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        MEMORY.peak = 0
    assert not hasattr(MEMORY, "__dict__")


def test_both_runs_in_one_value():
    both = Measurement(MEMORY, SPEED)
    assert (both.peak, both.seconds, both.rate, both.value) == (12_300_000, 0.5, 200_000_000, 7)


def test_a_lost_value_raises_when_it_is_asked_for():
    lost = dataclasses.replace(MEMORY, returned=Returned(lost="too large"))
    assert lost.peak == MEMORY.peak
    with pytest.raises(ValueError, match="too large"):
        _ = lost.value


def test_no_seconds_is_no_rate_and_no_crash():
    assert Throughput(0.0, 5, "", ()).rate == 0


samples = st.lists(st.tuples(st.floats(0, 1e3), st.integers(-(10**9), 10**9)), min_size=1, max_size=200).map(tuple)


@given(samples, st.integers(1, 50))
def test_thinning_keeps_the_bound_the_order_and_the_highest_sample(found, most):
    kept = thinned(found, most, max_sample)
    assert len(kept) <= most
    assert max(figure for _, figure in kept) == max(figure for _, figure in found)
    places = [found.index(sample) for sample in kept]
    assert places == sorted(places) or len(set(found)) < len(found)


@given(samples)
def test_taking_each_nth_sample_instead_would_lose_a_peak(found):
    """The control: the spike between two kept samples is gone."""
    spiked = (*found, (1e4, 0), (1e4 + 1, 10**10), (1e4 + 2, 0))
    step = -(-len(spiked) // 2)
    naive = spiked[::step]
    kept = thinned(spiked, 2, max_sample)
    assert max(figure for _, figure in kept) == 10**10
    assert naive[-1] is spiked[-2] or max(figure for _, figure in naive) < 10**10


def test_no_samples_stay_no_samples():
    assert thinned((), 5, max_sample) == ()
