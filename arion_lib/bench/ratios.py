"""What a comparison found: the seconds of each contender, as ratios to a baseline, in a table.

Idea        A ratio to a baseline says more than seconds: it travels to another machine.
Invariant   Ratios are medians over rounds of "this one's seconds / the baseline's seconds in the same round".
When wrong  A contender without seconds has a word in their place; what that does to a target, `verdicts.py` says.
See         arion_lib/bench/compare.py, arion_lib/bench/lab.py (how they are measured) · tests/bench/test_verdicts.py
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
    fast_ratio: float  # the tenth of the turns that was fastest, over the baseline's: see `fast`

    @property
    def speedup(self) -> float:
        """How many times the baseline's speed: the inverse of `ratio`."""
        return 1 / self.ratio


@dataclass(frozen=True, slots=True)
class Comparison(Table):
    """A table of contenders; `rows` are those that ran, in the order in which they were named."""

    rows: tuple[Row, ...] = ()

    def __getitem__(self, name: str) -> Row:
        found = {row.name: row for row in self.rows}
        if name not in found:
            why = "".join(f": {line[1]}" for line in self.lines if line[0] == name)
            raise KeyError(f"name must be one of {', '.join(found)}, got {name!r}{why}")
        return found[name]

    @property
    def ratios(self) -> dict[str, float]:
        """Time ratio to the baseline by name, as `measure.plots.ratio_bars` draws them."""
        return {row.name: row.ratio for row in self.rows}


def compared(
    title: str,
    baseline: str,
    runs: Mapping[str, Runs],
    targets: Mapping[str, Sequence[Bound]],
    work: float | None = None,
    unit: str = "",
) -> Comparison:
    """Relate what contenders came to, fastest first, and judge them. `work` is how much one call handles, in `unit`."""
    seconds = {name: some for name, some in runs.items() if not isinstance(some, str)}
    absent = {name: word for name, word in runs.items() if isinstance(word, str)}
    rows = tuple(_row(name, some, seconds.get(baseline, some)) for name, some in seconds.items())

    def judged(name: str, bound: Bound) -> Verdict:
        other = bound.of or baseline
        mine, theirs = runs.get(name, "not measured"), runs.get(other) or "not measured"
        if isinstance(mine, str) or isinstance(theirs, str):
            return bound.judge(name, mine if isinstance(mine, str) else 0.0, f"{other}: {theirs}")
        ratio = over(mine, theirs)
        return bound.judge(name, 1 / ratio if bound.least else ratio)

    lines = [
        [
            row.name,
            *(seconds_text(row.best), seconds_text(row.median), f"{row.ratio:.3g}x", f"{row.speedup:.3g}x"),
            *([] if work is None else [rate_text(work / row.best, unit)]),
        ]
        for row in sorted(rows, key=lambda row: row.ratio)
    ]
    figures = {
        "baseline": baseline,
        "work": work,
        "unit": unit,
        "rounds": {name: list(some) for name, some in seconds.items()},
        "ratios": {row.name: row.ratio for row in rows},
        "absent": absent,
    }
    head = ["name", "best", "median", "time ratio", "speed", *([] if work is None else ["throughput"])]
    verdicts = [judged(name, bound) for name, some in targets.items() for bound in some]
    return Comparison(title, head, [*lines, *map(list, absent.items())], verdicts, figures, rows)


def over(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return one's seconds over the other's in the same round, the median over rounds.

    >>> over([1.0, 10.0, 300.0], [2.0, 20.0, 200.0])
    0.5
    """
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=False))


def fast(some: Sequence[float]) -> float:
    """Return the seconds that the fastest tenth of the turns stayed within: with under ten turns, the fastest.

    What disturbs a turn makes it slower, so the fastest tell most of the code; but one of them alone may have met the
    only moment in which the machine's neighbours slept, and says that whoever did not is slow.

    >>> fast([1.0] + [2.0] * 59), fast([3.0, 2.0])
    (2.0, 2.0)
    """
    return sorted(some)[len(some) // 10]


def _row(name: str, some: Sequence[float], reference: Sequence[float]) -> Row:
    return Row(name, min(some), statistics.median(some), over(some, reference), fast(some) / fast(reference))
