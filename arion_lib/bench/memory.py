"""Contenders' peak memory side by side, each in fresh processes.

Idea        Peak memory needs no interleaving - it does not drift - but a fresh process for every single run.
Invariant   A figure is growth over the process's baseline, the worst of the rounds: targets here are upper bounds.
When wrong  A contender whose package is not installed is listed as such; one stopped at its limit has missed.
See         arion_lib/measure/run.py (how a peak is read) · tests/bench/test_memory.py
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from arion_lib.bench.verdicts import ABSENT, Bound, Bounds, Table, Verdict, bounds_of, is_absent_peer
from arion_lib.measure import ChildDied, MemoryLimit, TimeLimit, measure_memory
from arion_lib.units import bytes_text, seconds_text

Peaks = tuple[Sequence[int], float] | str
"""A contender's peaks in bytes, one for each round, and the seconds of the last; or why it has none."""


def compare_memory(
    contenders: Mapping[str, Callable[[], object] | None],
    *,
    rounds: int = 1,
    targets: Bounds | None = None,
    limit: float | None = None,
    title: str = "",
) -> Table:
    """Measure each contender's peak growth in `rounds` fresh processes.

    `limit` (bytes of growth) stops a contender. `None` as a contender, or a missing package, is listed as absent.

    Raises `ValueError` for a target that names no contender; what a contender raises goes through.
    """
    if rounds < 1:
        raise ValueError(f"rounds must be >= 1, got {rounds}")
    wanted = bounds_of(targets, contenders)
    return peaks_table(title, {name: _peaks(fn, rounds, limit) for name, fn in contenders.items()}, wanted)


def peaks_table(title: str, found: Mapping[str, Peaks], targets: Mapping[str, Sequence[Bound]]) -> Table:
    """Lay peaks out, smallest first, and judge the worst of each, or its distance from the worst of another."""
    peaks = {name: list(one[0]) for name, one in found.items() if not isinstance(one, str)}
    worst = {name: max(values) for name, values in peaks.items()}
    words = {name: one for name, one in found.items() if isinstance(one, str)}

    def judged(name: str, bound: Bound) -> Verdict:
        value = words.get(name) or worst[name] - (worst.get(bound.of, 0) if bound.of else 0)
        return bound.judge(name, value, f"{bound.of}: {words[bound.of]}" if bound.of in words else "")

    lines = [
        (name, f"+{bytes_text(worst[name])}", seconds_text(one[1]))
        for name, one in sorted(found.items(), key=lambda item: worst.get(item[0], 0))
        if not isinstance(one, str)
    ]
    verdicts = [judged(name, bound) for name, some in targets.items() for bound in some]
    return Table(title, ("name", "peak growth", "seconds"), [*lines, *words.items()], verdicts, {"peaks": peaks})


def _peaks(fn: Callable[[], object] | None, rounds: int, limit: float | None) -> Peaks:
    if fn is None:
        return ABSENT
    try:
        runs = [measure_memory(fn, limit=limit) for _ in range(rounds)]
    except ModuleNotFoundError as error:
        if is_absent_peer(error):
            return ABSENT
        raise
    except MemoryLimit:
        return f"stopped past {bytes_text(limit or 0)}"
    except (ChildDied, TimeLimit) as error:
        return str(error)
    return [run.peak for run in runs], runs[-1].seconds
