"""The workloads of the lazy benchmark, as users of each library would write them.

Idea        Every contender calls the same small functions on the same source and returns the same result.
Invariant   The hand-written loop is the baseline: what a person would write who wanted it fast and had an afternoon.
When wrong  A library is imported when its contender is called, so that `compare` can name and skip one that is missing.
See         arion_lib/bench/lazy/__init__.py · tests/bench/test_lazy.py
"""

from __future__ import annotations

import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache, reduce
from itertools import chain, islice
from typing import Any

from arion_lib.lazy import LazyCollection, lazy
from arion_lib.lazy.barriers.parallel import start_method

LOOP = "hand-written loop"
Workload = dict[str, Callable[[], object]]
Fn = Callable[[Any], Any]

# What all contenders call. Written as lambdas so that `.compile()` can paste them.
triple: Fn = lambda x: x * 3 + 1  # noqa: E731
even: Fn = lambda x: x % 2 == 0  # noqa: E731
less: Fn = lambda x: x - 7  # noqa: E731
seventh: Fn = lambda x: x % 7 != 0  # noqa: E731
half: Fn = lambda x: x >> 1  # noqa: E731
more: Fn = lambda x: x + 5  # noqa: E731
mixed: Fn = lambda x: x ^ 21  # noqa: E731
pair: Fn = lambda x: (x, x + 1, x + 2)  # noqa: E731
last_two: Fn = lambda x: x % 100  # noqa: E731

SEVEN = ((True, triple), (False, even), (True, less), (True, half), (False, seventh), (True, more), (True, mixed))
"""Five maps (True) and two filters (False), in order."""


# The libraries' own beginnings of a pipeline.


def toolz() -> Any:
    """Return toolz's functions, as `pipe` takes them."""
    from toolz import curried  # type: ignore[import-untyped]

    return curried


def more_itertools() -> Any:
    """Return the package."""
    import more_itertools

    return more_itertools


def stream(xs: Iterable[Any]) -> Any:
    """Begin a pipeline of streamable."""
    from streamable import stream

    return stream(xs)


def seq(xs: Iterable[Any]) -> Any:
    """Begin a pipeline of PyFunctional."""
    from functional import seq  # type: ignore[import-untyped]

    return seq(xs)


# The workloads.


def map_filter_map_sum(xs: Sequence[int]) -> Workload:
    """Sum what passes map, filter, map."""

    def by_hand() -> int:
        total = 0
        for x in xs:
            y = triple(x)
            if even(y):
                total += less(y)
        return total

    def written_out() -> int:  # the expressions in the loop instead of calls
        total = 0
        for x in xs:
            y = x * 3 + 1
            if y % 2 == 0:
                total += y - 7
        return total

    def with_polars() -> object:
        import polars

        column = polars.col("x")
        frame = polars.LazyFrame({"x": column_of(xs)})
        mapped = frame.select(column * 3 + 1).filter(column % 2 == 0).select((column - 7).sum())
        return mapped.collect().item()

    return {
        LOOP: by_hand,
        "loop, written out": written_out,
        "ours": lambda: lazy(xs).map(triple).filter(even).map(less).sum(),
        "ours, compiled": lazy(xs).map(triple).filter(even).map(less).compile().sum,
        "itertools": lambda: sum(map(less, filter(even, map(triple, xs)))),
        "toolz": lambda: toolz().pipe(xs, toolz().map(triple), toolz().filter(even), toolz().map(less), sum),
        "PyFunctional": lambda: seq(xs).map(triple).filter(even).map(less).sum(),
        "streamable": lambda: sum(stream(xs).map(triple).filter(even).map(less)),
        "generator per operation": lambda: sum(mapped(mapped_filter(mapped(xs, triple), even), less)),
        "polars (its own expressions)": with_polars,
    }


def five_maps_two_filters(xs: Sequence[int]) -> Workload:
    """Sum what passes five maps and two filters."""

    def by_hand() -> int:
        total = 0
        for x in xs:
            y = triple(x)
            if not even(y):
                continue
            y = half(less(y))
            if not seventh(y):
                continue
            total += mixed(more(y))
        return total

    def chained(start: Any) -> Any:
        return reduce(lambda c, step: c.map(step[1]) if step[0] else c.filter(step[1]), SEVEN, start)

    def layered(mapping: Any, filtering: Any) -> int:
        steps = reduce(lambda xs, step: mapping(step[1], xs) if step[0] else filtering(step[1], xs), SEVEN, xs)
        return sum(steps)

    compiled: LazyCollection[int] = chained(lazy(xs)).compile()
    return {
        LOOP: by_hand,
        "ours": lambda: chained(lazy(xs)).sum(),
        "ours, compiled": compiled.sum,
        "itertools": lambda: layered(map, filter),
        "PyFunctional": lambda: chained(seq(xs)).sum(),
        "streamable": lambda: sum(chained(stream(xs))),
        "generator per operation": lambda: layered(lambda f, xs: mapped(xs, f), lambda f, xs: mapped_filter(xs, f)),
    }


def batch_and_sum(xs: Sequence[int]) -> Workload:
    """Sum each batch of a hundred, and the sums."""

    def by_hand() -> int:
        total, batch = 0, []
        for x in xs:
            batch.append(x)
            if len(batch) == 100:
                total += sum(batch)
                batch = []
        return total + sum(batch)

    return {
        LOOP: by_hand,
        "ours": lambda: lazy(xs).batch(100).map(sum).sum(),
        "ours, from an iterator": lambda: lazy(iter(xs)).batch(100).map(sum).sum(),
        "itertools": lambda: sum(map(sum, islices(xs, 100))),
        "more-itertools": lambda: sum(map(sum, more_itertools().chunked(xs, 100))),
        "toolz": lambda: sum(map(sum, toolz().partition_all(100, xs))),
        "PyFunctional": lambda: seq(xs).grouped(100).map(sum).sum(),
        "streamable": lambda: sum(stream(xs).group(100).map(sum)),
        "generator per operation": lambda: sum(mapped(batched(xs, 100), sum)),
    }


def flat_map_and_sum(xs: Sequence[int]) -> Workload:
    """Sum three elements for each."""

    def by_hand() -> int:
        total = 0
        for x in xs:
            for y in pair(x):
                total += y
        return total

    return {
        LOOP: by_hand,
        "ours": lambda: lazy(xs).flat_map(pair).sum(),
        "itertools": lambda: sum(chain.from_iterable(map(pair, xs))),
        "PyFunctional": lambda: seq(xs).flat_map(pair).sum(),
        "streamable": lambda: sum(stream(xs).map(pair).flatten()),
        "generator per operation": lambda: sum(flattened(xs, pair)),
    }


def count_by(xs: Sequence[int]) -> Workload:
    """Count a hundred keys."""

    def by_hand() -> dict[int, int]:
        counts: dict[int, int] = {}
        for x in xs:
            key = last_two(x)
            counts[key] = counts.get(key, 0) + 1
        return counts

    return {
        LOOP: by_hand,
        "ours": lambda: lazy(xs).count_by(last_two),
        "itertools": lambda: Counter(map(last_two, xs)),
        "toolz": lambda: toolz().countby(last_two, xs),
        "PyFunctional": lambda: seq(xs).map(last_two).count_by_value().to_dict(),
        "streamable": lambda: Counter(stream(xs).map(last_two)),
        "generator per operation": lambda: Counter(mapped(xs, last_two)),
    }


def to_list(xs: Sequence[int]) -> Workload:
    """List what a map gives for the first 300,000."""
    some = xs[:300_000]

    def by_hand() -> list[int]:
        out = []
        for x in some:
            out.append(triple(x))  # noqa: PERF401 - the loop that is compared with
        return out

    return {
        LOOP: by_hand,
        "ours": lambda: lazy(some).map(triple).to_list(),
        "itertools": lambda: list(map(triple, some)),
        "generator per operation": lambda: list(mapped(some, triple)),
    }


def page(xs: Sequence[int]) -> Workload:
    """Read a page of fifty from the middle of the source."""
    number = max(1, len(xs) // 100)
    start, stop = (number - 1) * 50, number * 50
    return {
        "itertools": lambda: list(islice(iter(xs), start, stop)),
        "a slice": lambda: list(xs[start:stop]),
        "ours": lambda: lazy(xs).page(number, 50).to_list(),
        "ours, behind a map": lambda: lazy(xs).map(same).page(number, 50).to_list(),
        "PyFunctional": lambda: seq(xs).drop(start).take(50).to_list(),
    }


def ten_elements() -> Workload:
    """Describe and run a pipeline over ten elements: what a pipeline costs before its first element."""
    few = list(range(10))
    return {
        "itertools": lambda: list(map(less, filter(even, map(triple, few)))),
        "ours": lambda: lazy(few).map(triple).filter(even).map(less).to_list(),
        "PyFunctional": lambda: seq(few).map(triple).filter(even).map(less).to_list(),
        "streamable": lambda: list(stream(few).map(triple).filter(even).map(less)),
    }


def computing(xs: Sequence[int]) -> Workload:
    """Compute for about 14 microseconds with each element, in two processes."""

    def with_streamable() -> object:
        with ProcessPoolExecutor(2, multiprocessing.get_context(start_method())) as pool:
            return list(stream(xs).map(compute, concurrency=pool))

    def with_pyfunctional() -> object:
        from functional import pseq

        return pseq(xs, processes=2).map(compute).to_list()

    return {
        "one process": lambda: [compute(x) for x in xs],
        "ours, processes=2": lambda: lazy(xs).map(compute, processes=2).to_list(),
        "PyFunctional (pseq)": with_pyfunctional,
        "streamable (processes)": with_streamable,
    }


def waiting(xs: Sequence[int]) -> Workload:
    """Wait for 5 ms with each element, in sixteen threads."""
    return {
        "one thread": lambda: [wait(x) for x in xs],
        "ours, threads=16": lambda: lazy(xs).map(wait, threads=16).to_list(),
        "streamable": lambda: list(stream(xs).map(wait, concurrency=16)),
    }


# What the contenders call that is more than an expression, and the generators of "generator per operation".


def compute(x: int) -> int:
    """Work for about 14 microseconds."""
    total = 0
    for i in range(390):
        total += x ^ i
    return total


def wait(x: int) -> int:
    """Wait for 5 ms, as a request to another machine would."""
    time.sleep(0.005)
    return x


def same(x: int) -> int:
    """Return the argument."""
    return x


@lru_cache(maxsize=1)
def _column(size: int) -> Any:
    import polars

    return polars.int_range(0, size, eager=True)


def column_of(xs: Sequence[int]) -> Any:
    """Return the numbers from 0 on, which is what every source here holds, in polars' own form; made once."""
    return _column(len(xs))


def mapped(xs: Iterable[Any], fn: Fn) -> Iterator[Any]:
    """Apply a function, as a generator of its own."""
    for x in xs:
        yield fn(x)


def mapped_filter(xs: Iterable[Any], fn: Fn) -> Iterator[Any]:
    """Filter, as a generator of its own."""
    for x in xs:
        if fn(x):
            yield x


def flattened(xs: Iterable[Any], fn: Fn) -> Iterator[Any]:
    """Flatten, as a generator of its own."""
    for x in xs:
        yield from fn(x)


def batched(xs: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Batch, as a generator of its own that appends element by element."""
    batch = []
    for x in xs:
        batch.append(x)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def islices(xs: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Batch with `islice`, as the recipe goes."""
    elements = iter(xs)
    while batch := list(islice(elements, size)):
        yield batch
