"""The reader's predictions: made before a measurement, drawn beside it.

Idea        Say a number first; a figure then shows how far off it was.
Invariant   A prediction is what its cell said last; `...` and `None` mean "not yet" and stop nothing.
When wrong  A value that is no number >= 0, a unit nobody knows and arguments in the wrong order are refused with what
            to write; an unknown name is simply not predicted.
See         notebooks/1_streaming_pipeline.ipynb · tests/workbook/test_predictions.py
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from types import EllipsisType

from arion_lib.nearest import did_you_mean, nearest
from arion_lib.units import BYTES, SECONDS, one_or_many
from arion_lib.workbook.record import progress


class PredictionError(TypeError, ValueError):
    """A prediction that cannot be kept; the message says what to write."""


_FACTORS = {**BYTES, **SECONDS}
_MEANT = {
    **{unit.lower(): unit for unit in _FACTORS},
    "byte": "B",
    "kilobyte": "kB",
    "megabyte": "MB",
    "gigabyte": "GB",
    "terabyte": "TB",
    "nanosecond": "ns",
    "microsecond": "us",
    "millisecond": "ms",
    "second": "s",
}
_COUNTED = re.compile(r"[^\W\d_]{2,}s")
"""A word for what is counted: several letters and a plural's s, as in "connections"."""


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
        return f"{self.name}: {_amount(self.value, self.unit)}"

    @property
    def factor(self) -> float:
        """What one `unit` is in bytes, seconds or bytes per second; 1 for any other unit."""
        return _factor(self.unit)


# The kernel's memory between cells: a notebook has one reader.
_made: dict[str, Prediction] = {}
_asked: dict[str, str] = {}  # the unit that a prediction was asked for in
_measured: dict[str, tuple[float, str]] = {}


def predict(name: str, value: float | EllipsisType | None, unit: str = "") -> None:
    """Keep the reader's prediction `value` (in `unit`) and print it; `...` or `None` says that it is still open.

    `unit` is "B", "kB" ... "TB", "ns" ... "s", "%", the plural of what is counted ("records"), or empty; `/s` makes it
    a rate.
    Zero is a prediction: that nothing will happen. Raises `PredictionError` (a `TypeError` and a `ValueError`) for a
    name that is no text, for a value that is no number, negative or endless, and for an unknown unit.

    >>> predict("peak", 120, "MB")
    you predict  peak: 120 MB
    >>> predict("peak", ..., "MB")
    you predict  peak: ? MB  (put a number in place of ... and run this cell again)
    """
    _check_order(name, value, unit)
    _check_unit(unit)
    _asked[name] = unit
    if value is None or value is ...:
        _made.pop(name, None)
        asked = f"{name}: ? {unit}".rstrip()
        print(f"you predict  {asked}  (put a number in place of ... and run this cell again)")
        return
    if not (value >= 0 and math.isfinite(value)):
        raise PredictionError(f"value must be a number >= 0, got {value!r}; what do you expect to be measured?")
    _made[name] = Prediction(name, value, unit)
    print(f"you predict  {_made[name]}")
    progress.note("prediction", name, said=_amount(value, unit), value=value, unit=unit)


def _check_order(name: object, value: object, unit: object) -> None:
    """Refuse arguments of the wrong types; who swapped them needs to see the order."""
    order = 'write predict("peak", 120, "MB"): the name, the number, its unit'
    if not isinstance(name, str):
        raise PredictionError(f"name must be a text, got {name!r}; {order}")
    if not name.strip():
        raise PredictionError(f"name must be a word or two, got {name!r}; {order}")
    if value is not None and value is not ... and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise PredictionError(f"value must be a number, got {value!r}; {order}")
    if not isinstance(unit, str):
        raise PredictionError(f"unit must be a text, got {unit!r}; {order}")


def _check_unit(unit: str) -> None:
    base = unit.removesuffix("/s")
    singular = base.lower().rstrip("s") if len(base) > 2 else base.lower()
    meant = _MEANT.get(base.lower()) or _MEANT.get(singular)
    if base in (*_FACTORS, "%") or not unit or (meant is None and _COUNTED.fullmatch(base)):
        return
    hint = f"; did you mean {meant}?" if meant else did_you_mean(singular, _MEANT, _MEANT.__getitem__)
    known = ", ".join([*_FACTORS, "%"])
    raise PredictionError(
        f'unit must be one of {known}, or the plural of what is counted ("records"), got {unit!r}{hint}'
    )


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


def compare(name: str, measured: float, unit: str = "") -> None:
    """Print the prediction beside what was `measured` (bytes, seconds or its own unit); ignore this cell's output.

    `unit` is the one to print the measured value in where the prediction has none; it defaults to the one that was
    asked for.

    >>> predict("peak", 120, "MB")
    you predict  peak: 120 MB
    >>> compare("peak", 480e6)
    peak: you said 120 MB, measured 480 MB, 4.0 times your number
    >>> compare("calls", 3)
    calls: measured 3 (you made no prediction)
    >>> predict("size", 100)
    you predict  size: 100
    >>> compare("size", 480e6, "MB")
    size: you said 100 of what? measured 480 MB; write predict("size", 100, "MB")
    """
    print(_compared(name, measured, unit))


def recap() -> None:
    """Print once more what the reader said and what was measured, in the order of the notebook; ignore the output."""
    for name, (measured, unit) in _measured.items():
        print(_compared(name, measured, unit))
    open_still = [name for name in _made if name not in _measured]
    for name in open_still:
        print(f"{_made[name]}: not compared with a measurement yet")
    if not _measured and not open_still:
        print("no prediction was made, and none compared")


def _compared(name: str, measured: float, unit: str) -> str:
    """Return the sentence, and keep what was measured."""
    made = _made.get(name)
    unit = (made.unit if made else "") or unit or _asked.get(name, "")
    _measured[name] = (measured, unit)
    got = _amount(measured / _factor(unit), unit)
    progress.note("measured", name, got=got, value=measured / _factor(unit), unit=unit)
    if made is None:
        near = nearest(name, _made)
        hint = f"; did you mean {name!r} by {near!r}?" if near and near not in _measured else ""
        return f"{name}: measured {got} (you made no prediction{hint})"
    said = _amount(made.value, made.unit)
    if made.unit != unit:
        again = f'predict("{name}", {_number(made.value)}, "{unit}")'
        return f"{name}: you said {said} of what? measured {got}; write {again}"
    times = f", {measured / made.factor / made.value:.1f} times your number" if made.value else ""
    return f"{name}: you said {said}, measured {got}{times}"


def _factor(unit: str) -> float:
    return _FACTORS.get(unit.removesuffix("/s"), 1.0)


def _amount(value: float, unit: str) -> str:
    """
    >>> _amount(1, "lines"), _amount(2, "lines"), _amount(1, "MB")
    ('1 line', '2 lines', '1 MB')
    """
    return f"{_number(value)} {one_or_many(value, unit)}".rstrip()


def _number(value: float) -> str:
    """
    >>> _number(1234567), _number(0.123456), _number(12.0), _number(1040.5)
    ('1,234,567', '0.123', '12', '1,040')
    """
    if float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
