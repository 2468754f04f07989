"""What a check says."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from arion_lib.workbook import check
from arion_lib.workbook.checking import catalogue
from arion_lib.workbook.checking.checks import MOST_PRINTED, Mark, judge
from arion_lib.workbook.checking.exercise import Case, Exercise, Wrong, call, edited
from arion_lib.workbook.checking.outcome import Counted, first


def evens(numbers: Iterable[int]) -> Iterator[int]:
    return (n for n in numbers if n % 2 == 0)


def lists_first(numbers: Iterable[int]) -> list[int]:
    return list(evens(numbers))


EXERCISE = Exercise(
    id="9.1",
    name="evens",
    stars=1,
    minutes=5,
    solution=evens,
    cases=[
        call("evens", [], then=first),
        call(
            "evens",
            [1, 2],
            then=first,
        ),
        Case("the first of an endless stream", lambda answer: first(answer(Counted(itertools.count(), at_most=1)), 1)),
    ],
    wrong=[
        Wrong("listed first", answer=lists_first),
        Wrong("odd, not even", {"n % 2 == 0": "n % 2"}),
    ],
    seconds=0.1,
)


def unwritten(numbers: Iterable[int]) -> Iterator[int]:
    raise NotImplementedError


def endless(numbers: Iterable[int]) -> Iterator[int]:
    while True:
        pass


def crashing(numbers: Iterable[int]) -> Iterator[int]:
    return evens(numbers[0])  # type: ignore[index]


def trips_over_none(numbers: Iterable[int]) -> Iterator[int]:
    return iter(None)  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize(
    ("answer", "mark", "case", "likely"),
    [
        (evens, Mark.OK, "", ""),
        (unwritten, Mark.TODO, "", ""),
        (lists_first, Mark.NO, "the first of an endless stream", "listed first"),
        (lambda numbers: [n for n in numbers if n % 2], Mark.NO, "evens([1, 2])", "odd, not even"),
        (lambda numbers: itertools.chain([0], numbers), Mark.NO, "evens([])", ""),
        (lambda numbers: None, Mark.NO, "evens([])", "it returns None: did you forget `yield` or `return`?"),
        (trips_over_none, Mark.NO, "evens([])", ""),
        (endless, Mark.NO, "evens([])", "a loop that never ends, or a wait for something that never comes"),
        (lambda: None, Mark.NO, "evens([])", "it must take 1 argument: numbers"),
        (lambda numbers, start: evens(numbers), Mark.NO, "evens([])", "it must take 1 argument: numbers"),
        (crashing, Mark.NO, "evens([])", ""),
    ],
)
def test_a_verdict_names_the_smallest_failing_input_and_the_misconception(
    answer: object, mark: Mark, case: str, likely: str
) -> None:
    verdict = judge(EXERCISE, answer)  # type: ignore[arg-type]
    assert (verdict.mark, verdict.case, verdict.misconception) == (mark, case, likely)


def test_a_misconception_that_explains_some_cases_only_is_named_with_a_perhaps() -> None:
    def odd_or_nothing(numbers: Iterable[int]) -> Iterator[int]:
        return (n for n in numbers if n % 2 or n == 0)

    assert "       perhaps                  odd, not even" in str(judge(EXERCISE, odd_or_nothing))
    odd = EXERCISE.answer_of(EXERCISE.wrong[1])
    assert "       likely                   odd, not even" in str(judge(EXERCISE, odd))  # control: here it explains all


def test_none_is_told_to_be_a_forgotten_return_only_where_none_is_never_right() -> None:
    def nothing(numbers: Iterable[int]) -> None:
        return None

    case = call("evens", [1, 2], then=lambda result: result)
    wrong = [Wrong("x", answer=list)]
    never = Exercise("9.6", "evens", 1, 5, list, [case], wrong)
    assert judge(never, nothing).misconception == "a branch without `return` gives None"
    sometimes = Exercise("9.7", "evens", 1, 5, lambda numbers: numbers or None, [case, call("evens", [])], wrong)
    assert judge(sometimes, nothing).misconception == ""


def test_an_error_with_another_message_has_another_cause() -> None:
    def without_a_place(numbers: Any) -> Iterator[int]:
        return (n for n in numbers[0:] if n % 2 == 0)

    def adds_a_text(numbers: Any) -> Iterator[int]:
        return (n for n in "" + numbers if n % 2 == 0)

    case = Case("evens(iter([1, 2]))", lambda answer: list(answer(iter([1, 2]))))
    exercise = Exercise("9.5", "evens", 1, 5, evens, [case], [Wrong("no places", answer=without_a_place)])
    assert judge(exercise, without_a_place).misconception == "no places"
    verdict = judge(exercise, adds_a_text)
    assert (verdict.got[:9], verdict.misconception) == ("TypeError", "")


def test_of_an_outcome_that_says_several_things_only_what_differs_is_shown() -> None:
    case = Case("said", lambda answer: {"steps": ["open", "close"], "raised": answer()})
    wrong = [Wrong("x", answer=list)]
    exercise = Exercise("9.4", "said", 1, 5, dict, [case], wrong)
    verdict = judge(exercise, tuple)
    assert (verdict.expected, verdict.got) == ("{'raised': {}}", "{'raised': ()}")


def test_a_wrong_answer_is_an_edit_of_the_solution_whose_piece_stands_there_once() -> None:
    odd = edited(evens, (("n % 2 == 0", "n % 2"),))
    assert list(odd([1, 2, 3])) == [1, 3]
    assert list(evens([1, 2, 3])) == [2]  # the solution is as it was
    for piece in ("n % 3", "n"):
        with pytest.raises(ValueError, match=rf"must stand in evens exactly once, '{piece}' does \d+ times"):
            edited(evens, ((piece, "x"),))
    for parts in ({}, {"edit": {"a": "b"}, "answer": evens}):
        with pytest.raises(ValueError, match="either an edit or an answer"):
            Wrong("x", **parts)  # type: ignore[arg-type]


def test_a_crash_is_shown_with_the_readers_own_line() -> None:
    assert judge(EXERCISE, crashing).got.endswith("<- return evens(numbers[0])  # type: ignore[index]")


def test_what_an_answer_prints_stands_in_the_report_and_only_the_shown_cases(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def chatty(numbers: list[int]) -> Iterator[int]:
        print("given", numbers)  # noqa: T201
        return (n for n in numbers if n % 2)

    report = str(judge(EXERCISE, chatty))
    assert capsys.readouterr().out == ""
    assert report.count("given") == 1
    assert "       printed                  given [1, 2]\n" in report
    chatty([1])
    assert capsys.readouterr().out == "given [1]\n"  # control: it does print, and can again


def test_an_answer_that_prints_for_ever_is_kept_short() -> None:
    def floods(numbers: Iterable[int]) -> Iterator[int]:
        while True:
            print("x" * 1000)  # noqa: T201

    verdict = judge(EXERCISE, floods)
    assert len(verdict.printed) == MOST_PRINTED
    assert len(str(verdict)) < 1000


def test_what_was_expected_does_not_show_the_solutions_line() -> None:
    def refuses(number: int) -> int:
        raise ValueError("secret way")

    exercise = Exercise("9.3", "refuses", 1, 5, refuses, [call("refuses", 1)], [Wrong("accepts", answer=abs)])
    verdict = judge(exercise, lambda number: number)
    assert (verdict.expected, verdict.misconception) == ("ValueError: secret way", "accepts")


def test_several_arguments_are_all_named() -> None:
    verdict = judge(catalogue.find("1.2"), lambda lines: iter(lines))
    assert verdict.misconception == "it must take 2 arguments: lines, on_bad"


def test_a_called_answer_is_told_to_hand_over_the_function() -> None:
    verdict = judge(EXERCISE, evens([]))  # type: ignore[arg-type]
    assert verdict.misconception == "hand over evens itself, without calling it"


def test_a_class_is_judged_too() -> None:
    class Unwritten:
        def __init__(self, numbers: Iterable[int]) -> None:
            raise NotImplementedError

    assert judge(EXERCISE, Unwritten).mark is Mark.TODO


def test_check_prints_the_verdict_and_refuses_an_unknown_exercise(capsys: pytest.CaptureFixture[str]) -> None:
    check("1.2", catalogue.find("1.2").solution)
    assert capsys.readouterr().out.startswith("[ ok ] 1.2 read_records: ")
    with pytest.raises(ValueError, match=r"exercise must be one of 1\.1, .*, got '0\.0'"):
        check("0.0", evens)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stars": 4}, "stars must be 1, 2 or 3, got 4"),
        ({"cases": []}, "must have cases and wrong answers, got 0 and 1"),
        ({"wrong": [Wrong("x", answer=endless), Wrong("x", answer=evens)]}, "a misconception of its own"),
    ],
)
def test_an_exercise_whose_parts_do_not_fit_is_refused(change: dict[str, object], message: str) -> None:
    parts = {"cases": [call("evens", [])], "wrong": [Wrong("x", answer=endless)], "stars": 1, **change}
    with pytest.raises(ValueError, match=message):
        Exercise(id="9.2", name="evens", minutes=5, solution=evens, **parts)  # type: ignore[arg-type]
