"""Where the elements come from: anything iterable, a function that makes a fresh iterator, a one-shot iterator.

Idea        Everything becomes an iterable; only two things need a class of their own: what is made, and what is read
            once.
Invariant   A pass over a source starts at its first element, or it raises. It never quietly starts in the middle or
            finds nothing.
When wrong  A second pass over a one-shot iterator raises `SpentError`, which says what to do instead.
See         notebooks/4_lazy_collection.ipynb · tests/lazy/test_source.py
"""

from __future__ import annotations

import inspect
import sys
import weakref
from array import array
from collections import deque
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Generic, TypeVar

from arion_lib.lazy.refusals.stop import refuse_stop

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

PLAIN = frozenset({list, tuple, range, dict, set, frozenset, str, bytes})
"""Types whose iteration calls no code of the user's and cannot fail."""

_SLICED = frozenset({range, str, bytes})
_COUNTED: tuple[Any, ...] = (*PLAIN, deque, array, bytearray, memoryview)
_COUNTS = frozenset(kind.__len__ for kind in _COUNTED)


class SpentError(RuntimeError):
    """A one-shot source was asked for a second pass."""


def spent(what: str) -> SpentError:
    """Return the error of a second pass over `what`."""
    return SpentError(
        f"a one-shot source must be read once, got a second pass over {what}; "
        "call .cache() before the first pass, or pass a function that makes a fresh iterator"
    )


class Own:
    """A source of this part's own."""

    __slots__ = ()

    @property
    def waits(self) -> bool:
        """Whether reading it waits for other threads, for processes or for an event loop."""
        return False

    @property
    def label(self) -> str:
        """What it is, in a few words."""
        return type(self).__name__


class OneShot(Generic[T_co]):
    """An iterator, guarded: the first pass gets it, a second one raises `SpentError`."""

    __slots__ = ("_box", "what")

    def __init__(self, iterator: Iterator[T_co]) -> None:
        self._box = [iterator]
        self.what = type(iterator).__name__

    def __iter__(self) -> Iterator[T_co]:
        try:
            return self._box.pop()  # atomic: of two threads only one gets it
        except IndexError:
            raise spent(self.what) from None


class Factory(Generic[T_co]):
    """A function without arguments, called for each pass."""

    __slots__ = ("_last", "make")

    def __init__(self, make: Callable[[], Iterable[T_co]]) -> None:
        self.make = make
        self._last: Callable[[], object] = _nothing

    def __iter__(self) -> Iterator[T_co]:
        try:
            made: object = self.make()
        except StopIteration as error:
            refuse_stop(error)
            raise
        if not isinstance(made, Iterable):
            more = "; pass the async generator function itself" if isinstance(made, AsyncIterable) else ""
            raise TypeError(f"source must make an iterable, got {made!r} from {name_of(self.make)}{more}")
        if made is self._last():
            raise SpentError(
                f"source must make a fresh iterator for each pass, got the same one from {name_of(self.make)}"
            )
        iterator: Iterator[T_co] = iter(made)
        if iterator is made:
            self._last = _weakly(made)
        return iterator


def as_source(source: Iterable[T] | Callable[[], Iterable[T]]) -> Iterable[T]:
    """Return `source` as an iterable that keeps the promise of this module.

    Raises `TypeError` for what is neither iterable nor a function without arguments.

    >>> list(as_source(lambda: iter("ab")))
    ['a', 'b']
    """
    if type(source) in PLAIN:
        return source  # type: ignore[return-value]  # the usual case, kept short: a type in PLAIN is iterable
    if isinstance(source, Iterator):
        return OneShot(source)
    if isinstance(source, Iterable):
        return source
    if callable(source) and not inspect.iscoroutinefunction(source) and not inspect.isasyncgenfunction(source):
        _check_needs_no_argument(source)
        return Factory(source)
    raise TypeError(f"source must be an iterable or a function that makes one, got {source!r}")


def cut(source: Iterable[T], start: int, stop: int | None) -> Iterable[T]:
    """Return the elements `start` up to `stop` of `source` in the cheapest way that is known to be cheap.

    Costs nothing per skipped element for a range, list, tuple, string, array or cache, and for a `Sequence` that is
    iterated over by index anyway; one pull each elsewhere. A deque is a `Sequence`, but counts to an index from an end.

    >>> list(cut(range(10**15), 10**14, 10**14 + 2))
    [100000000000000, 100000000000001]
    """
    start, stop = min(start, sys.maxsize), None if stop is None else min(stop, sys.maxsize)
    if stop is not None and stop <= start:
        return ()
    if isinstance(source, Windowed):
        return source.window(start, stop)
    kind: Any = type(source)
    if kind.__iter__ is list.__iter__ or kind.__iter__ is tuple.__iter__:
        iterator: Any = iter(source)
        iterator.__setstate__(min(start, len(source)))  # type: ignore[arg-type]  # a jump; a slice would copy
        return iterator if stop is None else islice(iterator, stop - start)
    if kind in _SLICED:
        return source[start:stop]  # type: ignore[index,no-any-return]
    if kind.__iter__ is Sequence.__iter__ or kind is array:
        return _indexed(source, start, stop)  # type: ignore[arg-type]
    return islice(source, start, stop)


class Windowed(Own, Generic[T_co]):
    """A source that can start anywhere by itself; `what` says what it holds."""

    __slots__ = ()
    what: str

    @property
    def label(self) -> str:
        return f"cache of {self.what}"

    def window(self, start: int, stop: int | None) -> Iterator[T_co]:
        """Iterate over the elements from `start` up to `stop`."""
        raise NotImplementedError


def waits(source: object) -> bool:
    """Return whether reading `source` is known to wait for something outside its thread."""
    return isinstance(source, Own) and source.waits


def describe(source: object) -> str:
    """Say in a few words what a source is, without reading it.

    >>> describe([1, 2, 3]), describe(OneShot(iter([1])))
    ('list of 3', 'one-shot list_iterator')
    """
    if isinstance(source, OneShot):
        return f"one-shot {source.what}"
    if isinstance(source, Factory):
        return f"{name_of(source.make)}()"
    if isinstance(source, range):
        return repr(source)
    if isinstance(source, Own):
        return source.label
    size = length(source)
    return type(source).__name__ if size is None else f"{type(source).__name__} of {size:,}"


def length(source: object) -> int | None:
    """Return how many elements a source holds where asking is known to be free, else `None`.

    A `__len__` of the user's own is not called: for a database query, say, it would run the query.

    >>> length({1, 2}), length(OneShot(iter([1])))
    (2, None)
    """
    if isinstance(source, _COUNTED) and type(source).__len__ in _COUNTS:
        return len(source)
    return None


def name_of(function: object) -> str:
    """Return what a person would call a function: its name, `lambda`, or the type of a callable object.

    >>> name_of(len), name_of(lambda x: x)
    ('len', 'lambda')
    """
    inner = getattr(function, "func", None)  # functools.partial
    if inner is not None and callable(inner):
        return f"partial({name_of(inner)})"
    name = getattr(function, "__qualname__", None) or getattr(function, "__name__", None)
    if not isinstance(name, str):
        return type(function).__name__
    return name.rpartition("<locals>.")[2].replace("<lambda>", "lambda")


def _indexed(source: Sequence[T], start: int, stop: int | None) -> Iterator[T]:
    """By index, as the sequence's own iteration does; a slice of one may copy, or not exist at all."""
    size = len(source)
    for i in range(start, size if stop is None else min(stop, size)):
        yield source[i]


def _check_needs_no_argument(function: Callable[[], object]) -> None:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some built-in functions have none
        return
    try:
        signature.bind()
    except TypeError as e:
        raise TypeError(f"source must be a function without arguments, got {name_of(function)}{signature}") from e


def _weakly(made: object) -> Callable[[], object]:
    """Remember `made` without keeping it alive, where its type allows."""
    try:
        return weakref.ref(made)
    except TypeError:
        return _nothing


def _nothing() -> object:
    return _nothing
