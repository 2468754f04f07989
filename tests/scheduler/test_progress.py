"""A running task says how far it is; a task that holds more memory than it may is ended."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

from arion_lib.scheduler import MemoryLimitError, Scheduler, SchedulerError, report
from arion_lib.scheduler.processes.pool import Pool
from arion_lib.scheduler.processes.worker_handle import WorkerHandle
from tests.scheduler import jobs
from tests.scheduler.gates import PATIENCE, Gate, until

pytestmark = pytest.mark.usefixtures("no_leaks")


def half_way(place: str, total: float | None = 10) -> int:
    report(1, 10)
    report(5, total)
    jobs.hold(place)
    return os.getpid()


def seen(scheduler: Scheduler) -> list[Any]:
    return [worker.progress for worker in scheduler.status().workers if worker.task is not None]


@pytest.mark.parametrize("lane", ["processes", "threads"])
def test_progress_is_seen_while_the_task_runs_and_not_after_it(lane: str, gate: Gate) -> None:
    with Scheduler(1, threads=1) as scheduler:
        on = scheduler.with_options(lane=lane)
        task = on.submit(half_way, gate.place)
        gate.arrived()
        assert seen(scheduler) == [(5.0, 10.0)]
        (shown,) = (one for one in scheduler.status().as_dict()["lanes"] if one["name"] == lane)
        assert shown["workers"][0]["progress"] == (5, 10)
        gate.open()
        task.result(PATIENCE)
        assert {worker.progress for worker in scheduler.status().workers} == {None}
        task = on.submit(jobs.hold, gate.place)
        gate.arrived()
        assert seen(scheduler) == [None]
        gate.open()
        task.result(PATIENCE)


def test_of_an_unknown_total_only_what_is_done_is_told(gate: Gate) -> None:
    with Scheduler(1) as scheduler:
        task = scheduler.submit(half_way, gate.place, None)
        gate.arrived()
        assert seen(scheduler) == [(5.0, None)]
        gate.open()
        task.result(PATIENCE)


def forks() -> int:
    assert hasattr(os, "fork")
    child = os.fork()
    if not child:
        report(1, 2)
        os._exit(0)
    os.waitpid(child, 0)
    return 1


@pytest.mark.posix("needs fork")
def test_a_process_that_a_task_forks_reports_nothing_of_its_parents(gate: Gate) -> None:
    with Scheduler(1) as scheduler:
        assert scheduler.submit(forks).result(PATIENCE) == 1


async def coroutine() -> int:
    report(1, 2)
    return 3


def test_where_nobody_looks_on_a_report_does_nothing() -> None:
    report(1, 2)
    with Scheduler(1) as scheduler:
        assert scheduler.submit(coroutine).result(PATIENCE) == 3


@pytest.mark.parametrize("wrong", [(-1, None), (1, 0), (float("inf"), None), (float("nan"), 3)], ids=str)
def test_a_report_that_says_nothing_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="done must be"):
        report(*wrong)


def swell(size: int, place: str) -> int:
    held = b"x" * size
    jobs.hold(place)
    return len(held)


def test_a_task_that_holds_more_than_its_worker_may_is_ended_by_an_error_that_tells(gate: Gate) -> None:
    with Scheduler(1) as scheduler:
        scheduler.submit(jobs.add).result(PATIENCE)
        limit = scheduler.status().workers[0].rss + 100_000_000  # type: ignore[operator]
    with Scheduler(1, memory_limit=limit) as scheduler:
        assert scheduler.submit(len, b"x" * 1_000_000).result(PATIENCE) == 1_000_000
        greedy = scheduler.submit(swell, 300_000_000, gate.place)
        innocent = scheduler.submit(jobs.add, 1, 2)
        error = greedy.exception(PATIENCE)
        assert isinstance(error, MemoryLimitError)
        assert isinstance(error, SchedulerError)
        assert isinstance(error, MemoryError)
        assert error.bytes > error.limit == limit
        assert "memory_limit=" in str(error)
        assert innocent.result(PATIENCE) == 3
        assert scheduler.status().failed == 1


def test_the_reason_of_an_end_outlives_a_look_at_the_dying_worker(monkeypatch: pytest.MonkeyPatch, gate: Gate) -> None:
    """What is dying holds nothing any more: that is no reason to forget why it dies."""
    replace = Pool.replace

    def replace_and_look_again(pool: Pool, worker: WorkerHandle) -> None:
        replace(pool, worker)
        rss, dying = pool.usage.rss, worker.child.pid  # alone: where its call had not begun, the next worker has it
        monkeypatch.setattr(pool.usage, "rss", lambda pid: None if pid == dying else rss(pid))
        assert pool.memory is not None
        pool.memory.check(time.monotonic() + 10.0)

    monkeypatch.setattr(Pool, "replace", replace_and_look_again)
    with Scheduler(1, memory_limit=1) as scheduler:
        assert isinstance(scheduler.submit(jobs.hold, gate.place).exception(PATIENCE), MemoryLimitError)


def test_without_a_limit_it_runs_on(gate: Gate) -> None:
    with Scheduler(1) as scheduler:
        task = scheduler.submit(swell, 300_000_000, gate.place)
        gate.arrived()
        until(lambda: (scheduler.status().workers[0].rss or 0) > 300_000_000, "its memory")
        gate.open()
        assert task.result(PATIENCE) == 300_000_000


def test_a_task_that_holds_too_much_is_tried_again_like_one_that_raises(notes: str) -> None:
    with Scheduler(1) as scheduler:
        scheduler.submit(jobs.add).result(PATIENCE)
        limit = scheduler.status().workers[0].rss + 100_000_000  # type: ignore[operator]
    with Scheduler(1, memory_limit=limit) as scheduler:
        task = scheduler.with_options(retries=1).submit(swell_once, notes)
        assert task.result(PATIENCE) == "small"


def swell_once(path: str) -> str:
    jobs.note(path, "began")
    if len(jobs.noted(path)) > 1:
        return "small"
    held = [b"x" * 300_000_000]
    while held:
        jobs.nap(1.0)
    return "large"
