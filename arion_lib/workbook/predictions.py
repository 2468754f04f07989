"""The reader's predictions: made before a measurement, drawn beside it.

Idea        Say a number first; a figure then shows how far off it was.
Invariant   A prediction is what its cell said last; `...` and `None` mean "not yet" and stop nothing.
When wrong  A value that is not a number is refused with what to write; an unknown name is simply not predicted.
See         notebooks/1_streaming_pipeline.ipynb · tests/workbook/test_predictions.py
"""

from __future__ import annotations

from dataclasses import dataclass
from types import EllipsisType

from arion_lib.measure.units import BYTES, SECONDS

_FACTORS = {**BYTES, **SECONDS}


@dataclass(frozen=True, slots=True)
class Prediction:
    """One number the reader committed to."""

    name: str
    value: float
    unit: str = ""

    def __str__(self) -> str:
        """
        >>> str(Prediction("peak", 120, "MB"))
        'peak: 120 MB'
        """
        return f"{self.name}: {_number(self.value)} {self.unit}".rstrip()

    @property
    def factor(self) -> float:
        """What one `unit` is in bytes or seconds; 1 for any other unit."""
        return _FACTORS.get(self.unit, 1.0)


_made: dict[str, Prediction] = {}  # the kernel's memory between cells: a notebook has one reader


def predict(name: str, value: float | EllipsisType | None, unit: str = "") -> None:
    """Keep the reader's prediction `value` (in `unit`) and print it; `...` or `None` says that it is still open.

    Raises `TypeError` for a value that is not a number.

    >>> predict("peak", 120, "MB")
    you predict  peak: 120 MB
    >>> predict("peak", ..., "MB")
    you predict  peak: ? MB  (put a number in place of ... and run this cell again)
    """
    if not name:
        raise ValueError("name must be a word or two, got ''")
    if value is None or value is ...:
        _made.pop(name, None)
        asked = f"{name}: ? {unit}".rstrip()
        print(f"you predict  {asked}  (put a number in place of ... and run this cell again)")
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"value must be a number, got {value!r}; put the unit into a third argument")
    _made[name] = Prediction(name, value, unit)
    print(f"you predict  {_made[name]}")


def prediction(name: str) -> float | None:
    """Return what the reader predicted for `name`, in bytes, seconds or its own unit; `None` while that is open.

    The plots of `arion_lib.measure` take it as it is: `prediction=prediction("peak")`.

    >>> predict("peak", 120, "MB")
    you predict  peak: 120 MB
    >>> prediction("peak")
    120000000.0
    >>> prediction("something else") is None
    True
    """
    made = _made.get(name)
    return None if made is None else made.value * made.factor


def compare(name: str, measured: float) -> None:
    """Print the prediction beside what was `measured` (bytes, seconds or its own unit); ignore this cell's output.

    >>> predict("peak", 120, "MB")
    you predict  peak: 120 MB
    >>> compare("peak", 480e6)
    peak: you said 120 MB, measured 480 MB, 4.0 times your number
    >>> compare("calls", 3)
    calls: measured 3 (you made no prediction)
    """
    made = _made.get(name)
    if made is None:
        print(f"{name}: measured {_number(measured)} (you made no prediction)")
        return
    said, got = (f"{_number(v)} {made.unit}".rstrip() for v in (made.value, measured / made.factor))
    times = f", {measured / made.factor / made.value:.1f} times your number" if made.value else ""
    print(f"{name}: you said {said}, measured {got}{times}")


def _number(value: float) -> str:
    """
    >>> _number(1234567), _number(0.123456), _number(12.0), _number(1040.5)
    ('1,234,567', '0.123', '12', '1,040')
    """
    if float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
