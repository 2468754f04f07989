"""Contenders timed side by side."""

from __future__ import annotations

import gc
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arion_lib.bench import compare as module
from arion_lib.bench.compare import at_least, at_most, compare
from arion_lib.bench.ratios import compared


class FakeClock:
    """A clock that only work advances, and a machine whose speed drifts: each tick is slower than the last."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, drift: float = 1.0) -> None:
        self.now = 0.0
        self.slowness = 1.0
        self.drift = drift
        self.calls: list[str] = []
        monkeypatch.setattr(module.time, "perf_counter", lambda: self.now)

    def work(self, name: str, seconds: float):
        def fn() -> int:
            self.calls.append(name)
            self.now += seconds * self.slowness
            self.slowness *= self.drift
            return 42

        return fn


@pytest.fixture
def clock(monkeypatch):
    return FakeClock(monkeypatch)


def test_ratios_refer_to_the_baseline(clock):
    result = compare({"ours": clock.work("ours", 0.5), "peer": clock.work("peer", 2.0)}, baseline="peer")
    assert result["ours"].ratio == pytest.approx(0.25)
    assert result["ours"].speedup == pytest.approx(4)
    assert result["peer"].ratio == 1
    assert (result["ours"].best, result["ours"].median) == (0.5, 0.5)
    assert result.ratios == {"ours": pytest.approx(0.25), "peer": 1}


def test_a_machine_that_slows_down_hardly_moves_the_ratios(monkeypatch):
    clock = FakeClock(monkeypatch, drift=1.05)
    result = compare({"a": clock.work("a", 1.0), "b": clock.work("b", 1.0)}, baseline="a", rounds=20)
    assert result["b"].ratio == pytest.approx(1, rel=0.06)
    clock = FakeClock(monkeypatch, drift=1.05)  # control: first all of the one, then all of the other
    blocks = [compare({n: clock.work(n, 1.0)}, baseline=n, rounds=20)[n].median for n in "ab"]
    assert blocks[1] / blocks[0] > 2


def test_rounds_are_interleaved_and_each_starts_with_another_contender(clock):
    names = "abc"
    compare({n: clock.work(n, 1.0) for n in names}, baseline="a", rounds=4)
    rounds = clock.calls[-12:]
    assert ["".join(rounds[i : i + 3]) for i in range(0, 12, 3)] == ["abc", "bca", "cab", "abc"]


def test_one_lucky_turn_does_not_make_all_others_slow():
    """A moment without neighbours that only the baseline met; what is slow in all its turns is still told."""
    runs = {"loop": [1.0] * 59 + [0.4], "ours": [1.1] * 30 + [3.0] * 30, "slow": [2.0] * 60}
    rows = compared("", "loop", runs, {}).rows
    assert [row.fast_ratio for row in rows] == [1.0, 1.1, 2.0]


def test_a_short_function_is_repeated_until_a_turn_is_long_enough(clock):
    result = compare({"a": clock.work("a", 0.001)}, baseline="a", rounds=3, min_seconds=0.05)
    assert len(clock.calls) == 1 + 88 + 3 * 50  # once untimed; 1, 2, 5, ... 50 to find how many; then the rounds
    assert result["a"].best == pytest.approx(0.001)


@given(st.floats(1e-4, 10))
def test_the_number_of_calls_is_the_least_of_1_2_5_10_that_lasts_long_enough(seconds):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.gc, "collect", lambda: 0)
        clock = FakeClock(patch)
        calls = module._calls(clock.work("a", seconds), 0.05)
    steps = [m * 10**e for e in range(4) for m in (1, 2, 5)]
    assert calls in steps
    assert calls * seconds >= 0.05 * (1 - 1e-9)
    assert calls == 1 or steps[steps.index(calls) - 1] * seconds < 0.05 * (1 + 1e-9)


def test_results_that_differ_stop_the_comparison():
    with pytest.raises(ValueError, match=r"equal results, got 2 from 'b' and 1 from 'a'"):
        compare({"a": lambda: 1, "b": lambda: 2}, baseline="a", min_seconds=1e-6)
    assert compare({"a": lambda: 1, "b": lambda: 1.0}, baseline="a", min_seconds=1e-6)["b"]


def test_a_peer_that_is_not_installed_is_listed_and_skipped():
    def peer():
        import no_such_package_at_all  # noqa: F401

    result = compare({"ours": lambda: 1, "peer": peer, "none": None}, baseline="ours", min_seconds=1e-6)
    assert [row.name for row in result.rows] == ["ours"]
    assert result.figures["absent"] == {"peer": "not installed", "none": "not installed"}
    assert "peer | not installed" in result.table()


def test_a_module_of_ours_that_is_missing_is_a_mistake():
    def broken():
        import arion_lib.no_such_part  # noqa: F401

    with pytest.raises(ModuleNotFoundError):
        compare({"a": lambda: 1, "broken": broken}, baseline="a", min_seconds=1e-6)


def test_a_baseline_that_cannot_run_is_refused():
    with pytest.raises(ValueError, match="baseline must be able to run, got 'gone'"):
        compare({"ours": lambda: 1, "gone": None}, baseline="gone")


def test_other_exceptions_go_through():
    with pytest.raises(ZeroDivisionError):
        compare({"a": lambda: 1, "b": lambda: 1 / 0}, baseline="a", min_seconds=1e-6)


def test_targets_are_judged_against_the_baseline_or_another_contender(clock):
    contenders = {"ours": clock.work("ours", 1.0), "loop": clock.work("loop", 0.9), "json": clock.work("json", 5.0)}
    targets = {"ours": [at_most(1.2), at_least(6, of="json")], "loop": at_least(1)}
    result = compare(contenders, baseline="loop", targets=targets)
    assert [verdict.met for verdict in result.verdicts] == [True, False, True]
    assert not result.ok
    assert "met     ours: time at most 1.2x: 1.11x" in result.table()
    assert "MISSED  ours: speed at least 6x json: 5x" in result.table()


def test_a_target_against_an_absent_peer_is_not_run_rather_than_met():
    result = compare(
        {"ours": lambda: 1, "peer": None}, baseline="ours", targets={"ours": at_least(2, of="peer")}, min_seconds=1e-6
    )
    assert [verdict.met for verdict in result.verdicts] == [None]
    assert "not run ours: speed at least 2x peer: peer: not installed" in result.table()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"baseline": "z"}, r"must name a contender \(a\), got 'z'"),
        ({"baseline": "a", "targets": {"z": at_most(1)}}, "got 'z'"),
        ({"baseline": "a", "targets": {"a": at_most(1, of="z")}}, "got 'z'"),
        ({"baseline": "a", "rounds": 0}, "rounds must be >= 1, got 0"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_runs(arguments, message):
    with pytest.raises(ValueError, match=message):
        compare({"a": lambda: pytest.fail("ran")}, **arguments)


@pytest.mark.parametrize("make", [at_most, at_least])
def test_a_target_must_be_positive(make):
    with pytest.raises(ValueError, match="limit must be > 0, got 0"):
        make(0)


def test_the_collector_pauses_only_within_a_turn_and_only_on_request():
    gc.unfreeze()  # the suite's own: another one's is left alone, as the next test says
    states = {True: set(), False: set()}
    for pause, seen in states.items():
        compare({"a": lambda seen=seen: seen.add(gc.isenabled())}, baseline="a", min_seconds=1e-9, pause_gc=pause)
    assert states == {True: {True, False}, False: {True}}  # the untimed calls come with the collector on
    assert gc.isenabled()
    assert gc.get_freeze_count() < module.IMMORTAL


def test_the_collector_does_not_look_at_what_stood_before_the_comparison():
    gc.unfreeze()
    gc.collect()  # on Python 3.12 something is frozen by this already
    old = [[] for _ in range(5_000)]
    seen = []
    compare({"a": lambda: seen.append(gc.get_freeze_count())}, baseline="a", min_seconds=1e-9)
    assert min(seen) > len(old) > gc.get_freeze_count()


def test_a_collector_that_was_off_or_frozen_is_left_so(monkeypatch):
    gc.disable()
    gc.freeze()
    asked = []
    for name in ("freeze", "unfreeze", "enable"):
        monkeypatch.setattr(gc, name, lambda name=name: asked.append(name))
    try:
        compare({"a": lambda: None}, baseline="a", min_seconds=1e-9, pause_gc=True)
        assert not gc.isenabled()
        assert asked == []  # their number says less: what is frozen may be let go of by its last user meanwhile
    finally:
        monkeypatch.undo()
        gc.enable()
        gc.unfreeze()


def test_throughput_is_work_by_the_best_seconds(clock):
    result = compare({"a": clock.work("a", 0.5)}, baseline="a", work=100_000_000, unit="B")
    assert "200 MB/s" in result.table()


def test_the_figures_as_plain_values(clock):
    result = compare({"a": clock.work("a", 0.5)}, baseline="a", rounds=2, targets={"a": at_most(2)}, title="T")
    found = result.as_dict()
    assert (found["title"], found["baseline"]) == ("T", "a")
    assert (found["rounds"], found["ratios"]) == ({"a": [0.5, 0.5]}, {"a": 1})
    assert found["verdicts"] == [{"target": "a: time at most 2x", "measured": "1x", "met": True}]


def test_an_unknown_row_names_the_known(clock):
    with pytest.raises(KeyError, match="one of a, got 'b'"):
        _ = compare({"a": clock.work("a", 1)}, baseline="a")["b"]


@given(st.permutations("abcd"), st.integers(1, 9))
def test_every_contender_has_one_turn_in_every_round_and_leads_equally_often(names, rounds):
    turns = list(module.in_turns(names, rounds))
    per_round = [turns[i : i + 4] for i in range(0, len(turns), 4)]
    assert all(sorted(one) == sorted(names) for one in per_round)
    leads = [sum(one[0] == name for one in per_round) for name in names]
    assert max(leads) - min(leads) <= 1
    assert len(list(itertools.chain(*per_round))) == 4 * rounds
