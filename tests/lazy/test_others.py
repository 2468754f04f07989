"""Pipelines with more than one source: what `join` adds to zip and concat (those are in test_random_pipelines.py)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arion_lib.lazy import lazy
from tests.lazy.counted import Counted

numbers = st.lists(st.integers(-9, 9), max_size=20)


def by_loops(left: list[int], right: list[int]) -> list[tuple[int, int]]:
    return [(x, y) for x in left for y in right if x % 3 == y % 3]


@given(numbers, numbers)
def test_a_join_gives_the_pairs_that_two_loops_give(left: list[int], right: list[int]) -> None:
    expected = by_loops(left, right)
    assert lazy(left).join(right, lambda n: n % 3).to_list() == expected
    assert lazy(left).map(lambda n: n).join(iter(right), lambda n: n % 3).take(4).to_list() == expected[:4]
    assert lazy(left).join(right, lambda n: n % 3, lambda n: n % 3).map(sum).sum() == sum(map(sum, expected))


def test_a_join_reads_the_other_source_once_a_pass_and_only_when_an_element_comes() -> None:
    left, right = Counted("ab"), Counted("aab")
    joined = lazy(left).join(right, str)
    assert (left.passes, right.passes) == (0, 0)
    assert joined.first() == ("a", "a")
    assert (left.pulled, right.pulled) == (1, 3)
    assert joined.count() == 3
    assert (left.passes, right.passes) == (2, 2)
    assert lazy([]).join(right, str).to_list() == []
    assert right.passes == 2


def test_each_key_has_its_own_function() -> None:
    people, cities = [("ann", 1), ("bob", 3)], [{"id": 1, "name": "Rome"}, {"id": 2, "name": "Oslo"}]
    joined = lazy(people).join(cities, lambda person: person[1], lambda city: city["id"])
    assert joined.map(lambda pair: (pair[0][0], pair[1]["name"])).to_list() == [("ann", "Rome")]
    assert repr(joined) == "lazy(list of 2).join(list of 2, lambda)"


def test_an_error_of_either_key_names_the_join() -> None:
    with pytest.raises(TypeError) as caught:
        lazy([1, "a"]).join([1], abs).to_list()  # type: ignore[arg-type]
    assert caught.value.__notes__[0] == "in stage 1 of 1, join(list of 1, abs), on element 'a'"
    with pytest.raises(TypeError) as caught:
        lazy([1]).join(["b"], abs).to_list()
    assert caught.value.__notes__[0].startswith("in stage 1 of 1, join(list of 1, abs)")


def test_a_stop_iteration_of_a_key_does_not_end_the_join_quietly() -> None:
    def stops(_: Any) -> Any:
        raise StopIteration

    for described in (lazy([1]).join([1], stops), lazy([1]).join([1], abs, stops)):
        with pytest.raises(RuntimeError, match="must not raise StopIteration"):
            described.to_list()


def test_a_join_stops_all_loops_with_a_take_behind_it() -> None:
    def endless() -> Iterator[int]:
        n = 0
        while True:
            yield n
            n += 1

    assert lazy(endless).join([1, 3], lambda n: n % 2).filter(lambda p: p[0] > 4).take(3).to_list() == [
        (5, 1),
        (5, 3),
        (7, 1),
    ]
    with pytest.raises(TypeError, match="key must be a function, got None"):
        lazy([1]).join([1], None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="others must be iterable, got 5"):
        lazy([1]).join(5, abs)  # type: ignore[arg-type]
