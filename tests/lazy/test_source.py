"""Sources: what they are made of, and a second pass."""

from __future__ import annotations

import itertools
from array import array
from collections import UserList, deque
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from arion_lib.lazy import LazyCollection, lazy
from arion_lib.lazy.source import Factory, OneShot, SpentError, cut, describe, length, name_of
from tests.lazy.counted import CountedSequence


def second_pass_is_silently_empty(read: Callable[[], list[int]]) -> bool:
    assert read() == [0, 1, 2]
    try:
        return read() == []
    except SpentError:
        return False


def test_a_second_pass_over_a_one_shot_source_raises_and_a_bare_iterator_is_silently_empty() -> None:
    collection, bare = lazy(x for x in range(3)), map(int, range(3))
    assert not second_pass_is_silently_empty(collection.to_list)
    assert second_pass_is_silently_empty(lambda: list(bare))


def test_the_refusal_of_a_second_pass_says_what_to_do() -> None:
    c = lazy(iter([1]))
    c.to_list()
    with pytest.raises(SpentError, match=r"second pass over list_iterator; call \.cache\(\).* or pass a function"):
        c.to_list()


def test_pipelines_derived_from_one_iterator_share_its_one_pass() -> None:
    c = lazy(iter([1, 2]))
    assert c.map(str).first() == "1"
    with pytest.raises(SpentError):
        c.filter(bool).to_list()


def test_a_function_is_called_for_each_pass() -> None:
    c = lazy(lambda: (x for x in range(3)))
    assert c.to_list() == c.to_list() == [0, 1, 2]


def test_a_function_that_gives_the_same_iterator_again_is_refused() -> None:
    rows = (x for x in range(3))
    c = lazy(lambda: rows)
    assert c.to_list() == [0, 1, 2]
    with pytest.raises(SpentError, match="must make a fresh iterator"):
        c.to_list()


def test_a_function_may_give_a_list() -> None:
    shared = [1, 2]
    c = lazy(lambda: shared)
    assert c.to_list() == c.to_list() == [1, 2]


async def numbers_later() -> Any:
    return [1]


@pytest.mark.parametrize("wrong", [5, None, object(), lambda x: [x], numbers_later])
def test_what_is_no_source_is_refused_where_it_is_written(wrong: Any) -> None:
    with pytest.raises(TypeError, match="source must be"):
        lazy(wrong)


def test_a_function_that_makes_no_iterable_is_named_when_it_is_called() -> None:
    with pytest.raises(TypeError, match="source must make an iterable, got 5"):
        lazy(lambda: 5).to_list()  # type: ignore[arg-type,return-value]


def test_a_collection_of_a_collection_is_the_collection() -> None:
    c = lazy([1])
    assert lazy(c) is c
    assert LazyCollection(c.map(str)).to_list() == ["1"]


@pytest.mark.parametrize(
    "source",
    [list(range(20)), tuple(range(20)), range(20), CountedSequence(20), deque(range(20)), dict.fromkeys(range(20))],
)
@pytest.mark.parametrize(
    ("start", "stop"), [(0, None), (3, None), (3, 8), (8, 3), (15, 99), (99, None), (0, 10**30), (10**30, None)]
)
def test_a_cut_gives_what_a_slice_of_a_list_gives(source: Any, start: int, stop: int | None) -> None:
    assert list(cut(source, start, stop)) == list(range(20))[start:stop]


class LinkedList(UserList[int]):
    """A sequence that walks to an index from its first element, and counts the steps."""

    steps = 0

    def __getitem__(self, index: Any) -> Any:
        self.steps += index
        return self.data[index]

    def __iter__(self) -> Iterator[int]:
        for x in self.data:
            self.steps += 1
            yield x


def test_a_cut_uses_no_index_that_is_not_known_to_be_cheap() -> None:
    """A deque's index walks; its elements come from its iterator, one step each."""
    linked = LinkedList(range(1_000))
    assert lazy(linked).skip(500).to_list() == list(range(500, 1_000))
    assert linked.steps == 1_000
    linked.steps = 0
    assert [linked[i] for i in range(500, 1_000)] == list(range(500, 1_000))
    assert linked.steps > 100_000  # the control
    assert type(cut(deque(range(9)), 3, 5)) is itertools.islice


class Doubled(list[int]):
    """A list that gives other elements to a loop than to an index."""

    def __iter__(self) -> Iterator[int]:
        return (x * 2 for x in super().__iter__())


@pytest.mark.parametrize("source", [Doubled(range(9)), array("i", range(9)), UserList(range(9)), b"abc", "abc"])
def test_a_cut_gives_what_a_loop_over_the_source_gives(source: Any) -> None:
    for start, stop in itertools.product(range(4), [None, 0, 2, 4, 99]):
        assert list(cut(source, start, stop)) == list(source)[start:stop]


def test_a_cut_of_a_list_jumps_instead_of_copying() -> None:
    numbers = list(range(10))
    tail = iter(cut(numbers, 5, None))
    numbers[5] = 55
    assert next(tail) == 55


def test_a_cut_of_a_bounded_iterator_pulls_only_that_far() -> None:
    numbers = itertools.count()
    assert list(cut(numbers, 2, 4)) == [2, 3]
    assert next(numbers) == 4


def test_sources_describe_themselves_without_being_read() -> None:
    def rows() -> Iterator[int]:
        raise AssertionError("read")

    assert describe(range(3)) == "range(0, 3)"
    assert describe([1] * 1000) == "list of 1,000"
    assert describe(OneShot(iter(()))) == "one-shot tuple_iterator"
    assert describe(Factory(rows)) == "rows()"
    assert describe(lazy(rows)) == "LazyCollection"
    assert describe(lazy([1]).map(str).cache().source) == "cache of lazy(list of 1).map(str)"
    assert length(lazy([1])) is None
    assert name_of(describe) == "describe"


class Query:
    """Rows that are fetched by iterating over them and by asking for their number, as an ORM's are."""

    fetched = 0

    def __iter__(self) -> Iterator[int]:
        self.fetched += 1
        return iter(range(3))

    def __len__(self) -> int:
        self.fetched += 1
        return 3


def test_describing_a_source_never_asks_a_users_class_for_its_length() -> None:
    query = Query()
    c = lazy(query).zip(query).progress().cache().map(str)
    repr(c), c.explain(), c._repr_html_()
    assert query.fetched == 0
    assert (len(query), query.fetched) == (3, 1)  # the control
