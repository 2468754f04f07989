"""Judge a reader's answer and say why.

Idea        Run the answer and the reference solution on the same cases; where they differ, look in the catalogue for
            the wrong answer that differs in the same way: its misconception is the likely one. One that behaves alike
            on some cases only is named with a "perhaps".
Invariant   `judge` is deterministic, never raises on account of the answer, and lets nothing the answer prints
            stand above the report: what it printed on the shown case is a line of the report.
When wrong  The report names the smallest failing input, what was expected, what came, and the misconception.
See         every notebook · tests/workbook/test_checks.py
"""

from __future__ import annotations

import inspect
import io
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass, replace
from enum import Enum

from arion_lib.short_repr import short_repr
from arion_lib.units import how_many
from arion_lib.workbook.checking import catalogue, last_cell
from arion_lib.workbook.checking.exercise import Answer, Case, Exercise
from arion_lib.workbook.checking.outcome import Kind, Outcome, run
from arion_lib.workbook.record import progress

MOST_PRINTED = 2_000
"""Characters kept of what an answer prints on one case."""


class Mark(Enum):
    """The three things a check can say."""

    OK = "[ ok ]"
    NO = "[ no ]"
    TODO = "[todo]"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check found. `str()` of it is the report."""

    mark: Mark
    exercise: str
    cases: int = 0
    case: str = ""
    expected: str = ""
    got: str = ""
    misconception: str = ""
    printed: str = ""
    sure: bool = True  # the misconception explains every case
    asked: str = ""  # where no misconception is known: what this case is about

    def __str__(self) -> str:
        """
        >>> print(Verdict(Mark.NO, "1.1 cut", 7, "cut([b'a'])", "['a']", "[]", "the last line may lack its newline"))
        [ no ] 1.1 cut
               smallest failing input   cut([b'a'])
               expected                 ['a']
               got                      []
               likely                   the last line may lack its newline
        """
        if self.mark is Mark.TODO:
            what = "replace `raise NotImplementedError`, run that cell, then this one"
            return f"{self.mark.value} {self.exercise}: {what}"
        if self.mark is Mark.OK:
            return f"{self.mark.value} {self.exercise}: {self.cases} of {how_many(self.cases, 'cases')}"
        rows = {
            "smallest failing input": self.case,
            "expected": self.expected,
            "got": self.got,
            "printed": _lines(self.printed),
            "likely" if self.sure else "perhaps": self.misconception,
            "asked for": self.asked,
        }
        lines = [f"       {label:<24} {text}" for label, text in rows.items() if text]
        return "\n".join([f"{self.mark.value} {self.exercise}", *lines])


def check(exercise_id: str, answer: object) -> None:
    """Print the verdict on `answer`, the function or class itself: `[ ok ]`, `[ no ]` with the reason, or `[todo]`.

    Raises `ValueError` for an exercise that does not exist. Takes a few milliseconds for a right answer; an answer
    that never ends is stopped at the exercise's deadline.
    """
    exercise = catalogue.find(exercise_id)
    if warning := last_cell.failed_to_define(exercise.name):
        print(warning)
    verdict = judge(exercise, answer)
    print(verdict)
    progress.note("check", exercise.id, mark=verdict.mark.name.lower(), likely=verdict.misconception)


def judge(exercise: Exercise, answer: object) -> Verdict:
    """Return the verdict on `answer`; nothing the answer does gets out of here."""
    title = exercise.title()
    if not callable(answer):
        given = f"{short_repr(answer, 60)} (a {type(answer).__name__})"
        likely = f"hand over {exercise.name} itself, without calling it"
        return Verdict(
            Mark.NO, title, 0, f'check("{exercise.id}", ...)', f"the function {exercise.name}", given, likely
        )
    expected = [_try(exercise, case, exercise.solution) for case in exercise.cases]
    got_all = list(_until_time(exercise, answer))
    if any(got.kind is Kind.TODO for got in got_all):
        return Verdict(Mark.TODO, title)
    for number, (case, want, got) in enumerate(zip(exercise.cases, expected, got_all, strict=False)):
        if not got.same_as(want):
            likely, sure = _certain(exercise, answer, got), True
            if not likely:
                likely, sure = _misconception(exercise, number, got_all)
            asked = "" if likely else case.why
            if not likely and not asked:
                likely, sure = _general(got, expected), True
            expects, gives = _what_differs(replace(want, line=""), got)  # the line is the solution's
            return Verdict(
                Mark.NO, title, len(expected), case.show, str(expects), str(gives), likely, got.printed, sure, asked
            )
    return Verdict(Mark.OK, title, len(expected))


def _try(exercise: Exercise, case: Case, answer: Answer) -> Outcome:
    with redirect_stdout(_Printed()) as printed, case.within():
        outcome = run(lambda: case.probe(answer), exercise.seconds, _file_of(answer))
    return replace(outcome, printed=printed.getvalue())


class _Printed(io.StringIO):
    """Keeps the beginning of what is printed: a loop that never ends may print for ever."""

    def write(self, text: str) -> int:
        super().write(text[: max(0, MOST_PRINTED - self.tell())])
        return len(text)


def _until_time(exercise: Exercise, answer: Answer) -> Iterator[Outcome]:
    """Yield the answer's outcome case by case, ending after one that ran out of time: the next would take as long."""
    for case in exercise.cases:
        outcome = _try(exercise, case, answer)
        yield outcome
        if outcome.kind is Kind.TIME:
            return


def _what_differs(want: Outcome, got: Outcome) -> tuple[Outcome, Outcome]:
    """Return both outcomes; of dicts that say several things, only those that are not the same."""
    if isinstance(want.value, dict) and isinstance(got.value, dict) and want.value.keys() == got.value.keys():
        apart = [key for key in want.value if repr(want.value[key]) != repr(got.value[key])]
        want = replace(want, value={key: want.value[key] for key in apart})
        got = replace(got, value={key: got.value[key] for key in apart})
    return want, got


def _misconception(exercise: Exercise, failing: int, got: Sequence[Outcome]) -> tuple[str, bool]:
    """Return the misconception of the wrong answer that fails as `got` does, agreeing with it on the most cases.

    And whether it agrees on all of them.
    """
    best, likely = 0, ""
    for wrong in exercise.wrong:
        answer = exercise.answer_of(wrong)
        if not _try(exercise, exercise.cases[failing], answer).alike(got[failing]):
            continue
        outcomes = _until_time(exercise, answer)
        agreed = sum(a.alike(b) for a, b in zip(outcomes, got, strict=False))
        if agreed > best:
            best, likely = agreed, wrong.misconception
    return likely, best == len(got)


def _certain(exercise: Exercise, answer: Answer, got: Outcome) -> str:
    """Say what is wrong where no catalogue is needed to know it."""
    if got.kind is not Kind.RAISED:
        return ""
    if got.value == "TypeError" and (names := _arguments_not_taken(exercise.solution, answer)):
        return f"it must take {how_many(len(names), 'arguments')}: {', '.join(names)}"
    if got.value in ("TypeError", "AttributeError") and "'NoneType' object" in got.text and not got.line:
        return "it returns None: did you forget `yield` or `return`?"  # not the answer's own line tripped over it
    return ""


def _arguments_not_taken(solution: Answer, answer: Answer) -> list[str]:
    """Return the solution's parameters where `answer` cannot be called with as many; else nothing."""
    parameters = inspect.signature(solution).parameters.values()
    by_name = {p.name: None for p in parameters if p.kind is p.KEYWORD_ONLY}
    by_place = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    with suppress(ValueError):  # a callable without a signature, such as some built into Python
        try:
            inspect.signature(answer).bind(*by_place, **by_name)
        except TypeError:
            return [*by_place, *by_name]
    return []


def _lines(printed: str) -> str:
    r"""Return the first lines of what was printed, laid out for a report.

    >>> _lines("a\nb\nc\nd\n").split()
    ['a', 'b', 'c', '...']
    """
    lines = printed.rstrip().splitlines()
    kept = [line[:160] for line in lines[:3]] + ["..."] * (len(lines) > 3)
    return ("\n" + " " * 32).join(kept)


def _general(got: Outcome, expected: Sequence[Outcome]) -> str:
    match got.kind:
        case Kind.READ_AHEAD:
            return "the answer reads further than it was asked to: hand on each element before you take the next"
        case Kind.TIME:
            return "a loop that never ends, or a wait for something that never comes"
        case Kind.VALUE if got.value is None and not any(each.value is None for each in expected):
            return "a branch without `return` gives None"
        case _:
            return ""


def _file_of(answer: Answer) -> str:
    """Return the file name in the answer's code objects (for a class: of its first method)."""
    plain = inspect.unwrap(answer)
    candidates = [plain, *vars(plain).values()] if isinstance(plain, type) else [plain]
    codes = (getattr(c, "__code__", None) for c in candidates)
    return next((code.co_filename for code in codes if code is not None), "")
