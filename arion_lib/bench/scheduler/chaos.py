"""Chaos: thousands of short tasks while a random worker is killed every moment, round after round.

Idea        Each round runs the same tasks undisturbed and disturbed, and then compares every single result.
Invariant   A task that may be tried again ends exactly once for its caller, with the right result, whoever is killed.
When wrong  A task without an end is lost, one with another result is wrong, one that ends twice is counted, a round
            that does not come to its end hangs; each is a missed target.
See         tests/scheduler/test_chaos.py (the promise, in the suite) · tests/bench/test_scheduler.py
"""

from __future__ import annotations

import contextlib
import os
import random
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from arion_lib.bench.lab import Lab
from arion_lib.bench.scheduler.pools import TASKS
from arion_lib.bench.scheduler.tasks import KILL, loops_for, work
from arion_lib.bench.verdicts import Table, Verdict, at_least
from arion_lib.scheduler import Scheduler

EVERY = 0.1
"""Seconds between two kills."""


@dataclass(frozen=True, slots=True)
class Books:
    """What one round came to."""

    kills: int
    lost: int  # no end, or none with a result
    wrong: int
    repeated: int  # ended more than once for their caller
    seconds: float


def chaos_job(tasks: int, loops: int, every: float | None, seed: int, limit: float) -> Books:
    """Run tasks on two workers, kill a random one each `every` seconds (None: never), and compare the results."""
    ends: Counter[int] = Counter()
    with Scheduler(2, poison_after=1_000_000, preload=(TASKS,)) as scheduler:  # no death is the task's own doing
        for number in range(20):
            scheduler.submit(work, number, loops).result(limit)
        submit = scheduler.with_options(retries=tasks).submit
        began = time.monotonic()
        handles = [submit(work, number, loops) for number in range(tasks)]
        for handle in handles:
            handle.add_done_callback(lambda done: ends.update((done.number,)))  # type: ignore[attr-defined]
        with _killing(scheduler, every, seed) as killed:
            idle = scheduler.wait_idle(limit)
            seconds = time.monotonic() - began
        lost, wrong = _compare(handles)
        if not idle:
            scheduler.shutdown(wait=False, cancel_futures=True, deadline=0.0)
    repeated = sum(ends[handle.number] != 1 for handle in handles)
    return Books(len(killed), lost, wrong, repeated, seconds)


def _compare(handles: list[Any]) -> tuple[int, int]:
    lost = wrong = 0
    for number, handle in enumerate(handles):
        if not handle.done() or handle.cancelled() or handle.exception() is not None:
            lost += 1
        elif handle.result() != number * number:
            wrong += 1
    return lost, wrong


@contextlib.contextmanager
def _killing(scheduler: Scheduler, every: float | None, seed: int) -> Iterator[list[int]]:
    """Kill a random worker every so often, as `kill -9` does, while the block runs; give the list of those killed."""
    killed: list[int] = []
    stop, chance = threading.Event(), random.Random(seed)

    def live() -> None:
        while not stop.wait(every):
            workers = scheduler.status().workers  # those that still start would never answer on a busy machine
            pids = [w.pid for w in workers if w.lane == "processes" and w.pid and w.state in ("idle", "running")]
            with contextlib.suppress(ProcessLookupError):
                if pids:
                    pid = chance.choice(pids)
                    os.kill(pid, KILL)
                    killed.append(pid)

    killer = threading.Thread(target=live)
    killer.start()  # with `every` None it only waits for the end
    try:
        yield killed
    finally:
        stop.set()
        killer.join()


def chaos(lab: Lab) -> Iterator[Table]:
    """Compare disturbed rounds with undisturbed ones."""
    tasks, loops = lab.tasks(10_000, 200), loops_for(0.001)
    limit = 20.0 + tasks * 0.005
    calm: list[Books] = []
    wild: list[Books] = []
    hangs: list[str] = []
    for number in range(lab.rounds):
        for every, books in ((None, calm), (EVERY, wild))[:: 1 if number % 2 else -1]:
            found = lab.once(chaos_job, tasks, loops, every, number, limit, limit=3 * limit)
            if isinstance(found, str):
                hangs.append(found)
            else:
                books.append(found)
    title = f"chaos: {tasks:,} tasks of 1 ms, a random worker killed each {EVERY:g} s, {lab.rounds} rounds"
    head = ("rounds", "kills", "lost", "wrong", "ended not once", "hangs", "seconds, median")
    lines = [_line("undisturbed", calm, []), _line("disturbed", wild, hangs)]
    yield Table(title, head, lines, judged(calm, wild, hangs))


def _sums(books: list[Books]) -> list[int]:
    return [sum(getattr(one, word) for one in books) for word in ("kills", "lost", "wrong", "repeated")]


def _line(name: str, books: list[Books], hangs: list[str]) -> tuple[str, ...]:
    seconds = f"{statistics.median(one.seconds for one in books):.2f}" if books else "-"
    return (f"{len(books)} {name}", *(f"{value:,}" for value in _sums(books)), str(len(hangs)), seconds)


def judged(calm: list[Books], wild: list[Books], hangs: list[str]) -> list[Verdict]:
    """Judge all rounds."""
    _, lost, wrong, repeated = _sums(wild)
    said = f"{lost} lost, {wrong} wrong, {repeated} ended not once, {len(hangs)} hangs; {hangs[0] if hangs else ''}"
    fine = bool(wild) and not hangs and not lost + wrong + repeated
    rates = [a.seconds / b.seconds for a, b in zip(calm, wild, strict=False)]
    return [
        Verdict("0 lost, 0 wrong, 0 hangs, each ends once", said.rstrip("; "), fine),
        at_least(0.85, of="the undisturbed rounds").judge("disturbed", statistics.median(rates) if rates else None),
    ]
