"""What every benchmark hands in: a table of figures, and below it what was promised and whether it was kept.

Idea        A bound says the most or the least that a value may be, whatever the value is: a ratio of times, seconds,
            bytes. Judging a value by it gives a verdict: one sentence with its number, met or missed.
Invariant   A verdict is computed from measured values. One that compares with a contender that did not run is neither
            met nor missed; where ours did not run, it is missed.
When wrong  A value that is a word ("hangs", "not installed") stands in the table and in the verdict.
See         arion_lib/bench/command.py (prints them) · tests/bench/test_verdicts.py
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from arion_lib.measure.tables import text_table
from arion_lib.units import bytes_text, seconds_text

WORDS = {True: "met", False: "MISSED", None: "not run"}
ABSENT = "not installed"


def is_absent_peer(error: ModuleNotFoundError) -> bool:
    """Whether a peer's package is missing; that a module of ours is missing is a mistake.

    >>> [is_absent_peer(ModuleNotFoundError(name=name)) for name in ("polars", "arion_lib.lasy")]
    [True, False]
    """
    return not (error.name or "").startswith("arion_lib")


Value = float | str | None
"""A measured number, or the word for why there is none."""

TEXTS: dict[str, Callable[[float], str]] = {
    "x": lambda value: f"{value:.3g}x",
    "s": seconds_text,
    "B": bytes_text,
    "%": lambda value: f"{value:.3g} %",
    "": lambda value: f"{value:.3g}",
}
"""How values of a unit are written; "x" is a ratio of times where the most is asked, of speeds where the least is."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One target: what was to be, what was, and whether that is enough (None: nothing to compare with)."""

    target: str
    measured: str
    met: bool | None

    def __str__(self) -> str:
        return f"  {WORDS[self.met]:8}{self.target}: {self.measured}"


@dataclass(frozen=True, slots=True)
class Bound:
    """The most (or the `least`) that a value in `unit` may be; `of` names the contender that it is compared with."""

    limit: float
    unit: str = "x"
    of: str | None = None
    least: bool = False

    def judge(self, what: str, value: Value, against: str = "") -> Verdict:
        """Judge a value; a word in its place is a miss, but for a peer that is not installed.

        `against` is the word for why there is nothing to compare with.

        >>> str(at_most(0.010, "s").judge("p50", 0.004)), at_least(6).judge("ours", 5.0).met
        ('  met     p50: at most 10.0 ms: 4.00 ms', False)
        """
        target = f"{what}: {self}"
        if value is None or isinstance(value, str):
            return Verdict(target, value or "nothing measured", None if value == ABSENT else False)
        if against:
            return Verdict(target, against, None)
        return Verdict(target, TEXTS[self.unit](value), value >= self.limit if self.least else value <= self.limit)

    def __str__(self) -> str:
        """
        >>> str(at_least(6, of="json")), str(at_most(4e6, "B", of="small"))
        ('speed at least 6x json', 'at most 4.00 MB over small')
        """
        kind = {"x": "speed " if self.least else "time "}.get(self.unit, "")
        other = {"x": f" {self.of}"}.get(self.unit, f" over {self.of}") if self.of else ""
        limit = f"{self.limit:g}x" if self.unit == "x" else TEXTS[self.unit](self.limit)
        return f"{kind}at {'least' if self.least else 'most'} {limit}{other}"


def at_most(limit: float, unit: str = "x", of: str | None = None) -> Bound:
    """Require at most this: of the baseline's time (or that of `of`), or of the value itself in "s", "B", "%"."""
    return Bound(_checked(limit, unit), unit, of)


def at_least(limit: float, unit: str = "x", of: str | None = None) -> Bound:
    """Require at least this: of the baseline's speed (or that of `of`), or of the value itself."""
    return Bound(_checked(limit, unit), unit, of, least=True)


def _checked(limit: float, unit: str) -> float:
    if limit < 0 or (unit == "x" and not limit):
        raise ValueError(f"limit must be > 0, got {limit}")
    return limit


Bounds = Mapping[str, Bound | Sequence[Bound]]
"""What contenders are held to, by their names."""


def bounds_of(wanted: Bounds | None, names: Iterable[str], *more: str) -> dict[str, tuple[Bound, ...]]:
    """Return each contender's bounds. Raises `ValueError` where they (or `more`) name a contender that is not there."""
    known = list(names)
    found = {name: (some,) if isinstance(some, Bound) else tuple(some) for name, some in (wanted or {}).items()}
    for name in [*more, *found, *(bound.of for some in found.values() for bound in some if bound.of)]:
        if name not in known:
            raise ValueError(f"baseline and targets must name a contender ({', '.join(known)}), got {name!r}")
    return found


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


def lines_of(found: Mapping[str, Any], cells: Callable[[Any], Sequence[str]]) -> list[tuple[str, ...]]:
    """Lay out what contenders came to, a line each: their cells, or the word that stands in place of figures.

    >>> lines_of({"ours": 2.0, "PPE": "hangs"}, lambda value: [f"{value:g} s"])
    [('ours', '2 s'), ('PPE', 'hangs')]
    """
    return [(name, one) if isinstance(one, str) else (name, *cells(one)) for name, one in found.items()]


def summary(tables: Sequence[Any]) -> str:
    """Count what was missed, and name it: the last lines of a benchmark.

    >>> print(summary([Table("calls", ["x"], [], [Verdict("at most 3x", "4x", False), Verdict("1x", "1x", True)])]))
    1 of 2 targets not missed
      MISSED  calls: at most 3x: 4x
    """
    found = [(table.title, verdict) for table in tables for verdict in table.verdicts]
    missed = [f"  MISSED  {title}: {one.target}: {one.measured}" for title, one in found if one.met is False]
    return "\n".join([f"{len(found) - len(missed)} of {len(found)} targets not missed", *missed])


def median(values: Sequence[float] | str) -> Value:
    """Return the median; a word stays a word."""
    return values if isinstance(values, str) else statistics.median(values) if values else None


def worst(values: Sequence[float] | str) -> Value:
    """Return the largest; a word stays a word."""
    return values if isinstance(values, str) else max(values, default=None)


def spread(seconds: Sequence[float] | str) -> str:
    """Write how some seconds were spread; the least is what they would be on an idle machine.

    >>> spread([0.001, 0.002, 0.009])
    'least 1.00 ms, p50 2.00 ms, max 9.00 ms'
    """
    if isinstance(seconds, str) or not seconds:
        return seconds or "-"  # type: ignore[return-value]  # a word, or nothing
    least, middle, most = min(seconds), statistics.median(seconds), max(seconds)
    return f"least {seconds_text(least)}, p50 {seconds_text(middle)}, max {seconds_text(most)}"
