"""Verdicts come out either way, and the tables say which."""

from __future__ import annotations

import pytest

from arion_lib.bench.ratios import Runs, compared
from arion_lib.bench.verdicts import Bound, Table, Verdict, at_least, at_most, spread, summary, worst


def met(target: Bound, **runs: Runs) -> bool | None:
    return compared("", "PPE", runs, {"ours": [target]}).verdicts[0].met


@pytest.mark.parametrize(
    ("ours", "kept"),
    [([1.0, 1.0, 1.0], True), ([1.0, 3.0, 3.0], False), ([3.0, 3.0, 1.0], False), ([1.0, 1.0, 9.0], True)],
)
def test_the_median_over_rounds_decides(ours: list[float], kept: bool) -> None:
    assert met(at_least(12), ours=ours, PPE=[12.0, 12.0, 12.0]) is kept
    assert met(at_most(1 / 12), ours=ours, PPE=[12.0, 12.0, 12.0]) is kept


def test_a_ratio_is_taken_within_a_round() -> None:
    drifting = {"ours": [1.0, 10.0, 100.0], "PPE": [20.0, 200.0, 2_000.0]}
    assert met(at_least(20), **drifting)
    assert not met(at_least(21), **drifting)


def test_ours_that_hangs_has_missed_and_a_peer_that_hangs_decides_nothing() -> None:
    assert met(at_least(12), ours="hangs", PPE=[1.0]) is False
    assert met(at_least(12), ours=[1.0], PPE="hangs") is None
    found = compared("t", "PPE", {"ours": [1.0], "PPE": "hangs"}, {"ours": [at_least(12)]})
    assert "\nPPE  |  hangs |" in found.table()
    assert "not run ours: speed at least 12x: PPE: hangs" in found.table()
    assert at_most(1, "s").judge("x", "hangs").met is at_least(1, "s").judge("x", None).met is False
    assert at_most(1, "s").judge("x", "not installed").met is None


@pytest.mark.parametrize(
    ("bound", "good", "bad", "said"),
    [
        (at_most(0.010, "s"), 0.010, 0.011, "p50: at most 10.0 ms: 10.0 ms"),
        (at_most(4e6, "B", of="small"), 4e6, 5e6, "p50: at most 4.00 MB over small: 4.00 MB"),
        (at_most(2, "%"), 1.5, 2.5, "p50: at most 2 %: 1.5 %"),
        (at_least(0.75, ""), 0.8, 0.7, "p50: at least 0.75: 0.8"),
        (at_least(6, of="json"), 7.0, 5.0, "p50: speed at least 6x json: 7x"),
    ],
)
def test_one_kind_of_bound_judges_ratios_seconds_and_bytes(bound: Bound, good: float, bad: float, said: str) -> None:
    assert str(bound.judge("p50", good)) == f"  met     {said}"
    assert bound.judge("p50", bad).met is False


def test_the_summary_counts_what_was_missed() -> None:
    good, bad = Verdict("at most 3", "2", True), Verdict("at most 3", "4", False)
    tables = [Table("a", ("name",), [("ours", "2")], [good]), Table("b", ("name",), [("ours",)], [good, bad])]
    assert [table.ok for table in tables] == [True, False]
    assert summary(tables) == "2 of 3 targets not missed\n  MISSED  b: at most 3: 4"
    assert summary(tables[:1]) == "1 of 1 targets not missed"
    assert "MISSED  at most 3: 4" in tables[1].table()
    assert [verdict["met"] for verdict in tables[1].as_dict()["verdicts"]] == [True, False]


def test_how_seconds_were_spread_is_said_and_a_word_stays_a_word() -> None:
    assert spread([0.001, 0.002, 0.009]) == "least 1.00 ms, p50 2.00 ms, max 9.00 ms"
    assert (spread("hangs"), spread([])) == ("hangs", "-")
    assert (worst([0.001, 0.009]), worst("hangs"), worst([])) == (0.009, "hangs", None)
