"""The lazy collection: a source and a tuple of stages. Describing it costs next to nothing; running it is one loop.

Idea        `lazy(source).map(f).filter(g)` is a value that says what to do. The work happens in a terminal operation or
            a `for`.
Invariant   A collection never changes: each transformation returns a new one that shares the source and the stages so
            far.
When wrong  Misuse raises where it is written; what fails later carries its stage and its element.
See         notebooks/4_lazy_collection.ipynb · tests/lazy/test_collection.py · arion_lib/lazy/selection.py, terminal.py
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Hashable, Iterable
from typing import Any, TypeAlias, TypeGuard, TypeVar, Unpack, overload

from arion_lib.lazy import stages
from arion_lib.lazy.asynchronous.loops import sourced
from arion_lib.lazy.barriers.parallel import How, HowAsync, ParallelFilter, ParallelMap, workers_for
from arion_lib.lazy.barriers.plain import Batch, ChunkBy, Sort
from arion_lib.lazy.others.sources import Concat, Join, Zip, ZipStrict, others_of
from arion_lib.lazy.refusals import checks
from arion_lib.lazy.selection import Selection
from arion_lib.lazy.sinks import Ordered
from arion_lib.lazy.source import PLAIN
from arion_lib.lazy.stages import Stage
from arion_lib.lazy.template import END

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")
U = TypeVar("U")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
O = TypeVar("O", bound=Ordered)  # noqa: E741 - the letter for "ordered"

Source: TypeAlias = Iterable[T] | AsyncIterable[T] | Callable[[], Iterable[T]] | Callable[[], AsyncIterable[T]]
"""What `lazy` takes."""


class LazyCollection(Selection[T_co]):
    """An immutable description of a computation over the elements of `source`.

    `source` is any iterable, an asynchronous one too, or a function without arguments that makes one for each pass.
    A one-shot iterator may be read once; a second pass raises `SpentError`.

    Raises `TypeError` for any other source.

    >>> LazyCollection(range(10)).map(lambda x: x * x).filter(lambda x: x % 2).take(3).to_list()
    [1, 9, 25]
    """

    __slots__ = ()

    def __init__(self, source: Source[T_co]) -> None:
        self.source = source if type(source) in PLAIN else sourced(source)  # type: ignore[assignment]
        self.stages = ()
        self.plain = True

    # -- an element at a time ------------------------------------------------------------------------------------------

    @overload
    def map(
        self, fn: Callable[[T_co], Awaitable[U]], *, concurrency: int, window: int | None = None, ordered: bool = True
    ) -> LazyCollection[U]: ...
    @overload
    def map(self, fn: Callable[[T_co], U], **how: Unpack[How]) -> LazyCollection[U]: ...
    def map(self, fn: Callable[[T_co], Any], **how: Any) -> LazyCollection[Any]:
        """Call `fn` on each element.

        `threads=16` overlaps calls that wait, `concurrency=100` those of an async `fn`, `processes=2` those that
        compute, `executor=` those that another machine makes; one of the four. Results keep their order; with
        `ordered=False` they come as they complete. At most `window` calls (chunks of calls, for processes) are under
        way, by default two for each thread or process and `concurrency` coroutines, so that much is read ahead. Each
        call in a thread and each coroutine runs in a copy of the context of the thread that iterates: what it sets
        there, another call does not see.

        >>> lazy("ab").map(str.upper).to_list()
        ['A', 'B']
        """
        if how:
            return self._with(ParallelMap(fn, workers_for("map", fn, how)))
        checks.function("fn", fn)
        return self._with(stages.Map(fn))

    @overload
    def filter(self, fn: Callable[[T_co], TypeGuard[U]]) -> LazyCollection[U]: ...
    @overload
    def filter(self, fn: Callable[[T_co], object], **how: Unpack[HowAsync]) -> LazyCollection[T_co]: ...
    def filter(self, fn: Callable[[T_co], object], **how: Any) -> LazyCollection[Any]:
        """Keep elements for which `fn` is true. Calls overlap as those of `map` do.

        >>> lazy(range(5)).filter(lambda x: x > 2).to_list()
        [3, 4]
        """
        if how:
            return self._with(ParallelFilter(fn, workers_for("filter", fn, how)))
        checks.function("fn", fn)
        return self._with(stages.Filter(fn))

    def flat_map(self, fn: Callable[[T_co], Iterable[U]]) -> LazyCollection[U]:
        """Give the elements of `fn(element)`, one after the other.

        >>> lazy(["ab", "c"]).flat_map(list).to_list()
        ['a', 'b', 'c']
        """
        checks.function("fn", fn)
        return self._into(stages.FlatMap(fn))

    @overload
    def scan(self: LazyCollection[A], fn: Callable[[A, A], A]) -> LazyCollection[A]: ...
    @overload
    def scan(self, fn: Callable[[A, T_co], A], initial: A) -> LazyCollection[A]: ...
    def scan(self, fn: Callable[[Any, Any], Any], initial: Any = END) -> LazyCollection[Any]:
        """Give the running result of `reduce(fn, initial)` after each element: as many results as elements.

        >>> lazy([1, 2, 3]).scan(lambda total, x: total + x).to_list()
        [1, 3, 6]
        """
        checks.function("fn", fn)
        return self._with(stages.Scan(fn, initial))

    def enumerate(self, start: int = 0) -> LazyCollection[tuple[int, T_co]]:
        """Give (number, element), counted from `start`.

        >>> lazy("ab").enumerate(1).to_list()
        [(1, 'a'), (2, 'b')]
        """
        return self._into(stages.Enumerate(checks.whole("start", start)))

    @overload
    def zip(self, a: Iterable[A], /, *, strict: bool = False) -> LazyCollection[tuple[T_co, A]]: ...
    @overload
    def zip(self, a: Iterable[A], b: Iterable[B], /, *, strict: bool = False) -> LazyCollection[tuple[T_co, A, B]]: ...
    @overload
    def zip(
        self, a: Iterable[A], b: Iterable[B], c: Iterable[C], /, *, strict: bool = False
    ) -> LazyCollection[tuple[T_co, A, B, C]]: ...
    @overload
    def zip(self, *others: Iterable[object], strict: bool = False) -> LazyCollection[tuple[Any, ...]]: ...
    def zip(self, *others: Iterable[Any], strict: bool = False) -> LazyCollection[Any]:
        """Give tuples of an element and one of each other iterable, up to the end of the shortest.

        With `strict=True` a shorter one is a `ValueError` when its end is reached.

        >>> lazy("ab").zip([1, 2, 3]).to_list()
        [('a', 1), ('b', 2)]
        """
        checks.flag("strict", strict)
        beside = others_of(others)
        return self._with(ZipStrict(beside) if strict else Zip(beside))

    def concat(self, *others: Iterable[U]) -> LazyCollection[T_co | U]:
        """Give the elements, then those of each other iterable.

        >>> lazy("ab").concat("c", [1]).to_list()
        ['a', 'b', 'c', 1]
        """
        return self._into(Concat(others_of(others)))

    def join(
        self, other: Iterable[U], key: Callable[[Any], Hashable], other_key: Callable[[U], Hashable] | None = None
    ) -> LazyCollection[tuple[T_co, U]]:
        """Give (element, element of `other`) for all pairs with equal keys, in the order of the elements.

        Holds `other` during a pass. `other_key` is the key of its elements, by default `key`.

        >>> lazy(["ab", "c"]).join(["xy", "zz"], len).to_list()
        [('ab', 'xy'), ('ab', 'zz')]
        """
        checks.function("key", key)
        checks.key(other_key)
        return self._into(Join(others_of((other,)), key, other_key or key))

    def flatten(self: LazyCollection[Iterable[A]]) -> LazyCollection[A]:
        """Give the elements of each element, one after the other.

        >>> lazy([[1], [2, 3]]).flatten().to_list()
        [1, 2, 3]
        """
        return self._into(stages.Flatten())

    # -- more than one element, or source ------------------------------------------------------------------------------

    def batch(self, size: int) -> LazyCollection[list[T_co]]:
        """Give lists of `size` elements; the last one may be shorter.

        >>> lazy("abc").batch(2).to_list()
        [['a', 'b'], ['c']]
        """
        return self._into(Batch(checks.size("size", size)))

    def chunk_by(self, key: Callable[[T_co], object]) -> LazyCollection[list[T_co]]:
        """Give lists of consecutive elements whose keys are equal. Holds one list.

        >>> lazy([1, 3, 2, 5]).chunk_by(lambda x: x % 2).to_list()
        [[1, 3], [2], [5]]
        """
        checks.function("key", key)
        return self._into(ChunkBy(key))

    def window(self, size: int) -> LazyCollection[tuple[T_co, ...]]:
        """Give each `size` consecutive elements as a tuple; nothing when there are fewer.

        >>> lazy("abc").window(2).to_list()
        [('a', 'b'), ('b', 'c')]
        """
        return self._into(stages.Window(checks.size("size", size)))

    @overload
    def sort(self: LazyCollection[O], *, reverse: bool = False) -> LazyCollection[O]: ...
    @overload
    def sort(self, key: Callable[[T_co], Ordered], *, reverse: bool = False) -> LazyCollection[T_co]: ...
    def sort(self, key: Callable[[Any], Any] | None = None, *, reverse: bool = False) -> LazyCollection[Any]:
        """Give the elements in order (of `key`), equal ones as they came.

        Materialises: the first pull reads the whole source and holds it.

        >>> lazy([3, 1, 2]).sort().to_list()
        [1, 2, 3]
        """
        checks.key(key)
        checks.flag("reverse", reverse)
        return self._with(Sort(key, reverse))

    def _into(self, stage: Stage) -> LazyCollection[Any]:
        return self._with(stage)


def lazy(source: Source[T]) -> LazyCollection[T]:
    """Return a `LazyCollection` over `source`; a collection is returned as it is.

    `source` is any iterable, an asynchronous one too, or a function without arguments that makes one for each pass.
    Raises `TypeError` for anything else.

    >>> lazy(lambda: iter("ab")).to_list()
    ['a', 'b']
    """
    return source if isinstance(source, LazyCollection) else LazyCollection(source)
