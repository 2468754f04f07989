"""What a comparison found: seconds, ratios, targets, as a table or as plain values.

Idea        A ratio to a baseline says more than seconds: it travels to another machine.
Invariant   Ratios are medians over rounds of "this one's seconds / the baseline's seconds in the same round".
When wrong  A contender without seconds has a word in their place; what that does to a target, `verdicts.py` says.
See         arion_lib/bench/compare.py, arion_lib/bench/lab.py (how they are measured) · tests/bench/test_ratios.py
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from arion_lib.bench.verdicts import Table, Verdict
from arion_lib.units import rate_text, seconds_text

Runs = Sequence[float] | str
"""A contender's seconds in each round, or why there are none: "hangs", "not installed", what it raised."""


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


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was found: the seconds of each contender that ran, and a word for each that did not.

    `work` is how much one call handles, in `unit`; `calls` how many calls there were in a round (1 unless said).
    """

    title: str
    baseline: str
    runs: Mapping[str, Runs]
    targets: Mapping[str, Sequence[Target]] = field(default_factory=dict)
    work: float | None = None
    unit: str = ""
    calls: Mapping[str, int] = field(default_factory=dict)

    @property
    def rows(self) -> tuple[Row, ...]:
        """The contenders that ran, in the order in which they were named."""
        return tuple(self[name] for name, runs in self.runs.items() if not isinstance(runs, str))

    @property
    def absent(self) -> dict[str, str]:
        """Why the others did not run, by name."""
        return {name: runs for name, runs in self.runs.items() if isinstance(runs, str)}

    def __getitem__(self, name: str) -> Row:
        runs = self.runs.get(name, "")
        if isinstance(runs, str):
            ran = ", ".join(name for name, runs in self.runs.items() if not isinstance(runs, str))
            raise KeyError(f"name must be one of {ran}, got {name!r}{': ' + runs if runs else ''}")
        reference = self.runs.get(self.baseline, runs)
        reference = runs if isinstance(reference, str) else reference
        ratio = self.ratio(name, self.baseline)
        return Row(
            name,
            tuple(runs),
            self.calls.get(name, 1),
            1.0 if ratio is None else ratio,
            min(runs) / min(reference),
        )

    def __contains__(self, name: object) -> bool:
        return not isinstance(self.runs.get(str(name), ""), str)

    def ratio(self, name: str, reference: str) -> float | None:
        """Give one's seconds over the other's in the same round, the median over rounds; None where one did not run."""
        ours, theirs = self.runs.get(name, ""), self.runs.get(reference, "")
        if isinstance(ours, str) or isinstance(theirs, str) or not ours or not theirs:
            return None
        return statistics.median(a / b for a, b in zip(ours, theirs, strict=False))

    @property
    def ratios(self) -> dict[str, float]:
        """Time ratio to the baseline by name, as `measure.plots.ratio_bars` draws them."""
        return {row.name: row.ratio for row in self.rows}

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """What each target came to."""
        return tuple(self._verdict(name, target) for name, targets in self.targets.items() for target in targets)

    def _verdict(self, name: str, target: Target) -> Verdict:
        reference, words = target.of or self.baseline, f"{name}: {target}"
        runs = self.runs.get(name, "not measured")
        if isinstance(runs, str):
            return Verdict(words, runs, None if runs == "not installed" else False)
        ratio = self.ratio(name, reference)
        if ratio is None:
            return Verdict(words, f"{reference}: {self.runs.get(reference) or 'not measured'}", None)
        return Verdict(words, f"{ratio if target.kind == 'time at most' else 1 / ratio:.3g}x", target.met(ratio))

    @property
    def ok(self) -> bool:
        """Whether no target is missed."""
        return self._laid_out().ok

    def table(self) -> str:
        """Lay the figures out as text, fastest first."""
        return self._laid_out().table()

    def as_dict(self) -> dict[str, Any]:
        """Give the figures as JSON-ready values (seconds, ratios), for `--json FILE`."""
        return self._laid_out().as_dict()

    def _laid_out(self) -> Table:
        head = ["name", "best", "median", "time ratio", "speed", *(["throughput"] if self.work is not None else [])]
        lines = [self._cells(row) for row in sorted(self.rows, key=lambda row: row.ratio)]
        figures = {
            "baseline": self.baseline,
            "work": self.work,
            "unit": self.unit,
            "rounds": {row.name: list(row.rounds) for row in self.rows},
            "ratios": self.ratios,
            "absent": self.absent,
        }
        return Table(self.title, head, [*lines, *map(list, self.absent.items())], self.verdicts, figures)

    def _cells(self, row: Row) -> list[str]:
        rate = [rate_text(self.work / row.best, self.unit)] if self.work is not None else []
        ratios = [f"{row.ratio:.3g}x", f"{row.speedup:.3g}x"]
        return [row.name, seconds_text(row.best), seconds_text(row.median), *ratios, *rate]


def _positive(name: str, value: float) -> float:
    if not value > 0:
        raise ValueError(f"{name} must be > 0, got {value}")
    return value
