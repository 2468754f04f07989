"""Challenge 2: opening and closing resources - ours, the standard library's stacks, and the peers.

Idea        The price of a manager is what it adds to resources that do nothing; its worth is what it overlaps.
Invariant   Ratios are to the stack of the standard library in the same rounds; ours runs with its metrics on.
When wrong  A target that is missed is printed as missed, and fails the run with --strict.
See         arion_lib/bench/resources/workloads.py (the contenders) · tests/bench/test_resources.py
"""

from __future__ import annotations

import argparse
import asyncio
import time
import tracemalloc
from collections.abc import Iterator

from arion_lib.bench.command import finish, measured, options
from arion_lib.bench.compare import at_most, compare
from arion_lib.bench.resources import workloads as peers
from arion_lib.bench.verdicts import Table
from arion_lib.resources import Resources

SLOW = 0.050  # seconds that a slow resource takes to open, and to close
GROWTH = 32 * 1024  # bytes per 20,000 acquisitions
CYCLES = 1_000


def run(args: list[str]) -> int:
    """Measure, print the tables, and return the exit code."""
    said = "Open and close resources that do nothing, that are slow, and very many of them."
    chosen = options("resources", said, SECTIONS).parse_args(args)
    return finish(measured(SECTIONS, chosen.only, chosen), chosen, ("svcs", "dependency-injector"))


def trivial(chosen: argparse.Namespace) -> Iterator[Table]:
    """Compare one trivial resource, and measure what each further one adds."""
    added: dict[str, float] = {}
    for make, stack, word, most in (
        (peers.synchronous, "ExitStack", "with", 6.0),
        (peers.asynchronous, "AsyncExitStack", "async with", 5.0),
    ):
        one, eleven = make(1, CYCLES), make(11, CYCLES // 5)
        title, targets = f"one trivial resource, `{word}`", {"ours": at_most(most)}
        yield compare(one, stack, rounds=3 * chosen.rounds, targets=targets, title=title, work=CYCLES, unit="cycle")
        added[f"ours, `{word}`"] = _each_further(one["ours"], eleven["ours"], chosen.rounds)
        added[stack] = _each_further(one[stack], eleven[stack], chosen.rounds)
    lines = [(name, f"{value * 1e6:.2f} us") for name, value in added.items()]
    verdicts = [at_most(2.5e-6, "s").judge(name, added[name]) for name in added if name.startswith("ours")]
    yield Table("each further trivial resource (processor time)", ("name", "adds"), lines, verdicts, {"seconds": added})


def _each_further(one: peers.Cycle, eleven: peers.Cycle, rounds: int) -> float:
    """The seconds that a resource adds: eleven against one, by the best of interleaved rounds."""
    pairs = [(_seconds(one) / CYCLES, _seconds(eleven) / (CYCLES // 5)) for _ in range(10 * rounds)]
    return (min(many for _, many in pairs) - min(single for single, _ in pairs)) / 10


def _seconds(cycle: peers.Cycle) -> float:
    """The processor's seconds: nothing here waits, and another program's turn is not ours."""
    began = time.process_time()
    cycle()
    return time.process_time() - began


def beside(chosen: argparse.Namespace) -> Iterator[Table]:
    """Compare ten slow resources with one of them, both directions."""
    targets = {"ours, threads": at_most(1.05), "ours, tasks": at_most(1.03)}
    title = f"10 resources of {SLOW * 1e3:g} ms to open and {SLOW * 1e3:g} ms to close"
    yield compare(peers.beside(10, SLOW), "one of them", rounds=chosen.rounds, targets=targets, title=title)


def many(chosen: argparse.Namespace) -> Iterator[Table]:
    """Measure a thousand at once, and memory over many acquisitions."""
    tasks = Resources(parallel=True, **peers.many(peers.TrivialAsync, 1_000))

    async def main() -> float:
        began = time.process_time()
        async with tasks:
            pass
        return time.process_time() - began

    overhead = min(asyncio.run(main()) for _ in range(3 * chosen.rounds))
    growth = _growth(20_000)
    figures = {
        "1,000 in parallel, tasks (processor time)": (overhead, at_most(0.030, "s")),
        "memory per 20,000 acquisitions": (growth, at_most(GROWTH, "B")),
    }
    verdicts = [bound.judge(name, value) for name, (value, bound) in figures.items()]
    lines = [(name, verdict.measured) for name, verdict in zip(figures, verdicts, strict=True)]
    yield Table("many", ("name", "measured"), lines, verdicts)


def _growth(acquisitions: int) -> int:
    """Bytes that stay after so many acquisitions, once the journal is full."""
    managed = Resources(a=peers.Trivial())

    def cycles(count: int) -> None:
        for _ in range(count):
            with managed:
                pass

    cycles(acquisitions)
    tracemalloc.start()
    try:
        cycles(acquisitions)  # the ring is filled with what tracemalloc knows
        before = tracemalloc.get_traced_memory()[0]
        cycles(acquisitions)
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


SECTIONS = {"trivial": trivial, "beside": beside, "many": many}
