"""What an exercise is: a reference solution, cases from small to large, and a catalogue of wrong answers.

Idea        The expected value of a case is what the reference solution gives; the misconception is that of the wrong
            answer in the catalogue which behaves as the reader's answer does. A wrong answer is written as the piece
            of the solution that somebody would write differently, so that a catalogue reads as a table.
Invariant   Cases stand from the smallest input to the largest, so the first that fails is the smallest failing input.
When wrong  An exercise whose parts do not fit (no case, no wrong answer, a misconception said twice) is refused; so is
            an edit whose piece does not stand in the solution exactly once.
See         arion_lib/workbook/exercises · tests/workbook/test_exercises.py
"""

from __future__ import annotations

import functools
import inspect
import linecache
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from arion_lib.short_repr import short_repr

Answer: TypeAlias = Callable[..., Any]
"""What a reader writes: a function or a class."""


@dataclass(frozen=True, slots=True)
class Case:
    """One input: `show` is what the reader sees of it, `probe(answer)` uses the answer on it and returns plain data.

    A probe must build its input anew each time, must bound what it reads (`outcome.first`, `outcome.Counted`), and
    returns something with a stable repr. An exception is an outcome too: its type is compared, its message is not.
    `why` says what this case asks for; it is shown where no wrong answer of the catalogue explains a failure here.
    What a probe needs changed for the whole process (a function of a module, a logger, tracemalloc) is `within`: the
    checker's own thread enters and leaves it. An answer that never ends would keep it changed for ever.
    """

    show: str
    probe: Callable[[Answer], object]
    why: str = ""
    within: Callable[[], AbstractContextManager[object]] = nullcontext


@dataclass(frozen=True, slots=True)
class Wrong:
    """An answer that looks right and is not, with the misconception behind it (one sentence, said to the reader).

    `edit` makes it of the solution: pieces of its text, each with what stands there instead. What is no edit of the
    solution is given whole, as `answer`.
    """

    misconception: str
    edit: Mapping[str, str] = field(default_factory=dict)
    answer: Answer | None = None

    def __post_init__(self) -> None:
        if bool(self.edit) == (self.answer is not None):
            raise ValueError(f"a wrong answer must have either an edit or an answer: {self.misconception!r}")


@dataclass(frozen=True, slots=True)
class Exercise:
    """An exercise of notebook `int(id.split(".")[0])`.

    `id` is like "1.2"; `name` the function or class to write; `stars` 1 to 3; `minutes` to do it; `cases` from the
    smallest input to the largest; `wrong` the catalogue, the naive version among them; `seconds` a case's deadline.
    """

    id: str
    name: str
    stars: int
    minutes: int
    solution: Answer
    cases: Sequence[Case]
    wrong: Sequence[Wrong]
    seconds: float = 5.0

    def __post_init__(self) -> None:
        if self.stars not in (1, 2, 3):
            raise ValueError(f"stars must be 1, 2 or 3, got {self.stars}")
        if not self.cases or not self.wrong:
            raise ValueError(
                f"exercise {self.id} must have cases and wrong answers, got {len(self.cases)} and {len(self.wrong)}"
            )
        said = [w.misconception for w in self.wrong]
        if len(set(said)) < len(said):
            raise ValueError(f"exercise {self.id}: each wrong answer must have a misconception of its own")

    @property
    def notebook(self) -> int:
        return int(self.id.split(".")[0])

    def title(self) -> str:
        return f"{self.id} {self.name}"

    def answer_of(self, wrong: Wrong) -> Answer:
        """Return a wrong answer as what a reader would have written."""
        return wrong.answer or edited(self.solution, tuple(wrong.edit.items()))


@functools.cache
def edited(solution: Answer, changes: tuple[tuple[str, str], ...]) -> Answer:
    """Return the function or class that `solution` would be with these pieces of its text changed.

    Raises `ValueError` for a piece that does not stand in the text exactly once.
    """
    text = inspect.getsource(solution)
    for old, new in changes:
        if text.count(old) != 1:
            raise ValueError(
                f"a piece must stand in {solution.__name__} exactly once, {old!r} does {text.count(old)} times"
            )
        text = text.replace(old, new)
    space = dict(vars(sys.modules[solution.__module__]))
    file = f"<{solution.__name__}, edited: {hash(changes):x}>"
    linecache.cache[file] = (len(text), None, text.splitlines(True), file)  # as a notebook's cells: an error has a line
    exec(compile(text, file, "exec", dont_inherit=True), space)  # noqa: S102 - our own text
    answer: Answer = space[solution.__name__]
    return answer


def call(name: str, *args: object, then: Callable[[Any], object] = lambda result: result, **kwargs: object) -> Case:
    """Return the case that calls the answer with copies of these arguments and looks at the result through `then`.

    For an answer that returns a stream, give `then=first` (never `list`: an answer may be endless).

    >>> from arion_lib.workbook.checking.outcome import first
    >>> case = call("enumerate", "ab", start=1, then=first)
    >>> case.show, case.probe(enumerate)
    ("enumerate('ab', start=1)", [(1, 'a'), (2, 'b')])
    """
    words = [short_repr(a, 100) for a in args] + [f"{k}={short_repr(v, 100)}" for k, v in kwargs.items()]
    return Case(f"{name}({', '.join(words)})", lambda answer: then(answer(*deepcopy(args), **deepcopy(kwargs))))
