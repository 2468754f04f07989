"""What happens when it goes wrong: killed workers, endless tasks, poison, a killed parent - ours and the peers.

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
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil

from arion_lib.bench.child import Child, ChildFailedError, Hangs, alive, end
from arion_lib.bench.lab import Lab
from arion_lib.bench.scheduler.pools import POOLS, TASKS, Ours, Pool, opened
from arion_lib.bench.scheduler.tasks import (
    KILL,
    block,
    die,
    loops_for,
    meet,
    nap,
    noted,
    nothing,
    now,
    spin,
    spin_in_c,
    stay_once,
    work_until,
)
from arion_lib.bench.verdicts import Table, Value, Verdict, at_most, median, spread
from arion_lib.scheduler import Scheduler
from arion_lib.units import seconds_text

PATIENCE = 6.0
"""Seconds after which a peer's answer is not waited for any more."""
PATIENCES = {"dask": 30.0}
"""It starts a whole interpreter for a killed worker."""
ENDLESS: dict[str, Callable[[str], None]] = {"Python": spin, "C": spin_in_c}
DEATHS = 3
"""Workers that a poison task may kill."""
NAP = 0.005


# --- kill -9 of a worker ---


def kill_job(count: int) -> tuple[list[float], float]:
    """Kill the worker of a task with a retry, `count` times; return the seconds until it ran again, elsewhere.

    Then a stream of 1 ms tasks while one worker of two is killed; the longest that none of them ended.
    """
    seconds = []
    with tempfile.TemporaryDirectory() as folder, Scheduler(2, poison_after=count + 9, preload=(TASKS,)) as scheduler:
        for number in range(count):
            path = str(Path(folder) / str(number))
            _both_are_up(scheduler, Path(folder) / f"{number}-meeting")
            task = scheduler.with_options(retries=1).submit(stay_once, path)
            pid, _ = noted(path)
            killed = time.monotonic()
            os.kill(pid, KILL)
            again, began = task.result(PATIENCE)
            if again == pid:
                raise ValueError("the killed process ran the task again")
            seconds.append(began - killed)
        return seconds, _longest_silence(scheduler)


def _both_are_up(scheduler: Scheduler, folder: Path) -> None:
    folder.mkdir()
    for met in [scheduler.submit(meet, str(folder), number, 2) for number in range(2)]:
        met.result(PATIENCE)


def _longest_silence(scheduler: Scheduler, tasks: int = 1_000) -> float:
    loops = loops_for(0.001)
    handles = [scheduler.with_options(retries=1).submit(work_until, loops) for _ in range(tasks)]
    handles[tasks // 4].result(PATIENCE)
    os.kill(next(worker.pid for worker in scheduler.status().workers if worker.pid), KILL)
    ends = sorted(handle.result(PATIENCE * 5) for handle in handles)
    return max(after - before for before, after in pairwise(ends))


def peer_kill_job(name: str, others: int, patience: float) -> tuple[float | str, int]:
    """Kill the worker of one task while `others` wait; what became of it, and how many of the others were lost."""
    with tempfile.TemporaryDirectory() as folder, opened(name) as pool:
        path = str(Path(folder) / "victim")
        victim = pool.submit(stay_once, path)
        pid, _ = noted(path)
        waiting = [pool.submit(nap, number, NAP) for number in range(others)]
        killed = time.monotonic()
        os.kill(pid, KILL)
        by_then = killed + max(patience, PATIENCE * 5)  # they are not lost while the machine is merely busy
        lost = sum(_fate(pool, handle, by_then) != number * number for number, handle in enumerate(waiting))
        fate = _fate(pool, victim, time.monotonic() + patience)
        return (fate[1] - killed if isinstance(fate, tuple) else fate), lost


def _fate(pool: Pool, handle: Any, until: float) -> Any:
    """Return a result, or what came instead of it."""
    try:
        return pool.result(handle, max(0.001, until - time.monotonic()))
    except TimeoutError:
        return "hangs"
    except CancelledError:
        return "cancelled"
    except Exception as error:  # noqa: BLE001  (what a pool raises for a lost task is what is asked)
        return type(error).__name__


def kill(lab: Lab) -> Iterator[Table]:
    """Kill workers of ours, and one of each peer."""
    others = 20
    found = lab.once(kill_job, lab.times(30))
    lines: list[tuple[str, ...]] = []
    verdicts = _limits("its task running again", found if isinstance(found, str) else found[0], 0.010, 0.050)
    if isinstance(found, str):
        lines.append(("ours", found))
    else:
        seconds, silence = found
        lines.append(("ours", f"runs again: {spread(seconds)}", f"longest pause of the queue {seconds_text(silence)}"))
    for name in lab.present(*POOLS)[1:]:
        answer = lab.once(peer_kill_job, name, others, PATIENCES.get(name, PATIENCE))
        if isinstance(answer, str):
            lines.append((name, answer))
            continue
        fate, lost = answer
        its = f"runs again after {seconds_text(fate)}" if isinstance(fate, float) else f"its task: {fate}"
        lines.append((name, its, f"{lost} of {others} others lost"))
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
            seconds.append(pool.result(following, PATIENCE) - asked)
    return seconds


def timeout_job(name: str, kind: str, count: int, grace: float, limit: float) -> list[tuple[float, float]]:
    """Run an endless task with a time limit, `count` times; how late its caller knew, how late its place was free."""
    late = []
    with tempfile.TemporaryDirectory() as folder, _single(name, grace) as pool:
        for number in range(count):
            path = str(Path(folder) / str(number))
            endless = _submit_timed(pool, ENDLESS[kind], limit, path)
            _, began = noted(path)
            following = pool.submit(now)
            try:
                pool.result(endless, PATIENCE)
                raise ValueError("an endless task returned")
            except TimeoutError:
                knew = time.monotonic()
            late.append((knew - began - limit, pool.result(following, PATIENCE) - began - limit))
    return late


def _single(name: str, grace: float) -> Any:
    if name != "ours":
        return opened(name, 1)
    return _OneOfOurs(grace)


class _OneOfOurs:
    """Ours with one worker and a grace time, warmed up."""

    def __init__(self, grace: float) -> None:
        self._pool = Ours(1, grace=grace)

    def __enter__(self) -> Ours:
        self._pool.result(self._pool.submit(now), PATIENCE)
        return self._pool

    def __exit__(self, *_: object) -> None:
        self._pool.close()


def _submit_timed(pool: Any, fn: Callable[[str], None], limit: float, path: str) -> Any:
    if isinstance(pool, Ours):
        return pool.scheduler.with_options(timeout=limit).submit(fn, path)
    return pool.submit_timed(fn, limit, path)


def cancel(lab: Lab) -> Iterator[Table]:
    """Cancel what runs for ever, in Python and in C."""
    lines: list[tuple[str, ...]] = []
    verdicts: list[Verdict] = []
    for kind in ENDLESS:
        past = lab.grace if kind == "C" else 0.0
        found = lab.once(cancel_job, "ours", kind, lab.times(20), lab.grace)
        seconds = found if isinstance(found, str) else [value - past for value in found]
        lines.append(("ours", kind, spread(seconds) + (f" past the grace of {seconds_text(past)}" if past else "")))
        verdicts += _limits(f"{kind}: place free", seconds, 0.010, 0.025)
        for name in lab.present("pebble", "PPE", "loky", "dask")[1:]:
            found = lab.once(cancel_job, name, kind, 2, lab.grace)
            lines.append((name, kind, _never(found) if isinstance(found, str) else spread(found)))
    yield Table("cancel: a running `while True` cancelled", ("name", "in", "place free after"), lines, verdicts)


def _never(word: str) -> str:
    return f"never (waited {PATIENCE:g} s)" if "TimeoutError" in word else word


def timeout(lab: Lab) -> Iterator[Table]:
    """Let what runs for ever run into its limit."""
    limit = 0.2
    lines: list[tuple[str, ...]] = []
    verdicts: list[Verdict] = []
    for kind in ENDLESS:
        past = lab.grace if kind == "C" else 0.0
        found = lab.once(timeout_job, "ours", kind, lab.times(10), lab.grace, limit)
        if isinstance(found, str):
            lines.append(("ours", kind, found))
            verdicts.append(Verdict(f"{kind}: under 20 ms", found, False))
            continue
        knew, free = [late for late, _ in found], [late - past for _, late in found]
        grace = f" past the grace of {seconds_text(past)}" if past else ""
        lines.append(("ours", kind, spread(knew), spread(free) + grace))
        verdicts.append(at_most(f"{kind}: caller told under 20 ms late", max(knew), 0.020, spread(knew)))
        verdicts.append(at_most(f"{kind}: place free under 20 ms late", max(free), 0.020, spread(free)))
        if "pebble" in lab.peers:
            found = lab.once(timeout_job, "pebble", kind, 2, lab.grace, limit)
            cells = (
                (found,) if isinstance(found, str) else (spread([a for a, _ in found]), spread([b for _, b in found]))
            )
            lines.append(("pebble", kind, *cells))
    title = f"timeout: a limit of {seconds_text(limit)} for a `while True`; nobody else has limits"
    yield Table(title, ("name", "in", "caller told late by", "place free late by"), lines, verdicts)


# --- poison, orphans, scaling, urgency ---


def poison_job(name: str, innocents: int) -> tuple[int, int, int, float, str]:
    """Run a task that kills its worker each time among innocent ones.

    Returns deaths, innocents that failed or are wrong, those without an end in time, seconds, the poison's fate.
    """
    with tempfile.TemporaryDirectory() as folder, opened(name) as pool:
        pool.results([pool.submit(nap, number, 0.0) for number in range(10)])
        path = Path(folder) / "deaths"
        began = time.monotonic()
        before = [pool.submit(nap, number, NAP) for number in range(innocents // 2)]
        submit = pool.scheduler.with_options(retries=10).submit if isinstance(pool, Ours) else pool.submit
        poison = submit(die, str(path))
        handles = before + _as_many_as_it_takes(pool, range(innocents // 2, innocents))
        until = began + PATIENCES.get(name, PATIENCE) + innocents * NAP
        fates = [_fate(pool, handle, until) for handle in handles]
        seconds = time.monotonic() - began
        late = fates.count("hangs")
        right = sum(fate == number * number for number, fate in enumerate(fates))
        fate = _fate(pool, poison, until)
        deaths = len(path.read_text(encoding="utf-8").splitlines()) if path.exists() else 0
        return deaths, innocents - right - late, late, seconds, str(fate)


def _as_many_as_it_takes(pool: Any, numbers: range) -> list[Any]:
    handles = []
    for number in numbers:
        try:
            handles.append(pool.submit(nap, number, NAP))
        except Exception:  # noqa: BLE001  (a broken pool takes no more: those are lost, too)
            break
    return handles


def poison(lab: Lab) -> Iterator[Table]:
    """Hand in one poison task among innocent ones."""
    innocents = lab.tasks(200, 20)
    lines: list[tuple[str, ...]] = []
    ideal = innocents * NAP / 2
    verdicts: list[Verdict] = []
    for name in lab.present(*POOLS):
        found = lab.once(poison_job, name, innocents)
        if isinstance(found, str):
            lines.append((name, found))
            if name == "ours":
                verdicts.append(Verdict(f"exactly {DEATHS} deaths, all innocents right", found, False))
            continue
        deaths, wrong, late, seconds, fate = found
        lines.append((name, str(deaths), f"{wrong} of {innocents}", str(late), f"{seconds / ideal:.2f}x", fate))
        if name == "ours":
            said = f"{deaths} deaths, {wrong} wrong, {late} late"
            verdicts.append(
                Verdict(f"exactly {DEATHS} deaths, all innocents right", said, (deaths, wrong, late) == (DEATHS, 0, 0))
            )
    head = ("name", "deaths", "innocents failed", "no end in time", "ideal time", "the poison task")
    yield Table(f"poison: one poison task among {innocents}", head, lines, verdicts)


def open_job(name: str, folder: str) -> int:
    """Open a pool, keep one of its two workers busy for ever, and return without closing it."""
    pool = POOLS[name](2)
    pool.results([pool.submit(nothing, number) for number in range(4)])
    task = pool.submit(spin, str(Path(folder) / "spin")), pool.submit(block, str(Path(folder) / "block"))
    noted(str(Path(folder) / "spin"))
    noted(str(Path(folder) / "block"))
    _OPEN.append((pool, task))
    return os.getpid()


_OPEN: list[Any] = []


def orphans_of(name: str, patience: float = 3.0) -> tuple[int, int] | str:
    """Kill a pool's parent with -9; return how many processes it had, and how many of them outlive it."""
    with tempfile.TemporaryDirectory() as folder, Child() as child:
        try:
            child.call(open_job, name, folder, limit=PATIENCE * 5)
        except Hangs:
            return "hangs"
        except ChildFailedError as error:
            return "not installed" if error.absent else str(error)[:90]
        had = child.descendants()
        child.kill()
        _, left = psutil.wait_procs(had, timeout=patience)
        left = [process for process in left if alive(process)]
        end(left)
        return len(had), len(left)


def orphans(lab: Lab) -> Iterator[Table]:
    """Kill parents."""
    lines: list[tuple[str, ...]] = []
    verdicts: list[Verdict] = []
    for name in lab.present("PPE", "loky", "mp.Pool", "pebble", "dask"):
        found = orphans_of(name)
        lines.append((name, found) if isinstance(found, str) else (name, f"{found[1]} of {found[0]}"))
        if name == "ours":
            left = found if isinstance(found, str) else found[1]
            verdicts.append(at_most("none", left, 0, f"{left}"))
    title = "orphans: kill -9 of the parent, both workers busy for ever"
    yield Table(title, ("name", "processes left after 3 s"), lines, verdicts)


def scale_job(name: str, count: int) -> list[float]:
    """Scale from 2 to 6 workers with 6 tasks waiting, `count` times; seconds until the sixth has begun."""
    seconds = []
    for _ in range(count):
        with tempfile.TemporaryDirectory() as folder, opened(name) as pool:
            pool.results([pool.submit(nap, number, 0.0) for number in range(4)])
            handles = [pool.submit(meet, folder, number, 6) for number in range(6)]
            for number in range(2):
                noted(str(Path(folder) / str(number)))
            asked = time.monotonic()
            (pool.scheduler if isinstance(pool, Ours) else pool.cluster).scale(6)
            seconds.append(max(pool.result(handle, PATIENCE * 3) for handle in handles) - asked)
    return seconds


def scale(lab: Lab) -> Iterator[Table]:
    """Scale while tasks wait."""
    lines: list[tuple[str, ...]] = []
    verdicts: list[Verdict] = []
    for name in lab.present("dask"):
        found = lab.once(scale_job, name, lab.times(10) if name == "ours" else 1)
        lines.append((name, spread(found)))
        if name == "ours":
            verdicts.append(at_most("p50 under 50 ms", _middle(found), 0.050, spread(found)))
    yield Table("scale: 2 to 6 workers: the sixth task runs", ("name", "after"), lines, verdicts)


def urgent_job(name: str, queued: int, count: int, loops: int) -> list[float]:
    """Submit an urgent task behind a long queue, `count` times; seconds until its result."""
    seconds = []
    with opened(name) as pool:
        pool.results([pool.submit(work_until, loops) for _ in range(20)])
        queue = [pool.submit(work_until, loops) for _ in range(queued)]
        first = pool.scheduler.with_options(priority=10).submit if isinstance(pool, Ours) else pool.submit_first
        pool.result(queue[10], PATIENCE * 5)
        for _ in range(count):
            time.sleep(0.02)
            asked = time.monotonic()
            pool.result(first(now), PATIENCE * 5)
            seconds.append(time.monotonic() - asked)
        if all(handle.done() for handle in queue):
            raise ValueError("the queue ran empty")
    return seconds


def urgent(lab: Lab) -> Iterator[Table]:
    """Submit urgent tasks behind a long queue."""
    queued = lab.tasks(100_000, 1_000)
    lines: list[tuple[str, ...]] = []
    verdicts: list[Verdict] = []
    for name in lab.present("dask"):
        behind = queued if name == "ours" else max(1_000, queued // 50)
        found = lab.once(urgent_job, name, behind, lab.tasks(60, 10), loops_for(0.001))
        lines.append((name, f"{behind:,}", spread(found)))
        if name == "ours":
            verdicts.append(at_most("p50 under 3 ms", _middle(found), 0.003, spread(found)))
    title = "urgent: an urgent task behind a long queue; nobody else has priorities"
    yield Table(title, ("name", "1 ms tasks queued", "submit to result"), lines, verdicts)


def _middle(seconds: list[float] | str) -> Value:
    return seconds if isinstance(seconds, str) else median(seconds)


def _limits(what: str, seconds: list[float] | str, p50: float, most: float) -> list[Verdict]:
    """Hold a list of seconds to a median and a maximum."""
    middle, worst = _middle(seconds), seconds if isinstance(seconds, str) else max(seconds)
    said = [value if isinstance(value, str) else seconds_text(value) for value in (middle, worst)]
    return [
        at_most(f"{what}: p50 under {seconds_text(p50)}", middle, p50, said[0]),
        at_most(f"{what}: at most {seconds_text(most)}", worst, most, said[1]),
    ]
