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
from collections.abc import Callable, Iterator
from itertools import chain
from operator import attrgetter
from typing import Any, Generic, TypeVar, cast, overload

from arion_lib.lazy import sinks
from arion_lib.lazy.barriers.consume import PartOf, consume, sum_of_parts
from arion_lib.lazy.barriers.engine import join
from arion_lib.lazy.barriers.plain import batches
from arion_lib.lazy.fuse import LOOPS, fuse
from arion_lib.lazy.pushdown import Pipeline
from arion_lib.lazy.refusals import checks
from arion_lib.lazy.sinks import EACH, Ordered, Sink
from arion_lib.lazy.source import PLAIN
from arion_lib.lazy.stages import FlatMap, Stage
from arion_lib.lazy.template import END

T_co = TypeVar("T_co", covariant=True)
A = TypeVar("A")
D = TypeVar("D")
N = TypeVar("N", int, float, complex)


O = TypeVar("O", bound=Ordered)  # noqa: E741 - the letter for "ordered"
_shape, _args = attrgetter("shape"), attrgetter("args")


class Terminal(Pipeline, Generic[T_co]):
    """The operations that run a pipeline. Each call runs it anew, from the source on; `cache()` keeps the elements."""

    __slots__ = ()

    def _run(self, sink: Sink, stages: tuple[Stage, ...] | None = None) -> Any:
        """Run into `sink`, which may do the work of the last stages, too: then `stages` are those before."""
        stages = self.stages if stages is None else stages
        if not self.plain or len(stages) > LOOPS:
            return join(self, sink, stages)
        run = fuse(tuple(map(_shape, stages)), type(sink)).run  # type: ignore[arg-type]  # a class is hashable
        return run(self.source, self, 0, sink, *chain.from_iterable(map(_args, stages)), *sink.args)

    def __iter__(self) -> Iterator[T_co]:
        """Run lazily: an independent iterator over the elements."""
        plain = not self.stages and type(self.source) in PLAIN  # nothing can fail there that a note would explain
        return iter(self.source) if plain else cast("Iterator[T_co]", self._run(EACH))

    def to_list(self) -> list[T_co]:
        """Return all elements as a list. Holds them all.

        >>> lazy(range(3)).map(str).to_list()
        ['0', '1', '2']
        """
        elements: list[T_co] = self._run(sinks.ToList())
        return elements

    def to_tuple(self) -> tuple[T_co, ...]:
        """Return all elements as a tuple.

        >>> lazy("ab").to_tuple()
        ('a', 'b')
        """
        return tuple(self.to_list())

    def to_set(self) -> set[T_co]:
        """Return the distinct elements as a set.

        >>> sorted(lazy("abba").to_set())
        ['a', 'b']
        """
        return cast("set[T_co]", self._run(sinks.ToSet()))

    @overload
    def reduce(self, fn: Callable[[T_co, T_co], T_co]) -> T_co: ...
    @overload
    def reduce(self, fn: Callable[[A, T_co], A], initial: A) -> A: ...
    def reduce(self, fn: Callable[[Any, Any], Any], initial: Any = END) -> Any:
        """Return `fn(... fn(fn(initial, first), second) ..., last)`.

        Without `initial` the first element begins; `None` is an initial like any other.
        Raises `ValueError` when there is neither an element nor an `initial`.

        >>> lazy([1, 2, 3]).reduce(lambda a, b: a * b)
        6
        """
        checks.function("fn", fn)
        if initial is not END:
            return self._run(sinks.Fold(fn, initial))
        return _found(self._run(sinks.Reduce(fn, END)), "reduce", "initial=")

    @overload
    def sum(self: Terminal[N]) -> N | int: ...
    @overload
    def sum(self, start: A) -> A: ...
    def sum(self, start: Any = 0) -> Any:
        """Return `start` plus all elements, exactly as the built-in `sum` adds them.

        >>> lazy(range(5)).sum()
        10
        """
        if isinstance(start, str | bytes | bytearray):
            raise TypeError(f"start must be a number, got {start!r}; use ''.join() on the collection")
        if self.stages and type(self.stages[-1]) is FlatMap:
            parts = self._run(PartOf(*self.stages[-1].args), self.stages[:-1])
            return sum_of_parts(self, parts, sinks.Sum(start), start)
        if sys.version_info >= (3, 12):  # there, sum() keeps the error of float addition, which a loop would lose
            return consume(self, self._run(sinks.Each("sum()")), sinks.Sum(start), lambda xs: builtins.sum(xs, start))
        return self._run(sinks.Sum(start))

    def count(self) -> int:
        """Return how many elements there are, by running the pipeline.

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

        >>> lazy(range(10**12)).find(lambda x: x * x > 50)
        8
        """
        checks.function("fn", fn)
        return self._run(sinks.Find(fn, default))

    def any(self, fn: Callable[[T_co], object] = bool) -> bool:
        """Return whether `fn` is true for some element, pulling no further than that.

        >>> lazy([0, 0, 3]).any()
        True
        """
        checks.function("fn", fn)
        return cast("bool", self._run(sinks.Any(fn)))

    def all(self, fn: Callable[[T_co], object] = bool) -> bool:
        """Return whether `fn` is true for every element, pulling no further than the first false one.

        >>> lazy([]).all()
        True
        """
        checks.function("fn", fn)
        return cast("bool", self._run(sinks.All(fn)))

    def is_empty(self) -> bool:
        """Return whether there is no element; pulls at most one that arrives.

        >>> lazy(range(5)).filter(lambda x: x > 9).is_empty()
        True
        """
        return self._run(sinks.First(END)) is END

    def for_each(self, fn: Callable[[T_co], object]) -> None:
        """Call `fn` with each element, for what it does.

        >>> lazy("ab").for_each(print)
        a
        b
        """
        checks.function("fn", fn)
        self._run(sinks.ForEach(fn))

    def pages(self, size: int) -> Iterator[list[T_co]]:
        """Iterate over all pages of `size` elements in one pass over the source. Holds one; the last may be shorter.

        >>> list(lazy("abc").pages(2))
        [['a', 'b'], ['c']]
        """
        return batches(self, checks.size("size", size))


def _found(result: Any, name: str, argument: str = "default=") -> Any:
    if result is END:
        raise ValueError(f"{name}() must have an element, got an empty collection; pass {argument} for that case")
    return result
