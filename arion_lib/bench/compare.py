"""Contenders timed side by side, as ratios.

Idea        A machine's speed drifts; a ratio taken within one round does not. So every round runs all contenders, each
            round starts with another one, and the figure is the median over rounds of "this one / the baseline".
Invariant   Contenders are called with nothing between the clock's two reads but the call, and only after all of them
            returned equal results.
When wrong  A contender whose package is not installed is listed as such and skipped; one that returns something else
            stops the comparison with a `ValueError` that names it.
See         tests/bench/test_compare.py

    from arion_lib.bench.compare import at_least, at_most, compare

    result = compare(
        {"ours": ours, "hand-written loop": loop, "polars": with_polars},  # functions without arguments
        baseline="hand-written loop",
        targets={"ours": at_most(1.2), "polars": at_least(0.5)},  # 1.2x the time; 0.5x the speed
        work=100_000_000, unit="B",                               # what one call handles: adds a MB/s column
    )
    print(result.table())
    result["ours"].ratio, result["ours"].speedup, result.ok

A contender may import its package inside the function (or be `None`): absent peers are reported, not crashed on.
"""

from __future__ import annotations

import gc
import operator
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from arion_lib.measure.tables import text_table
from arion_lib.measure.units import rate_text, seconds_text

Contender = Callable[[], object]
Equal = Callable[[Any, Any], object]


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


def compare(
    contenders: Mapping[str, Contender | None],
    baseline: str,
    *,
    rounds: int = 5,
    targets: Mapping[str, Target | Sequence[Target]] | None = None,
    check: Equal | None = operator.eq,
    before: Callable[[], object] | None = None,
    min_seconds: float = 0.05,
    pause_gc: bool = False,
    work: float | None = None,
    unit: str = "",
    title: str = "",
) -> Comparison:
    """Time `contenders` in interleaved rounds and relate them to `baseline`.

    Each contender is called once untimed; `check(result, baseline's result)` must be true (`None`: results are not
    compared). Then `rounds` rounds follow, each starting with the next contender; within a round a contender is
    called as often as it takes to last `min_seconds` (found as `timeit` does: 1, 2, 5, 10, ...). `before` runs
    untimed ahead of each turn. The garbage collector runs before each turn, never counts objects older than the
    comparison, and pauses during the turn if `pause_gc`. `work` is how much one call handles, in `unit`.

    Raises `ValueError` when an argument is wrong, the baseline cannot run, or results differ; what a contender
    raises goes through, apart from a package that is not installed.
    Cost: about rounds * contenders * max(min_seconds, one call).
    """
    wanted = _check_arguments(contenders, baseline, rounds, targets or {})
    with _steady_collector():
        present, absent = _warm_up(contenders, baseline, check, before)
        calls = {name: _calls(fn, min_seconds, before) for name, fn in present.items()}
        seconds: dict[str, list[float]] = {name: [] for name in present}
        for name in _turns(list(present), rounds):
            seconds[name].append(_turn(present[name], calls[name], before, pause_gc) / calls[name])
    rows = tuple(_row(name, seconds, calls[name], baseline, wanted.get(name, ())) for name in present)
    return Comparison(title, baseline, rows, tuple(absent.items()), work, unit)


def target_cells(targets: Sequence[tuple[Target, bool | None]]) -> tuple[str, str]:
    """Give the table's `target` and `ok?` cells.

    >>> target_cells([(at_most(1.2), True), (at_least(6, of="json"), False), (at_least(2, of="gone"), None)])
    ('time at most 1.2x, speed at least 6x json, speed at least 2x gone', 'yes, NO, not run')
    """
    words = {True: "yes", False: "NO", None: "not run"}
    return ", ".join(str(target) for target, _ in targets), ", ".join(words[met] for _, met in targets)


def _check_arguments(
    contenders: Mapping[str, Contender | None],
    baseline: str,
    rounds: int,
    targets: Mapping[str, Target | Sequence[Target]],
) -> dict[str, tuple[Target, ...]]:
    names = ", ".join(contenders)
    if rounds < 1:
        raise ValueError(f"rounds must be >= 1, got {rounds}")
    wanted = {name: (t,) if isinstance(t, Target) else tuple(t) for name, t in targets.items()}
    named = [baseline, *wanted, *(t.of for ts in wanted.values() for t in ts if t.of is not None)]
    for name in named:
        if name not in contenders:
            raise ValueError(f"baseline and targets must name a contender ({names}), got {name!r}")
    return wanted


def _warm_up(
    contenders: Mapping[str, Contender | None],
    baseline: str,
    check: Equal | None,
    before: Callable[[], object] | None,
) -> tuple[dict[str, Contender], dict[str, str]]:
    present: dict[str, Contender] = {}
    absent: dict[str, str] = {}
    expected: object = None
    for name in [baseline, *(n for n in contenders if n != baseline)]:  # its result is what the others are held to
        try:
            result = _called(contenders[name], before)
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("arion_lib"):
                raise  # a mistake of ours, not a peer that is missing
            if name == baseline:
                raise ValueError(f"baseline must be able to run, got {name!r}: {error}") from error
            absent[name] = "not installed"
            continue
        fn = contenders[name]
        assert fn is not None  # noqa: S101  `_called` refused None
        present[name] = fn
        if name == baseline:
            expected = result
        elif check is not None and not check(result, expected):
            raise ValueError(
                f"contenders must return equal results, got {_short(result)} from {name!r} "
                f"and {_short(expected)} from {baseline!r}; pass check=... if they only differ in form"
            )
    return {name: present[name] for name in contenders if name in present}, absent


def _called(fn: Contender | None, before: Callable[[], object] | None) -> object:
    if fn is None:
        raise ModuleNotFoundError("not installed")
    if before is not None:
        before()
    return fn()


def _calls(fn: Contender, min_seconds: float, before: Callable[[], object] | None) -> int:
    """Find how many calls last `min_seconds` (the steps of `timeit.Timer.autorange`)."""
    step = 1
    while True:
        for number in (step, step * 2, step * 5):
            if _turn(fn, number, before, pause_gc=False) >= min_seconds:
                return number
        step *= 10


def _turns(names: Sequence[str], rounds: int) -> Iterator[str]:
    """Yield who runs when: A B C, B C A, C A B, ... so that nobody always follows the same neighbour's heat."""
    for turn in range(rounds):
        shift = turn % len(names)
        yield from [*names[shift:], *names[:shift]]


def _turn(fn: Contender, number: int, before: Callable[[], object] | None, pause_gc: bool) -> float:
    if before is not None:
        before()
    gc.collect()
    if pause_gc:
        gc.disable()
    loop = range(number)
    try:
        start = time.perf_counter()
        for _ in loop:
            fn()
        return time.perf_counter() - start
    finally:
        if pause_gc:
            gc.enable()


@contextmanager
def _steady_collector() -> Iterator[None]:
    # Without the freeze each collection would also walk the caller's data, and its cost would follow the set-up's size.
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _row(name: str, seconds: Mapping[str, list[float]], calls: int, baseline: str, targets: Sequence[Target]) -> Row:
    held = tuple((t, _held(t, seconds, name, t.of or baseline)) for t in targets)
    best = min(seconds[name]) / min(seconds[baseline])
    return Row(name, tuple(seconds[name]), calls, _ratio(seconds, name, baseline), best, held)


def _held(target: Target, seconds: Mapping[str, list[float]], name: str, reference: str) -> bool | None:
    return target.met(_ratio(seconds, name, reference)) if reference in seconds else None


def _ratio(seconds: Mapping[str, list[float]], name: str, reference: str) -> float:
    return statistics.median(a / b for a, b in zip(seconds[name], seconds[reference], strict=True))


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


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
