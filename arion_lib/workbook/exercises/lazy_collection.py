"""Exercises of notebook 4: exactly n pulls, a recipe that can be read again, a cache that readers share.

Idea        Each exercise rebuilds one promise of the lazy collection in three to ten lines.
Invariant   Sources are one-shot and counted, so an answer that lists the whole stream first is caught.
When wrong  Each wrong answer below is one that somebody would write; its misconception is what the report says.
See         notebooks/4_lazy_collection.ipynb · tests/workbook/test_exercises.py
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import count, islice
from typing import Any

from arion_lib.workbook.exercise import Answer, Case, Exercise, Wrong
from arion_lib.workbook.outcome import Counted, first

Fn = Callable[[Any], Any]

# --- 4.1 take(elements, n) ------------------------------------------------------------------------


def take(elements: Iterable[Any], n: int) -> Iterator[Any]:
    if n == 0:
        return
    for taken, x in enumerate(elements, 1):
        yield x
        if taken == n:
            return


def _lists_first(elements: Iterable[Any], n: int) -> Iterator[Any]:
    yield from list(elements)[:n]


def _one_too_many(elements: Iterable[Any], n: int) -> Iterator[Any]:
    for taken, x in enumerate(elements):
        if taken == n:
            return
        yield x


def _one_at_least(elements: Iterable[Any], n: int) -> Iterator[Any]:
    for x in elements:
        yield x
        n -= 1
        if n <= 0:
            return


def _bare_next(elements: Iterable[Any], n: int) -> Iterator[Any]:
    source = iter(elements)
    for _ in range(n):
        yield next(source)


def _at_once(elements: Iterable[Any], n: int) -> Iterator[Any]:
    return iter([x for x, _ in zip(elements, range(n), strict=False)] if n else [])


def _at_once_exactly(elements: Iterable[Any], n: int) -> Iterator[Any]:
    return iter(list(islice(elements, n)))


def _taking(size: int, n: int) -> Case:
    def probe(answer: Answer) -> object:
        source = Counted(range(size), at_most=size + 1)
        return first(answer(source, n)), source.pulled

    return Case(f"take(iter(range({size})), {n})   -> (elements, how many were pulled)", probe)


def _not_read(answer: Answer) -> object:
    source = Counted(range(9), at_most=10)
    answer(source, 3)
    return source.pulled


def _endless_take(answer: Answer) -> object:
    source = Counted(count(), at_most=4)
    return first(answer(source, 4)), source.pulled


TAKE = Exercise(
    id="4.1",
    name="take",
    stars=1,
    minutes=10,
    solution=take,
    cases=[
        Case("take(iter(range(9)), 3), and nobody reads it   -> how many were pulled", _not_read),
        _taking(0, 0),
        _taking(1, 1),
        _taking(1, 0),
        _taking(2, 1),
        _taking(2, 3),
        _taking(5, 3),
        Case("take(count(), 4), a stream without end   -> (elements, how many were pulled)", _endless_take),
    ],
    wrong=[
        Wrong(_lists_first, "the whole stream is listed before the first element comes out"),
        Wrong(_one_too_many, "element n + 1 is pulled only to find out that it is not wanted: stop at the n-th"),
        Wrong(_one_at_least, "with n = 0 nothing may be pulled: look at n before the loop"),
        Wrong(_bare_next, "next() on a source that has ended raises StopIteration: a shorter source just ends"),
        Wrong(_at_once, "the work is done when take is called, and an element too many is pulled by zip"),
        Wrong(_at_once_exactly, "the work is done when take is called: yield, so that it waits until somebody reads"),
    ],
)

# --- 4.2 class Recipe -----------------------------------------------------------------------------


class Recipe:
    def __init__(self, make: Callable[[], Iterable[Any]]) -> None:
        self.make = make

    def __iter__(self) -> Iterator[Any]:
        return iter(self.make())

    def map(self, fn: Fn) -> Recipe:
        return Recipe(lambda: (fn(x) for x in self))


class _Opened(Recipe):
    def __init__(self, make: Callable[[], Iterable[Any]]) -> None:
        opened = iter(make())
        super().__init__(lambda: opened)

    def map(self, fn: Fn) -> Recipe:
        return _Opened(lambda: (fn(x) for x in self))


class _Listed(Recipe):
    def __init__(self, make: Callable[[], Iterable[Any]]) -> None:
        listed = list(make())
        super().__init__(lambda: listed)

    def map(self, fn: Fn) -> Recipe:
        return _Listed(lambda: (fn(x) for x in self))


class _ChangesItself(Recipe):
    def map(self, fn: Fn) -> Recipe:
        make = self.make
        self.make = lambda: (fn(x) for x in make())
        return self


class _MapsOnce(Recipe):
    def map(self, fn: Fn) -> Recipe:
        mapped = (fn(x) for x in self)
        return _MapsOnce(lambda: mapped)


class _MapsAtOnce(Recipe):
    def map(self, fn: Fn) -> Recipe:
        mapped = [fn(x) for x in self]
        return _MapsAtOnce(lambda: mapped)


class _ListsEachPass(Recipe):
    def __iter__(self) -> Iterator[Any]:
        return iter(list(self.make()))

    def map(self, fn: Fn) -> Recipe:
        return _ListsEachPass(lambda: (fn(x) for x in self))


class _GivesAnIterator(Recipe):
    def map(self, fn: Fn) -> Recipe:
        return (fn(x) for x in self)  # type: ignore[return-value]  # that is the mistake


def _triple(x: int) -> int:
    return 3 * x


def _numbers() -> Iterator[int]:
    return iter(range(3))


def _passes(answer: Answer) -> object:
    recipe = answer(_numbers)
    return first(recipe), first(recipe)


def _mapped_passes(answer: Answer) -> object:
    mapped = answer(_numbers).map(_triple)
    return first(mapped), first(mapped)


def _original_stays(answer: Answer) -> object:
    recipe = answer(_numbers)
    mapped = recipe.map(_triple)
    return first(recipe), first(mapped)


def _two_readers(answer: Answer) -> object:
    recipe = answer(_numbers)
    a, b = iter(recipe), iter(recipe)
    return [next(a), next(a), next(b), next(b)]


def _calls_of_make(answer: Answer) -> object:
    calls: list[int] = []

    def make() -> Iterator[int]:
        calls.append(1)
        return _numbers()

    answer(make)
    return len(calls)


def _calls_before_reading(answer: Answer) -> object:
    calls: list[int] = []
    answer(_numbers).map(calls.append).map(calls.append)
    return len(calls)


def _mapped_twice(answer: Answer) -> object:
    twice = answer(_numbers).map(_triple).map(_triple)
    return first(twice), first(twice)


def _endless_recipe(answer: Answer) -> object:
    recipe = answer(lambda: Counted(count(), at_most=3)).map(_triple)
    return first(recipe, 3), first(recipe, 3)


RECIPE = Exercise(
    id="4.2",
    name="Recipe",
    stars=2,
    minutes=15,
    solution=Recipe,
    cases=[
        Case("list(r), list(r)   for r = Recipe(lambda: iter(range(3)))", _passes),
        Case("calls of make after Recipe(make), before anybody reads", _calls_of_make),
        Case("calls of fn after r.map(fn).map(fn), before anybody reads", _calls_before_reading),
        Case("list(r), list(m)   for m = r.map(triple)", _original_stays),
        Case("list(m), list(m)   for m = r.map(triple)", _mapped_passes),
        Case("list(m), list(m)   for m = r.map(triple).map(triple)", _mapped_twice),
        Case("next(a), next(a), next(b), next(b)   for a, b = iter(r), iter(r)", _two_readers),
        Case("three elements, twice, of a mapped recipe without end", _endless_recipe),
    ],
    wrong=[
        Wrong(_Opened, "the iterator is made once and used up: keep the function, and call it for each pass"),
        Wrong(_Listed, "the whole stream is listed when the recipe is made: a recipe only says how"),
        Wrong(_ChangesItself, "map changes the recipe it is called on: return a new one, and leave this as it is"),
        Wrong(_MapsOnce, "map makes one generator that is used up: make a fresh one inside the function"),
        Wrong(_MapsAtOnce, "map does the work at once: nothing may run before somebody reads"),
        Wrong(_ListsEachPass, "each pass lists the whole stream first: hand on one element at a time"),
        Wrong(_GivesAnIterator, "map returns a bare generator, which has no map and only one pass: return a Recipe"),
    ],
)

# --- 4.3 class Cached -----------------------------------------------------------------------------


class Cached:
    def __init__(self, source: Iterable[Any]) -> None:
        self.source, self.kept = iter(source), list[Any]()

    def __iter__(self) -> Iterator[Any]:
        at = 0
        while at < len(self.kept) or self.pull():
            yield self.kept[at]
            at += 1

    def pull(self) -> bool:
        for x in self.source:
            self.kept.append(x)
            return True
        return False


class _ListsAll(Cached):
    def __init__(self, source: Iterable[Any]) -> None:
        super().__init__(())
        self.kept = list(source)


class _NoBuffer(Cached):
    def __iter__(self) -> Iterator[Any]:
        return self.source


class _Misses(Cached):
    def __iter__(self) -> Iterator[Any]:
        yield from list(self.kept)
        for x in self.source:
            self.kept.append(x)
            yield x


class _EndsEarly(Cached):
    def __iter__(self) -> Iterator[Any]:
        if self.kept:
            yield from list(self.kept)
            return
        for x in self.source:
            self.kept.append(x)
            yield x


class _OnePosition(Cached):
    at = 0

    def __iter__(self) -> Iterator[Any]:
        self.at = 0
        while self.at < len(self.kept) or self.pull():
            self.at += 1
            yield self.kept[self.at - 1]


class _Ahead(Cached):
    def __iter__(self) -> Iterator[Any]:
        at = 0
        self.pull()
        while at < len(self.kept):
            self.pull()
            yield self.kept[at]
            at += 1


def _counted(reads: Callable[[Any], object], show: str, size: int = 4) -> Case:
    def probe(answer: Answer) -> object:
        source = Counted(range(size), at_most=size + 1)
        return reads(answer(source)), source.pulled

    return Case(f"{show}   -> (result, how many were pulled)", probe)


def _steps(order: str) -> Callable[[Any], object]:
    """Read one element for each letter of `order`, each letter with an iterator of its own."""

    def reads(cached: Any) -> object:
        readers = {name: iter(cached) for name in sorted(set(order))}
        return [next(readers[name], "end") for name in order]

    return reads


def _nobody(cached: Any) -> None:
    del cached


def _endless_cache(answer: Answer) -> object:
    source = Counted(count(), at_most=5)
    cached = answer(source)
    return first(cached, 5), first(cached, 3), source.pulled


CACHED = Exercise(
    id="4.3",
    name="Cached",
    stars=3,
    minutes=20,
    solution=Cached,
    cases=[
        _counted(_nobody, "Cached(iter(range(4))), and nobody reads it"),
        _counted(first, "list(c)"),
        _counted(lambda c: (first(c), first(c)), "list(c), list(c)"),
        _counted(lambda c: first(c, 2), "the first two of c"),
        _counted(lambda c: (first(c, 2), first(c)), "the first two of c, then list(c)"),
        _counted(_steps("aab"), "next(a), next(a), next(b)   for a, b = iter(c), iter(c)"),
        _counted(_steps("aaba"), "next(a), next(a), next(b), next(a)   for a, b = iter(c), iter(c)"),
        _counted(_steps("abba"), "next(a), next(b), next(b), next(a)   for a, b = iter(c), iter(c)"),
        _counted(_steps("abbbbbaaaaa"), "a reads one, b reads to the end, a reads on"),
        Case(
            "five, then three elements of a cached stream without end   -> (..., how many were pulled)", _endless_cache
        ),
    ],
    wrong=[
        Wrong(_ListsAll, "the whole stream is listed when the cache is made: pull only what somebody asks for"),
        Wrong(_NoBuffer, "nothing is kept, so the second reader begins where the first one stopped"),
        Wrong(_Misses, "what another reader pulls meanwhile is missed: look at the kept elements before each pull"),
        Wrong(_EndsEarly, "a partial read looks like the end: go on pulling after the kept elements"),
        Wrong(_OnePosition, "all readers share one position: each needs its own"),
        Wrong(_Ahead, "one element more than asked for is pulled: pull when a reader is at the end, not before"),
    ],
)

EXERCISES = (TAKE, RECIPE, CACHED)
