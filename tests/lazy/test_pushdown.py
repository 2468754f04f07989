"""Where cuts go, and where they must not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arion_lib.lazy import lazy
from arion_lib.lazy.pushdown import inside, push_down
from tests.lazy.counted import Calls


def stage(x: Any) -> Any:
    return x


@pytest.mark.parametrize(
    ("described", "cut", "stages"),
    [
        (lambda c: c.map(stage).page(3, 50), (100, 150), ["map(stage)"]),
        (lambda c: c.map(stage)[5:].map(stage)[:7], (5, 12), ["map(stage)", "map(stage)"]),
        (lambda c: c.skip(10).take(5).skip(2), (12, 15), []),
        (lambda c: c.enumerate().skip(3), (3, None), ["enumerate(3)"]),
        (lambda c: c.tap(stage).take(3), (0, 3), ["tap(stage)"]),
        (lambda c: c.tap(stage).skip(3), (0, None), ["tap(stage)", "skip(3)"]),
        (lambda c: c.tap(stage).map(stage)[3:5], (0, 5), ["tap(stage)", "skip(3)", "map(stage)"]),
        (lambda c: c.scan(stage).take(3), (0, 3), ["scan(stage)"]),
        (lambda c: c.filter(stage).skip(3), (0, None), ["filter(stage)", "skip(3)"]),
        (lambda c: c.filter(stage).map(stage).take(3), (0, None), ["filter(stage)", "take(3)", "map(stage)"]),
        (lambda c: c.flat_map(stage).take(3), (0, None), ["flat_map(stage)", "take(3)"]),
        (lambda c: c.distinct().take(3), (0, None), ["distinct()", "take(3)"]),
        (lambda c: c.batch(2).skip(1), (0, None), ["batch(2)", "skip(1)"]),
        (lambda c: c.sort().take(1), (0, None), ["sort()", "take(1)"]),
        (lambda c: c.map(stage, threads=2).page(2, 5), (5, 10), ["map(stage, threads=2)"]),
        (lambda c: c.map(stage)[::2], (0, None), ["[::2]", "map(stage)"]),
        (lambda c: c.map(stage)[4:9:2], (4, 9), ["[::2]", "map(stage)"]),
    ],
)  # fmt: skip
def test_a_cut_goes_as_near_to_the_source_as_it_may(
    described: Callable[[Any], Any], cut: tuple[int, int | None], stages: list[str]
) -> None:
    pushed = push_down(described(lazy(range(9))).stages)
    assert (pushed.cut, [s.label for s in pushed.stages]) == (cut, stages)


def test_a_cut_below_a_filter_would_change_the_result() -> None:
    """The control: what the rule forbids is really wrong."""
    odd = lazy(range(10)).filter(lambda x: x % 2)
    assert odd.skip(2).to_list() == [5, 7, 9]
    assert lazy(range(10)).skip(2).filter(lambda x: x % 2).to_list() == [3, 5, 7, 9]


def test_what_is_cut_off_is_never_computed() -> None:
    calls = Calls(stage)
    lazy(range(1_000)).map(calls).skip(990).to_list()
    assert calls.count == 10
    lazy(range(1_000)).map(calls)[::100].to_list()
    assert calls.count == 20


bounds = st.tuples(st.integers(0, 20), st.none() | st.integers(0, 20))


@given(bounds, bounds)
def test_two_cuts_in_one_are_the_two_cuts(a: tuple[int, int | None], b: tuple[int, int | None]) -> None:
    elements = list(range(25))
    start, stop = inside(a, b)
    assert elements[start:stop] == elements[slice(*a)][slice(*b)]


def test_each_stage_as_run_knows_where_it_was_written() -> None:
    c = lazy(range(9)).filter(stage).map(stage)[2:5].enumerate()
    pushed = push_down(c.stages)
    assert [s.label for s in pushed.stages] == ["filter(stage)", "take(5)", "skip(2)", "map(stage)", "enumerate(0)"]
    assert pushed.written == (0, 2, 2, 1, 3)
    assert [c.written(i) for i in range(6)] == [0, 2, 2, 1, 3, 4]
