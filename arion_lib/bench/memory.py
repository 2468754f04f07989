"""Contenders' peak memory side by side, each in a fresh process.

Idea        Peak memory needs no interleaving - it does not drift - but a fresh process for every single run.
Invariant   A figure is growth over the process's baseline.
When wrong  A contender whose package is not installed is listed as such; one whose process was killed has missed.
See         arion_lib/measure/run.py (how a peak is read) · tests/bench/test_memory.py
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from arion_lib.bench.verdicts import ABSENT, Bound, Bounds, Table, Verdict, bounds_of, is_absent_peer
from arion_lib.measure import ChildDied, measure_memory
from arion_lib.units import bytes_text, seconds_text

Peak = tuple[int, float] | str
"""A contender's peak in bytes and the seconds that it took; or why it has none."""


def compare_memory(
    contenders: Mapping[str, Callable[[], object] | None], *, targets: Bounds | None = None, title: str = ""
) -> Table:
    """Measure each contender's peak growth in a fresh process; `None`, or a missing package, is listed as absent.

    Raises `ValueError` for a target that names no contender; what a contender raises goes through.
    """
    wanted = bounds_of(targets, contenders)
    return peaks_table(title, {name: _peak(fn) for name, fn in contenders.items()}, wanted)


def _peak(fn: Callable[[], object] | None) -> Peak:
    if fn is None:
        return ABSENT
    try:
        run = measure_memory(fn)
    except ModuleNotFoundError as error:
        if is_absent_peer(error):
            return ABSENT
        raise
    except ChildDied as error:
        return str(error)
    return run.peak, run.seconds


def peaks_table(title: str, found: Mapping[str, Peak], targets: Mapping[str, Sequence[Bound]]) -> Table:
    """Lay peaks out, smallest first, and judge each, or its distance from another."""
    peaks = {name: one[0] for name, one in found.items() if not isinstance(one, str)}
    words = {name: one for name, one in found.items() if isinstance(one, str)}

    def judged(name: str, bound: Bound) -> Verdict:
        value = words.get(name) or peaks[name] - (peaks.get(bound.of, 0) if bound.of else 0)
        return bound.judge(name, value, f"{bound.of}: {words[bound.of]}" if bound.of in words else "")

    ran = sorted((*one, name) for name, one in found.items() if not isinstance(one, str))
    lines = [(name, f"+{bytes_text(peak)}", seconds_text(seconds)) for peak, seconds, name in ran]
    verdicts = [judged(name, bound) for name, some in targets.items() for bound in some]
    return Table(title, ("name", "peak growth", "seconds"), [*lines, *words.items()], verdicts, {"peaks": peaks})
