"""A worker is killed, a task runs for ever: how soon is its place free again - ours and the peers.

Idea        The same misfortune for everyone, in a process of its own; what then happens is written down and judged.
Invariant   Times are differences of the clock that all processes share, taken by the tasks themselves; no answer of a
            peer stands in the code.
When wrong  A peer that does not come back within its time "hangs", and is ended with all it started.
See         arion_lib/bench/scheduler/pools.py · tests/bench/test_scheduler.py
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from arion_lib.bench.lab import Lab
from arion_lib.bench.scheduler.pools import ANSWER, LOCAL, TASKS, fate_of, opened
from arion_lib.bench.scheduler.tasks import KILL, meet, nap, noted, now, spin, spin_in_c, stay_once
from arion_lib.bench.verdicts import Table, Verdict, at_most, lines_of, median, spread, worst
from arion_lib.scheduler import Scheduler
from arion_lib.units import seconds_text

ENDLESS = {"Python": spin, "C": spin_in_c}
OTHERS = 20
"""Short tasks that wait behind the one whose worker is killed."""


# --- kill -9 of a worker ---


def kill_job(count: int) -> list[float]:
    """Kill the worker of a task with a retry, `count` times; return the seconds until it ran again, elsewhere."""
    seconds = []
    with tempfile.TemporaryDirectory() as folder, Scheduler(2, poison_after=count + 9, preload=(TASKS,)) as scheduler:
        for number in range(count):
            meeting, path = Path(folder) / f"{number}-meeting", str(Path(folder) / str(number))
            meeting.mkdir()
            for met in [scheduler.submit(meet, str(meeting), place, 2) for place in range(2)]:
                met.result(ANSWER)  # both workers are up
            task = scheduler.with_options(retries=1).submit(stay_once, path)
            pid, _ = noted(path)
            killed = time.monotonic()
            os.kill(pid, KILL)
            again, began = task.result(ANSWER)
            if again == pid:
                raise ValueError("the killed process ran the task again")
            seconds.append(began - killed)
    return seconds


def peer_kill_job(name: str, others: int, patience: float) -> tuple[float | str, int]:
    """Kill the worker of one task while `others` wait; what became of it, and how many of the others were lost."""
    with tempfile.TemporaryDirectory() as folder, opened(name) as pool:
        path = str(Path(folder) / "victim")
        victim = pool.submit(stay_once, path)
        pid, _ = noted(path)
        waiting = [pool.submit(nap, number, 0.005) for number in range(others)]
        killed = time.monotonic()
        os.kill(pid, KILL)
        by_then = killed + ANSWER * 5  # they are not lost while the machine is merely busy
        lost = sum(fate_of(pool, handle, by_then) != number * number for number, handle in enumerate(waiting))
        fate = fate_of(pool, victim, time.monotonic() + patience)
        return (fate[1] - killed if isinstance(fate, tuple) else fate), lost


def kill(lab: Lab) -> Iterator[Table]:
    """Kill workers of ours, and one of each peer."""
    ours = lab.once(kill_job, lab.tasks(30, 1))
    theirs = {name: lab.once(peer_kill_job, name, OTHERS, ANSWER) for name in lab.present(*LOCAL)[1:]}

    def cells(answer: tuple[float | str, int]) -> tuple[str, str]:
        fate, lost = answer
        its = f"its task: {fate}" if isinstance(fate, str) else f"runs again after {seconds_text(fate)}"
        return its, f"{lost} of {OTHERS} others lost"

    lines = [*lines_of({"ours": ours}, lambda seconds: [f"runs again: {spread(seconds)}"]), *lines_of(theirs, cells)]
    verdicts = _limits("its task running again", ours, 0.010, 0.050)
    yield Table("kill: kill -9 of a worker", ("name", "the task it ran", "the others"), lines, verdicts)


# --- cancelling and deadlines ---


def cancel_job(name: str, kind: str, count: int, grace: float) -> list[float]:
    """Cancel an endless task, `count` times; seconds until another one ran in its place."""
    seconds = []
    with tempfile.TemporaryDirectory() as folder, _single(name, grace) as pool:
        for number in range(count):
            path = str(Path(folder) / str(number))
            endless = pool.submit(ENDLESS[kind], path)
            noted(path)
            following = pool.submit(now)
            asked = time.monotonic()
            endless.cancel()
            seconds.append(pool.result(following, ANSWER) - asked)
    return seconds


def timeout_job(name: str, kind: str, count: int, grace: float, limit: float) -> list[tuple[float, float]]:
    """Run an endless task with a time limit, `count` times; how late its caller knew, how late its place was free."""
    late = []
    with tempfile.TemporaryDirectory() as folder, _single(name, grace) as pool:
        for number in range(count):
            path = str(Path(folder) / str(number))
            endless = pool.submit_timed(ENDLESS[kind], limit, path)
            due = noted(path)[1] + limit
            following = pool.submit(now)
            try:
                pool.result(endless, ANSWER)
                raise ValueError("an endless task returned")
            except TimeoutError:
                knew = time.monotonic()
            late.append((knew - due, pool.result(following, ANSWER) - due))
    return late


@contextmanager
def _single(name: str, grace: float) -> Iterator[Any]:
    """Open a pool with one worker, warmed up; ours with a grace time."""
    with opened(name, 1, **({"grace": grace} if name == "ours" else {})) as pool:
        pool.result(pool.submit(now), ANSWER)
        yield pool


def cancel(lab: Lab) -> Iterator[Table]:
    """Cancel what runs for ever, in Python and in C."""
    lines: list[tuple[str, ...]] = []
    verdicts: list[Verdict] = []
    for kind in ENDLESS:
        past, beyond = (lab.grace, f" past the grace of {seconds_text(lab.grace)}") if kind == "C" else (0.0, "")
        found = lab.once(cancel_job, "ours", kind, lab.tasks(20, 1), lab.grace)
        seconds = found if isinstance(found, str) else [value - past for value in found]
        lines.append(("ours", kind, spread(seconds) + beyond))
        verdicts += _limits(f"{kind}: place free", seconds, 0.010, 0.025)
        for name in lab.present("pebble", "PPE", "loky")[1:]:
            found = lab.once(cancel_job, name, kind, 2, lab.grace)
            never = isinstance(found, str) and "TimeoutError" in found
            lines.append((name, kind, f"never (waited {ANSWER:g} s)" if never else spread(found)))
    yield Table("cancel: a running `while True` cancelled", ("name", "in", "place free after"), lines, verdicts)


def timeout(lab: Lab) -> Iterator[Table]:
    """Let what runs for ever run into its limit."""
    limit = 0.2
    lines: list[tuple[str, ...]] = []
    verdicts: list[Verdict] = []
    for kind in ENDLESS:
        for name in lab.present("pebble"):
            past = lab.grace if kind == "C" and name == "ours" else 0.0
            found = lab.once(timeout_job, name, kind, lab.tasks(10, 1) if name == "ours" else 2, lab.grace, limit)
            word = isinstance(found, str)
            knew = found if word else [late for late, _ in found]
            free = found if word else [late - past for _, late in found]
            lines.append((name, kind, spread(knew), spread(free)))
            if name == "ours":
                verdicts.append(at_most(0.020, "s").judge(f"{kind}: caller told", worst(knew)))
                verdicts.append(at_most(0.020, "s").judge(f"{kind}: place free, past the grace", worst(free)))
    title = f"timeout: a limit of {seconds_text(limit)} for a `while True`; nobody else has limits"
    yield Table(title, ("name", "in", "caller told late by", "place free late by"), lines, verdicts)


def _limits(what: str, seconds: list[float] | str, p50: float, most: float) -> list[Verdict]:
    """Hold a list of seconds to a median and a maximum."""
    return [
        at_most(p50, "s").judge(f"{what}, p50", median(seconds)),
        at_most(most, "s").judge(f"{what}, the longest", worst(seconds)),
    ]
