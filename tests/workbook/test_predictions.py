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


@pytest.mark.parametrize("value", [-1, -0.5, float("nan"), float("inf")])
def test_what_cannot_be_measured_cannot_be_predicted(value: float) -> None:
    with pytest.raises(ValueError, match="value must be a number >= 0, got"):
        predict("refused", value, "MB")
    assert prediction("refused") is None


@pytest.mark.parametrize(
    ("unit", "meant"),
    [
        ("mega", "MB"),
        ("mb", "MB"),
        ("KB", "kB"),
        ("megabytes", "MB"),
        ("seconds", "s"),
        ("mega/s", "MB"),
        ("bytes/s", "B"),
        ("xy", ""),
        ("MB per hour", ""),
    ],
)
def test_an_unknown_unit_is_refused_with_the_known_ones_and_the_nearest(unit: str, meant: str) -> None:
    with pytest.raises(ValueError, match=r"unit must be one of B, kB, .* got") as refused:
        predict("refused", 1, unit)
    assert str(refused.value).endswith(f"got {unit!r}; did you mean {meant}?" if meant else f"got {unit!r}")


@pytest.mark.parametrize("unit", ["MB/s", "records/s", "connections", "us", "%", ""])
def test_known_units_plurals_and_rates_are_taken(unit: str) -> None:
    predict("taken", 1, unit)
    assert prediction("taken") == (1e6 if unit == "MB/s" else 1e-6 if unit == "us" else 1)


@pytest.mark.parametrize("swapped", [(120, "peak", "MB"), ("peak", "MB", 120), ("peak", 120, 5)])
def test_arguments_in_the_wrong_order_are_shown_the_right_one(swapped: tuple[object, ...]) -> None:
    with pytest.raises(
        TypeError, match=r'must be a .*, got .*; write predict\("peak", 120, "MB"\): the name, the number'
    ):
        predict(*swapped)  # type: ignore[arg-type]


def test_a_prediction_of_nothing_is_compared_without_a_ratio(capsys: pytest.CaptureFixture[str]) -> None:
    predict("zero", 0, "MB")
    compare("zero", 7e6)
    assert capsys.readouterr().out.endswith("zero: you said 0 MB, measured 7 MB\n")


@pytest.mark.parametrize(("unit", "base"), [("ms", 0.003), ("s", 3), ("kB", 3000), ("", 3), ("calls", 3)])
def test_a_prediction_comes_back_in_bytes_seconds_or_its_own_unit(unit: str, base: float) -> None:
    predict("p", 3, unit)
    assert prediction("p") == pytest.approx(base)
