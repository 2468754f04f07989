"""The lazy collection: a source and a tuple of stages. Describing it costs next to nothing; running it is one loop.

Idea        `lazy(source).map(f).filter(g)` is a value that says what to do. The work happens in a terminal operation or
            a `for`.
Invariant   A collection never changes: each transformation returns a new one that shares the source and the stages so
            far.
When wrong  Misuse raises where it is written. `bool()` would have to run the pipeline, so it names the method that
            does; there is no `len()`: a collection is not sized, and libraries that ask are told so.
See         notebooks/4_lazy_collection.ipynb · tests/lazy/test_collection.py · arion_lib/lazy/terminal.py
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Hashable, Iterable, Sized
from functools import partial
from inspect import isasyncgenfunction
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, TypeGuard, TypeVar, overload

from arion_lib.lazy import stages
from arion_lib.lazy.asynchronous.loops import AsyncSource
from arion_lib.lazy.asynchronous.turns import in_thread, taking_turns
from arion_lib.lazy.barriers.parallel import ParallelFilter, ParallelMap, Workers
from arion_lib.lazy.barriers.plain import Batch, ChunkBy, Concat, Progress, Sort, ZipStrict
from arion_lib.lazy.cache.replay import Replay
from arion_lib.lazy.engine import EACH
from arion_lib.lazy.inline.paste import paste
from arion_lib.lazy.looking.show import explained, html, written_out
from arion_lib.lazy.pushdown import push_down
from arion_lib.lazy.refusals import checks
from arion_lib.lazy.source import PLAIN, as_source, describe
from arion_lib.lazy.stages import Cut, Stage
from arion_lib.lazy.template import END
from arion_lib.lazy.terminal import Ordered, Terminal

if TYPE_CHECKING:
    from concurrent.futures import Executor

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")
U = TypeVar("U")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")

Source: TypeAlias = Iterable[T] | AsyncIterable[T] | Callable[[], Iterable[T]] | Callable[[], AsyncIterable[T]]
"""What `lazy` takes."""


class LazyCollection(Terminal[T_co]):
    """An immutable description of a computation over the elements of `source`.

    `source` is any iterable, an asynchronous one too, or a function without arguments that makes one for each pass.
    A one-shot iterator may be read once; a second pass raises `SpentError`.

    Raises `TypeError` for any other source.

    >>> LazyCollection(range(10)).map(lambda x: x * x).filter(lambda x: x % 2).take(3).to_list()
    [1, 9, 25]
    """

    __slots__ = ()

    def __init__(self, source: Source[T_co]) -> None:
        self.source = sourced(source)
        self.stages = ()
        self.plain = True

    # -- transformations, an element at a time -------------------------------------------------------------------------

    @overload
    def map(
        self,
        fn: Callable[[T_co], Awaitable[U]],
        *,
        concurrency: int,
        window: int | None = None,
        ordered: bool = True,
    ) -> LazyCollection[U]: ...
    @overload
    def map(
        self,
        fn: Callable[[T_co], U],
        *,
        threads: int | None = None,
        processes: int | None = None,
        executor: Executor | None = None,
        window: int | None = None,
        ordered: bool = True,
    ) -> LazyCollection[U]: ...
    def map(self, fn: Callable[[T_co], Any], *, ordered: bool = True, **workers: Any) -> LazyCollection[Any]:
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
        if not workers and ordered is True:
            checks.function("fn", fn)
            return self._with(stages.Map(fn))
        return self._with(ParallelMap(fn, _workers(fn, ordered, **workers)))

    @overload
    def filter(self, fn: Callable[[T_co], TypeGuard[U]]) -> LazyCollection[U]: ...
    @overload
    def filter(self, fn: Callable[[T_co], object]) -> LazyCollection[T_co]: ...
    @overload
    def filter(
        self,
        fn: Callable[[T_co], object],
        *,
        threads: int | None = None,
        processes: int | None = None,
        executor: Executor | None = None,
        concurrency: int | None = None,
        window: int | None = None,
        ordered: bool = True,
    ) -> LazyCollection[T_co]: ...
    def filter(self, fn: Callable[[T_co], object], *, ordered: bool = True, **workers: Any) -> LazyCollection[Any]:
        """Keep elements for which `fn` is true. Calls overlap as those of `map` do.

        >>> lazy(range(5)).filter(lambda x: x > 2).to_list()
        [3, 4]
        """
        if not workers and ordered is True:
            checks.function("fn", fn)
            return self._with(stages.Filter(fn))
        return self._with(ParallelFilter(fn, _workers(fn, ordered, **workers)))

    def reject(self, fn: Callable[[T_co], object]) -> LazyCollection[T_co]:
        """Keep elements for which `fn` is false.

        >>> lazy(range(5)).reject(lambda x: x > 2).to_list()
        [0, 1, 2]
        """
        checks.function("fn", fn)
        return self._with(stages.Reject(fn))

    filter_false = reject

    def flat_map(self, fn: Callable[[T_co], Iterable[U]]) -> LazyCollection[U]:
        """Give the elements of `fn(element)`, one after the other.

        >>> lazy(["ab", "c"]).flat_map(list).to_list()
        ['a', 'b', 'c']
        """
        checks.function("fn", fn)
        return self._with(stages.FlatMap(fn))

    def tap(self, fn: Callable[[T_co], object]) -> LazyCollection[T_co]:
        """Call `fn` with each element that passes, and pass it on.

        >>> lazy("a").tap(print).to_list()
        a
        ['a']
        """
        checks.function("fn", fn)
        return self._with(stages.Tap(fn))

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
        return self._with(stages.Enumerate(checks.whole("start", start)))

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
        beside = _others(others)
        return self._with(ZipStrict(beside) if strict else stages.Zip(beside))

    def concat(self, *others: Iterable[U]) -> LazyCollection[T_co | U]:
        """Give the elements, then those of each other iterable.

        >>> lazy("ab").concat("c", [1]).to_list()
        ['a', 'b', 'c', 1]
        """
        return self._with(Concat(_others(others)))

    def flatten(self: LazyCollection[Iterable[A]]) -> LazyCollection[A]:
        """Give the elements of each element, one after the other.

        >>> lazy([[1], [2, 3]]).flatten().to_list()
        [1, 2, 3]
        """
        return self._with(stages.Flatten())

    def catch(
        self, *errors: type[Exception], on_error: Callable[[Any, Exception], object] | None = None
    ) -> LazyCollection[T_co]:
        """Leave out elements for which the `map` just before raises one of `errors`; each is told to `on_error` first.

        Raises `TypeError` where there is no plain `map` before it.

        >>> lazy(["1", "x"]).map(int).catch(ValueError, on_error=lambda x, error: print("not a number:", x)).to_list()
        not a number: x
        [1]
        """
        checks.errors(errors)
        last = self.stages[-1] if self.stages else None
        if type(last) is not stages.Map:
            raise TypeError(f"catch() must follow a plain map, got {last.label if last else describe(self.source)}")
        if on_error is not None:
            checks.function("on_error", on_error)
        return made(
            self.source, (*self.stages[:-1], stages.CatchingMap(*last.args, errors, on_error or _nothing)), self.plain
        )

    # -- transformations, by position ----------------------------------------------------------------------------------

    def skip(self, n: int) -> LazyCollection[T_co]:
        """Leave out the first `n` elements; maps below never run for them.

        >>> lazy("abc").skip(1).to_list()
        ['b', 'c']
        """
        n = checks.at_least("n", 0, n)
        return self._with(Cut(n, None, f"skip({n})"))

    def take(self, n: int) -> LazyCollection[T_co]:
        """Keep the first `n` elements; the source is asked for no more than that.

        >>> lazy("abc").take(2).to_list()
        ['a', 'b']
        """
        n = checks.at_least("n", 0, n)
        return self._with(Cut(0, n, f"take({n})"))

    def page(self, number: int, size: int) -> LazyCollection[T_co]:
        """Keep page `number` (the first is 1) of `size` elements; on a list, range or
        sequence with an index that costs the page alone.

        >>> lazy(range(10**12)).map(str).page(3, 2).to_list()
        ['4', '5']
        """
        number, size = checks.at_least("number", 1, number), checks.at_least("size", 1, size)
        return self._with(Cut((number - 1) * size, number * size, f"page({number}, {size})"))

    @overload
    def __getitem__(self, index: int) -> T_co: ...
    @overload
    def __getitem__(self, index: slice) -> LazyCollection[T_co]: ...
    def __getitem__(self, index: int | slice) -> Any:
        """Return a lazy slice, or run for the one element at a position. Neither may be negative."""
        if not isinstance(index, slice):
            return self._at(checks.at_least("index", 0, index))
        start, stop, step = checks.bounds(index)
        text = f"[{start or ''}:{'' if stop is None else stop}]"
        cut = self._with(Cut(start, stop, text)) if start or stop is not None else self
        return cut if step == 1 else cut._with(stages.Every(step))

    def _at(self, position: int) -> Any:
        for found in self._with(Cut(position, position + 1, f"[{position}]")):
            return found
        raise IndexError(f"index must be below the number of elements, got {position}")

    def skip_while(self, fn: Callable[[T_co], object]) -> LazyCollection[T_co]:
        """Leave out elements up to the first one for which `fn` is false.

        >>> lazy([1, 5, 2]).skip_while(lambda x: x < 3).to_list()
        [5, 2]
        """
        checks.function("fn", fn)
        return self._with(stages.SkipWhile(fn))

    def take_while(self, fn: Callable[[T_co], object]) -> LazyCollection[T_co]:
        """Keep elements up to the first one for which `fn` is false, and end there.

        >>> lazy([1, 5, 2]).take_while(lambda x: x < 3).to_list()
        [1]
        """
        checks.function("fn", fn)
        return self._with(stages.TakeWhile(fn))

    # -- transformations of more than one element ----------------------------------------------------------------------

    def batch(self, size: int) -> LazyCollection[list[T_co]]:
        """Give lists of `size` elements; the last one may be shorter.

        >>> lazy("abc").batch(2).to_list()
        [['a', 'b'], ['c']]
        """
        return self._with(Batch(checks.at_least("size", 1, size)))

    def chunk_by(self, key: Callable[[T_co], object]) -> LazyCollection[list[T_co]]:
        """Give lists of consecutive elements whose keys are equal. Holds one list.

        >>> lazy([1, 3, 2, 5]).chunk_by(lambda x: x % 2).to_list()
        [[1, 3], [2], [5]]
        """
        checks.function("key", key)
        return self._with(ChunkBy(key))

    def window(self, size: int) -> LazyCollection[tuple[T_co, ...]]:
        """Give each `size` consecutive elements as a tuple; nothing when there are fewer.

        >>> lazy("abc").window(2).to_list()
        [('a', 'b'), ('b', 'c')]
        """
        return self._with(stages.Window(checks.at_least("size", 1, size)))

    def distinct(self, key: Callable[[T_co], Hashable] | None = None) -> LazyCollection[T_co]:
        """Keep the first element of each key (each value, without one). Holds the keys seen so far.

        >>> lazy("abba").distinct().to_list()
        ['a', 'b']
        """
        checks.key(key)
        return self._with(stages.Distinct() if key is None else stages.DistinctBy(key))

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

    # -- the run itself ------------------------------------------------------------------------------------------------

    def cache(self) -> LazyCollection[T_co]:
        """Keep what is pulled, for all readers of the result and of what is derived from it; pulls nothing itself.

        After an error the next reader who comes that far goes on where it stood, from a source that can be read again.

        >>> cached = lazy(iter("abc")).cache()
        >>> cached.first(), cached.to_list()
        ('a', ['a', 'b', 'c'])
        """
        return LazyCollection(Replay(self, repr(self)))

    def refresh(self) -> None:
        """Empty the cache that this collection reads from: the next reader pulls from the start.

        Raises `TypeError` where there is no cache.

        >>> numbers = [1]
        >>> cached = lazy(numbers).map(str).cache()
        >>> cached.to_list(), numbers.append(2), cached.to_list()
        (['1'], None, ['1'])
        >>> cached.refresh(); cached.to_list()
        ['1', '2']
        """
        if not isinstance(self.source, Replay):
            raise TypeError(f"refresh() must have a cache to empty, got {describe(self.source)}; call .cache() first")
        self.source.empty()

    def progress(self, title: str | None = None) -> LazyCollection[T_co]:
        """Draw a bar of the elements that pass here, with a total where the source knows its length."""
        return self._with(Progress(title, partial(_total, self.source, self.stages)))

    def compile(self) -> LazyCollection[T_co]:
        """Paste the lambdas of maps and filters so far into the loop, where they are verified to be pure expressions.

        What cannot be pasted stays a call, and nothing else changes: `explain()` says why. A lambda's default values
        are read now. Costs a parse of each file with a lambda.

        >>> print(lazy(range(3)).map(len).compile().explain())
        as written              as run
        range(0, 3)             range(0, 3)
        map(len)                map(len)
        <BLANKLINE>
        map(len) stays a call: it is not a lambda
        """
        pasted = tuple(paste(self.stages))
        return made(self.source, pasted, all(stage.plain for stage in pasted))

    def __aiter__(self) -> AsyncIterator[T_co]:
        """Iterate in a coroutine.

        The event loop gets its turn every few milliseconds; what waits for threads, processes or coroutines is pulled
        in a thread beside it.
        """
        return in_thread(self._run(EACH)) if self.waits else taking_turns(iter(self))

    # -- seeing it -----------------------------------------------------------------------------------------------------

    def explain(self, *, code: bool = False) -> str:
        """Return the plan as written and as run; with `code=True` also the generated functions. Runs nothing.

        >>> print(lazy(range(100)).map(str).skip(10).explain())
        as written              as run
        range(0, 100)           range(0, 100)[10:]
        map(str)                map(str)
        skip(10)
        """
        checks.flag("code", code)
        return explained(self, code)

    def __repr__(self) -> str:
        return written_out(self)

    def _repr_html_(self) -> str:
        return html(self)

    def __bool__(self) -> NoReturn:
        raise TypeError("bool() of a lazy collection would have to run it; call .is_empty(), or compare with None")

    def _with(self, stage: Stage) -> LazyCollection[Any]:
        return made(self.source, (*self.stages, stage), self.plain and stage.plain)


O = TypeVar("O", bound=Ordered)  # noqa: E741 - the letter for "ordered"


def lazy(source: Source[T]) -> LazyCollection[T]:
    """Return a `LazyCollection` over `source`; a collection is returned as it is.

    `source` is any iterable, an asynchronous one too, or a function without arguments that makes one for each pass.
    Raises `TypeError` for anything else.

    >>> lazy(lambda: iter("ab")).to_list()
    ['a', 'b']
    """
    return source if isinstance(source, LazyCollection) else made(sourced(source), (), True)


def _others(others: tuple[Iterable[Any], ...]) -> stages.Others:
    for other in others:
        checks.iterable("others", other)
    return stages.Others(tuple(sourced(other) for other in others))


def _nothing(element: object, error: Exception) -> None:
    """Take no note of an error."""


def _workers(
    fn: object,
    ordered: bool,
    threads: int | None = None,
    processes: int | None = None,
    executor: Executor | None = None,
    concurrency: int | None = None,
    window: int | None = None,
) -> Workers:
    """Return who makes the calls of `fn`, checked."""
    if concurrency is None:
        checks.function("fn", fn)
    else:
        checks.async_function("fn", fn)
    checks.workers(threads, processes, executor, concurrency, window, ordered)
    return Workers(threads, processes, executor, concurrency, window, ordered)


def sourced(source: Any) -> Iterable[Any]:
    """Return a source of any kind as an iterable: plain, asynchronous, or a function that makes one."""
    if type(source) not in PLAIN and not isinstance(source, Iterable):
        unwrapped = source.func if isinstance(source, partial) else source
        if isinstance(source, AsyncIterable) or isasyncgenfunction(unwrapped):
            return AsyncSource(source)
    return as_source(source)


def _total(source: Iterable[Any], described: tuple[Stage, ...]) -> int | None:
    """Return how many elements come out of the stages, where that can be known without running them."""
    pushed = push_down(described)
    if not isinstance(source, Sized) or not all(stage.one_to_one for stage in pushed.stages):
        return None
    start, stop = pushed.cut
    return len(range(len(source))[start:stop])


def made(source: Iterable[Any], described: tuple[Stage, ...], plain: bool) -> LazyCollection[Any]:
    """Return a collection of checked parts; `plain` says whether all stages are."""
    collection: LazyCollection[Any] = object.__new__(LazyCollection)
    collection.source, collection.stages, collection.plain = source, described, plain
    return collection
