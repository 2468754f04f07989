"""Challenge 5: a task scheduler - ours and the pools people use, fast, lean, and when it goes wrong.

Idea        Each row measures one promise beside the peers and ends in a verdict.
Invariant   Every contender lives in processes of its own, has two workers, and does the same calls; ratios are medians
            over interleaved rounds of one run.
When wrong  A peer that hangs, fails or is not installed is shown as that; a missed target fails the run with --strict.
See         arion_lib/bench/lab.py (how it is measured) · tests/bench/test_scheduler.py

    speed.py    rates, latency, efficiency, task graphs, arrays, bytes; callables.py: forms of calls, what is left
    stopping.py  killed workers, endless tasks; innocents.py: poison, orphans; chaos.py: all of it for minutes
    pools.py    the contenders · tasks.py: what they are given to do

On a busy machine more rounds help: ratios are taken within a round. `--quick` takes a minute or two and is a glance;
`--chaos` alone runs the twenty rounds of killing.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator

from arion_lib.bench.command import finish, measured, options
from arion_lib.bench.lab import Lab
from arion_lib.bench.scheduler import callables, innocents, speed, stopping
from arion_lib.bench.scheduler.chaos import chaos
from arion_lib.bench.scheduler.pools import PEERS
from arion_lib.bench.verdicts import Table

ROWS: dict[str, Callable[[Lab], Iterator[Table]]] = {
    "submit": speed.submit,
    "map": speed.batch,
    "dask": speed.on_dask,
    "latency": speed.latency,
    "efficiency": speed.efficiency,
    "chain": speed.chain,
    "fan": speed.fan,
    "tree": speed.tree,
    "array": speed.array,
    "memory": speed.memory,
    "forms": callables.forms,
    "rest": callables.rest,
    "kill": stopping.kill,
    "cancel": stopping.cancel,
    "timeout": stopping.timeout,
    "poison": innocents.poison,
    "orphans": innocents.orphans,
    "chaos": chaos,
}
"""The rows by their names, in the order in which they are measured."""
SECTIONS = {"speed": tuple(ROWS)[:12], "faults": tuple(ROWS)[12:-1]}
"""Words for several rows."""
QUICK = 0.2
CHAOS_ROUNDS = 20


def run(args: list[str]) -> int:
    """Measure, print the tables, and return the exit code."""
    said = "Run tasks on two workers: rates, latency, graphs, memory, faults, chaos."
    parser = options("scheduler", said, [*ROWS, *SECTIONS])
    parser.set_defaults(rounds=None)
    parser.add_argument("--quick", action="store_true", help=f"one round, {QUICK * 100:.0f} %% of the tasks")
    parser.add_argument("--chaos", action="store_true", help=f"only chaos, {CHAOS_ROUNDS} rounds unless --rounds says")
    said = "which to measure beside ours (default: all)"
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=PEERS, metavar="PEER", help=said)
    parser.add_argument("--grace", type=float, default=0.1, help="ours: seconds from interrupt to kill (default: 0.1)")
    chosen = parser.parse_args(args)
    own = "PYTHONWARNINGS" not in os.environ
    os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker")  # it tells of what a killed peer left: expected
    try:
        libraries = ("pebble", "loky", "distributed")
        return finish(measured(ROWS, chosen_rows(chosen), lab_of(chosen)), chosen, libraries)
    finally:
        if own:
            del os.environ["PYTHONWARNINGS"]


def chosen_rows(chosen: argparse.Namespace) -> list[str]:
    """Return the names of the rows that the options ask for, in the order of `ROWS`.

    >>> chosen_rows(argparse.Namespace(chaos=False, only=["faults", "chain"]))[:2]
    ['chain', 'kill']
    """
    if chosen.chaos:
        return ["chaos"]
    wanted = {name for word in chosen.only or ROWS for name in SECTIONS.get(word, (word,))}
    return [name for name in ROWS if name in wanted]


def lab_of(chosen: argparse.Namespace) -> Lab:
    """Return how to measure what the options ask for."""
    rounds = chosen.rounds or (CHAOS_ROUNDS if chosen.chaos else 1 if chosen.quick else 5)
    return Lab(rounds, QUICK if chosen.quick else 1.0, tuple(chosen.peers), chosen.grace)
