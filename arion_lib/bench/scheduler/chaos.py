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

from arion_lib.bench.child import Child
from arion_lib.bench.lab import Lab, asked
from arion_lib.bench.scheduler.pools import TASKS
from arion_lib.bench.scheduler.tasks import KILL, loops_for, work
from arion_lib.bench.verdicts import Table, Verdict, at_least
from arion_lib.scheduler import Scheduler

EVERY = 0.1
"""Seconds between two kills."""
NEVER_POISON = 1_000_000
"""Deaths after which a task is quarantined: here none is the task's doing."""


@dataclass(frozen=True, slots=True)
class Books:
    """What one round came to."""

    tasks: int
    kills: int
    lost: int  # no end, or none with a result
    wrong: int
    repeated: int  # ended more than once for their caller
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether each task ended once, well and right."""
        return not (self.lost or self.wrong or self.repeated)


def chaos_job(tasks: int, loops: int, every: float | None, seed: int, limit: float) -> Books:
    """Run tasks on two workers, kill a random one each `every` seconds (None: never), and compare the results."""
    ends: Counter[int] = Counter()
    with Scheduler(2, poison_after=NEVER_POISON, preload=(TASKS,)) as scheduler:
        for number in range(20):
            scheduler.submit(work, number, loops).result(limit)
        submit = scheduler.with_options(retries=tasks).submit
        began = time.monotonic()
        handles = [submit(work, number, loops) for number in range(tasks)]
        for handle in handles:
            handle.add_done_callback(lambda done: ends.update((done.number,)))  # type: ignore[attr-defined]
        with _Killer(scheduler, every, seed) as killer:
            idle = scheduler.wait_idle(limit)
            seconds = time.monotonic() - began
        lost, wrong = _compare(handles)
        if not idle:
            scheduler.shutdown(wait=False, cancel_futures=True, deadline=0.0)
    repeated = sum(ends[handle.number] != 1 for handle in handles)
    return Books(tasks, killer.kills, lost, wrong, repeated, seconds)


def _compare(handles: list[Any]) -> tuple[int, int]:
    lost = wrong = 0
    for number, handle in enumerate(handles):
        if not handle.done() or handle.cancelled() or handle.exception() is not None:
            lost += 1
        elif handle.result() != number * number:
            wrong += 1
    return lost, wrong


class _Killer:
    """A thread that kills a random worker every so often, as `kill -9` does."""

    def __init__(self, scheduler: Scheduler, every: float | None, seed: int) -> None:
        self.kills = 0
        self._scheduler, self._every, self._random = scheduler, every, random.Random(seed)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._live)

    def _live(self) -> None:
        while not self._stop.wait(self._every):
            workers = self._scheduler.status().workers  # those that still start would never answer on a busy machine
            pids = [w.pid for w in workers if w.lane == "processes" and w.pid and w.state in ("idle", "running")]
            if pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._random.choice(pids), KILL)
                    self.kills += 1

    def __enter__(self) -> _Killer:
        if self._every is not None:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._every is not None:
            self._thread.join()


def chaos(lab: Lab) -> Iterator[Table]:
    """Compare disturbed rounds with undisturbed ones."""
    tasks, loops = lab.tasks(10_000, 200), loops_for(0.001)
    limit = 20.0 + tasks * 0.005
    calm: list[Books] = []
    wild: list[Books] = []
    hangs: list[str] = []
    child = Child()
    try:
        for number in range(lab.rounds):
            for every, books in ((None, calm), (EVERY, wild))[:: 1 if number % 2 else -1]:
                found = asked(child, chaos_job, (tasks, loops, every, number, limit), 3 * limit)
                if isinstance(found, str):
                    hangs.append(found)
                    child.close()
                    child = Child()
                else:
                    books.append(found)
    finally:
        child.close()
    title = f"chaos: {tasks:,} tasks of 1 ms, a random worker killed each {EVERY:g} s, {lab.rounds} rounds"
    head = ("rounds", "kills", "lost", "wrong", "ended not once", "hangs", "seconds, median")
    lines = [_line("undisturbed", calm, []), _line("disturbed", wild, hangs)]
    yield Table(title, head, lines, judged(calm, wild, hangs))


def _line(name: str, books: list[Books], hangs: list[str]) -> tuple[str, ...]:
    sums = [sum(getattr(one, word) for one in books) for word in ("kills", "lost", "wrong", "repeated")]
    seconds = f"{statistics.median(one.seconds for one in books):.2f}" if books else "-"
    return (f"{len(books)} {name}", *(f"{value:,}" for value in sums), str(len(hangs)), seconds)


def judged(calm: list[Books], wild: list[Books], hangs: list[str]) -> list[Verdict]:
    """Judge all rounds.

    >>> calm, wild = Books(10, 0, 0, 0, 0, 1.0), Books(10, 3, 0, 0, 0, 1.1)
    >>> [verdict.met for verdict in judged([calm], [wild], [])]
    [True, True]
    >>> [verdict.met for verdict in judged([calm], [Books(10, 3, 1, 0, 0, 2.0)], [])]
    [False, False]
    """
    lost, wrong, repeated = (sum(getattr(one, word) for one in wild) for word in ("lost", "wrong", "repeated"))
    said = f"{lost} lost, {wrong} wrong, {repeated} ended not once, {len(hangs)} hangs; {hangs[0] if hangs else ''}"
    fine = bool(wild) and not hangs and all(one.ok for one in wild)
    rates = [a.seconds / b.seconds for a, b in zip(calm, wild, strict=False)]
    return [
        Verdict("0 lost, 0 wrong, 0 hangs, each ends once", said.rstrip("; "), fine),
        at_least(0.85, of="the undisturbed rounds").judge("disturbed", statistics.median(rates) if rates else None),
    ]
