"""Contenders' peaks side by side."""

from __future__ import annotations

from functools import partial

import pytest

from arion_lib.bench.memory import compare_memory, peaks_table
from arion_lib.bench.verdicts import at_most


def holds(size: int) -> int:
    return len(bytearray(b"x") * size)


def forever() -> None:
    keep = []
    while True:
        keep.append(bytearray(b"x") * 10_000_000)


def peer() -> None:
    import no_such_package_at_all  # noqa: F401


def test_peaks_are_held_to_bounds_and_to_one_another():
    targets = {"large": [at_most(24e6, "B"), at_most(4e6, "B", of="small")], "small": at_most(24e6, "B")}
    result = compare_memory({"small": partial(holds, 1_000_000), "large": partial(holds, 20_000_000)}, targets=targets)
    assert [verdict.met for verdict in result.verdicts] == [True, False, True]
    assert not result.ok
    assert "met     large: at most 24.0 MB" in result.table()
    assert "MISSED  large: at most 4.00 MB over small" in result.table()


def test_the_worst_round_counts():
    result = compare_memory({"a": partial(holds, 5_000_000)}, rounds=2)
    assert len(result.figures["peaks"]["a"]) == 2
    one_larger = peaks_table("", {"a": ([5, 9], 0.0)}, {"a": [at_most(8, "B")]})
    assert [verdict.met for verdict in one_larger.verdicts] == [False]


def test_who_is_absent_or_stopped_is_listed_and_a_target_missed_by_not_ending_counts():
    result = compare_memory(
        {"peer": peer, "none": None, "forever": forever}, targets={"forever": at_most(1, "B")}, limit=60e6
    )
    assert [*map(tuple, result.lines)] == [
        ("peer", "not installed"),
        ("none", "not installed"),
        ("forever", "stopped past 60.0 MB"),
    ]
    assert not result.ok
    assert compare_memory({"peer": peer}, targets={"peer": at_most(1, "B")}).ok  # absent is not missed


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match=r"must name a contender \(a\), got 'b'"):
        compare_memory({"a": int}, targets={"a": at_most(1, "B", of="b")})
    with pytest.raises(ValueError, match="rounds must be >= 1, got 0"):
        compare_memory({"a": int}, rounds=0)
