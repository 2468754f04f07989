"""What every benchmark hands in: a table of figures, and below it what was promised and whether it was kept.

Idea        A verdict is one sentence with its number: the target, what was measured, met or missed.
Invariant   A verdict is computed from measured values. One that compares with a contender that did not run is neither
            met nor missed; where ours did not run, it is missed.
When wrong  A value that is a word ("hangs", "not installed") stands in the table and in the verdict.
See         arion_lib/bench/command.py (prints them) · tests/bench/test_verdicts.py
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from arion_lib.measure.tables import text_table
from arion_lib.units import seconds_text

WORDS = {True: "met", False: "MISSED", None: "not run"}

Value = float | str | None
"""A measured number, or the word for why there is none."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One target: what was to be, what was, and whether that is enough (None: nothing to compare with)."""

    target: str
    measured: str
    met: bool | None

    def __str__(self) -> str:
        return f"  {WORDS[self.met]:8}{self.target}: {self.measured}"


@dataclass(frozen=True, slots=True)
class Table:
    """Figures with their verdicts. Lines shorter than `head` end in empty cells; `figures` go into `--json FILE`."""

    title: str
    head: Sequence[str]
    lines: Sequence[Sequence[str]]
    verdicts: Sequence[Verdict] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether no target is missed."""
        return all(verdict.met is not False for verdict in self.verdicts)

    def table(self) -> str:
        """Lay the figures and the verdicts out as text."""
        width = len(self.head)
        lines = [[*line, *[""] * width][:width] for line in self.lines]
        title = [self.title] if self.title else []
        return "\n".join([*title, text_table(self.head, lines), *map(str, self.verdicts)])

    def as_dict(self) -> dict[str, Any]:
        """Give the figures as JSON-ready values."""
        return {
            "title": self.title,
            "head": list(self.head),
            "lines": [list(line) for line in self.lines],
            "verdicts": [asdict(verdict) for verdict in self.verdicts],
            **self.figures,
        }


def at_most(target: str, value: Value, limit: float, text: str = "") -> Verdict:
    """Require a value of at most `limit`; a word or None in its place is a miss.

    >>> at_most("p50 under 10 ms", 0.004, 0.010, "4 ms").met, at_most("p50 under 10 ms", "hangs", 0.010).met
    (True, False)
    """
    if value is None or isinstance(value, str):
        return Verdict(target, value or "nothing measured", False)
    return Verdict(target, text or f"{value:g}", value <= limit)


def at_least(target: str, value: Value, limit: float, text: str = "") -> Verdict:
    """Require a value of at least `limit`; a word or None in its place is a miss."""
    if value is None or isinstance(value, str):
        return Verdict(target, value or "nothing measured", False)
    return Verdict(target, text or f"{value:g}", value >= limit)


def summary(tables: Sequence[Any]) -> str:
    """Count what was missed, and name it: the last lines of a benchmark.

    >>> print(summary([Table("calls", ["x"], [], [Verdict("at most 3x", "4x", False), Verdict("1x", "1x", True)])]))
    1 of 2 targets not missed
      MISSED  calls: at most 3x: 4x
    """
    found = [(table.title, verdict) for table in tables for verdict in table.verdicts]
    missed = [f"  MISSED  {title}: {one.target}: {one.measured}" for title, one in found if one.met is False]
    return "\n".join([f"{len(found) - len(missed)} of {len(found)} targets not missed", *missed])


def median(values: Sequence[float] | str) -> float | None:
    """Return the median, or None where there are no values."""
    return statistics.median(values) if values and not isinstance(values, str) else None


def spread(seconds: Sequence[float] | str) -> str:
    """Write how some seconds were spread; the least is what they would be on an idle machine.

    >>> spread([0.001, 0.002, 0.009])
    'least 1.00 ms, p50 2.00 ms, max 9.00 ms'
    """
    if isinstance(seconds, str) or not seconds:
        return seconds or "-"  # type: ignore[return-value]  # a word, or nothing
    least, middle, most = min(seconds), statistics.median(seconds), max(seconds)
    return f"least {seconds_text(least)}, p50 {seconds_text(middle)}, max {seconds_text(most)}"
