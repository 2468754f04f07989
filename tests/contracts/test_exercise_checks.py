"""The checks of notebook 3 show the diagnosis whole, and name a likely cause only when it is the cause."""

from __future__ import annotations

from typing import Any

from arion_lib.workbook.checking.checks import Mark, judge
from arion_lib.workbook.exercises.contracts_and_plugins import REPAIRED, SHOUTING


def unrepaired(base: Any) -> list[Any]:
    class First(base):  # type: ignore[misc]
        def export(self, rows, count=10):  # type: ignore[no-untyped-def]
            return str(rows[:count])

    return [First]


def test_classes_that_nobody_repaired_get_the_whole_diagnosis_and_no_false_cause() -> None:
    verdict = judge(REPAIRED, unrepaired)
    assert verdict.mark is Mark.NO
    assert verdict.misconception == ""
    assert "[missing] First.suffix" in verdict.got
    assert "[parameter-name] First.export" in verdict.got
    assert "fix       rename count to limit" in verdict.got


def test_a_coroutine_in_one_class_is_named_as_the_cause() -> None:
    wrong = next(w for w in REPAIRED.wrong if "drop the async" in w.misconception)
    assert (
        judge(REPAIRED, REPAIRED.answer_of(wrong)).misconception == wrong.misconception
    )  # the control: a cause is found


def test_a_plugin_that_breaks_its_contract_is_shown_the_fix() -> None:
    def shouting(base: Any) -> Any:
        class Shouting(base, name="shouting", version="1.0"):  # type: ignore[misc, call-arg]
            def validate(self, line):  # type: ignore[no-untyped-def]
                return []

        return Shouting

    verdict = judge(SHOUTING, shouting)
    assert verdict.misconception == ""
    assert "fix       rename line to row" in verdict.got
