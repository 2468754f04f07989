"""What a comparison found: seconds, ratios, targets, as a table or as plain values.

Idea        A ratio to a baseline says more than seconds: it travels to another machine.
Invariant   Ratios are medians over rounds of "this one's seconds / the baseline's seconds in the same round".
When wrong  A target against a contender that did not run counts neither as met nor as missed; the table says so.
See         arion_lib/bench/compare.py (how they are measured) · tests/bench/test_compare.py
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from arion_lib.measure.tables import text_table
from arion_lib.units import rate_text, seconds_text


@dataclass(frozen=True, slots=True)
class Target:
    """What a contender is held to: time or speed as a multiple of another's (the baseline's unless `of` names one)."""

    factor: float
    kind: str  # "time at most" or "speed at least"
    of: str | None = None

    def met(self, ratio: float) -> bool:
        """Tell whether a time `ratio` (contender / reference) keeps the target.

        >>> at_most(1.2).met(1.1), at_least(6).met(1 / 7), at_least(6).met(1 / 5)
        (True, True, False)
        """
        return ratio <= self.factor if self.kind == "time at most" else 1 / ratio >= self.factor

    def __str__(self) -> str:
        return f"{self.kind} {self.factor:g}x" + (f" {self.of}" if self.of else "")


def at_most(factor: float, of: str | None = None) -> Target:
    """Require at most `factor` times the seconds of the baseline, or of the contender named by `of`."""
    return Target(_positive("factor", factor), "time at most", of)


def at_least(factor: float, of: str | None = None) -> Target:
    """Require at least `factor` times the speed of the baseline, or of the contender named by `of`."""
    return Target(_positive("factor", factor), "speed at least", of)


@dataclass(frozen=True, slots=True)
class Row:
    """One contender's figures. `rounds` are seconds per call, one for each round."""

    name: str
    rounds: tuple[float, ...]
    calls: int  # calls within each round, so that a round is long enough for the clock
    ratio: float  # median over rounds of seconds / the baseline's seconds
    best_ratio: float  # best seconds / the baseline's best seconds
    targets: tuple[tuple[Target, bool | None], ...] = ()  # None: the contender it refers to did not run

    @property
    def best(self) -> float:
        """Seconds of one call in the best round."""
        return min(self.rounds)

    @property
    def median(self) -> float:
        """Seconds of one call in the median round."""
        return statistics.median(self.rounds)

    @property
    def speedup(self) -> float:
        """How many times the baseline's speed: the inverse of `ratio`."""
        return 1 / self.ratio

    @property
    def ok(self) -> bool:
        """Whether no target of this contender is missed (true without targets)."""
        return all(met is not False for _, met in self.targets)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What `compare` found: a row for each contender that ran, and why the others did not."""

    title: str
    baseline: str
    rows: tuple[Row, ...]
    absent: tuple[tuple[str, str], ...] = ()  # (contender, why it did not run)
    work: float | None = None
    unit: str = ""

    def __getitem__(self, name: str) -> Row:
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"name must be one of {', '.join(row.name for row in self.rows)}, got {name!r}")

    def __contains__(self, name: object) -> bool:
        return any(row.name == name for row in self.rows)

    @property
    def ratios(self) -> dict[str, float]:
        """Time ratio to the baseline by name, as `measure.plots.ratio_bars` draws them."""
        return {row.name: row.ratio for row in self.rows}

    @property
    def ok(self) -> bool:
        """Whether no target is missed."""
        return all(row.ok for row in self.rows)

    def table(self) -> str:
        """Lay the figures out as text, fastest first."""
        head = ["name", "best", "median", "time ratio", "speed"]
        head += ["throughput"] if self.work is not None else []
        head += ["target", "ok?"]
        rows = [self._cells(row) for row in sorted(self.rows, key=lambda row: row.ratio)]
        rows += [[name, why] + [""] * (len(head) - 2) for name, why in self.absent]
        return f"{self.title}\n{text_table(head, rows)}" if self.title else text_table(head, rows)

    def as_dict(self) -> dict[str, Any]:
        """Give the figures as JSON-ready values (seconds, ratios), for `--json FILE`."""
        return {
            "kind": "time",
            "title": self.title,
            "baseline": self.baseline,
            "work": self.work,
            "unit": self.unit,
            "rows": [_row_dict(row) for row in self.rows],
            "absent": dict(self.absent),
        }

    def _cells(self, row: Row) -> list[str]:
        rate = [rate_text(self.work / row.best, self.unit)] if self.work is not None else []
        return [
            row.name,
            seconds_text(row.best),
            seconds_text(row.median),
            f"{row.ratio:.3g}x",
            f"{row.speedup:.3g}x",
            *rate,
            *target_cells(row.targets),
        ]


def target_cells(targets: Sequence[tuple[Target, bool | None]]) -> tuple[str, str]:
    """Give the table's `target` and `ok?` cells.

    >>> target_cells([(at_most(1.2), True), (at_least(6, of="json"), False), (at_least(2, of="gone"), None)])
    ('time at most 1.2x, speed at least 6x json, speed at least 2x gone', 'yes, NO, not run')
    """
    words = {True: "yes", False: "NO", None: "not run"}
    return ", ".join(str(target) for target, _ in targets), ", ".join(words[met] for _, met in targets)


def _row_dict(row: Row) -> dict[str, Any]:
    return {
        "name": row.name,
        "best": row.best,
        "median": row.median,
        "rounds": list(row.rounds),
        "ratio": row.ratio,
        "best_ratio": row.best_ratio,
        "targets": [{"target": str(target), "met": met} for target, met in row.targets],
    }


def _positive(name: str, value: float) -> float:
    if not value > 0:
        raise ValueError(f"{name} must be > 0, got {value}")
    return value
