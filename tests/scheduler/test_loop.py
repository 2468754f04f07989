"""The lane of the event loop."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError
from typing import Any

import pytest

from arion_lib.scheduler import Scheduler, State, TaskTimeoutError, task
from tests.scheduler import jobs
from tests.scheduler.gates import PATIENCE, Gate, until

pytestmark = pytest.mark.usefixtures("no_leaks")


def lane(scheduler: Scheduler) -> Any:
    return next(lane for lane in scheduler.status().lanes if lane.name == "loop")


def test_thousands_wait_at_once_in_one_thread(gate: Gate) -> None:
    import asyncio

    met = 0
    everybody: Any = None

    async def meet() -> int:
        nonlocal met, everybody
        everybody = everybody or asyncio.Event()
        met += 1
        if met == 500:
            everybody.set()
        await everybody.wait()
        return threading.get_ident()

    with Scheduler(0) as scheduler:
        assert lane(scheduler).workers == ()
        threads = {one.result(PATIENCE) for one in [scheduler.submit(meet) for _ in range(500)]}
        assert len(threads) == 1


@pytest.mark.parametrize("limit", ["timeout", "deadline", "cancel", "shutdown"])
def test_a_coroutine_that_waits_is_stopped(gate: Gate, limit: str) -> None:
    cleaned = threading.Event()

    async def wait_and_clean() -> None:
        try:
            await jobs.never(gate.place)
        finally:
            cleaned.set()

    options: dict[str, Any] = {limit: 0.1} if limit in ("timeout", "deadline") else {}
    with Scheduler(0) as scheduler:
        running = scheduler.with_options(**options).submit(wait_and_clean)
        gate.arrived()
        if limit == "cancel":
            assert running.cancel()
        elif limit == "shutdown":
            scheduler.shutdown(deadline=0.05)
        if options:
            assert isinstance(running.exception(PATIENCE), TaskTimeoutError)
        else:
            with pytest.raises(CancelledError):
                running.result(PATIENCE)
        assert cleaned.wait(PATIENCE)


def test_a_timed_out_coroutine_is_tried_again(gate: Gate) -> None:
    with Scheduler(0) as scheduler:
        running = scheduler.with_options(timeout=0.05, retries=1).submit(jobs.never, gate.place)
        gate.arrived(2)
        assert isinstance(running.exception(PATIENCE), TaskTimeoutError)
        assert [event.state for event in running.history()].count(State.RUNNING) == 2


def test_a_blocking_coroutine_does_not_block_the_processes(gate: Gate) -> None:
    async def block() -> None:
        jobs.hold(gate.place)

    with Scheduler(1) as scheduler:
        blocking = scheduler.submit(block)
        gate.arrived()
        assert scheduler.submit(jobs.add, 1).result(PATIENCE) == 1
        gate.open()
        blocking.result(PATIENCE)


def test_a_declared_lane_sends_a_coroutine_to_the_processes() -> None:
    @task(lane="processes")
    async def there() -> int:
        return jobs.pid()

    with Scheduler(1) as scheduler:
        assert scheduler.submit(there).result(PATIENCE) != jobs.pid()
        assert scheduler.submit(jobs.async_mark).result(PATIENCE) == "unset"


def test_coroutines_cancelled_before_their_first_step_give_back_their_places() -> None:
    reached, go = threading.Event(), threading.Event()

    async def nothing() -> None: ...

    async def block() -> None:
        reached.set()
        go.wait(PATIENCE)

    with Scheduler(0, grace=PATIENCE) as scheduler:
        scheduler.submit(nothing).result(PATIENCE)
        scheduler.scale(10, "loop")
        runs = scheduler._lanes["loop"]._runs  # type: ignore[union-attr]
        for _ in range(3):
            reached.clear()
            go.clear()
            blocker = scheduler.submit(block)
            assert reached.wait(PATIENCE)
            held = [scheduler.submit(nothing) for _ in range(9)]
            until(lambda: len(runs) == 10, "all places being taken: behind the blocked loop none of them has begun")
            assert all([task.cancel() for task in held])  # noqa: C419  (every one)
            go.set()
            blocker.result(PATIENCE)
            until(lambda: not runs, "the places being given back")
        assert [task.result(PATIENCE) for task in [scheduler.submit(nothing) for _ in range(20)]] == [None] * 20


@pytest.mark.parametrize("retries", [0, 1])
def test_a_coroutine_that_blocks_the_loop_times_out_and_costs_no_other_its_turn(retries: int) -> None:
    go = threading.Event()

    async def block() -> None:
        go.wait(PATIENCE)

    async def one() -> int:
        return 1

    with Scheduler(0, grace=0.05) as scheduler:
        blocking = scheduler.with_options(timeout=0.05, retries=retries).submit(block)
        until(blocking.running, "the block")
        others = [scheduler.submit(one) for _ in range(3)]
        assert isinstance(blocking.exception(PATIENCE), TaskTimeoutError)
        assert [task.result(PATIENCE) for task in others] == [1, 1, 1]
        blocked = [thread for _, thread in scheduler._lanes["loop"]._left]  # type: ignore[union-attr]
        assert blocked
        go.set()
    for thread in blocked:
        thread.join()


def test_a_loop_whose_thread_could_not_be_started_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task on it would never begin. The system may refuse a thread for a moment."""
    start, refused = threading.Thread.start, list[str]()

    def refuse_once(thread: threading.Thread) -> None:
        if thread.name == "arion-loop" and not refused:
            refused.append(thread.name)
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse_once)
    with Scheduler(0) as scheduler:
        assert scheduler.submit(jobs.later, 3).result(PATIENCE) == 3
    assert refused
