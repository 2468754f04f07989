"""Several measurements side by side."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arion_lib.measure import measure_each, measure_growth, tick
from arion_lib.measure.results import Memory
from arion_lib.measure.tables import Growth, Stopped, html_table, text_table


def holds(size):
    tick(size)
    return len(bytearray(b"x") * size)


def streams(size):
    for _ in range(0, size, 100_000):
        bytearray(b"x") * 100_000
        tick(100_000)


def ends(size):
    os._exit(3)


def memory(peak: int) -> Memory:
    return Memory(peak, 0, 1.0, (), exact=True)


def test_each_version_is_measured_and_one_that_ends_becomes_a_row(no_leaks):
    table = measure_each({"holds": holds, "streams": streams, "ends": ends}, 30_000_000, unit="B")
    assert list(table) == ["holds", "streams", "ends"]
    assert table["holds"].peak > 29e6 > table["streams"].peak
    assert table["streams"].throughput.count == 30_000_000
    assert list(table.measurements()) == ["holds", "streams"]
    with pytest.raises(LookupError, match="'ends' was stopped: the measured process ended with exit code 3"):
        _ = table["ends"]
    with pytest.raises(KeyError, match="holds, streams, ends"):
        _ = table["other"]
    assert "exit code 3" in str(table)
    assert table._repr_html_().count("<tr>") == len(table) + 1


def test_a_raised_exception_becomes_no_row():
    with pytest.raises(ZeroDivisionError):
        measure_each({"breaks": lambda: 1 / 0})


@pytest.mark.parametrize(
    ("versions", "inputs", "said"),
    [
        ([len], {1: "a"}, "versions must be a dict of name to function, got list"),
        (len, {1: "a"}, "versions must be a dict of name to function, got builtin_function_or_method"),
        ({}, {1: "a"}, "versions must be a dict of name to function, got an empty one: nothing would be measured"),
        ({"len": len}, ["a"], "inputs must be a dict of size to input, got list"),
        ({"len": len}, {}, "inputs must be a dict of size to input, got an empty one: nothing would be measured"),
    ],
)
def test_what_is_no_dict_of_versions_or_inputs_is_refused_before_a_process_starts(versions, inputs, said, monkeypatch):
    monkeypatch.setattr("subprocess.Popen", None)
    with pytest.raises((TypeError, ValueError)) as refused:
        measure_growth(versions, inputs)
    assert str(refused.value) == said
    if "versions" in said:
        with pytest.raises((TypeError, ValueError)) as refused:
            measure_each(versions, "a")
        assert str(refused.value) == said


def test_growth_tells_what_follows_the_input_from_what_does_not():
    growth = measure_growth({"holds": holds, "streams": streams}, {n: n for n in (2_000_000, 40_000_000)}, unit="B")
    assert growth.slope("holds") > 0.9
    assert growth.slope("streams") < 0.1
    assert growth["holds", 40_000_000].peak > 39e6
    assert growth.series("holds")[1] == (40_000_000, growth["holds", 40_000_000].peak)
    assert (growth.versions, growth.sizes) == (["holds", "streams"], [2_000_000, 40_000_000])
    assert str(growth).splitlines()[0] == "peak memory at |  2.00 MB |  40.0 MB"


def test_a_stopped_size_is_shown_and_left_out_of_the_series():
    growth = Growth("B", (("v", 10, memory(5)), ("v", 20, Stopped("too long"))))
    assert growth.series("v") == [(10, 5)]
    assert "stopped" in str(growth)
    with pytest.raises(LookupError, match="too long"):
        _ = growth["v", 20]
    with pytest.raises(ValueError, match="two sizes"):
        growth.slope("v")
    with pytest.raises(KeyError, match="was measured"):
        _ = growth["w", 20]


def test_what_was_measured_apart_can_be_drawn_together():
    first, then = Growth("B", (("v", 10, memory(5)),)), Growth("B", (("w", 10, memory(7)), ("w", 20, memory(8))))
    both = first + then
    assert (both.versions, both.sizes) == (["v", "w"], [10, 20])
    assert (both.series("v"), both.series("w")) == ([(10, 5)], [(10, 7), (20, 8)])
    for other in (first, Growth("records", then.rows)):
        with pytest.raises(ValueError, match="one unit and versions of their own"):
            _ = first + other


cells = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="|"), max_size=12)


@given(st.integers(1, 4).flatmap(lambda n: st.lists(st.lists(cells, min_size=n, max_size=n), min_size=1, max_size=5)))
def test_every_column_of_a_text_table_is_as_wide_as_its_widest_cell(lines):
    head, *rows = lines
    shown = text_table(head, rows).split("\n")
    assert len(shown) == len(rows) + 2
    assert len(shown[1]) == sum(max(len(line[i]) for line in lines) for i in range(len(head))) + 3 * (len(head) - 1)
    assert all(len(line) <= len(shown[1]) for line in shown)


def test_a_name_cannot_break_out_of_the_html_table():
    assert "<script>" not in html_table(["a"], [["<script>alert(1)</script>"]])
