"""Verdicts come out either way, and the tables say which."""

from __future__ import annotations

import pytest

from arion_lib.bench._scheduler_rows import (
    Row,
    Runs,
    Summary,
    Verdict,
    at_least,
    at_most,
    rated,
    span,
    times_as_long,
    times_faster,
)


@pytest.mark.parametrize(
    ("ours", "met"),
    [([1.0, 1.0, 1.0], True), ([1.0, 3.0, 3.0], False), ([3.0, 3.0, 1.0], False), ([1.0, 1.0, 9.0], True)],
)
def test_the_median_over_rounds_decides(ours: list[float], met: bool) -> None:
    runs: dict[str, Runs] = {"ours": ours, "PPE": [12.0, 12.0, 12.0]}
    assert times_faster(12, runs, "PPE").met is met
    assert times_as_long(1 / 12, runs, "PPE").met is met


def test_a_ratio_is_taken_within_a_round() -> None:
    drifting: dict[str, Runs] = {"ours": [1.0, 10.0, 100.0], "PPE": [20.0, 200.0, 2_000.0]}
    assert times_faster(20, drifting, "PPE").met
    assert not times_faster(21, drifting, "PPE").met


def test_ours_that_hangs_has_missed_and_a_peer_that_hangs_decides_nothing() -> None:
    assert times_faster(12, {"ours": "hangs", "PPE": [1.0]}, "PPE").met is False
    verdict = times_faster(12, {"ours": [1.0], "PPE": "hangs"}, "PPE")
    assert verdict.met is None
    assert "hangs" in str(verdict)
    assert at_most("x", "hangs", 1).met is at_least("x", None, 1).met is False


def test_the_summary_counts_what_was_missed() -> None:
    good, bad = Verdict("at most 3", "2", True), Verdict("at most 3", "4", False)
    head = ("contender", "value")
    rows = (Row("a", "an a", head, (("ours", "2"),), (good,)), Row("b", "a b", head, (("ours", "4"),), (good, bad)))
    summary = Summary(rows, "a note")
    assert [row.ok for row in rows] == [True, False]
    assert not summary.ok
    assert Summary(rows[:1]).ok
    assert "2 of 3 targets not missed" in summary.table()
    assert "a note" in summary.table()
    assert [verdict["met"] for verdict in summary.as_dict()["verdicts"]] == [True, True, False]
    assert "MISSED  at most 3: 4" in rows[1].table()


def test_a_contender_without_values_is_a_line_with_its_reason() -> None:
    lines = rated({"PPE": [2.0, 2.0], "ours": [1.0, 1.0], "dask": "not installed"}, "PPE", span)
    assert lines == [
        ("PPE", "2.00 s", "2.00 s", "1x"),
        ("ours", "1.00 s", "1.00 s", "2x"),
        ("dask", "not installed", "", ""),
    ]
