"""Figures in words."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from arion_lib.measure.describe import bars_text, lines_text, spans_text

numbers = st.integers(0, 10**6)
courses = st.dictionaries(
    st.sampled_from(["naive", "ours", "peer"]), st.lists(st.tuples(numbers, numbers), max_size=8), min_size=1
)


def describe(series):
    return lines_text("Grows", "input", "peak", series, "{:g} s".format, "{:g} MB".format)


@given(courses)
def test_every_series_is_named_with_its_first_its_last_and_its_highest_point(series):
    text = describe(series)
    for name, points in series.items():
        (part,) = [part for part in text.split(". ") if part.startswith(f"{name}: ")]
        if not points:
            assert "no points" in part
            continue
        for x, y in (points[0], points[-1], max(points, key=lambda point: point[1])):
            assert f"{y:g} MB" in part
            assert x >= 0
        assert f"{points[-1][0]:g} s" in part


@given(courses)
def test_the_same_data_give_the_same_text(series):
    assert describe(series) == describe(dict(series))


def test_other_data_give_another_text():
    assert describe({"a": [(0, 1), (1, 2)]}) != describe({"a": [(0, 1), (1, 3)]})


def test_the_title_ends_as_a_sentence():
    assert bars_text("Ours wins!", "time", {"ours": 1}, "ours").startswith("Ours wins! Bars")
    assert bars_text("Ours wins", "time", {"ours": 1}, "ours").startswith("Ours wins. Bars")


def test_a_row_without_spans_says_so():
    assert "cache: nothing." in spans_text("Order", {"cache": []}, "{:g} s".format)
