"""Exercises of notebook 4: what an element costs; exactly n pulls, twice; a page; an error's place; a cache.

Idea        Each exercise rebuilds one promise of the lazy collection in three to ten lines.
Invariant   Sources are one-shot and counted, so an answer that lists the whole stream first is caught.
When wrong  Each wrong answer below is one that somebody would write; its misconception is what the report says.
See         notebooks/4_lazy_collection.ipynb · tests/workbook/test_exercises.py
"""

from __future__ import annotations

import sys  # noqa: F401 - a wrong answer uses it
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import count, islice
from typing import Any

from arion_lib.measure import measure_growth
from arion_lib.workbook.checking.exercise import Answer, Case, Exercise, Wrong
from arion_lib.workbook.checking.outcome import Counted, first

Fn = Callable[[Any], Any]

# --- 4.1 cost(version, small, large) --------------------------------------------------------------

Version = Callable[[int], object]


@lru_cache(maxsize=32)
def _peak(version: Version, size: int) -> float:
    """Measure once what the catalogue asks for often; a reader's answer measures for itself."""
    return measure_growth({"it": version}, {size: size})["it", size].peak


def cost(version: Version, small: int, large: int) -> float:
    return (_peak(version, large) - _peak(version, small)) / (large - small)


def kept(size: int) -> int:
    """Hold a list of all numbers: about 40 bytes each."""
    return len([n * n for n in range(size)])


def summed(size: int) -> int:
    """Hold one number at a time."""
    return sum(n * n for n in range(size))


def loaded(size: int) -> int:
    """Hold 40 MB, whatever the size, and one number at a time."""
    table = bytearray(40_000_000)
    return sum(n * n for n in range(size)) + len(table)


def _costing(version: Version, why: str) -> Case:
    """The bytes in words: a process varies by some pages from one run to the next."""

    def probe(answer: Answer) -> object:
        number = answer(version, 100_000, 1_000_000)
        words = {"below 0": number < -4, "less than 4": number < 4, "between 4 and 400": number < 400}
        return next((text for text, true in words.items() if true), "more than 400")

    return Case(f"cost({version.__name__}, 100_000, 1_000_000), which holds {why}   -> (bytes an element)", probe)


COST = Exercise(
    id="4.1",
    name="cost",
    stars=1,
    minutes=10,
    solution=cost,
    cases=[
        _costing(kept, "a list of all numbers"),
        _costing(summed, "one number at a time"),
        _costing(loaded, "one number at a time, and a table of 40 MB"),
    ],
    wrong=[
        Wrong(
            "what a version holds at every size counts as if elements cost it: take a difference",
            {"(_peak(version, large) - _peak(version, small)) / (large - small)": "_peak(version, large) / large"},
        ),
        Wrong("this is what all further elements cost together: divide by their number", {" / (large - small)": ""}),
        Wrong("the sign: the large run comes first in the difference", {"(large - small)": "(small - large)"}),
        Wrong(
            "the result is small, but the peak is what was held on the way: measure it",
            {
                "_peak(version, large)": "sys.getsizeof(version(large))",
                "_peak(version, small)": "sys.getsizeof(version(small))",
            },
        ),
    ],
    seconds=60.0,
)

# --- 4.2 take(elements, n) ------------------------------------------------------------------------


def take(elements: Iterable[Any], n: int) -> Iterator[Any]:
    if n == 0:
        return
    for taken, x in enumerate(elements, 1):
        yield x
        if taken == n:
            return


def _taking(size: int, n: int) -> Case:
    def probe(answer: Answer) -> object:
        source = Counted(range(size), at_most=size + 1)
        return first(answer(source, n)), source.pulled

    return Case(f"take(iter(range({size})), {n})   -> (elements, how many were pulled)", probe)


def _one_at_a_time(answer: Answer) -> object:
    source = Counted(range(9), at_most=10)
    taken = iter(answer(source, 3))
    return [(next(taken, "end"), source.pulled) for _ in range(4)]


def _take_with_none(answer: Answer) -> object:
    return first(answer(iter([None, 0, None, 1]), 4))


def _not_read(answer: Answer) -> object:
    source = Counted(range(9), at_most=10)
    answer(source, 3)
    return source.pulled


def _endless_take(answer: Answer) -> object:
    source = Counted(count(), at_most=4)
    return first(answer(source, 4)), source.pulled


TAKE = Exercise(
    id="4.2",
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
        Case("next(t) four times for t = take(iter(range(9)), 3)   -> (element, pulled so far)", _one_at_a_time),
        Case("take(iter([None, 0, None, 1]), 4)", _take_with_none),
        Case("take(count(), 4), a stream without end   -> (elements, how many were pulled)", _endless_take),
    ],
    wrong=[
        Wrong(
            "the whole stream is listed before the first element comes out",
            {"enumerate(elements, 1)": "enumerate(list(elements), 1)"},
        ),
        Wrong(
            "element n + 1 is pulled only to find out that it is not wanted: stop at the n-th",
            {
                "(elements, 1)": "(elements)",
                "yield x\n        if taken == n:\n            return": "if taken == n:\n"
                "            return\n"
                "        yield x",
            },
        ),
        Wrong(
            "a `for` pulls an element before its body can say no: stop behind the n-th `yield`, for n = 0 before",
            {
                "    if n == 0:\n        return\n": "",
                "(elements, 1)": "(elements)",
                "yield x\n        if taken == n:\n            return": "if taken == n:\n"
                "            return\n"
                "        yield x",
            },
        ),
        Wrong(
            "a source has no places to cut a slice from: it gives one element after the other",
            {
                "    if n == 0:\n        return\n": "",
                "in enumerate(elements, 1)": "in enumerate(elements[:n], 1)",
            },
        ),
        Wrong(
            "with n = 0 nothing may be pulled: look at n before the loop", {"if n == 0:\n        return": "n = n or 1"}
        ),
        Wrong(
            "next() on a source that has ended raises StopIteration: a shorter source just ends",
            {
                "for taken, x in enumerate(elements, 1):\n        yield x": "source = iter(elements)\n"
                "    for taken in range(1, n + 1):\n"
                "        yield next(source)"
            },
        ),
        Wrong(
            "all n are pulled before the first comes out: yield each one when it is there",
            {"enumerate(elements, 1)": "enumerate(list(islice(elements, n)), 1)"},
        ),
        Wrong(
            "None is an element like any other: a source may hold it",
            {"        yield x": "        if x is None:\n            return\n        yield x"},
        ),
        Wrong(
            "the work is done when take is called, and an element too many is pulled by zip",
            answer=lambda elements, n: iter([x for x, _ in zip(elements, range(n), strict=False)] if n else []),
        ),
        Wrong(
            "the work is done when take is called: yield, so that it waits until somebody reads",
            answer=lambda elements, n: iter(list(islice(elements, n))),
        ),
    ],
)

# --- 4.3 loop(kinds) -------------------------------------------------------------------------------


def loop(kinds: list[str]) -> str:
    names = [f"a{i}" for i in range(len(kinds))]
    left = [name for name, kind in zip(names, kinds, strict=True) if kind == "take"]
    lines = [f"def run(source, {', '.join(names)}):", "    source = iter(source)"]
    lines += [
        f"    while {' and '.join(left) or True}:",
        "        x = next(source, run)",
        "        if x is run: return",
    ]
    for name, kind in zip(names, kinds, strict=True):
        lines.append(
            {
                "map": f"        x = {name}(x)",
                "filter": f"        if not {name}(x): continue",
                "take": f"        {name} -= 1",
            }[kind]
        )
    return "\n".join([*lines, "        yield x"])


def _for_loop(at_the_end: bool) -> Answer:
    """A `for` over the source; the count is looked at before the next element is used, or after it was handed out."""

    def answer(kinds: list[str]) -> str:
        names = [f"a{i}" for i in range(len(kinds))]
        left = [name for name, kind in zip(names, kinds, strict=True) if kind == "take"]
        enough = f"        if not ({' and '.join(left) or True}): return"
        lines = [f"def run(source, {', '.join(names)}):"]
        lines += [enough[4:]] * at_the_end + ["    for x in source:"] + [enough] * (not at_the_end)
        for name, kind in zip(names, kinds, strict=True):
            words = {"map": f"x = {name}(x)", "filter": f"if not {name}(x): continue", "take": f"{name} -= 1"}
            lines.append(f"        {words[kind]}")
        return "\n".join([*lines, "        yield x", *([enough] * at_the_end)])

    return answer


def _takes_as_filter(kinds: list[str]) -> str:
    lines = loop([kind for kind in kinds if kind != "take"]).splitlines()
    names = ", ".join(f"a{i}" for i in range(len(kinds)))
    lines[0] = f"def run(source, {names}):"
    body = []
    for i, kind in enumerate(kinds):
        words = {"map": f"x = a{i}(x)", "filter": f"if not a{i}(x): continue"}
        take = f"if not a{i}: continue\n        a{i} -= 1"
        body.append(f"        {words.get(kind, take)}")
    return "\n".join([*lines[:5], *body, "        yield x"])


def _running(kinds: str, *args: Any, size: int | None = None, enough: int = 20) -> Case:
    """Run the text that is written for `kinds` on the numbers from 0 on."""

    def probe(answer: Answer) -> object:
        text = answer(kinds.split())
        space: dict[str, Any] = {}
        exec(text, space)  # noqa: S102 - the reader's own text, as in the notebook
        source = Counted(count() if size is None else range(size), at_most=enough)
        return first(space["run"](source, *args)), source.pulled

    shown = ", ".join(_named(arg) for arg in args)
    numbers = "count()" if size is None else f"range({size})"
    return Case(f"run({numbers}, {shown}) of loop({kinds.split()})   -> (elements, how many were pulled)", probe)


def _named(arg: Any) -> str:
    return getattr(arg, "__name__", str(arg))


def triple(x: int) -> int:
    return x * 3


def odd(x: int) -> int:
    return x % 2


LOOP = Exercise(
    id="4.3",
    name="loop",
    stars=2,
    minutes=15,
    solution=loop,
    cases=[
        _running("take", 0),
        _running("take", 2),
        _running("take", 5, size=3),
        _running("map take", triple, 2),
        _running("map filter", triple, odd, size=4),
        _running("filter take", odd, 2),
        _running("take filter", 3, odd),
        _running("take map take filter", 5, triple, 4, odd),
    ],
    wrong=[
        Wrong("a for pulls an element before its body can say no: look first", answer=_for_loop(at_the_end=False)),
        Wrong(
            "return the function's text, not the function: the notebook hands it to `exec`",
            answer=lambda _: iter,
        ),
        Wrong("a filter behind the take jumps over the line that ends the loop", answer=_for_loop(at_the_end=True)),
        Wrong("the run goes on pulling after the n-th element, and only drops what comes", answer=_takes_as_filter),
        Wrong("next() at the end of a source raises in the generator", {"next(source, run)": "next(source)"}),
        Wrong("the run ends with the first take that is full, not with the last one", {"' and '": "' or '"}),
    ],
)

# --- 4.4 page(source, steps, number, size) --------------------------------------------------------

Steps = list[tuple[str, Fn]]


def _applied(elements: Iterable[Any], steps: Steps) -> Iterator[Any]:
    for kind, fn in steps:
        elements = map(fn, elements) if kind == "map" else filter(fn, elements)
    return iter(elements)


def page(source: Iterable[Any], steps: Steps, number: int, size: int) -> list[Any]:
    below = max((i + 1 for i, (kind, _) in enumerate(steps) if kind == "filter"), default=0)
    kept = islice(_applied(source, steps[:below]), (number - 1) * size, number * size)
    return list(_applied(kept, steps[below:]))


def _paging(words: str, number: int, size: int, enough: int) -> Case:
    """A page of the numbers from 0 on; `words` names the steps."""
    known: dict[str, tuple[str, Fn]] = {
        "triple": ("map", lambda x: x * 3),
        "odd": ("filter", lambda x: x % 2),
        "low": ("filter", lambda x: x % 10 < 5),
    }

    def probe(answer: Answer) -> object:
        calls: list[str] = []

        def noted(word: str) -> tuple[str, Fn]:
            kind, fn = known[word]

            def counted(x: Any) -> Any:
                calls.append(word)
                return fn(x)

            return kind, counted

        source = Counted(count(), at_most=enough)
        found = answer(source, [noted(word) for word in words.split()], number, size)
        return list(found), source.pulled, {word: calls.count(word) for word in dict.fromkeys(words.split())}

    return Case(f"page(count(), [{words}], {number}, {size})   -> (elements, pulled, calls)", probe)


def _finite_page(answer: Answer) -> object:
    source = Counted(range(7), at_most=8)
    return list(answer(source, [], 2, 2)), source.pulled


PAGE = Exercise(
    id="4.4",
    name="page",
    stars=2,
    minutes=15,
    solution=page,
    cases=[
        Case("page(iter(range(7)), [], 2, 2)   -> (elements, pulled)", _finite_page),
        _paging("triple", 1, 2, 2),
        _paging("triple", 2, 2, 4),
        _paging("odd", 1, 2, 4),
        _paging("odd", 2, 2, 8),
        _paging("odd triple", 2, 2, 8),
        _paging("triple odd", 2, 2, 8),
        _paging("odd low triple", 3, 2, 24),
    ],
    wrong=[
        Wrong(
            "the whole stream is computed before the page is cut out of it",
            {
                "kept = islice(_applied(source, steps[:below])": "below = len(steps)\n"
                "    kept = islice(list(_applied(source, steps))"
            },
        ),
        Wrong(
            "a source has no places to cut a slice from: `islice` counts",
            {"islice(_applied(source, steps[:below]), (number - 1) * size, number * size)": "source[: number * size]"},
        ),
        Wrong(
            "the maps run for elements that are cut off: cut first, where nothing stands between",
            {"    kept =": "    below = len(steps)\n    kept ="},
        ),
        Wrong(
            "a cut below a filter counts elements that the filter drops: it must stay above it",
            {"    kept =": "    below = 0\n    kept ="},
        ),
        Wrong(
            "the first page is number 1", {"(number - 1) * size, number * size": "number * size, (number + 1) * size"}
        ),
        Wrong(
            "an element behind the page is pulled: the page ends with its last element",
            {"kept = islice(": "kept = list(islice(", "number * size)": "number * size + 1))[:size]"},
        ),
        Wrong(
            "behind a filter, too, a cut passes the maps that follow it",
            {"    kept =": "    below = len(steps) if below else 0\n    kept ="},
        ),
        Wrong("the cut must stay above the last filter, not only above the first one", {"max(": "min("}),
    ],
)

# --- 4.5 where(steps, elements) -------------------------------------------------------------------


def where(steps: Steps, elements: Iterable[Any]) -> tuple[int, Any] | None:
    for x in elements:
        for number, (kind, fn) in enumerate(steps, 1):
            try:
                result = fn(x)
            except Exception:  # noqa: BLE001 - whatever a step raises is what is looked for
                return number, x
            if kind == "filter" and not result:
                break
            x = result if kind == "map" else x
    return None


def inverse(x: int) -> float:
    return 12 / x


def _step_by_step(steps: Steps, elements: Iterable[Any]) -> tuple[int, Any] | None:
    values = list(elements)
    for number, (kind, fn) in enumerate(steps, 1):
        kept = []
        for x in values:
            try:
                result = fn(x)
            except Exception:  # noqa: BLE001 - as above
                return number, x
            if kind == "map" or result:
                kept.append(result if kind == "map" else x)
        values = kept
    return None


def _endless_where(answer: Answer) -> object:
    source = Counted(count(-2), at_most=3)
    return answer([("map", inverse)], source), source.pulled


def _failing(words: str, *elements: int) -> Case:
    known: dict[str, tuple[str, Fn]] = {
        "less": ("map", lambda x: x - 1),
        "inverse": ("map", inverse),
        "odd": ("filter", odd),
        "fits": ("filter", lambda x: 12 % x == 0),
        "upper": ("map", lambda x: x.upper()),
    }

    def probe(answer: Answer) -> object:
        return answer([known[word] for word in words.split()], iter(elements))

    return Case(f"where([{', '.join(words.split())}], iter({list(elements)}))", probe)


WHERE = Exercise(
    id="4.5",
    name="where",
    stars=2,
    minutes=10,
    solution=where,
    cases=[
        _failing("inverse", 1, 2),
        _failing("inverse", 1, 0),
        _failing("less inverse", 2, 1),
        _failing("fits less inverse", 6),
        _failing("odd less inverse", 4, 1),
        _failing("odd inverse", 2, 0, 3),
        _failing("fits less inverse", 5, 6, 1, 0),
        _failing("inverse fits", 5, 0),
        _failing("less upper", 3),
        Case("where([inverse], count(-2)), a stream without end   -> (..., how many were pulled)", _endless_where),
    ],
    wrong=[
        Wrong("stages are counted from 1", {"enumerate(steps, 1)": "enumerate(steps)"}),
        Wrong(
            "the element is what the stage was given, not what the source gave",
            {"in elements:": "in elements:\n        source = x", "return number, x": "return number, source"},
        ),
        Wrong("an element that a filter dropped reaches no later stage", {"break": "pass"}),
        Wrong("a filter hands on the element, not its own verdict", {' if kind == "map" else x': ""}),
        Wrong(
            "a step may raise whatever it likes, not only what you think of",
            {"except Exception": "except ZeroDivisionError"},
        ),
        Wrong("the whole stream is listed before the first element is tried", {"in elements:": "in list(elements):"}),
        Wrong("stage after stage is an eager list: the first error is that of the first element", answer=_step_by_step),
    ],
)

# --- 4.6 class Cached -----------------------------------------------------------------------------


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


_READS = """at = 0
        while at < len(self.kept) or self.pull():
            yield self.kept[at]
            at += 1
"""


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


def _cached_none(answer: Answer) -> object:
    cached = answer(iter([None, 1]))
    return first(cached), first(cached)


def _endless_cache(answer: Answer) -> object:
    source = Counted(count(), at_most=5)
    cached = answer(source)
    return first(cached, 5), first(cached, 3), source.pulled


CACHED = Exercise(
    id="4.6",
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
        Case("list(c), list(c) for c = Cached(iter([None, 1]))", _cached_none),
        Case(
            "five, then three elements of a cached stream without end   -> (..., how many were pulled)", _endless_cache
        ),
    ],
    wrong=[
        Wrong(
            "the whole stream is listed when the cache is made: pull only what somebody asks for",
            {"iter(source), list[Any]()": "iter(()), list(source)"},
        ),
        Wrong(
            "nothing is kept, so the second reader begins where the first one stopped",
            {"        at = 0\n": "        yield from self.source\n        return\n        at = 0\n"},
        ),
        Wrong(
            "what another reader pulls meanwhile is missed: look at the kept elements before each pull",
            {_READS: "yield from list(self.kept)\n        while self.pull():\n            yield self.kept[-1]\n"},
        ),
        Wrong(
            "a partial read looks like the end: go on pulling after the kept elements",
            {
                _READS: "if self.kept:\n            yield from list(self.kept)\n            return\n"
                "        while self.pull():\n            yield self.kept[-1]\n"
            },
        ),
        Wrong(
            "None is an element like any other: a source may hold it",
            {
                "self.kept.append(x)\n            return True": "if x is None:\n"
                "                return False\n"
                "            self.kept.append(x)\n"
                "            return True"
            },
        ),
        Wrong(
            "next() on a source that has ended raises StopIteration, which a generator may not let out",
            {
                "for x in self.source:\n            self.kept.append(x)\n": "if True:\n"
                "            self.kept.append(next(self.source))\n",
            },
        ),
        Wrong(
            "all readers share one position: each needs its own",
            {
                "at = 0": "self.at = 0",
                "while at <": "while self.at <",
                "yield self.kept[at]\n            at += 1": "self.at += 1\n            yield self.kept[self.at - 1]",
            },
        ),
        Wrong(
            "one element more than asked for is pulled: pull when a reader is at the end, not before",
            {
                "while at < len(self.kept) or self.pull():": "self.pull()\n"
                "        while at < len(self.kept):\n"
                "            self.pull()"
            },
        ),
    ],
)

EXERCISES = (COST, TAKE, LOOP, PAGE, WHERE, CACHED)
