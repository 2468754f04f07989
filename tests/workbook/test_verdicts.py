"""A claim and the number that was measured of it."""

from __future__ import annotations

import re

import pytest

from arion_lib.workbook import verdict
from arion_lib.workbook.running.strict import SANITIZE


@pytest.mark.parametrize(
    ("measured", "bounds", "said"),
    [
        (2.5, {"over": 2}, "over 2, yes (measured 2.50)"),
        (2, {"over": 2}, "over 2, NO (measured 2)"),
        (1, {"under": 2}, "under 2, yes (measured 1)"),
        (float("nan"), {"under": 2}, "under 2, NO (measured nan)"),
    ],
)
def test_a_verdict_comes_from_the_number_that_it_shows(
    measured: float, bounds: dict[str, float], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    verdict("growth", measured, **bounds)  # type: ignore[arg-type]
    assert capsys.readouterr().out == f"growth: {said}\n"


@pytest.mark.parametrize("bounds", [{}, {"over": 1, "under": 2}])
def test_a_verdict_has_one_bound(bounds: dict[str, float]) -> None:
    with pytest.raises(TypeError, match="needs one bound"):
        verdict("growth", 1, **bounds)  # type: ignore[arg-type]


def compared(measured: float, capsys: pytest.CaptureFixture[str]) -> str:
    """What nbval compares of a verdict's line."""
    verdict("growth", measured, "B", under=2e6)
    text = capsys.readouterr().out
    settings = re.findall(r"^regex: (.*)\nreplace: (.*)$", SANITIZE.read_text("utf-8"), re.MULTILINE)
    for pattern, instead in settings:
        text = re.sub(pattern, instead, text)
    return text


def test_the_answer_is_compared_with_the_stored_one_and_the_number_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert compared(1e6, capsys) == compared(1.5e6, capsys) != compared(3e6, capsys)
