"""The reader's predictions."""

from __future__ import annotations

import pytest

from arion_lib.workbook import compare, predict, prediction


def test_a_prediction_is_kept_until_it_is_made_again(capsys: pytest.CaptureFixture[str]) -> None:
    predict("kept", 120, "MB")
    assert prediction("kept") == 120e6
    predict("kept", 0.5, "MB")
    assert prediction("kept") == 0.5e6
    assert capsys.readouterr().out == "you predict  kept: 120 MB\nyou predict  kept: 0.5 MB\n"


@pytest.mark.parametrize("blank", [..., None])
def test_a_blank_prediction_stops_nothing_and_takes_the_old_one_back(
    blank: None, capsys: pytest.CaptureFixture[str]
) -> None:
    predict("blank", 3)
    predict("blank", blank)
    assert prediction("blank") is None
    assert "in place of ..." in capsys.readouterr().out


@pytest.mark.parametrize("value", ["120 MB", True, [1]])
def test_a_prediction_must_be_a_number(value: object) -> None:
    with pytest.raises(TypeError, match="value must be a number, got"):
        predict("x", value)  # type: ignore[arg-type]


def test_a_prediction_of_nothing_is_compared_without_a_ratio(capsys: pytest.CaptureFixture[str]) -> None:
    predict("zero", 0, "MB")
    compare("zero", 7e6)
    assert capsys.readouterr().out.endswith("zero: you said 0 MB, measured 7 MB\n")


@pytest.mark.parametrize(("unit", "base"), [("ms", 0.003), ("s", 3), ("kB", 3000), ("", 3), ("calls", 3)])
def test_a_prediction_comes_back_in_bytes_seconds_or_its_own_unit(unit: str, base: float) -> None:
    predict("p", 3, unit)
    assert prediction("p") == pytest.approx(base)
