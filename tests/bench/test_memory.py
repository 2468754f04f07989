"""Contenders' peaks side by side."""

from __future__ import annotations

import os
from functools import partial

import pytest

from arion_lib.bench.memory import compare_memory, peaks_table
from arion_lib.bench.scheduler.tasks import KILL
from arion_lib.bench.verdicts import at_most


def holds(size: int) -> int:
    return len(bytearray(b"x") * size)


def killed() -> None:
    os.kill(os.getpid(), KILL)


def peer() -> None:
    import no_such_package_at_all  # noqa: F401


def test_peaks_are_held_to_bounds_and_to_one_another():
    targets = {"large": [at_most(24e6, "B"), at_most(4e6, "B", of="small")], "small": at_most(24e6, "B")}
    result = compare_memory({"small": partial(holds, 1_000_000), "large": partial(holds, 20_000_000)}, targets=targets)
    assert [verdict.met for verdict in result.verdicts] == [True, False, True]
    assert not result.ok
    assert "met     large: at most 24.0 MB" in result.table()
    assert "MISSED  large: at most 4.00 MB over small" in result.table()


def test_who_is_absent_or_killed_is_listed_and_a_target_missed_by_not_ending_counts() -> None:
    result = compare_memory({"peer": peer, "none": None, "killed": killed}, targets={"killed": at_most(1, "B")})
    assert [*map(tuple, result.lines)][:2] == [("peer", "not installed"), ("none", "not installed")]
    assert "killed | the measured process" in result.table()
    assert not result.ok
    assert compare_memory({"peer": peer}, targets={"peer": at_most(1, "B")}).ok  # absent is not missed


def test_a_smaller_peak_stands_first_and_a_distance_is_judged() -> None:
    found = peaks_table("", {"a": (9, 0.0), "b": (5, 0.0)}, {"a": [at_most(8, "B"), at_most(4, "B", of="b")]})
    assert [line[0] for line in found.lines] == ["b", "a"]
    assert [verdict.met for verdict in found.verdicts] == [False, True]


def test_a_target_that_names_no_contender_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must name a contender \(a\), got 'b'"):
        compare_memory({"a": int}, targets={"a": at_most(1, "B", of="b")})
