"""One row of the scheduler's figures: who did what, what was promised, and whether the promise was kept.

Idea        A row is a small table of contenders and a list of verdicts, each with the number it was decided by.
Invariant   A verdict is computed from the measured values; one that compares with somebody who did not run is neither.
When wrong  Where ours hangs or fails, the target is missed and the verdict says by what.
See         arion_lib/bench/scheduler.py · tests/bench/test_scheduler_rows.py
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from arion_lib.measure.tables import text_table

WORDS = {True: "met", False: "MISSED", None: "not run"}

Runs = list[float] | str
"""A contender's value in each round, or why there is none: "hangs", "not installed", what it raised."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One target: what was to be, what was, and whether that is enough (None: nothing to compare with)."""

    target: str
    measured: str
    met: bool | None

    def __str__(self) -> str:
        return f"  {WORDS[self.met]:8}{self.target}: {self.measured}"


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured for one row. `busy`: percent of all cores that others used just before."""

    name: str
    title: str
    head: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    verdicts: tuple[Verdict, ...] = ()
    busy: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether no target is missed."""
        return all(verdict.met is not False for verdict in self.verdicts)

    def table(self) -> str:
        """Lay the figures and the verdicts out as text."""
        title = f"{self.name}: {self.title} (others used {self.busy:.0f} % of the machine just before)"
        return "\n".join([title, text_table(self.head, self.lines), *map(str, self.verdicts)])

    def as_dict(self) -> dict[str, Any]:
        """Give the figures as JSON-ready values."""
        return {"kind": "row", **asdict(self)}


@dataclass(frozen=True, slots=True)
class Summary:
    """All verdicts, one below the other."""

    rows: tuple[Row, ...]
    note: str = ""

    @property
    def ok(self) -> bool:
        """Whether no target is missed."""
        return all(row.ok for row in self.rows)

    def table(self) -> str:
        """Lay the verdicts out as text."""
        all_of_them = [(row.name, verdict) for row in self.rows for verdict in row.verdicts]
        lines = [(name, v.target, v.measured, WORDS[v.met]) for name, v in all_of_them]
        missed = sum(v.met is False for _, v in all_of_them)
        count = f"{len(lines) - missed} of {len(lines)} targets not missed"
        return "\n".join([text_table(("row", "target", "measured", "verdict"), lines), count, self.note]).rstrip()

    def as_dict(self) -> dict[str, Any]:
        """Give the verdicts as JSON-ready values."""
        verdicts = [{"row": row.name, **asdict(verdict)} for row in self.rows for verdict in row.verdicts]
        return {"kind": "verdicts", "note": self.note, "verdicts": verdicts}


def ratio(slower: Runs, faster: Runs) -> float | None:
    """Return the median over rounds of one's value over the other's in the same round.

    >>> ratio([2.0, 6.0, 9.0], [1.0, 2.0, 3.0]), ratio("hangs", [1.0])
    (3.0, None)
    """
    if isinstance(slower, str) or isinstance(faster, str) or not slower or not faster:
        return None
    return statistics.median(a / b for a, b in zip(slower, faster, strict=False))


def times_faster(factor: float, runs: Mapping[str, Runs], peer: str, ours: str = "ours") -> Verdict:
    """Require ours to take at most a `factor`-th of a peer's seconds.

    >>> str(times_faster(12, {"ours": [1.0], "PPE": [13.0]}, "PPE"))
    '  met     at least 12x PPE: 13.0x'
    """
    return _related(
        f"at least {factor:g}x {peer}", ratio(runs[peer], runs[ours]), runs, peer, ours, lambda r: r >= factor
    )


def times_as_long(factor: float, runs: Mapping[str, Runs], peer: str, ours: str = "ours") -> Verdict:
    """Require ours to take at most `factor` times a peer's seconds.

    >>> times_as_long(0.6, {"ours": [7.0], "PPE": [10.0]}, "PPE").met
    False
    """
    found = ratio(runs[ours], runs[peer])
    return _related(f"at most {factor:g}x {peer}", found, runs, peer, ours, lambda r: r <= factor)


def _related(
    target: str, found: float | None, runs: Mapping[str, Runs], peer: str, ours: str, met: Callable[[float], bool]
) -> Verdict:
    if isinstance(runs[ours], str):
        return Verdict(target, f"ours: {runs[ours]}", False)
    if found is None:
        return Verdict(target, f"{peer}: {runs[peer] or 'not measured'}", None)
    return Verdict(target, f"{found:.3g}x" if found < 10 else f"{found:.1f}x", met(found))


def at_most(target: str, value: float | str | None, limit: float, text: str = "") -> Verdict:
    """Require a value of at most `limit`; a word or None in its place is a miss.

    >>> at_most("p50 under 10 ms", 0.004, 0.010, "4 ms").met, at_most("p50 under 10 ms", "hangs", 0.010).met
    (True, False)
    """
    if value is None or isinstance(value, str):
        return Verdict(target, value or "nothing measured", False)
    return Verdict(target, text or f"{value:g}", value <= limit)


def at_least(target: str, value: float | str | None, limit: float, text: str = "") -> Verdict:
    """Require a value of at least `limit`; a word or None in its place is a miss."""
    if value is None or isinstance(value, str):
        return Verdict(target, value or "nothing measured", False)
    return Verdict(target, text or f"{value:g}", value >= limit)


def median(runs: Runs) -> float | None:
    """Return the median, or None where there are no values."""
    return statistics.median(runs) if runs and not isinstance(runs, str) else None


def span(seconds: float | None) -> str:
    """Write seconds as people read them; None is a dash.

    >>> span(0.000084), span(0.0123), span(2.5), span(None)
    ('84 us', '12.3 ms', '2.50 s', '-')
    """
    if seconds is None:
        return "-"
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} us"
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:.2f} s"


def rate(seconds: float | None) -> str:
    """Write seconds for one as how many a second.

    >>> rate(0.000003), rate(None)
    ('333,333/s', '-')
    """
    return "-" if not seconds else f"{1 / seconds:,.0f}/s"


def rated(runs: Mapping[str, Runs], reference: str, form: Callable[[float | None], str]) -> list[tuple[str, ...]]:
    """Return a line for each contender: its name, its median, its best, and how its time relates to the reference's."""
    lines: list[tuple[str, ...]] = []
    for name, values in runs.items():
        if isinstance(values, str):
            lines.append((name, values, "", ""))
            continue
        related = ratio(runs[reference], values)
        related_text = "" if related is None else f"{related:.3g}x"
        lines.append((name, form(median(values)), form(min(values, default=None)), related_text))
    return lines


def spread(values: Sequence[float]) -> str:
    """Write how some seconds were spread; the least is what they would be on an idle machine.

    >>> spread([0.001, 0.002, 0.009])
    'least 1 ms, p50 2 ms, max 9 ms'
    """
    if not values:
        return "-"
    return f"least {span(min(values))}, p50 {span(statistics.median(values))}, max {span(max(values))}"
