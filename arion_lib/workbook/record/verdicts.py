"""A measured number beside what was claimed of it, and whether that holds.

Idea        A reader wants the number *and* the verdict. Both come from one value, so they cannot disagree.
Invariant   What is printed is the same in every run but for the number, which stands in brackets after "measured":
            a test that compares the outputs of a notebook leaves that out.
When wrong  A claim that does not hold says NO; one with two bounds, or with none, is a `TypeError`.
See         every notebook · notebooks/sanitize.cfg · tests/workbook/test_verdicts.py
"""

from __future__ import annotations

from collections.abc import Callable

from arion_lib.units import amount_text, bytes_text, seconds_text

TEXTS: dict[str, Callable[[float], str]] = {
    "B": lambda value: bytes_text(round(value)),
    "s": seconds_text,
    "x": lambda value: f"{value:.3g}x",
}


def verdict(
    what: str, measured: float, unit: str = "", *, over: float | None = None, under: float | None = None
) -> None:
    """Print whether `measured` is over (or under) a bound, and the number itself; `unit` is "B", "s", "x" or a plural.

    >>> verdict("the naive version, for each byte of body", 7.5, "B", over=2)
    the naive version, for each byte of body: over 2 B, yes (measured 8 B)
    >>> verdict("of the naive peak", 0.25, "x", under=0.1)
    of the naive peak: under 0.1x, NO (measured 0.25x)
    """
    if (over is None) == (under is None):
        raise TypeError(f"a verdict needs one bound, got over={over} and under={under}")
    bound, word = (over, "over") if over is not None else (under, "under")
    assert bound is not None  # noqa: S101  one of the two
    holds = measured > bound if word == "over" else measured < bound
    print(f"{what}: {word} {_text(bound, unit)}, {'yes' if holds else 'NO'} (measured {_text(measured, unit)})")


def _text(value: float, unit: str) -> str:
    if unit in TEXTS:
        return TEXTS[unit](value)
    return amount_text(value, unit)
