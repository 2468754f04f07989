"""Contenders' peak memory side by side, each in fresh processes.

Idea        Peak memory needs no interleaving - it does not drift - but a fresh process for every single run.
Invariant   A figure is growth over the process's baseline, the worst of the rounds: targets here are upper bounds.
When wrong  A contender whose package is not installed is listed as such; one stopped at its limit is a row that missed.
See         arion_lib/measure/run.py (how a peak is read) · tests/bench/test_memory.py

    from arion_lib.bench.memory import compare_memory, peak_at_most, peak_within

    result = compare_memory(
        {"ours, 1 GB": partial(ours, big), "ours, 10 MB": partial(ours, small), "json": partial(with_json, big)},
        targets={"ours, 1 GB": [peak_at_most(24e6), peak_within(4e6, of="ours, 10 MB")]},
        limit=8e9,                                      # bytes of growth at which a contender is stopped
    )
    print(result.table())
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from arion_lib.measure import ChildDied, MemoryLimit, TimeLimit, measure_memory
from arion_lib.measure.tables import text_table
from arion_lib.units import bytes_text, seconds_text


@dataclass(frozen=True, slots=True)
class PeakTarget:
    """The most bytes a peak may have: from zero, or above the peak of the contender named by `of`."""

    most: float
    of: str | None = None

    def __str__(self) -> str:
        return f"at most {bytes_text(self.most)}" if self.of is None else f"within {bytes_text(self.most)} of {self.of}"

    def met(self, peak: float, reference: float) -> bool:
        """Tell whether `peak` keeps the target, given the peak of `of` (or 0).

        >>> peak_at_most(24e6).met(8e6, 0), peak_within(4e6, of="small").met(12e6, 7e6)
        (True, False)
        """
        return peak - reference <= self.most


def peak_at_most(size: float) -> PeakTarget:
    """Require a peak of at most `size` bytes."""
    return PeakTarget(size)


def peak_within(size: float, of: str) -> PeakTarget:
    """Require a peak at most `size` bytes above that of the contender named by `of`."""
    return PeakTarget(size, of)


@dataclass(frozen=True, slots=True)
class PeakRow:
    """One contender's peaks in bytes, one for each round."""

    name: str
    peaks: tuple[int, ...]
    seconds: float  # of the last round
    targets: tuple[tuple[PeakTarget, bool | None], ...] = ()

    @property
    def peak(self) -> int:
        """The worst round's peak in bytes."""
        return max(self.peaks)

    @property
    def ok(self) -> bool:
        """Whether no target is missed."""
        return all(met is not False for _, met in self.targets)


@dataclass(frozen=True, slots=True)
class MemoryComparison:
    """What `compare_memory` found."""

    title: str
    rows: tuple[PeakRow, ...]
    absent: tuple[tuple[str, str], ...] = ()  # (contender, why it has no figure)
    stopped: tuple[str, ...] = ()  # those of the absent that had a target and missed it by not ending

    def __getitem__(self, name: str) -> PeakRow:
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"name must be one of {', '.join(row.name for row in self.rows)}, got {name!r}")

    @property
    def ok(self) -> bool:
        """Whether no target is missed."""
        return not self.stopped and all(row.ok for row in self.rows)

    def table(self) -> str:
        """Lay the figures out as text, smallest first."""
        words = {True: "yes", False: "NO", None: "not run"}
        rows = [
            [
                row.name,
                f"+{bytes_text(row.peak)}",
                seconds_text(row.seconds),
                ", ".join(str(target) for target, _ in row.targets),
                ", ".join(words[met] for _, met in row.targets),
            ]
            for row in sorted(self.rows, key=lambda row: row.peak)
        ]
        rows += [[name, why, "", "", "NO" if name in self.stopped else ""] for name, why in self.absent]
        text = text_table(["name", "peak growth", "seconds", "target", "ok?"], rows)
        return f"{self.title}\n{text}" if self.title else text

    def as_dict(self) -> dict[str, Any]:
        """Give the figures as JSON-ready values (bytes, seconds)."""
        rows = [
            {
                "name": row.name,
                "peak": row.peak,
                "peaks": list(row.peaks),
                "seconds": row.seconds,
                "targets": [{"target": str(target), "met": met} for target, met in row.targets],
            }
            for row in self.rows
        ]
        return {"kind": "memory", "title": self.title, "rows": rows, "absent": dict(self.absent)}


def compare_memory(
    contenders: Mapping[str, Callable[[], object] | None],
    *,
    rounds: int = 1,
    targets: Mapping[str, PeakTarget | Sequence[PeakTarget]] | None = None,
    setup: Callable[[], object] | None = None,
    limit: float | None = None,
    title: str = "",
) -> MemoryComparison:
    """Measure each contender's peak growth in `rounds` fresh processes.

    `setup` runs uncounted in each process (imports, say); `limit` (bytes of growth) stops a contender. `None` as a
    contender, or a missing package, is listed as not installed.

    Raises `ValueError` for a target that names no contender; what a contender raises goes through.
    """
    if rounds < 1:
        raise ValueError(f"rounds must be >= 1, got {rounds}")
    wanted = {name: (t,) if isinstance(t, PeakTarget) else tuple(t) for name, t in (targets or {}).items()}
    for name in [*wanted, *(t.of for ts in wanted.values() for t in ts if t.of is not None)]:
        if name not in contenders:
            raise ValueError(f"targets must name a contender ({', '.join(contenders)}), got {name!r}")
    seen = {name: _peaks(fn, rounds, setup, limit) for name, fn in contenders.items()}
    worst = {name: max(peaks) for name, (peaks, _, _) in seen.items() if peaks}
    rows = tuple(
        PeakRow(name, peaks, seconds, tuple((t, _met(t, name, worst)) for t in wanted.get(name, ())))
        for name, (peaks, seconds, _) in seen.items()
        if peaks
    )
    absent = tuple((name, why) for name, (_, _, why) in seen.items() if why)
    return MemoryComparison(title, rows, absent, tuple(n for n, why in absent if n in wanted and why != _ABSENT))


_ABSENT = "not installed"


def _peaks(
    fn: Callable[[], object] | None, rounds: int, setup: Callable[[], object] | None, limit: float | None
) -> tuple[tuple[int, ...], float, str]:
    if fn is None:
        return (), 0.0, _ABSENT
    try:
        runs = [measure_memory(fn, setup=setup, limit=limit) for _ in range(rounds)]
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("arion_lib"):
            raise  # a mistake of ours, not a peer that is missing
        return (), 0.0, _ABSENT
    except MemoryLimit:
        return (), 0.0, f"stopped past {bytes_text(limit or 0)}"
    except (ChildDied, TimeLimit) as error:
        return (), 0.0, str(error)
    return tuple(run.peak for run in runs), runs[-1].seconds, ""


def _met(target: PeakTarget, name: str, worst: Mapping[str, int]) -> bool | None:
    if target.of is not None and target.of not in worst:
        return None
    return target.met(worst[name], worst[target.of] if target.of is not None else 0)
