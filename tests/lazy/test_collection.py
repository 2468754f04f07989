"""The collection itself: immutable, refusing misuse where it is written."""

from __future__ import annotations

import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sized
from functools import partial
from typing import Any

import pytest

from arion_lib.lazy import LazyCollection, lazy

C = lazy(range(10))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: C.map(5), "fn must be a function, got 5"),
        (lambda: C.filter(None), "fn must be a function, got None"),
        (lambda: C.reject("x"), "fn must be a function, got 'x'"),
        (lambda: C.flat_map([1]), "fn must be a function"),
        (lambda: C.tap(1), "fn must be a function"),
        (lambda: C.scan(1), "fn must be a function"),
        (lambda: C.skip_while(1), "fn must be a function"),
        (lambda: C.take_while(1), "fn must be a function"),
        (lambda: C.distinct(1), "key must be a function or None, got 1"),
        (lambda: C.sort(1), "key must be a function or None, got 1"),
        (lambda: C.take(-1), "n must be >= 0, got -1"),
        (lambda: C.take(1.5), "n must be a whole number, got 1.5"),
        (lambda: C.take(True), "n must be a whole number, got True"),
        (lambda: C.skip(-1), "n must be >= 0, got -1"),
        (lambda: C.batch(0), "size must be >= 1, got 0"),
        (lambda: C.batch("2"), "size must be a whole number, got '2'"),
        (lambda: C.window(0), "size must be >= 1, got 0"),
        (lambda: C.page(0, 5), "number must be >= 1, got 0"),
        (lambda: C.page(1, 0), "size must be >= 1, got 0"),
        (lambda: C.pages(0), "size must be >= 1, got 0"),
        (lambda: C.top(0), "n must be >= 1, got 0"),
        (lambda: C.zip(5), "others must be iterable, got 5"),
        (lambda: C.enumerate("a"), "start must be a whole number, got 'a'"),
        (lambda: C[-1], "index must be >= 0, got -1"),
        (lambda: C[-3:], "slice bounds must be >= 0, got -3.*slice .to_list"),
        (lambda: C[:-3], "slice bounds must be >= 0, got -3"),
        (lambda: C[::-1], "slice step must be >= 1, got -1; reverse .to_list"),
        (lambda: C[::0], "slice step must be >= 1, got 0"),
        (lambda: C["a"], "index must be a whole number, got 'a'"),
        (lambda: C.reduce(1), "fn must be a function"),
        (lambda: C.fold_by(1, max, 0), "key must be a function, got 1"),
        (lambda: C.fold_by(abs, 1, 0), "fn must be a function, got 1"),
        (lambda: C.group_by(None), "key must be a function, got None"),
        (lambda: C.count_by(1), "key must be a function or None, got 1"),
        (lambda: C.min(1), "key must be a function or None, got 1"),
        (lambda: C.find(1), "fn must be a function, got 1"),
        (lambda: C.any(1), "fn must be a function, got 1"),
        (lambda: C.all(1), "fn must be a function, got 1"),
        (lambda: C.for_each(1), "fn must be a function, got 1"),
        (lambda: C.to_dict(value=abs), "value must come with a key"),
        (lambda: C.to_dict(abs, 5), "value must be a function, got 5"),
        (lambda: C.sum(""), "start must be a number, got ''"),
        (lambda: C.progress(3), "title must be a text or None, got 3"),
        (
            lambda: C.map(str, thread=3),
            r"map\(\) must be given options that it has, got 'thread'; did you mean 'threads'",
        ),
        (lambda: C.filter(str, xyz=3), r"filter\(\) must be given .*, got 'xyz'; there are concurrency, "),
        (lambda: C.sort(reverse="no"), "reverse must be True or False, got 'no'"),
        (lambda: C.sort(reverse=1), "reverse must be True or False, got 1"),
        (lambda: C.explain(code="no"), "code must be True or False, got 'no'"),
    ],
)  # fmt: skip
def test_misuse_is_refused_when_the_call_is_written(call: Callable[[], object], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        call()


@pytest.mark.parametrize("make", [list, iter, lambda xs: lazy(xs).map(abs)])
def test_a_number_that_no_list_can_hold_is_as_good_as_the_largest(make: Callable[[Any], Any]) -> None:
    def fresh() -> Any:
        return lazy(make([1, 2]))

    most = 10**30
    assert fresh().batch(most).to_list() == list(fresh().pages(most)) == [[1, 2]]
    assert fresh().window(most).to_list() == fresh().skip(most).to_list() == fresh().page(most, most).to_list() == []
    assert fresh().take(most).to_list() == fresh().page(1, most).to_list() == [1, 2]
    assert fresh()[0:most:most].to_list() == [1]
    with pytest.raises(OverflowError):  # the control
        deque(maxlen=most)


def test_a_bare_map_accepts_what_it_cannot_call_until_it_runs() -> None:
    map(5, [1])  # type: ignore[call-overload]  # the control: no error here


class Awaited:
    """A callable object whose call is async."""

    async def __call__(self, x: object) -> object:
        return x

    async def method(self, x: object) -> object:
        return x


async def fetched(x: object) -> object:
    return x


async def streamed(x: object) -> AsyncIterator[object]:
    yield x


@pytest.mark.parametrize("fn", [fetched, streamed, partial(fetched), Awaited(), Awaited().method])
@pytest.mark.parametrize(
    "describe",
    [
        lambda fn: C.map(fn),
        lambda fn: C.map(fn, threads=2),
        lambda fn: C.filter(fn),
        lambda fn: C.flat_map(fn),
        lambda fn: C.sort(fn),
        lambda fn: C.distinct(fn),
        lambda fn: C.for_each(fn),
        lambda fn: C.any(fn),
        lambda fn: C.group_by(fn),
        lambda fn: C.count_by(fn),
        lambda fn: C.min(fn),
        lambda fn: C.to_dict(fn),
        lambda fn: C.reduce(fn),
        lambda fn: C.top(1, fn),
    ],
)  # fmt: skip
def test_an_async_function_is_refused_where_nothing_would_await_it(fn: Any, describe: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match=r"must be a plain function, got the async .*map\(fn, concurrency=...\)"):
        describe(fn)


def test_the_built_in_map_and_filter_take_an_async_function_without_a_word() -> None:
    (kept,) = filter(streamed, [0])  # type: ignore[arg-type]  # the control: each async generator object is true
    assert kept == 0


def test_truth_names_the_method_to_call() -> None:
    with pytest.raises(TypeError, match=r"call \.is_empty\(\)"):
        bool(C)
    assert list(C) == [*C] == sorted(C)


def test_a_collection_is_not_sized_and_tables_of_other_libraries_hold_its_elements() -> None:
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")

    class Sizing:
        """The control: with a `__len__` that raises, the same lines fail or hold one cell."""

        def __iter__(self) -> Iterator[int]:
            return iter([1, 2])

        def __len__(self) -> int:
            raise TypeError("call .count()")

    assert not isinstance(C, Sized)
    with pytest.raises(TypeError, match=r"has no len\(\)"):
        len(C)  # type: ignore[arg-type]
    assert list(pandas.Series(C)) == list(range(10))
    with pytest.raises(TypeError):
        pandas.Series(Sizing())
    assert polars.DataFrame({"a": C}).shape == (10, 1)


def test_a_collection_never_changes() -> None:
    base = lazy([3, 1, 2])
    for derive in (lambda c: c.map(str), lambda c: c.sort(), lambda c: c.take(1), lambda c: c.cache(), lambda c: c[1:]):
        assert derive(base) is not base
        derive(base).to_list()
    assert base.to_list() == [3, 1, 2]
    assert base.stages == ()


def test_a_description_can_be_run_again_and_extended_in_two_ways() -> None:
    doubled = lazy([1, 2, 3]).map(lambda x: x * 2)
    assert doubled.filter(lambda x: x > 2).to_list() == [4, 6]
    assert doubled.sum() == 12
    assert doubled.to_list() == [2, 4, 6]


def test_none_is_an_element_and_an_initial_like_any_other() -> None:
    nones = lazy([None, None])
    assert nones.first() is None
    assert nones.last("x") is None
    assert not nones.is_empty()
    assert lazy([1]).reduce(lambda a, b: (a, b), None) == (None, 1)
    assert lazy([1, 2]).scan(lambda a, b: (a, b), None).to_list() == [(None, 1), ((None, 1), 2)]
    assert lazy([None, None]).reduce(lambda a, b: (a, b)) == (None, None)


@pytest.mark.parametrize("ask", [LazyCollection.first, LazyCollection.last, LazyCollection.min, LazyCollection.max])
def test_an_empty_collection_without_a_default_says_what_to_pass(ask: Callable[[Any], Any]) -> None:
    with pytest.raises(ValueError, match=r"must have an element, got an empty collection; pass default="):
        ask(lazy([]))
    with pytest.raises(ValueError, match=r"pass initial="):
        lazy([]).reduce(max)


def test_an_element_by_position() -> None:
    assert C.map(str)[4] == "4"
    with pytest.raises(IndexError, match="index must be below the number of elements, got 10"):
        C[10]


def test_functions_of_every_kind_are_functions() -> None:
    assert (
        lazy(["a"]).map(str.upper).map(partial(str.ljust, fillchar=".", width=3) if False else str.lower).first() == "a"
    )
    assert lazy([1]).map(partial(max, 5)).first() == 5
    assert repr(lazy([1]).map(partial(max, 5))) == "lazy(list of 1).map(partial(max))"


def test_sum_adds_as_the_built_in_sum() -> None:
    tenths = [0.1] * 10
    assert lazy(tenths).sum() == sum(tenths)
    assert lazy([[1], [2]]).sum([]) == [1, 2]
    start: list[int] = []
    lazy([[1], [2]]).sum(start)
    assert start == []


def test_importing_the_part_is_fast_because_it_imports_nothing_heavy() -> None:
    code = "import sys, arion_lib.lazy; print(*{'pandas', 'polars', 'tqdm', 'cloudpickle', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == ""
