"""Contenders' peak memory side by side, each in fresh processes.

Idea        Peak memory needs no interleaving - it does not drift - but a fresh process for every single run.
Invariant   A figure is growth over the process's baseline, the worst of the rounds: targets here are upper bounds.
When wrong  A contender whose package is not installed is listed as such; one stopped at its limit has missed.
See         arion_lib/measure/run.py (how a peak is read) · tests/bench/test_memory.py

    from arion_lib.bench.memory import compare_memory, peak_at_most, peak_within

    result = compare_memory(
        {"ours, 1 GB": partial(ours, big), "ours, 10 MB": partial(ours, small), "json": partial(with_json, big)},
        targets={"ours, 1 GB": [peak_at_most(24e6), peak_within(4e6, of="ours, 10 MB")]},
        limit=8e9,                                      # bytes of growth at which a contender is stopped
    )
    print(result.table())
    result.figures["peaks"]["ours, 1 GB"]               # bytes, one for each round
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from arion_lib.bench.verdicts import Table, Verdict
from arion_lib.measure import ChildDied, MemoryLimit, TimeLimit, measure_memory
from arion_lib.units import bytes_text, seconds_text

ABSENT = "not installed"


@dataclass(frozen=True, slots=True)
class PeakTarget:
    """The most bytes a peak may have: from zero, or above the peak of the contender named by `of`."""

    most: float
    of: str | None = None

    def __str__(self) -> str:
        return f"at most {bytes_text(self.most)}" if self.of is None else f"within {bytes_text(self.most)} of {self.of}"


def peak_at_most(size: float) -> PeakTarget:
    """Require a peak of at most `size` bytes."""
    return PeakTarget(size)


def peak_within(size: float, of: str) -> PeakTarget:
    """Require a peak at most `size` bytes above that of the contender named by `of`."""
    return PeakTarget(size, of)


def compare_memory(
    contenders: Mapping[str, Callable[[], object] | None],
    *,
    rounds: int = 1,
    targets: Mapping[str, PeakTarget | Sequence[PeakTarget]] | None = None,
    setup: Callable[[], object] | None = None,
    limit: float | None = None,
    title: str = "",
) -> Table:
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
    return peaks_table(title, {name: _peaks(fn, rounds, setup, limit) for name, fn in contenders.items()}, wanted)


Peaks = tuple[Sequence[int], float] | str
"""A contender's peaks in bytes, one for each round, and the seconds of the last; or why it has none."""


def peaks_table(title: str, found: Mapping[str, Peaks], targets: Mapping[str, Sequence[PeakTarget]]) -> Table:
    """Lay peaks out, smallest first, and judge the worst of each."""
    peaks = {name: list(one[0]) for name, one in found.items() if not isinstance(one, str)}
    worst = {name: max(values) for name, values in peaks.items()}
    words = {name: one for name, one in found.items() if isinstance(one, str)}
    lines = [
        (name, f"+{bytes_text(worst[name])}", seconds_text(one[1]))
        for name, one in sorted(found.items(), key=lambda item: worst.get(item[0], 0))
        if not isinstance(one, str)
    ]
    verdicts = [_verdict(name, target, worst, words) for name, some in targets.items() for target in some]
    return Table(title, ("name", "peak growth", "seconds"), [*lines, *words.items()], verdicts, {"peaks": peaks})


def _verdict(name: str, target: PeakTarget, worst: Mapping[str, int], words: Mapping[str, str]) -> Verdict:
    what = f"{name}: {target}"
    if name in words:
        return Verdict(what, words[name], None if words[name] == ABSENT else False)
    if target.of is not None and target.of not in worst:
        return Verdict(what, f"{target.of}: {words[target.of]}", None)
    grown = worst[name] - (worst[target.of] if target.of is not None else 0)
    return Verdict(what, bytes_text(grown), grown <= target.most)


def _peaks(
    fn: Callable[[], object] | None, rounds: int, setup: Callable[[], object] | None, limit: float | None
) -> Peaks:
    if fn is None:
        return ABSENT
    try:
        runs = [measure_memory(fn, setup=setup, limit=limit) for _ in range(rounds)]
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("arion_lib"):
            raise  # a mistake of ours, not a peer that is missing
        return ABSENT
    except MemoryLimit:
        return f"stopped past {bytes_text(limit or 0)}"
    except (ChildDied, TimeLimit) as error:
        return str(error)
    return [run.peak for run in runs], runs[-1].seconds
