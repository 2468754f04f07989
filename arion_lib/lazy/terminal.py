"""The terminal operations: each runs the pipeline once and returns a result.

Idea        An operation here is the last stage of the loop, not a consumer behind it: `sum` adds where `map` computed.
Invariant   What is known early ends the run: `first` pulls one element that arrives, `any` stops at the first true one.
When wrong  An empty collection without a default raises `ValueError`; an error in a function carries its stage and
            element.
See         notebooks/4_lazy_collection.ipynb · tests/lazy/test_random_pipelines.py · arion_lib/lazy/sinks.py
"""

from __future__ import annotations

import builtins
import sys
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from functools import partial
from itertools import chain
from typing import Any, Generic, Protocol, TypeAlias, TypeVar, cast, overload

from arion_lib.lazy import sinks
from arion_lib.lazy.barriers.plain import batches
from arion_lib.lazy.engine import EACH, consume, start
from arion_lib.lazy.looking.tables import pandas_frame, polars_frame
from arion_lib.lazy.pushdown import Pipeline
from arion_lib.lazy.refusals import checks
from arion_lib.lazy.sinks import Sink
from arion_lib.lazy.source import PLAIN
from arion_lib.lazy.stages import FlatMap, itself
from arion_lib.lazy.template import END

T_co = TypeVar("T_co", covariant=True)
A = TypeVar("A")
D = TypeVar("D")
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
N = TypeVar("N", int, float, complex)

Frame: TypeAlias = Any
"""A `pandas.DataFrame` or `polars.DataFrame`: both are optional, so their types are not known here."""


class Ordered(Protocol):
    """Something that `<` compares."""

    def __lt__(self, other: Any, /) -> bool: ...


O = TypeVar("O", bound=Ordered)  # noqa: E741 - the letter for "ordered"


class Terminal(Pipeline, Generic[T_co]):
    """The operations that run a pipeline. Each call runs it anew, from the source on; `cache()` keeps the elements."""

    __slots__ = ()

    def _run(self, sink: Sink) -> Any:
        return start(self, sink)

    def __iter__(self) -> Iterator[T_co]:
        """Run lazily: an independent iterator over the elements."""
        plain = not self.stages and type(self.source) in PLAIN  # nothing can fail there that a note would explain
        return iter(self.source) if plain else cast("Iterator[T_co]", self._run(EACH))

    def to_list(self) -> list[T_co]:
        """Return all elements as a list. Holds them all.

        >>> from arion_lib.lazy import lazy
        >>> lazy(range(3)).map(str).to_list()
        ['0', '1', '2']
        """
        return cast("list[T_co]", self._run(sinks.ToList()))

    def to_tuple(self) -> tuple[T_co, ...]:
        """Return all elements as a tuple.

        >>> from arion_lib.lazy import lazy
        >>> lazy("ab").to_tuple()
        ('a', 'b')
        """
        return tuple(self.to_list())

    def to_set(self) -> set[T_co]:
        """Return the distinct elements as a set.

        >>> from arion_lib.lazy import lazy
        >>> sorted(lazy("abba").to_set())
        ['a', 'b']
        """
        return cast("set[T_co]", self._run(sinks.ToSet()))

    @overload
    def to_dict(self: Terminal[tuple[K, V]]) -> dict[K, V]: ...
    @overload
    def to_dict(self, key: Callable[[T_co], K]) -> dict[K, T_co]: ...
    @overload
    def to_dict(self, key: Callable[[T_co], K], value: Callable[[T_co], V]) -> dict[K, V]: ...
    def to_dict(self, key: Callable[[Any], Any] | None = None, value: Callable[[Any], Any] | None = None) -> Any:
        """Return a dict of `key(element)` to `value(element)`; of equal keys the last wins.

        Without `value` the values are the elements; without `key` the elements must be pairs.

        >>> from arion_lib.lazy import lazy
        >>> lazy(["a", "bb"]).to_dict(len)
        {1: 'a', 2: 'bb'}
        """
        checks.key(key)
        if key is None:
            if value is not None:
                raise TypeError("value must come with a key, got a value alone; pass key=")
            return self._run(sinks.Pairs())
        if value is not None:
            checks.function("value", value)
        return self._run(sinks.ToDict(key, value or itself))

    @overload
    def reduce(self, fn: Callable[[T_co, T_co], T_co]) -> T_co: ...
    @overload
    def reduce(self, fn: Callable[[A, T_co], A], initial: A) -> A: ...
    def reduce(self, fn: Callable[[Any, Any], Any], initial: Any = END) -> Any:
        """Return `fn(... fn(fn(initial, first), second) ..., last)`.

        Without `initial` the first element begins; `None` is an initial like any other.
        Raises `ValueError` when there is neither an element nor an `initial`.

        >>> from arion_lib.lazy import lazy
        >>> lazy([1, 2, 3]).reduce(lambda a, b: a * b)
        6
        """
        checks.function("fn", fn)
        if initial is not END:
            return self._run(sinks.Fold(fn, initial))
        return _found(self._run(sinks.Reduce(fn, END)), "reduce", "initial=")

    def fold_by(self, key: Callable[[T_co], K], fn: Callable[[A, T_co], A], initial: A) -> dict[K, A]:
        """Return one `reduce(fn, initial)` for each key. Holds a value a key, not the elements.

        All keys begin with the same `initial`, so `fn` must not change it in place.

        >>> from arion_lib.lazy import lazy
        >>> lazy(range(6)).fold_by(lambda x: x % 2, lambda total, x: total + x, 0)
        {0: 6, 1: 9}
        """
        checks.function("key", key)
        checks.function("fn", fn)
        return cast("dict[K, A]", self._run(sinks.FoldBy(key, fn, initial)))

    @overload
    def sum(self: Terminal[N]) -> N | int: ...
    @overload
    def sum(self, start: A) -> A: ...
    def sum(self, start: Any = 0) -> Any:
        """Return `start` plus all elements, exactly as the built-in `sum` adds them.

        >>> from arion_lib.lazy import lazy
        >>> lazy(range(5)).sum()
        10
        """
        if isinstance(start, str | bytes | bytearray):
            raise TypeError(f"start must be a number, got {start!r}; use ''.join() on the collection")
        if self.stages and type(self.stages[-1]) is FlatMap:
            *before, last = self.stages
            each, added = sinks.PartOf(*last.args), partial(builtins.sum, start=start)
            return consume(self, sinks.Sum(start), each, lambda parts: added(chain.from_iterable(parts)), before)
        if sys.version_info >= (3, 12):  # there, sum() keeps the error of float addition, which a loop would lose
            return consume(self, sinks.Sum(start), sinks.Each("sum()"), lambda elements: builtins.sum(elements, start))
        return self._run(sinks.Sum(start))

    def count(self) -> int:
        """Return how many elements there are, by running the pipeline.

        >>> from arion_lib.lazy import lazy
        >>> lazy(range(10)).filter(lambda x: x % 3 == 0).count()
        4
        """
        return cast("int", self._run(sinks.Count()))

    @overload
    def min(self: Terminal[O], *, default: D) -> O | D: ...
    @overload
    def min(self: Terminal[O]) -> O: ...
    @overload
    def min(self, key: Callable[[T_co], Ordered]) -> T_co: ...
    @overload
    def min(self, key: Callable[[T_co], Ordered], default: D) -> T_co | D: ...
    def min(self, key: Callable[[Any], Any] | None = None, default: Any = END) -> Any:
        """Return the first of the least elements (by `key`). Raises `ValueError` when empty, without `default`.

        >>> from arion_lib.lazy import lazy
        >>> lazy([3, -1, 2]).min(), lazy([3, -1, 2]).min(key=abs)
        (-1, -1)
        """
        checks.key(key)
        return _found(self._run(sinks.Least(default) if key is None else sinks.LeastBy(key, default)), "min")

    @overload
    def max(self: Terminal[O], *, default: D) -> O | D: ...
    @overload
    def max(self: Terminal[O]) -> O: ...
    @overload
    def max(self, key: Callable[[T_co], Ordered]) -> T_co: ...
    @overload
    def max(self, key: Callable[[T_co], Ordered], default: D) -> T_co | D: ...
    def max(self, key: Callable[[Any], Any] | None = None, default: Any = END) -> Any:
        """Return the first of the greatest elements (by `key`). Raises `ValueError` when empty, without `default`.

        >>> from arion_lib.lazy import lazy
        >>> lazy(["a", "ccc", "bb"]).max(key=len)
        'ccc'
        """
        checks.key(key)
        return _found(self._run(sinks.Greatest(default) if key is None else sinks.GreatestBy(key, default)), "max")

    @overload
    def first(self) -> T_co: ...
    @overload
    def first(self, default: D) -> T_co | D: ...
    def first(self, default: Any = END) -> Any:
        """Return the first element, pulling no further. Raises `ValueError` when empty and no `default` is given.

        >>> from arion_lib.lazy import lazy
        >>> lazy([]).first(None) is None
        True
        """
        return _found(self._run(sinks.First(default)), "first")

    @overload
    def last(self) -> T_co: ...
    @overload
    def last(self, default: D) -> T_co | D: ...
    def last(self, default: Any = END) -> Any:
        """Return the last element. Raises `ValueError` when empty and no `default` is given.

        >>> from arion_lib.lazy import lazy
        >>> lazy("abc").last()
        'c'
        """
        return _found(self._run(sinks.Last(default)), "last")

    @overload
    def find(self, fn: Callable[[T_co], object]) -> T_co | None: ...
    @overload
    def find(self, fn: Callable[[T_co], object], default: D) -> T_co | D: ...
    def find(self, fn: Callable[[Any], object], default: Any = None) -> Any:
        """Return the first element for which `fn` is true, pulling no further; `default` when there is none.

        >>> from arion_lib.lazy import lazy
        >>> lazy(range(10**12)).find(lambda x: x * x > 50)
        8
        """
        checks.function("fn", fn)
        return self._run(sinks.Find(fn, default))

    def any(self, fn: Callable[[T_co], object] = bool) -> bool:
        """Return whether `fn` is true for some element, pulling no further than that.

        >>> from arion_lib.lazy import lazy
        >>> lazy([0, 0, 3]).any()
        True
        """
        checks.function("fn", fn)
        return cast("bool", self._run(sinks.Any(fn)))

    def all(self, fn: Callable[[T_co], object] = bool) -> bool:
        """Return whether `fn` is true for every element, pulling no further than the first false one.

        >>> from arion_lib.lazy import lazy
        >>> lazy([]).all()
        True
        """
        checks.function("fn", fn)
        return cast("bool", self._run(sinks.All(fn)))

    def is_empty(self) -> bool:
        """Return whether there is no element; pulls at most one that arrives.

        >>> from arion_lib.lazy import lazy
        >>> lazy(range(5)).filter(lambda x: x > 9).is_empty()
        True
        """
        return self._run(sinks.First(END)) is END

    def group_by(self, key: Callable[[T_co], K]) -> dict[K, list[T_co]]:
        """Return the elements of each key as a list. Holds them all (`fold_by` and `count_by` do not).

        >>> from arion_lib.lazy import lazy
        >>> lazy(range(5)).group_by(lambda x: x % 2)
        {0: [0, 2, 4], 1: [1, 3]}
        """
        checks.function("key", key)
        return cast("dict[K, list[T_co]]", self._run(sinks.GroupBy(key)))

    @overload
    def count_by(self: Terminal[K]) -> Counter[K]: ...
    @overload
    def count_by(self, key: Callable[[T_co], K]) -> Counter[K]: ...
    def count_by(self, key: Callable[[Any], Any] | None = None) -> Counter[Any]:
        """Return how often each key (each element, without one) occurs. Holds a number a key, nothing else.

        >>> from arion_lib.lazy import lazy
        >>> lazy("abba").count_by().most_common(1)
        [('a', 2)]
        """
        checks.key(key)
        each = sinks.Each("count_by()") if key is None else sinks.EachOf(key)
        counted: Counter[Any] = consume(self, sinks.EachOf(key), each, Counter)
        return counted

    @overload
    def top(self: Terminal[O], n: int) -> list[O]: ...
    @overload
    def top(self, n: int, key: Callable[[T_co], Ordered]) -> list[T_co]: ...
    def top(self, n: int, key: Callable[[Any], Any] | None = None) -> list[Any]:
        """Return the `n` greatest elements (by `key`), greatest first. Holds `n` elements.

        Of equal ones those that came first are kept, and stay in that order.

        >>> from arion_lib.lazy import lazy
        >>> lazy([3, 1, 4, 1, 5]).top(2)
        [5, 4]
        """
        checks.key(key)
        return cast("list[Any]", self._run(sinks.Top(checks.at_least("n", 1, n), key or itself)))

    def for_each(self, fn: Callable[[T_co], object]) -> None:
        """Call `fn` with each element, for what it does.

        >>> from arion_lib.lazy import lazy
        >>> lazy("ab").for_each(print)
        a
        b
        """
        checks.function("fn", fn)
        self._run(sinks.ForEach(fn))

    def pages(self, size: int) -> Iterator[list[T_co]]:
        """Iterate over all pages of `size` elements in one pass over the source. Holds one; the last may be shorter.

        >>> from arion_lib.lazy import lazy
        >>> list(lazy("abc").pages(2))
        [['a', 'b'], ['c']]
        """
        return batches(self, checks.at_least("size", 1, size))

    def to_pandas(self) -> Frame:
        """Return a `pandas.DataFrame` with a row for each element.

        Raises `ImportError` where pandas is not installed.
        """
        return pandas_frame(self.to_list())

    def to_polars(self) -> Frame:
        """Return a `polars.DataFrame` with a row for each element.

        Raises `ImportError` where polars is not installed.
        """
        return polars_frame(self.to_list())


def _found(result: Any, name: str, argument: str = "default=") -> Any:
    if result is END:
        raise ValueError(f"{name}() must have an element, got an empty collection; pass {argument} for that case")
    return result
