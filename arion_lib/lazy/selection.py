"""Transformations that choose elements, and those of the run itself: what comes out is of the type that goes in.

Idea        `take`, `skip`, slices and pages choose by position: they are cuts, which move towards the source.
            `reject`, `take_while` and `distinct` choose by the element. `cache`, `compile` and `progress` change how
            the run goes, never what comes out.
Invariant   A cut pulls exactly what it needs; looking (`explain`, `repr`, HTML) pulls nothing.
When wrong  Misuse raises where it is written. `bool()` would have to run the pipeline, so it names the method that
            does; there is no `len()`: a collection is not sized, and libraries that ask are told so.
See         notebooks/4_lazy_collection.ipynb · tests/lazy/test_laziness.py · arion_lib/lazy/pushdown.py
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Sequence, Sized
from functools import partial
from typing import Any, NoReturn, Self, TypeVar, overload

from arion_lib.lazy import stages
from arion_lib.lazy.asynchronous.turns import in_thread, taking_turns
from arion_lib.lazy.barriers.plain import Progress
from arion_lib.lazy.cache.replay import Replay
from arion_lib.lazy.inline.paste import paste
from arion_lib.lazy.keys.by_key import ByKey
from arion_lib.lazy.looking.show import explained, html, written_out
from arion_lib.lazy.looking.tables import Tabled
from arion_lib.lazy.pushdown import Cut, Every, push_down
from arion_lib.lazy.refusals import checks
from arion_lib.lazy.remote.calls import Remote
from arion_lib.lazy.sinks import EACH
from arion_lib.lazy.source import describe
from arion_lib.lazy.stages import Stage

T_co = TypeVar("T_co", covariant=True)


class Selection(ByKey[T_co], Remote[T_co], Tabled[T_co]):
    """The transformations that keep the type of the elements."""

    __slots__ = ()

    # -- which elements ------------------------------------------------------------------------------------------------

    def tap(self, fn: Callable[[T_co], object]) -> Self:
        """Call `fn` with each element that passes, and pass it on.

        >>> lazy("a").tap(print).to_list()
        a
        ['a']
        """
        checks.function("fn", fn)
        return self._with(stages.Tap(fn))

    def reject(self, fn: Callable[[T_co], object]) -> Self:
        """Keep elements for which `fn` is false.

        >>> lazy(range(5)).reject(lambda x: x > 2).to_list()
        [0, 1, 2]
        """
        checks.function("fn", fn)
        return self._with(stages.Reject(fn))

    filter_false = reject

    def skip(self, n: int) -> Self:
        """Leave out the first `n` elements; maps below never run for them.

        >>> lazy("abc").skip(1).to_list()
        ['b', 'c']
        """
        n = checks.at_least("n", 0, n)
        return self._with(Cut(n, None, f"skip({n})"))

    def take(self, n: int) -> Self:
        """Keep the first `n` elements; the source is asked for no more than that.

        >>> lazy("abc").take(2).to_list()
        ['a', 'b']
        """
        n = checks.at_least("n", 0, n)
        return self._with(Cut(0, n, f"take({n})"))

    def page(self, number: int, size: int) -> Self:
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
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> Any:
        """Return a lazy slice, or run for the one element at a position. Neither may be negative."""
        if not isinstance(index, slice):
            return self._at(checks.at_least("index", 0, index))
        start, stop, step = checks.bounds(index)
        text = f"[{start or ''}:{'' if stop is None else stop}]"
        cut = self._with(Cut(start, stop, text)) if start or stop is not None else self
        return cut if step == 1 else cut._with(Every(step))

    def _at(self, position: int) -> Any:
        for found in self._with(Cut(position, position + 1, f"[{position}]")):
            return found
        raise IndexError(f"index must be below the number of elements, got {position}")

    def skip_while(self, fn: Callable[[T_co], object]) -> Self:
        """Leave out elements up to the first one for which `fn` is false.

        >>> lazy([1, 5, 2]).skip_while(lambda x: x < 3).to_list()
        [5, 2]
        """
        checks.function("fn", fn)
        return self._with(stages.SkipWhile(fn))

    def take_while(self, fn: Callable[[T_co], object]) -> Self:
        """Keep elements up to the first one for which `fn` is false, and end there.

        >>> lazy([1, 5, 2]).take_while(lambda x: x < 3).to_list()
        [1]
        """
        checks.function("fn", fn)
        return self._with(stages.TakeWhile(fn))

    def distinct(self, key: Callable[[T_co], Hashable] | None = None) -> Self:
        """Keep the first element of each key (each value, without one). Holds the keys seen so far.

        >>> lazy("abba").distinct().to_list()
        ['a', 'b']
        """
        checks.key(key)
        return self._with(stages.Distinct() if key is None else stages.DistinctBy(key))

    # -- the run itself ------------------------------------------------------------------------------------------------

    def cache(self) -> Self:
        """Keep what is pulled, for all readers of the result and of what is derived from it; pulls nothing itself.

        After an error the next reader who comes that far goes on where it stood, from a source that can be read again.

        >>> cached = lazy(iter("abc")).cache()
        >>> cached.first(), cached.to_list()
        ('a', ['a', 'b', 'c'])
        """
        return self._remade(Replay(self, repr(self)), ())

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

    def progress(self, title: str | None = None) -> Self:
        """Draw a bar of the elements that pass here, with a total where the source knows its length."""
        checks.text("title", title)
        return self._with(Progress(title, partial(_total, self.source, self.stages)))

    def compile(self) -> Self:
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
        return self._remade(self.source, paste(self.stages))

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


def _total(source: Iterable[Any], described: Sequence[Stage]) -> int | None:
    """Return how many elements come out of the stages, where that can be known without running them."""
    pushed = push_down(described)
    if not isinstance(source, Sized) or not all(stage.one_to_one for stage in pushed.stages):
        return None
    start, stop = pushed.cut
    return len(range(len(source))[start:stop])
