"""Those who are not to blame: innocents beside a poison task, processes without a parent.

Idea        The same misfortune for everyone, in a process of its own; what then happens is counted and judged.
Invariant   Every innocent task's result is compared; no answer of a peer stands in the code.
When wrong  A peer that does not come back within its time "hangs", and is ended with all it started.
See         arion_lib/bench/scheduler/pools.py · tests/bench/test_scheduler.py
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from arion_lib.bench.lab import Child, Lab, alive, asked, end
from arion_lib.bench.scheduler.pools import ANSWER, LOCAL, POOLS, Ours, fate_of, opened
from arion_lib.bench.scheduler.tasks import KILL, block, die, nap, noted, nothing, spin
from arion_lib.bench.verdicts import Table, Verdict, at_most, lines_of

DEATHS = 3
"""Workers that a poison task may kill."""
NAP = 0.005


def poison_job(name: str, innocents: int) -> tuple[int, int, int, float, str]:
    """Run a task that kills its worker each time among innocent ones.

    Returns deaths, innocents that failed or are wrong, those without an end in time, seconds, the poison's fate.
    """
    with tempfile.TemporaryDirectory() as folder, opened(name) as pool:
        pool.results([pool.submit(nap, number, 0.0) for number in range(10)])
        path = Path(folder) / "deaths"
        began = time.monotonic()
        handles = [pool.submit(nap, number, NAP) for number in range(innocents // 2)]
        submit = pool.pool.with_options(retries=10).submit if isinstance(pool, Ours) else pool.submit
        poison = submit(die, str(path))
        with suppress(Exception):  # a broken pool takes no more: what it took before stays in the list
            handles.extend(pool.submit(nap, number, NAP) for number in range(innocents // 2, innocents))
        until = began + ANSWER + innocents * NAP
        fates = [fate_of(pool, handle, until) for handle in handles]
        seconds = time.monotonic() - began
        late = fates.count("hangs")
        right = sum(fate == number * number for number, fate in enumerate(fates))
        fate = fate_of(pool, poison, until)
        deaths = len(path.read_text(encoding="utf-8").splitlines()) if path.exists() else 0
        return deaths, innocents - right - late, late, seconds, str(fate)


def poison(lab: Lab) -> Iterator[Table]:
    """Hand in one poison task among innocent ones."""
    innocents = lab.tasks(200, 20)
    found = {name: lab.once(poison_job, name, innocents) for name in lab.present(*LOCAL)}

    def cells(came_to: tuple[int, int, int, float, str]) -> tuple[str, ...]:
        deaths, wrong, late, seconds, fate = came_to
        return str(deaths), f"{wrong} of {innocents}", str(late), f"{seconds / (innocents * NAP / 2):.2f}x", fate

    ours = found["ours"]
    said = ours if isinstance(ours, str) else f"{ours[0]} deaths, {ours[1]} wrong, {ours[2]} late"
    verdict = Verdict(f"exactly {DEATHS} deaths, all innocents right", said, ours[:3] == (DEATHS, 0, 0))
    head = ("name", "deaths", "innocents failed", "no end in time", "ideal time", "the poison task")
    yield Table(f"poison: one poison task among {innocents}", head, lines_of(found, cells), [verdict])


def open_job(name: str, folder: str) -> None:
    """Open a pool, keep both of its workers busy for ever, and return without closing it."""
    pool = POOLS[name](2)
    pool.results([pool.submit(nothing, number) for number in range(4)])
    paths = [str(Path(folder) / word) for word in ("spin", "block")]
    _OPEN.append((pool, [pool.submit(busy, path) for busy, path in zip((spin, block), paths, strict=True)]))
    for path in paths:
        noted(path)


_OPEN: list[Any] = []


def orphans_of(name: str, patience: float = 3.0) -> tuple[int, int] | str:
    """Kill a pool's parent with -9; return how many processes it had, and how many of them outlive it."""
    with tempfile.TemporaryDirectory() as folder, Child() as child:
        refused = asked(child, open_job, (name, folder), ANSWER * 5)
        if refused is not None:
            return str(refused)
        had = child.descendants()
        os.kill(child.pid, KILL)
        _, left = psutil.wait_procs(had, timeout=patience)
        left = [process for process in left if alive(process)]
        end(left)
        return len(had), len(left)


def orphans(lab: Lab) -> Iterator[Table]:
    """Kill parents."""
    found = {name: orphans_of(name) for name in lab.present(*LOCAL)}
    lines = lines_of(found, lambda one: [f"{one[1]} of {one[0]}"])
    ours = found["ours"]
    verdict = at_most(0, "").judge("ours", ours if isinstance(ours, str) else ours[1])
    title = "orphans: kill -9 of the parent, both workers busy for ever"
    yield Table(title, ("name", "processes left after 3 s"), lines, [verdict])
