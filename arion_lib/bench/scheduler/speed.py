"""How fast, how lean: rates, latency, efficiency, task graphs, arrays and bytes, each beside the peers.

Idea        Tasks that do nothing show the price of a task; tasks of a known length what is left of two cores.
Invariant   Every turn opens its pool, warms it up, checks all results, and times only from the first submit to the last
            result.
When wrong  A wrong result fails that contender's row.
See         arion_lib/bench/scheduler/pools.py · tests/bench/test_scheduler.py
"""

from __future__ import annotations

import gc
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

from arion_lib.bench.lab import Lab
from arion_lib.bench.ratios import Comparison, Runs, compared
from arion_lib.bench.scheduler.pools import LOCAL, POOLS, check, opened, timed
from arion_lib.bench.scheduler.tasks import add, block, loops_for, noted, nothing, same, share, successor, total, work
from arion_lib.bench.verdicts import Bound, Table, at_least, at_most, lines_of, median

# --- jobs: called in a contender's process ---


def rate_job(name: str, count: int, chunk: int = 0) -> float:
    """Seconds a task: no-op calls submitted one by one (`chunk` 0), or handed in as one batch."""
    numbers = list(range(count))
    with opened(name) as pool:
        pool.map(nothing, range(200))
        submit = pool.submit
        if chunk:
            return timed(lambda: pool.map(nothing, numbers, chunk), numbers) / count
        return timed(lambda: pool.results([submit(nothing, n) for n in numbers]), numbers) / count


def latency_job(name: str, count: int) -> float:
    """Median seconds from submit to result while nothing else is to be done."""
    seconds = []
    with opened(name) as pool:
        pool.map(nothing, range(50))
        gc.collect()
        for number in range(count):
            time.sleep(0.001)
            began = time.perf_counter()
            check(pool.result(pool.submit(nothing, number)), number)
            seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def efficiency_job(name: str, count: int, loops: int, repeats: int) -> float:
    """Median share of the ideal time for so much work: the same in one long call to each worker, before and after.

    A core's speed changes from one second to the next; what is compared must be neighbours, in the same processes.
    """

    def many(count: int) -> float:
        squares = [number * number for number in range(count)]
        return timed(lambda: pool.results([pool.submit(work, number, loops) for number in range(count)]), squares)

    def long_calls() -> float:
        part = count // 2
        return timed(lambda: pool.results([pool.submit(share, part, loops) for _ in range(2)]), [part] * 2)

    shares = []
    with opened(name) as pool:
        many(20)
        long_calls()
        before = long_calls()
        for _ in range(repeats):
            seconds = many(count)
            after = long_calls()
            shares.append((before + after) / 2 / seconds)
            before = after
    return statistics.median(shares)


def graph_job(name: str, graph: Callable[[Any, int], Any], count: int, expected: int, tasks: int) -> float:
    """Seconds a task of a graph that is run five times; the first run teaches each function's length."""
    with opened(name) as pool:
        pool.map(nothing, range(50))
        seconds = [timed(lambda: graph(pool, count), expected) / tasks for _ in range(5)]
    return statistics.median(seconds[1:])


def a_chain(pool: Any, count: int) -> Any:
    """Run tasks of which each takes the result of the one before."""
    last = pool.submit(successor, 0)
    for _ in range(count - 1):
        last = pool.after(successor, last)
    return pool.result(last)


def a_fan(pool: Any, count: int) -> Any:
    """Run one task, then `count` that take its result, then one that takes all of theirs."""
    first = pool.submit(nothing, 1)
    return pool.result(pool.gathered(total, [pool.after(same, first) for _ in range(count)]))


def a_tree(pool: Any, leaves: int) -> Any:
    """Add leaves up pair by pair."""
    level = [pool.submit(nothing, number) for number in range(leaves)]
    while len(level) > 1:
        level = [pool.after(add, level[at], level[at + 1]) for at in range(0, len(level), 2)]
    return pool.result(level[0])


def array_job(name: str, megabytes: int, repeats: int) -> float:
    """Median seconds for a NumPy array to a worker and back."""
    import numpy

    array = numpy.arange(megabytes * 125_000, dtype=numpy.float64)
    seconds = []
    with opened(name) as pool:
        pool.map(nothing, range(20))
        for _ in range(repeats):
            began = time.perf_counter()
            back = pool.result(pool.submit(same, array))
            seconds.append(time.perf_counter() - began)  # without the time that freeing it takes
            check((back.shape, float(back[-1])), (array.shape, float(array[-1])))
            del back
    return statistics.median(seconds)


def memory_job(name: str, count: int) -> float:
    """Bytes by which this process grows for each further task that waits behind blocked workers, its handle included.

    The pool is left open, and the workers blocked: this is for a process of its own.
    """
    pool = POOLS[name](2)
    with tempfile.TemporaryDirectory(prefix="arion-bench-") as folder:
        paths = [str(Path(folder) / word) for word in ("first", "second")]
        blocked = [pool.submit(block, path) for path in paths]
        for path in paths:
            noted(path)
    handles = [pool.submit(nothing, number) for number in range(count // 2)]  # the allocator's first steps are large
    before = _settled()
    handles += [pool.submit(nothing, number) for number in range(count)]
    grown = _settled() - before
    _KEPT.append((pool, blocked, handles))
    return grown / count


_KEPT: list[Any] = []


def _settled() -> int:
    """Return the resident bytes once they stop growing: pools take in what is submitted in threads of their own."""
    gc.collect()
    process, sizes = psutil.Process(), [-1, 0]
    deadline = time.monotonic() + 10.0
    while sizes[-1] != sizes[-2] and time.monotonic() < deadline:
        time.sleep(0.2)
        sizes.append(int(process.memory_info().rss))
    return sizes[-1]


# --- rows ---


def submit(lab: Lab) -> Iterator[Comparison]:
    """Compare no-op tasks submitted one by one; the peers are given a fifth of them."""
    count = lab.tasks(50_000, 200)
    runs = lab.turns(rate_job, {name: (name, count if name == "ours" else count // 5) for name in lab.present(*LOCAL)})
    targets = [at_least(8, of="PPE"), at_least(3, of="mp.Pool")]
    yield _compared(f"submit: {count:,} no-op tasks one by one", runs, targets)


def batch(lab: Lab) -> Iterator[Comparison]:
    """Compare batches."""
    for full in (10_000, 100_000):
        count = lab.tasks(full, 200)
        arguments = {name: (name, count, 1) for name in lab.present("PPE", "mp.Pool")}
        if "PPE" in arguments:
            arguments["PPE, chunks of 100"] = ("PPE", count, 100)
        runs = lab.turns(rate_job, arguments)
        yield _compared(f"map: {count:,} no-op tasks as a batch", runs, [at_least(10, of="PPE")])


def on_dask(lab: Lab) -> Iterator[Comparison]:
    """Compare no-op tasks on a dask cluster: dask's own, one by one and mapped, and ours in bundles."""
    count = lab.tasks(10_000, 200)
    if "dask" not in lab.peers:
        return
    one_by_one, bundles = "dask, one by one", "ours on dask, bundles of 100"
    few = max(10, count // 10)
    arguments = {one_by_one: ("dask", few, 0), "dask, mapped": ("dask", few, 1), bundles: ("ours on dask", count, 100)}
    runs = lab.turns(rate_job, arguments)
    yield compared(f"dask: {count:,} no-op tasks", one_by_one, runs, {bundles: [at_least(10)]}, 1, "task")


def latency(lab: Lab) -> Iterator[Comparison]:
    """Compare submit to result, one task at a time."""
    runs = lab.turns(latency_job, {name: (name, lab.tasks(400, 20)) for name in lab.present(*LOCAL)})
    yield _compared("latency: submit to result, idle, p50 of each round", runs, [at_most(0.75, of="PPE")])


def efficiency(lab: Lab) -> Iterator[Table]:
    """Compare ideal time with real time for a fixed amount of work."""
    for milliseconds, full, target in ((0.1, 5_000, 0.75), (1, 500, 0.93), (10, 100, 0.98)):
        count, loops = lab.tasks(full, 20), loops_for(milliseconds / 1e3)
        arguments = {name: (name, count, loops, lab.tasks(3, 1)) for name in lab.present(*LOCAL)}
        runs = lab.turns(efficiency_job, arguments)
        verdict = at_least(target, "").judge("ours", median(runs["ours"]))
        lines = lines_of(runs, lambda got: (f"{median(got):.3f}", f"{min(got):.3f} to {max(got):.3f}"))
        title = f"efficiency: {count:,} busy tasks of {milliseconds:g} ms"
        yield Table(title, ("name", "efficiency, median", "of the rounds"), lines, [verdict], {"rounds": runs})


def chain(lab: Lab) -> Iterator[Comparison]:
    """Compare a chain of tasks."""
    count = lab.tasks(1_000)
    yield _graphs(lab, f"chain: {count:,} tasks, each needs the one before", 2.5, a_chain, count, count, count)


def fan(lab: Lab) -> Iterator[Comparison]:
    """Compare a fan-out and fan-in."""
    count = lab.tasks(1_000)
    yield _graphs(lab, f"fan: {count:,} tasks between one and one", 5, a_fan, count, count, count + 2)


def tree(lab: Lab) -> Iterator[Comparison]:
    """Compare a reduction tree."""
    leaves = 1_024 if lab.size >= 0.2 else 64
    sums = leaves * (leaves - 1) // 2
    yield _graphs(lab, f"tree: {leaves:,} leaves added up in pairs", 5, a_tree, leaves, sums, 2 * leaves - 1)


def _graphs(lab: Lab, title: str, factor: float, *graph: Any) -> Comparison:
    runs = lab.turns(graph_job, {name: (name, *graph) for name in lab.present("PPE", "mp.Pool")})
    return _compared(title, runs, [at_least(factor, of="PPE")])


def array(lab: Lab) -> Iterator[Comparison]:
    """Compare a large array there and back."""
    size = lab.tasks(50, 2)
    runs = lab.turns(array_job, {name: (name, size, 5) for name in lab.present(*LOCAL)})
    yield _compared(f"array: {size} MB there and back", runs, [at_least(3, of="PPE")], size * 1e6, "B")


def memory(lab: Lab) -> Iterator[Table]:
    """Compare bytes per queued task, each in a fresh process."""
    count = lab.tasks(200_000, 100_000)
    found = {name: lab.once(memory_job, name, count) for name in lab.present(*LOCAL)}
    lines = lines_of(found, lambda value: [f"{value:,.0f} B"])
    verdict = at_most(350, "B").judge("ours", found["ours"])
    title = f"memory: a queued task, of {count:,}"
    yield Table(title, ("name", "resident growth"), lines, [verdict], {"bytes": found})


def _compared(
    title: str, runs: dict[str, Runs], targets: list[Bound], work: float = 1, unit: str = "task"
) -> Comparison:
    """Relate the contenders to PPE, or to ours where PPE was not asked for; keep the targets that have a reference."""
    kept = {"ours": [target for target in targets if target.of in runs]}
    return compared(title, "PPE" if "PPE" in runs else "ours", runs, kept, work, unit)
