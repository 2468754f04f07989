"""Tasks that become ready later: by a delay from their submission, beside what else they need."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from arion_lib.scheduler import DependencyFailedError, Scheduler, State, TaskTimeoutError
from arion_lib.scheduler.options import task as declare
from tests.scheduler import jobs
from tests.scheduler.gates import PATIENCE, until

pytestmark = pytest.mark.usefixtures("no_leaks")
NEVER = 3_600.0


@declare(delay=0.05)
def declared() -> float:
    return time.monotonic()


async def in_the_loop() -> float:
    return time.monotonic()


@pytest.mark.parametrize("how", ["processes", "threads", "loop", "declared", "map"])
def test_a_delayed_task_does_not_begin_before_its_time(how: str) -> None:
    with Scheduler(1) as scheduler:
        began = time.monotonic()
        later = scheduler.with_options(delay=0.05)
        if how == "map":
            moments = list(later.map(lambda _: time.monotonic(), range(3)))
        elif how == "declared":
            moments = [scheduler.submit(declared).result(PATIENCE)]
        else:
            call: Any = in_the_loop if how == "loop" else time.monotonic
            moments = [later.with_options(lane=how).submit(call).result(PATIENCE)]
        assert min(moments) >= began + 0.05


def test_a_delayed_task_keeps_no_worker_from_others_and_can_be_cancelled() -> None:
    with Scheduler(1) as scheduler:
        later = scheduler.with_options(delay=NEVER).submit(jobs.add, 1)
        assert scheduler.submit(jobs.add, 1, 2).result(PATIENCE) == 3
        assert later.status() is State.PENDING
        assert scheduler.status().pending == 1
        assert later.cancel()
        assert scheduler.wait_idle(PATIENCE)


def test_a_deadline_ends_a_task_that_still_waits_for_its_time() -> None:
    with Scheduler(1) as scheduler:
        later = scheduler.with_options(delay=NEVER, deadline=0.05).submit(jobs.add, 1)
        assert isinstance(later.exception(PATIENCE), TaskTimeoutError)


def test_a_delayed_task_waits_for_its_time_and_for_its_needs() -> None:
    with Scheduler(1) as scheduler:
        began = time.monotonic()
        needed = scheduler.submit(jobs.add, 1, 2)
        later = scheduler.with_options(delay=0.1).submit(jobs.add, needed, 4)
        slow = scheduler.with_options(delay=0.1).submit(jobs.add, 5)
        follows = scheduler.with_options(delay=0.001).submit(jobs.add, slow, 6)
        assert (later.result(PATIENCE), follows.result(PATIENCE)) == (7, 11)
        assert time.monotonic() >= began + 0.1


def test_a_delayed_task_whose_needs_fail_ends_at_once() -> None:
    with Scheduler(1) as scheduler:
        broken = scheduler.submit(jobs.fail, "no")
        later = scheduler.with_options(delay=NEVER).submit(jobs.add, broken)
        assert isinstance(later.exception(PATIENCE), DependencyFailedError)
        until(lambda: scheduler.status().pending == 0, "the end")


def test_a_shutdown_waits_for_delayed_tasks_or_cancels_them_by_its_deadline() -> None:
    with Scheduler(1) as scheduler:
        soon = scheduler.with_options(delay=0.05).submit(jobs.add, 1)
        never = scheduler.with_options(delay=NEVER).submit(jobs.add, 1)
        scheduler.shutdown(deadline=PATIENCE / 10)
        assert soon.result(0) == 1
        assert never.cancelled()


def test_a_task_at_a_time_of_the_wall_clock_begins_then_and_not_before() -> None:
    with Scheduler(0) as scheduler:
        threads, now = scheduler.with_options(lane="threads"), datetime.now(UTC)
        soon = threads.with_options(at=now + timedelta(seconds=0.05)).submit(time.time)
        past = threads.with_options(at=now - timedelta(days=1)).submit(time.time)
        never = threads.with_options(at=now + timedelta(days=1)).submit(time.time)
        assert soon.result(PATIENCE) >= now.timestamp() + 0.05
        assert past.result(PATIENCE)
        assert never.status() is State.PENDING
        never.cancel()


@pytest.mark.parametrize("wrong", [0.0, "noon", datetime(2026, 1, 1)])
def test_a_time_without_a_zone_is_refused_where_it_is_written(wrong: Any) -> None:
    with Scheduler(0) as scheduler, pytest.raises(TypeError, match="at must be a datetime with a time zone"):
        scheduler.with_options(at=wrong)
