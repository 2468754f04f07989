"""`list` is the oracle: random pipelines of every operation give what the same steps on lists give."""

from __future__ import annotations

import functools
import itertools
from collections import Counter, UserList
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from arion_lib.lazy import LazyCollection, lazy
from tests.selection import examples

Elements = list[Any]


@dataclass(frozen=True)
class Step:
    """One operation, on a lazy collection and on a list."""

    text: str
    lazily: Callable[[LazyCollection[Any]], LazyCollection[Any]]
    eagerly: Callable[[Elements], Elements]

    def __repr__(self) -> str:
        return self.text


def weight(x: object) -> int:
    """A number for any element that the steps can produce, nested tuples and lists included."""
    if isinstance(x, tuple | list):
        return sum((i + 1) * weight(y) for i, y in enumerate(x)) % 1009
    return x if isinstance(x, int) else len(str(x))


def double(x: object) -> int:
    return weight(x) * 2 + 1


def odd(x: object) -> bool:
    return weight(x) % 2 == 1


def odd_or_error(x: object) -> object:
    if not odd(x):
        raise ValueError(x)
    return x


def light(x: object) -> bool:
    return weight(x) < 40


def third(x: object) -> int:
    return weight(x) % 3


def add(a: object, b: object) -> int:
    return weight(a) + weight(b)


def copies(x: object) -> list[object]:
    return [x] * third(x)


def taken_while(xs: Elements) -> Elements:
    return list(itertools.takewhile(light, xs))


def in_batches(xs: Elements, size: int) -> Elements:
    return [xs[i : i + size] for i in range(0, len(xs), size)]


def in_windows(xs: Elements, size: int) -> Elements:
    return [tuple(xs[i : i + size]) for i in range(len(xs) - size + 1)]


def first_of_each(xs: Elements) -> Elements:
    seen: dict[int, Any] = {}
    for x in xs:
        seen.setdefault(weight(x), x)
    return list(seen.values())


def zipped(xs: Elements, a: Elements, b: Elements) -> Elements:
    return list(zip(xs, a, b, strict=False))


def odd_weights(xs: Elements) -> Elements:
    return [w for w in map(weight, xs) if ODD(w)]


def running(xs: Elements, initial: int) -> Elements:
    return list(itertools.accumulate(xs, add, initial=initial))[1:]


def partly_read(c: LazyCollection[Any], n: int) -> LazyCollection[Any]:
    """A cached collection of which somebody has read `n` elements already."""
    cached = c.cache()
    assert len(list(itertools.islice(cached, n))) <= n
    return cached


PASTED: Callable[[int], int] = lambda x: x * 3 - 1  # noqa: E731
ODD: Callable[[int], int] = lambda x: x % 2  # noqa: E731
counts = st.integers(0, 12)
sizes = st.integers(1, 5)
others = st.lists(st.integers(0, 9), max_size=30)


def step(
    text: str, lazily: Callable[..., Any], eagerly: Callable[..., Any], *arguments: Any
) -> st.SearchStrategy[Step]:
    """A strategy for one operation with random arguments."""

    def made(values: tuple[Any, ...]) -> Step:
        return Step(f"{text}{values}", lambda c: lazily(c, *values), lambda xs: eagerly(xs, *values))

    return st.tuples(*arguments).map(made)


steps = st.one_of(
    step("map", lambda c: c.map(double), lambda xs: [double(x) for x in xs]),
    step("map compiled", lambda c: c.map(weight).map(PASTED).compile(), lambda xs: [PASTED(weight(x)) for x in xs]),
    step("filter compiled", lambda c: c.map(weight).filter(ODD).compile(), odd_weights),
    step("filter", lambda c: c.filter(odd), lambda xs: [x for x in xs if odd(x)]),
    step("reject", lambda c: c.reject(odd), lambda xs: [x for x in xs if not odd(x)]),
    step("filter_false", lambda c: c.filter_false(light), lambda xs: [x for x in xs if not light(x)]),
    step("flat_map", lambda c: c.flat_map(copies), lambda xs: [y for x in xs for y in copies(x)]),
    step("skip", lambda c, n: c.skip(n), lambda xs, n: xs[n:], counts),
    step("take", lambda c, n: c.take(n), lambda xs, n: xs[:n], counts),
    step("skip_while", lambda c: c.skip_while(light), lambda xs: list(itertools.dropwhile(light, xs))),
    step("take_while", lambda c: c.take_while(light), taken_while),
    step("batch", lambda c, n: c.batch(n), in_batches, sizes),
    step("window", lambda c, n: c.window(n), in_windows, sizes),
    step("zip", lambda c, o: c.zip(o), lambda xs, o: list(zip(xs, o, strict=False)), others),
    step("zip two", lambda c, o, p: c.zip(o, lazy(p)), zipped, others, others),
    step("concat", lambda c, o: c.concat(o, lazy(o)), lambda xs, o: [*xs, *o, *o], others),
    step("flatten", lambda c: c.map(copies).flatten(), lambda xs: [y for x in xs for y in copies(x)]),
    step("chunk_by", lambda c: c.chunk_by(third), lambda xs: [list(g) for _, g in itertools.groupby(xs, third)]),
    step("catch", lambda c: c.map(odd_or_error).catch(ValueError), lambda xs: [x for x in xs if odd(x)]),
    step("enumerate", lambda c, n: c.enumerate(n), lambda xs, n: list(enumerate(xs, n)), counts),
    step("distinct", lambda c: c.distinct(weight), first_of_each),
    step("distinct values", lambda c: c.map(weight).distinct(), lambda xs: list(dict.fromkeys(map(weight, xs)))),
    step("sort", lambda c, r: c.sort(third, reverse=r), lambda xs, r: sorted(xs, key=third, reverse=r), st.booleans()),
    step("sort values", lambda c: c.map(weight).sort(), lambda xs: sorted(map(weight, xs))),
    step("scan", lambda c: c.scan(add), lambda xs: list(itertools.accumulate(xs, add))),
    step("scan from", lambda c, n: c.scan(add, n), running, counts),
    step("tap", lambda c: c.tap(weight), lambda xs: xs),
    step("page", lambda c, k, n: c.page(k, n), lambda xs, k, n: xs[(k - 1) * n : k * n], sizes, sizes),
    step("slice", lambda c, a, b: c[a:b], lambda xs, a, b: xs[a:b], counts, st.none() | counts),
    step("stepped", lambda c, a, s: c[a::s], lambda xs, a, s: xs[a::s], counts, sizes),
    step("cache", lambda c: c.cache(), lambda xs: xs),
    step("cache read", partly_read, lambda xs, n: xs, counts),
)  # fmt: skip

sources = st.sampled_from(["list", "tuple", "range", "function", "one-shot", "sequence"])


def source(kind: str, size: int) -> Any:
    elements = list(range(size))
    kinds: dict[str, Any] = {
        "list": elements,
        "tuple": tuple(elements),
        "range": range(size),
        "function": lambda: (x for x in elements),
        "one-shot": iter(elements),
        "sequence": UserList(elements),
    }
    return kinds[kind]


def lazily(kind: str, size: int, path: Iterable[Step]) -> LazyCollection[Any]:
    return functools.reduce(lambda c, s: s.lazily(c), path, lazy(source(kind, size)))


def eagerly(size: int, path: Iterable[Step]) -> Elements:
    return functools.reduce(lambda xs, s: s.eagerly(xs), path, list(range(size)))


pipelines = st.tuples(sources, st.integers(0, 40), st.lists(steps, max_size=7))


@settings(max_examples=examples(250), deadline=None)
@given(pipelines)
def test_any_pipeline_gives_what_lists_give(pipeline: tuple[str, int, list[Step]]) -> None:
    kind, size, path = pipeline
    assert lazily(kind, size, path).to_list() == eagerly(size, path)


@settings(max_examples=examples(150), deadline=None)
@given(pipelines)
def test_iterating_twice_gives_the_same_twice_for_every_source_but_a_one_shot(
    pipeline: tuple[str, int, list[Step]],
) -> None:
    kind, size, path = pipeline
    collection = lazily("function" if kind == "one-shot" else kind, size, path)
    first, second = iter(collection), iter(collection)
    assert list(zip(first, second, strict=True)) == [(x, x) for x in eagerly(size, path)]


@settings(max_examples=examples(150), deadline=None)
@given(pipelines, sizes)
def test_any_terminal_operation_gives_what_lists_give(pipeline: tuple[str, int, list[Step]], n: int) -> None:
    kind, size, path = pipeline
    xs = eagerly(size, path)
    values = [weight(x) for x in xs]

    def fresh() -> LazyCollection[Any]:
        return lazily(kind, size, path)

    def numbers() -> LazyCollection[int]:
        return fresh().map(weight)

    assert fresh().to_tuple() == tuple(xs)
    assert numbers().to_set() == set(values)
    assert fresh().to_dict(weight) == {weight(x): x for x in xs}
    assert fresh().to_dict(weight, double) == {weight(x): double(x) for x in xs}
    assert fresh().enumerate().to_dict() == dict(enumerate(xs))
    assert fresh().count() == len(xs)
    assert numbers().sum() == sum(values)
    assert numbers().sum(5) == sum(values, 5)
    assert numbers().flat_map(lambda w: [w, n]).sum(5) == sum(values) + n * len(values) + 5
    assert fresh().reduce(add, 7) == functools.reduce(add, xs, 7)
    assert fresh().first("none") == (xs[0] if xs else "none")
    assert fresh().last("none") == (xs[-1] if xs else "none")
    assert fresh().min(third, "none") == min(xs, key=third, default="none")
    assert fresh().max(third, "none") == max(xs, key=third, default="none")
    assert numbers().min(default=None) == min(values, default=None)
    assert numbers().max(default=None) == max(values, default=None)
    assert fresh().find(odd) == next((x for x in xs if odd(x)), None)
    assert numbers().any() == any(values)
    assert numbers().all() == all(values)
    assert fresh().any(light) == any(map(light, xs))
    assert fresh().all(light) == all(map(light, xs))
    assert fresh().is_empty() == (not xs)
    assert fresh().count_by(third) == Counter(map(third, xs))
    assert numbers().count_by() == Counter(values)
    assert fresh().group_by(third) == {k: [x for x in xs if third(x) == k] for k in map(third, xs)}
    assert fresh().fold_by(third, add, 1) == {
        k: functools.reduce(add, [x for x in xs if third(x) == k], 1) for k in map(third, xs)
    }
    assert fresh().top(n, third) == sorted(xs, key=third, reverse=True)[:n]
    assert numbers().top(n) == sorted(values, reverse=True)[:n]
    assert list(fresh().pages(n)) == in_batches(xs, n)
    passed: Elements = []
    fresh().for_each(passed.append)
    assert passed == xs


@settings(max_examples=examples(100), deadline=None)
@given(pipelines, st.lists(counts, max_size=5))
def test_readers_of_one_cache_see_the_same_whatever_they_read_in_which_order(
    pipeline: tuple[str, int, list[Step]], reads: list[int]
) -> None:
    kind, size, path = pipeline
    xs = eagerly(size, path)
    cached = lazily(kind, size, path).cache()
    for n in reads:
        assert cached.take(n).to_list() == xs[:n]
        assert cached[n : n + 3].map(double).to_list() == [double(x) for x in xs[n : n + 3]]
    assert cached.to_list() == xs


@settings(max_examples=examples(100), deadline=None)
@given(pipelines, st.integers(1, 4))
def test_a_map_in_threads_is_a_map(pipeline: tuple[str, int, list[Step]], threads: int) -> None:
    kind, size, path = pipeline
    assert lazily(kind, size, path).map(double, threads=threads).to_list() == [double(x) for x in eagerly(size, path)]
