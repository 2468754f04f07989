"""What is told afterwards is true: attempts are counted, and a task that never ran ended when it ended."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from contextlib import suppress
from types import ModuleType
from typing import Any

import cloudpickle
import pytest

from arion_lib.scheduler import Scheduler, State
from arion_lib.scheduler.local import loop
from tests.scheduler import jobs
from tests.scheduler.gates import PATIENCE

pytestmark = pytest.mark.usefixtures("no_leaks")
NEVER = 3_600.0


def test_the_last_ends_tell_the_attempt_that_it_was() -> None:
    with Scheduler(1) as scheduler:
        task = scheduler.with_options(retries=2).submit(jobs.fail)
        assert task.exception(PATIENCE)
        assert scheduler.wait_idle(PATIENCE)
        (end,) = [event for event in scheduler.recent() if event.task == task.number]
        assert (end.state, end.attempt) == (State.FAILED, 3)


def test_the_end_of_a_task_that_never_ran_is_told_at_its_end_and_not_at_its_submission() -> None:
    with Scheduler(1) as scheduler:
        waits = scheduler.with_options(delay=NEVER).submit(jobs.add, 1)
        assert scheduler.submit(jobs.add, 1).result(PATIENCE) == 1
        before = time.monotonic()
        assert waits.cancel()
        (end,) = [event for event in scheduler.recent() if event.task == waits.number]
        assert (end.state, end.attempt, end.worker) == (State.CANCELLED, 0, None)
        assert end.time >= before


def test_the_end_of_the_loop_waits_for_no_coroutine_that_asks_the_scheduler_something_at_its_own_end() -> None:
    """Its last words want the lock that the supervisor holds while it ends the lanes."""
    began, said = threading.Event(), list[Any]()
    with Scheduler(0) as scheduler:

        async def last_words() -> None:
            try:
                began.set()
                await asyncio.sleep(NEVER)
            finally:
                said.append(scheduler.status().name)

        task = scheduler.submit(last_words)
        assert began.wait(PATIENCE)
        scheduler._core.ask(scheduler._lanes["loop"].kill)
        task.cancel()
        scheduler.shutdown()
    assert said == ["scheduler"]


def test_the_last_words_of_coroutines_are_not_cut_short_while_the_supervisor_asks_again_for_the_loops_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loop, "LONGEST_END", PATIENCE)
    began, said = threading.Event(), list[str]()
    with Scheduler(0) as scheduler:
        lane, asked = scheduler._lanes["loop"], 0
        close = lane.close

        def count_and_close(now: float) -> bool:
            nonlocal asked
            asked += 1
            return close(now)

        monkeypatch.setattr(lane, "close", count_and_close)

        async def last_words() -> None:
            try:
                began.set()
                await asyncio.sleep(NEVER)
            finally:
                while asked < 3:
                    with suppress(asyncio.CancelledError):  # the task's cancellation, and the end of the loop
                        await asyncio.sleep(0.001)
                said.append("all of them")

        task = scheduler.submit(last_words)
        assert began.wait(PATIENCE)
        scheduler._core.ask(lane.kill)
        task.cancel()
        scheduler.shutdown()
    assert said == ["all of them"]


def test_a_module_that_is_registered_to_travel_by_value_does() -> None:
    module: Any = ModuleType("not_to_be_found_by_workers")
    sys.modules[module.__name__] = module
    exec("def triple(number):\n    return factor * number\nfactor = 3", module.__dict__)  # noqa: S102
    try:
        with Scheduler(1) as scheduler:
            assert scheduler.submit(module.triple, 2).exception(PATIENCE) is not None, "the control"
        cloudpickle.register_pickle_by_value(module)
        try:
            with Scheduler(1) as scheduler:
                assert scheduler.submit(module.triple, 2).result(PATIENCE) == 6
        finally:
            cloudpickle.unregister_pickle_by_value(module)
    finally:
        del sys.modules[module.__name__]
