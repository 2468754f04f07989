"""Verdicts come out either way, and the tables say which."""

from __future__ import annotations

import pytest

from arion_lib.bench.ratios import Comparison, Runs, Target, at_least, at_most
from arion_lib.bench.verdicts import Table, Verdict, spread, summary
from arion_lib.bench.verdicts import at_least as value_at_least
from arion_lib.bench.verdicts import at_most as value_at_most


def met(target: Target, **runs: Runs) -> bool | None:
    return Comparison("", "PPE", runs, {"ours": [target]}).verdicts[0].met


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
    found = Comparison("t", "PPE", {"ours": [1.0], "PPE": "hangs"}, {"ours": [at_least(12)]})
    assert "\nPPE  |  hangs |" in found.table()
    assert "not run ours: speed at least 12x: PPE: hangs" in found.table()
    assert value_at_most("x", "hangs", 1).met is value_at_least("x", None, 1).met is False


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
