"""Figures as a person reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arion_lib.units import (
    BYTES,
    COUNTS,
    SECONDS,
    amount_text,
    bytes_text,
    count_text,
    rate_text,
    seconds_text,
)

_FIGURE = re.compile(r"\s*(-?[\d,]*\.?\d+(?:e[+-]?\d+)?)\s*([A-Za-z]*)\s*")


def read(text: str, units: Mapping[str, float]) -> float:
    match = _FIGURE.fullmatch(text)
    if match is None or match[2] not in units:
        raise ValueError(f"text must be a number and one of {', '.join(u or 'no unit' for u in units)}, got {text!r}")
    return float(match[1].replace(",", "")) * units[match[2]]


read_seconds, read_bytes, read_count = (partial(read, units=units) for units in (SECONDS, BYTES, COUNTS))
PAIRS = [(seconds_text, read_seconds, 1e-9), (bytes_text, read_bytes, 1.0), (count_text, read_count, 1.0)]
sizes = st.floats(min_value=1, max_value=1e12)


@pytest.mark.parametrize(("write", "read", "smallest"), PAIRS)
@given(value=sizes)
def test_a_printed_figure_reads_back_within_half_a_per_cent(write, read, smallest, value):
    assert read(write(value * smallest)) == pytest.approx(value * smallest, rel=0.005)


@pytest.mark.parametrize(("write", "read", "smallest"), PAIRS)
@given(a=sizes, b=sizes)
def test_a_larger_value_never_prints_smaller(write, read, smallest, a, b):
    small, large = sorted([a * smallest, b * smallest])
    assert read(write(small)) <= read(write(large))


def test_the_unit_is_chosen_after_rounding():
    assert bytes_text(999_960) == "1.00 MB"
    assert f"{999_960 / 1e3:.3g} kB" == "1e+03 kB"  # control: the unit chosen first


@given(value=st.integers(min_value=0, max_value=999))
def test_a_small_whole_number_stays_whole(value):
    assert count_text(value) == str(value)
    assert bytes_text(value) == f"{value} B"


def test_a_negative_growth_keeps_its_sign():
    assert bytes_text(-16_800_000) == "-16.8 MB"
    assert read_bytes("-16.8 MB") == -16_800_000


def test_bytes_are_scaled_as_bytes_and_other_things_by_name():
    assert rate_text(2e9, "B") == "2.00 GB/s"
    assert rate_text(2e9, "records") == "2.00 G records/s"
    assert amount_text(3, "B") == "3 B"


def test_figures_that_are_no_numbers_are_shown_as_they_are():
    assert seconds_text(float("inf")) == "inf"
    assert seconds_text(float("nan")) == "nan"
