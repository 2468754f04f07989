"""Challenge 4: pipelines over many ints - ours, a hand-written loop, and the peers.

Idea        The same functions on the same source for everyone; what differs is the machinery around the calls.
Invariant   All contenders return the same result before any is timed; ratios are to the loop of the same run.
When wrong  A missed target is printed as missed, and fails the run with --strict. On a busy machine take many short
            turns, of which some are left undisturbed: `--size 20000 --rounds 150 --turn 0.001`.
See         arion_lib/bench/lazy/workloads.py (the contenders) · tests/bench/test_lazy.py
"""

from __future__ import annotations

import argparse
import sys
import tracemalloc
from collections.abc import Callable, Iterator, Mapping

from arion_lib.bench.command import finish, measured, options
from arion_lib.bench.compare import Comparison, at_least, at_most, compare
from arion_lib.bench.lazy import workloads as peers
from arion_lib.bench.lazy.workloads import LOOP
from arion_lib.bench.verdicts import Bounds, Table
from arion_lib.lazy import lazy
from arion_lib.lazy.fuse import fuse
from arion_lib.lazy.sinks import Count
from arion_lib.lazy.stages import Filter, Map
from arion_lib.units import seconds_text

_OLD = sys.version_info < (3, 12)


def run(args: list[str]) -> int:
    """Measure, print the tables, and return the exit code."""
    said = "Map, filter, batch, flatten, count, list and page many ints; overlap slow calls."
    parser = options("lazy", said, SECTIONS)
    parser.add_argument("--size", type=int, default=10_000_000, help="elements of the source (default: 10000000)")
    parser.add_argument("--turn", type=float, default=0.05, help="seconds a turn lasts at least (default: 0.05)")
    chosen = parser.parse_args(args)
    if chosen.size < 1_000:
        parser.error(f"--size must be >= 1000, got {chosen.size}")
    libraries = ("toolz", "PyFunctional", "streamable", "polars")
    return finish(measured(SECTIONS, chosen.only, chosen), chosen, libraries)


def loops(size: int, rounds: int, turn: float, judged: bool = True) -> Iterator[Comparison]:
    """Compare pipelines that are all calls and loops. A turn lasts at least `turn` seconds.

    `judged=False` leaves our own targets out.
    """
    xs = list(range(size))
    limits: Bounds = {"ours": at_most(1.05), "ours, compiled": at_most(0.6)} if _OLD else {"ours": at_most(1.10)}
    workloads = {
        "map, filter, map, sum": peers.map_filter_map_sum,
        "5 maps, 2 filters, sum": peers.five_maps_two_filters,
    }
    for title, workload in workloads.items():
        targets = limits if judged else {}
        yield compare(workload(xs), LOOP, rounds=rounds, targets=targets, title=title, min_seconds=turn)


def shapes(chosen: argparse.Namespace) -> Iterator[Table]:
    """Compare pipelines that batch, flatten, count and list."""
    xs = list(range(chosen.size))
    yield _compared(chosen, "batch(100), sum each", peers.batch_and_sum(xs), LOOP, {"ours": at_most(0.65)})
    most = 1.0 if _OLD else 1.15
    yield _compared(chosen, "flat_map, sum", peers.flat_map_and_sum(xs), LOOP, {"ours": at_most(most)})
    yield _compared(chosen, "count_by, 100 keys", peers.count_by(xs), LOOP, {"ours": at_most(0.95)})
    yield _compared(chosen, "to_list of 300,000", peers.to_list(xs), LOOP, {"ours": at_most(1.0)}, 3)


def small(chosen: argparse.Namespace) -> Iterator[Table]:
    """Compare what is small: a page of a large source, a pipeline over ten elements, the price of the note."""
    paging = _compared(chosen, "a page of 50 from the middle", peers.page(range(chosen.size)), "itertools")
    ten = _compared(chosen, "describe and run over 10 elements", peers.ten_elements(), "itertools")
    yield paging
    yield ten
    limits = {
        "page(n, 50)": (paging["ours"].best, 50e-6),
        "map(f).page(n, 50)": (paging["ours, behind a map"].best, 50e-6),
        "describe and run over 10 elements": (ten["ours"].best, 6e-6),
    }
    verdicts = [at_most(most, "s").judge(name, value) for name, (value, most) in limits.items()]
    lines = [(name, seconds_text(value)) for name, (value, _) in limits.items()]
    yield Table("limits in seconds", ("name", "best"), lines, verdicts)
    yield notes(chosen)


def notes(chosen: argparse.Namespace) -> Comparison:
    """Compare the generated loop with and without the note about stage and element, while all goes well."""
    xs = range(min(chosen.size, 2_000_000))
    plan, stages = lazy(xs), (Map(peers.triple), Filter(peers.even), Map(peers.less))
    shape = tuple(stage.shape for stage in stages)
    args = [a for stage in stages for a in stage.args]

    def counting(with_notes: bool) -> Callable[[], object]:
        run = fuse(shape, Count, with_notes).run
        return lambda: run(xs, plan, 0, Count(), *args)

    contenders = {"without notes": counting(False), "with notes": counting(True)}
    targets = {"with notes": at_most(1.05)}
    return _compared(chosen, "the note on the good path", contenders, "without notes", targets, 2)


def memory(chosen: argparse.Namespace) -> Iterator[Table]:
    """Compare the peak of Python's allocations for an input and one ten times as long, at equal output."""
    size = min(chosen.size, 1_000_000) // 10
    pipelines: dict[str, Callable[[range], object]] = {
        "map, filter, map, sum": lambda xs: lazy(xs).map(peers.triple).filter(peers.even).map(peers.less).sum(),
        "batch(100), sum each": lambda xs: lazy(xs).batch(100).map(sum).sum(),
        "flat_map, sum": lambda xs: lazy(xs).flat_map(peers.pair).sum(),
        "count_by": lambda xs: lazy(xs).count_by(peers.last_two),
        "fold_by": lambda xs: lazy(xs).fold_by(peers.last_two, lambda n, _: n + 1, 0),
        "top(10)": lambda xs: lazy(xs).top(10),
        "window, distinct, take": lambda xs: lazy(xs).window(3).map(sum).distinct(peers.last_two).take(50).to_list(),
        "map in threads, window 32": lambda xs: lazy(xs[: len(xs) // 20]).map(peers.same, threads=2, window=32).count(),
        "page": lambda xs: lazy(xs).map(peers.triple).page(100, 50).to_list(),
    }
    yield growth({name: peaks(pipeline, size) for name, pipeline in pipelines.items()})


def growth(found: Mapping[str, tuple[int, int]]) -> Table:
    """Lay out the peaks in bytes, of an input and of one ten times as long; they may differ by 2 %."""
    percent = {name: (after - before) / before * 100 for name, (before, after) in found.items()}
    lines = [(name, f"{few:,} B", f"{many:,} B", f"{percent[name]:+.1f} %") for name, (few, many) in found.items()]
    verdicts = [at_most(2, "%").judge(name, value) for name, value in percent.items()]
    title = "growth of the peak when the input grows tenfold"
    return Table(title, ("name", "small input", "ten times it", "growth"), lines, verdicts, {"peaks": found})


def peaks(pipeline: Callable[[range], object], size: int) -> tuple[int, int]:
    """Return the peaks of an input and of one ten times as long, each the least of three."""

    def peak(xs: range) -> int:
        tracemalloc.start()
        try:
            pipeline(xs)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    pipeline(range(1_000))  # compiled, imported
    before, after = (min(peak(range(n)) for _ in range(3)) for n in (size, 10 * size))
    return before, after


def parallel(chosen: argparse.Namespace) -> Iterator[Table]:
    """Compare maps that overlap: computing in two processes, waiting in sixteen threads."""
    two, sixteen = {"ours, processes=2": at_least(1.7)}, {"ours, threads=16": at_least(14)}
    yield _compared(chosen, "40,000 short computations", peers.computing(range(40_000)), "one process", two)
    yield _compared(chosen, "640 waits of 5 ms", peers.waiting(range(640)), "one thread", sixteen)


def _compared(
    chosen: argparse.Namespace,
    title: str,
    contenders: peers.Workload,
    baseline: str,
    targets: Bounds | None = None,
    times: int = 1,
) -> Comparison:
    """Compare in so many `times` the rounds that were asked for."""
    rounds = times * chosen.rounds
    return compare(contenders, baseline, rounds=rounds, targets=targets, title=title, min_seconds=chosen.turn)


SECTIONS: dict[str, Callable[[argparse.Namespace], Iterator[Table]]] = {
    "parallel": parallel,  # first: a library that starts threads makes fork unsafe from then on
    "loops": lambda chosen: loops(chosen.size, chosen.rounds, chosen.turn),
    "memory": memory,
    "shapes": shapes,
    "small": small,
}
