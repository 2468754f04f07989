"""Terminal operations that give one result a key: each method stands beside the template it runs.

Idea        The dict is in the loop: a key is computed, and its entry is updated, where the element is.
Invariant   Keys stand in the order in which they first came; `fold_by` and `count_by` hold a value a key, no elements.
When wrong  An error of a key, a hash or a fold carries the terminal operation and the element.
See         tests/lazy/test_random_pipelines.py · arion_lib/lazy/sinks.py
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast, overload

from arion_lib.lazy.barriers.consume import EachOf, consume
from arion_lib.lazy.refusals import checks
from arion_lib.lazy.sinks import Each, Ordered, Sink
from arion_lib.lazy.stages import itself
from arion_lib.lazy.terminal import Terminal

T_co = TypeVar("T_co", covariant=True)
A = TypeVar("A")
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
O = TypeVar("O", bound=Ordered)  # noqa: E741 - the letter for "ordered"


class ToDict(Sink):
    """Keys and values of the elements as a dict; of equal keys the last wins."""

    name, given = "to_dict", "key value"
    setup = "$out = {}"
    body = "$out[$key($x)] = $value($x)"
    result = "return $out"


class Pairs(Sink):
    """Elements that are pairs as a dict."""

    name = "to_dict"
    setup = "$out = {}"
    body = """\
$key, $value = $x
$out[$key] = $value"""
    result = "return $out"


class FoldBy(Sink):
    """One `Fold` for each key."""

    name, given = "fold_by", "key f initial"
    setup = """\
$out = {}
$get = $out.get"""
    body = """\
$k = $key($x)
$out[$k] = $f($get($k, $initial), $x)"""
    result = "return $out"


class GroupBy(Sink):
    """The elements of each key as a list."""

    name, given = "group_by", "key"
    setup = """\
$out = {}
$get = $out.get"""
    body = """\
$k = $key($x)
$group = $get($k)
if $group is None:
    $out[$k] = [$x]
else:
    $group.append($x)"""
    result = "return $out"


class Top(Sink):
    """The `n` greatest elements by key, greatest first; of equal ones those that came first. Holds `n` elements."""

    name, given = "top", "n key"
    setup = """\
$heap = []
$order = 0"""
    body = """\
$k = $key($x)
$order -= 1
if $len($heap) < $n:
    $heappush($heap, ($k, $order, $x))
elif $heap[0][0] < $k:
    $heapreplace($heap, ($k, $order, $x))"""
    result = "return [$entry[2] for $entry in $sorted($heap, reverse=True)]"


class ByKey(Terminal[T_co]):
    """The operations that give a result for each key."""

    __slots__ = ()

    @overload
    def to_dict(self: ByKey[tuple[K, V]]) -> dict[K, V]: ...
    @overload
    def to_dict(self, key: Callable[[T_co], K]) -> dict[K, T_co]: ...
    @overload
    def to_dict(self, key: Callable[[T_co], K], value: Callable[[T_co], V]) -> dict[K, V]: ...
    def to_dict(self, key: Callable[[Any], Any] | None = None, value: Callable[[Any], Any] | None = None) -> Any:
        """Return a dict of `key(element)` to `value(element)`; of equal keys the last wins.

        Without `value` the values are the elements; without `key` the elements must be pairs.

        >>> lazy(["a", "bb"]).to_dict(len)
        {1: 'a', 2: 'bb'}
        """
        checks.key(key)
        if key is None:
            if value is not None:
                raise TypeError("value must come with a key, got a value alone; pass key=")
            return self._run(Pairs())
        if value is not None:
            checks.function("value", value)
        return self._run(ToDict(key, value or itself))

    def fold_by(self, key: Callable[[T_co], K], fn: Callable[[A, T_co], A], initial: A) -> dict[K, A]:
        """Return one `reduce(fn, initial)` for each key. Holds a value a key, not the elements.

        All keys begin with the same `initial`, so `fn` must not change it in place.

        >>> lazy(range(6)).fold_by(lambda x: x % 2, lambda total, x: total + x, 0)
        {0: 6, 1: 9}
        """
        checks.function("key", key)
        checks.function("fn", fn)
        return cast("dict[K, A]", self._run(FoldBy(key, fn, initial)))

    def group_by(self, key: Callable[[T_co], K]) -> dict[K, list[T_co]]:
        """Return the elements of each key as a list. Holds them all (`fold_by` and `count_by` do not).

        >>> lazy(range(5)).group_by(lambda x: x % 2)
        {0: [0, 2, 4], 1: [1, 3]}
        """
        checks.function("key", key)
        return cast("dict[K, list[T_co]]", self._run(GroupBy(key)))

    @overload
    def count_by(self: ByKey[K]) -> Counter[K]: ...
    @overload
    def count_by(self, key: Callable[[T_co], K]) -> Counter[K]: ...
    def count_by(self, key: Callable[[Any], Any] | None = None) -> Counter[Any]:
        """Return how often each key (each element, without one) occurs. Holds a number a key, nothing else.

        >>> lazy("abba").count_by().most_common(1)
        [('a', 2)]
        """
        checks.key(key)
        each = Each("count_by()") if key is None else EachOf(key)
        return consume(self, self._run(each), EachOf(key), Counter)

    @overload
    def top(self: ByKey[O], n: int) -> list[O]: ...
    @overload
    def top(self, n: int, key: Callable[[T_co], Ordered]) -> list[T_co]: ...
    def top(self, n: int, key: Callable[[Any], Any] | None = None) -> list[Any]:
        """Return the `n` greatest elements (by `key`), greatest first. Holds `n` elements.

        Of equal ones those that came first are kept, and stay in that order.

        >>> lazy([3, 1, 4, 1, 5]).top(2)
        [5, 4]
        """
        checks.key(key)
        return cast("list[Any]", self._run(Top(checks.at_least("n", 1, n), key or itself)))
