"""What a comparison found: seconds, ratios, targets, as a table or as plain values.

Idea        A ratio to a baseline says more than seconds: it travels to another machine.
Invariant   Ratios are medians over rounds of "this one's seconds / the baseline's seconds in the same round".
When wrong  A contender without seconds has a word in their place; what that does to a target, `verdicts.py` says.
See         arion_lib/bench/compare.py, arion_lib/bench/lab.py (how they are measured) · tests/bench/test_verdicts.py
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from arion_lib.bench.verdicts import Bound, Table, Verdict
from arion_lib.units import rate_text, seconds_text

Runs = Sequence[float] | str
"""A contender's seconds in each round, or why there are none: "hangs", "not installed", what it raised."""


@dataclass(frozen=True, slots=True)
class Row:
    """One contender's figures: seconds of one call in the best round and in the median one; ratios to the baseline."""

    name: str
    best: float
    median: float
    ratio: float  # median over rounds of seconds / the baseline's seconds
    best_ratio: float  # best seconds / the baseline's best seconds

    @property
    def speedup(self) -> float:
        """How many times the baseline's speed: the inverse of `ratio`."""
        return 1 / self.ratio


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was found: the seconds of each contender that ran, and a word for each that did not.

    `work` is how much one call handles, in `unit`.
    """

    title: str
    baseline: str
    runs: Mapping[str, Runs]
    targets: Mapping[str, Sequence[Bound]] = field(default_factory=dict)
    work: float | None = None
    unit: str = ""

    @property
    def seconds(self) -> dict[str, Sequence[float]]:
        """The seconds of the contenders that ran, in the order in which they were named."""
        return {name: runs for name, runs in self.runs.items() if not isinstance(runs, str)}

    @property
    def absent(self) -> dict[str, str]:
        """Why the others did not run, by name."""
        return {name: runs for name, runs in self.runs.items() if isinstance(runs, str)}

    @property
    def rows(self) -> tuple[Row, ...]:
        """The contenders that ran, in the same order."""
        return tuple(self[name] for name in self.seconds)

    def __getitem__(self, name: str) -> Row:
        seconds, absent = self.seconds, self.absent
        if name not in seconds:
            why = f": {absent[name]}" if name in absent else ""
            raise KeyError(f"name must be one of {', '.join(seconds)}, got {name!r}{why}")
        runs = seconds[name]
        best_ratio = min(runs) / min(seconds.get(self.baseline, runs))
        return Row(name, min(runs), statistics.median(runs), self.ratio(name, self.baseline) or 1.0, best_ratio)

    def ratio(self, name: str, reference: str) -> float | None:
        """Give one's seconds over the other's in the same round, the median over rounds; None where one did not run."""
        ours, theirs = self.seconds.get(name), self.seconds.get(reference)
        if not ours or not theirs:
            return None
        return statistics.median(a / b for a, b in zip(ours, theirs, strict=False))

    @property
    def ratios(self) -> dict[str, float]:
        """Time ratio to the baseline by name, as `measure.plots.ratio_bars` draws them."""
        return {row.name: row.ratio for row in self.rows}

    @property
    def verdicts(self) -> Sequence[Verdict]:
        """What each target came to."""
        return [self._verdict(name, bound) for name, some in self.targets.items() for bound in some]

    def _verdict(self, name: str, bound: Bound) -> Verdict:
        reference = bound.of or self.baseline
        runs, others = self.runs.get(name, "not measured"), self.runs.get(reference) or "not measured"
        ratio = self.ratio(name, reference)
        value = runs if isinstance(runs, str) else 0.0 if ratio is None else 1 / ratio if bound.least else ratio
        return bound.judge(name, value, f"{reference}: {others}" if ratio is None else "")

    @property
    def ok(self) -> bool:
        """Whether no target is missed."""
        return self.laid_out().ok

    def table(self) -> str:
        """Lay the figures out as text, fastest first."""
        return self.laid_out().table()

    def as_dict(self) -> dict[str, Any]:
        """Give the figures as JSON-ready values (seconds, ratios), for `--json FILE`."""
        return self.laid_out().as_dict()

    def laid_out(self) -> Table:
        """Lay the figures out."""
        head = ["name", "best", "median", "time ratio", "speed", *(["throughput"] if self.work is not None else [])]
        lines = [
            [
                row.name,
                *(seconds_text(row.best), seconds_text(row.median), f"{row.ratio:.3g}x", f"{row.speedup:.3g}x"),
                *([] if self.work is None else [rate_text(self.work / row.best, self.unit)]),
            ]
            for row in sorted(self.rows, key=lambda row: row.ratio)
        ]
        figures = {
            "baseline": self.baseline,
            "work": self.work,
            "unit": self.unit,
            "rounds": {name: list(runs) for name, runs in self.seconds.items()},
            "ratios": self.ratios,
            "absent": self.absent,
        }
        return Table(self.title, head, [*lines, *map(list, self.absent.items())], self.verdicts, figures)


Result: TypeAlias = Comparison | Table
"""What a benchmark hands to `command.finish`."""
