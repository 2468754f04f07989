"""When the work happens: counted pulls and counted calls, against naive versions that fail the same asserts."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from arion_lib.lazy import LazyCollection, lazy
from tests.lazy.counted import Calls, Counted, CountedSequence


def double(x: int) -> int:
    return x * 2


def even(x: int) -> bool:
    return x % 2 == 0


class Eager:
    """The naive collection: a list per operation. It gives right results, and fails each test of this file."""

    def __init__(self, elements: Any) -> None:
        self.elements = list(elements)

    def map(self, fn: Callable[[Any], Any]) -> Eager:
        return Eager([fn(x) for x in self.elements])

    def take(self, n: int) -> Eager:
        return Eager(self.elements[:n])

    def page(self, number: int, size: int) -> Eager:
        return Eager(self.elements[(number - 1) * size : number * size])

    def first(self) -> Any:
        return self.elements[0]

    def to_list(self) -> list[Any]:
        return self.elements


def nothing_runs_before_a_terminal_operation(make: Callable[[Any], Any]) -> bool:
    source, calls = Counted(range(5)), Calls(double)
    make(source).map(calls).take(3)
    return source.passes == source.pulled == calls.count == 0


def test_nothing_runs_before_a_terminal_operation_and_eager_lists_do() -> None:
    assert nothing_runs_before_a_terminal_operation(lazy)
    assert not nothing_runs_before_a_terminal_operation(Eager)


def test_describing_every_transformation_runs_nothing() -> None:
    def never(*_: object) -> Any:
        raise AssertionError("a function of the pipeline ran")

    def source() -> Iterator[int]:
        raise AssertionError("the source was opened")

    c: LazyCollection[Any] = lazy(source).map(never).filter(never).reject(never).flat_map(never).tap(never)
    c = c.skip(1).take(9)[1:5:2].page(1, 5).skip_while(never).take_while(never).batch(2).window(2).zip([1]).enumerate()
    c = c.distinct(never).sort(never).scan(never).cache().map(never, threads=2).map(never, processes=2).progress()
    repr(c), c.explain(), c.explain(code=True), iter(c)


def pulls_of_take(make: Callable[[Any], Any], n: int) -> int:
    source = Counted(range(1_000))
    make(source).map(double).take(n).to_list()
    return source.pulled


@pytest.mark.parametrize("n", [0, 1, 7])
def test_take_pulls_exactly_n_and_eager_lists_pull_everything(n: int) -> None:
    assert pulls_of_take(lazy, n) == n
    assert pulls_of_take(Eager, n) == 1_000


@pytest.mark.parametrize(
    ("described", "pulled"),
    [
        (lambda c: c.take(5), 5),
        (lambda c: c.take(5).take(3), 3),
        (lambda c: c.skip(2).take(3), 5),
        (lambda c: c.map(double).skip(2).take(3), 5),
        (lambda c: c.filter(even).take(3), 5),
        (lambda c: c.filter(even).skip(1).take(2), 5),
        (lambda c: c.filter(even).take(0), 0),
        (lambda c: c.flat_map(lambda x: [x] * 3).take(4), 2),
        (lambda c: c.flat_map(lambda x: [x] * 3).filter(even).take(4), 3),
        (lambda c: c.flat_map(lambda x: [x, x]).flat_map(lambda x: [x, x]).take(5), 2),
        (lambda c: c.distinct(lambda x: x // 4).take(2), 5),
        (lambda c: c.enumerate().take(4), 4),
        (lambda c: c.zip(range(100)).take(4), 4),
        (lambda c: c.zip([1, 2]), 3),
        (lambda c: c.flat_map(lambda x: [x]).zip([1, 2]), 3),
        (lambda c: c.scan(lambda a, b: a + b).take(4), 4),
        (lambda c: c.tap(double).take(4), 4),
        (lambda c: c.take_while(lambda x: x < 4), 5),
        (lambda c: c.flat_map(lambda x: [x, x]).take_while(lambda x: x < 4), 5),
        (lambda c: c.skip_while(lambda x: x < 4).take(2), 6),
        (lambda c: c.batch(3).take(2), 6),
        (lambda c: c.map(double).batch(3).take(2), 6),
        (lambda c: c.window(3).take(2), 4),
        (lambda c: c[4:8], 8),
        (lambda c: c.page(3, 5), 15),
        (lambda c: c.cache().take(3), 3),
        (lambda c: c.map(double).cache().filter(even).take(3), 3),
        (lambda c: c.map(double, threads=2).take(3), 3),
        (lambda c: c.progress().take(3), 3),
        (lambda c: c.sort().take(3), 100),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore::tqdm.TqdmWarning")
def test_a_pipeline_pulls_exactly_what_its_result_needs(described: Callable[[Any], Any], pulled: int) -> None:
    source = Counted(range(100))
    described(lazy(source)).to_list()
    assert source.pulled == pulled
    again = Counted(range(100))
    list(described(lazy(again)))
    assert again.pulled == pulled


@pytest.mark.parametrize(
    ("terminal", "pulled"),
    [
        (lambda c: c.first(), 1),
        (lambda c: c.is_empty(), 1),
        (lambda c: c.find(lambda x: x == 4), 5),
        (lambda c: c.any(lambda x: x == 4), 5),
        (lambda c: c.all(lambda x: x < 4), 5),
        (lambda c: c[4], 5),
        (lambda c: 4 in c, 5),
        (lambda c: next(iter(c)), 1),
        (lambda c: next(c.pages(3)), 3),
        (lambda c: c.filter(even).first(), 1),
        (lambda c: c.flat_map(lambda x: [x, x]).find(lambda x: x == 4), 5),
        (lambda c: c.count(), 100),
    ],
)  # fmt: skip
def test_a_terminal_operation_pulls_no_further_than_it_must(terminal: Callable[[Any], Any], pulled: int) -> None:
    source = Counted(range(100))
    terminal(lazy(source))
    assert source.pulled == pulled


def test_infinite_sources_are_sources() -> None:
    assert lazy(itertools.count).filter(even).map(double).take(3).to_list() == [0, 4, 8]
    assert lazy(itertools.count()).take_while(lambda x: x < 3).to_list() == [0, 1, 2]


def calls_of_page(make: Callable[[Any], Any], number: int) -> int:
    calls = Calls(double)
    make(range(1_000)).map(calls).page(number, 50).to_list()
    return calls.count


@pytest.mark.parametrize("number", [1, 7, 20])
def test_a_page_of_a_sequence_calls_the_function_size_times_and_eager_lists_do_not(number: int) -> None:
    assert calls_of_page(lazy, number) == 50
    assert calls_of_page(Eager, number) == 1_000


def test_a_page_of_a_sequence_looks_only_at_the_page() -> None:
    sequence = CountedSequence(1_000_000)
    assert lazy(sequence).map(double).page(10_000, 3).to_list() == [59_994, 59_996, 59_998]
    assert sequence.seen == [29_997, 29_998, 29_999]


def test_a_page_behind_a_filter_is_a_page_of_what_the_filter_lets_through() -> None:
    calls = Calls(even)
    assert lazy(range(100)).filter(calls).page(2, 3).to_list() == [6, 8, 10]
    assert calls.count == 11


def test_all_pages_cost_one_pass() -> None:
    source, calls = Counted(range(10)), Calls(double)
    assert len(list(lazy(source).map(calls).pages(3))) == 4
    assert (source.passes, source.pulled, calls.count) == (1, 10, 10)


def test_two_iterators_over_one_collection_are_independent() -> None:
    c = lazy(Counted(range(3))).map(double)
    a, b = iter(c), iter(c)
    assert [next(a), next(a), next(b), next(a), next(b)] == [0, 2, 0, 4, 2]


def test_five_thousand_chained_maps_work_and_as_many_generators_do_not() -> None:
    chained: LazyCollection[int] = lazy([1, 2])
    layered: Iterator[int] = iter([1, 2])
    for _ in range(5_000):
        chained = chained.map(lambda x: x + 1)
        layered = (lambda xs: (x + 1 for x in xs))(layered)
    assert chained.to_list() == [5_001, 5_002]
    assert chained.sum() == 10_003
    if sys.version_info < (3, 13):  # since then Python bounds this recursion otherwise
        with pytest.raises(RecursionError):
            next(layered)


@pytest.mark.parametrize(
    "more",
    [
        lambda c: c.filter(even),
        lambda c: c.flat_map(lambda x: [x]),
        lambda c: c.take(5).filter(even),
        lambda c: c.filter(even).take(5),
        lambda c: c.skip(0),
        lambda c: c.take_while(even),
    ],
)  # fmt: skip
def test_hundreds_of_other_stages_work_too(more: Callable[[Any], Any]) -> None:
    c: Any = lazy([2, 4])
    for _ in range(150):
        c = more(c)
    assert c.to_list() == [2, 4]


def test_an_abandoned_iteration_closes_the_source() -> None:
    closed: list[bool] = []

    def rows() -> Iterator[int]:
        try:
            yield from range(10)
        finally:
            closed.append(True)

    iterator = iter(lazy(rows).map(double))
    next(iterator)
    iterator.close()  # type: ignore[attr-defined]
    del iterator
    assert closed == [True]
    assert lazy(rows).map(double).first() == 0
    assert closed == [True, True]
