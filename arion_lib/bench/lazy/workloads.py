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


def stream(xs: Iterable[Any]) -> Any:
    """Begin a pipeline of streamable."""
    from streamable import stream

    return stream(xs)


def seq(xs: Iterable[Any]) -> Any:
    """Begin a pipeline of PyFunctional."""
    from functional import seq  # type: ignore[import-untyped]

    return seq(xs)


def mapped(fn: Fn, xs: Iterable[Any]) -> Iterator[Any]:
    """Apply a function, as a generator of its own."""
    return (fn(x) for x in xs)


def kept(fn: Fn, xs: Iterable[Any]) -> Iterator[Any]:
    """Filter, as a generator of its own."""
    return (x for x in xs if fn(x))


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

    def with_toolz() -> object:
        from toolz import curried  # type: ignore[import-untyped]

        return curried.pipe(xs, curried.map(triple), curried.filter(even), curried.map(less), sum)

    def with_polars() -> object:
        import polars

        column = polars.col("x")
        frame = polars.LazyFrame({"x": numbers(len(xs))})
        result = frame.select(column * 3 + 1).filter(column % 2 == 0).select((column - 7).sum())
        return result.collect().item()

    return {
        LOOP: by_hand,
        "loop, written out": written_out,
        "ours": lambda: lazy(xs).map(triple).filter(even).map(less).sum(),
        "ours, compiled": lazy(xs).map(triple).filter(even).map(less).compile().sum,
        "itertools": lambda: sum(map(less, filter(even, map(triple, xs)))),
        "toolz": with_toolz,
        "PyFunctional": lambda: seq(xs).map(triple).filter(even).map(less).sum(),
        "streamable": lambda: sum(stream(xs).map(triple).filter(even).map(less)),
        "generator per operation": lambda: sum(mapped(less, kept(even, mapped(triple, xs)))),
        "polars (its own expressions)": with_polars,
    }


@lru_cache(maxsize=1)
def numbers(size: int) -> Any:
    """Return the numbers from 0 on, which is what every source here holds, in polars' own form; made once."""
    import polars

    return polars.int_range(0, size, eager=True)


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
        return sum(reduce(lambda xs, step: (mapping if step[0] else filtering)(step[1], xs), SEVEN, xs))

    compiled: LazyCollection[int] = chained(lazy(xs)).compile()
    return {
        LOOP: by_hand,
        "ours": lambda: chained(lazy(xs)).sum(),
        "ours, compiled": compiled.sum,
        "itertools": lambda: layered(map, filter),
        "PyFunctional": lambda: chained(seq(xs)).sum(),
        "streamable": lambda: sum(chained(stream(xs))),
        "generator per operation": lambda: layered(mapped, kept),
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

    def by_islice() -> int:
        elements = iter(xs)
        return sum(map(sum, iter(lambda: list(islice(elements, 100)), [])))

    return {
        LOOP: by_hand,
        "ours": lambda: lazy(xs).batch(100).map(sum).sum(),
        "ours, from an iterator": lambda: lazy(iter(xs)).batch(100).map(sum).sum(),
        "itertools": by_islice,
        "PyFunctional": lambda: seq(xs).grouped(100).map(sum).sum(),
        "streamable": lambda: sum(stream(xs).group(100).map(sum)),
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
        "generator per operation": lambda: sum(y for x in xs for y in pair(x)),
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
        "PyFunctional": lambda: seq(xs).map(last_two).count_by_value().to_dict(),
        "streamable": lambda: Counter(stream(xs).map(last_two)),
        "generator per operation": lambda: Counter(mapped(last_two, xs)),
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
        "generator per operation": lambda: list(mapped(triple, some)),
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
