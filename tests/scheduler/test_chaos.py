"""Workers are killed at random while short tasks run: nothing is lost, nothing is wrong, nothing hangs."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from typing import Any

import pytest

from arion_lib.scheduler import Scheduler, State
from tests.scheduler import jobs
from tests.scheduler.gates import DIED, KILL

pytestmark = pytest.mark.usefixtures("no_leaks")

TASKS = 1_500
PAUSE = 0.1
"""Seconds between two kills."""


@contextmanager
def killer(pids: Callable[[], list[int]]) -> Iterator[list[int]]:
    """Kill a random one of these processes every `PAUSE` seconds; yields the list of those it killed."""
    stop, killed, draw = threading.Event(), list[int](), random.Random(7)

    def strike() -> None:
        while not stop.wait(PAUSE):
            alive = pids()
            if alive:
                killed.append(draw.choice(alive))
                with suppress(ProcessLookupError):
                    os.kill(killed[-1], KILL)

    thread = threading.Thread(target=strike)
    thread.start()
    try:
        yield killed
    finally:
        stop.set()
        thread.join()


def lost_or_wrong(tasks: list[Future[int]]) -> int:
    """Count the tasks without their result."""
    waiting = wait(tasks, 60).not_done
    results = [task.exception() is None and task.result() == number for number, task in enumerate(tasks) if task.done()]
    return results.count(False) + len(waiting)


@pytest.mark.parametrize("count", [TASKS, pytest.param(10 * TASKS, marks=pytest.mark.thorough)])
def test_nothing_is_lost_when_workers_are_killed_at_random(count: int) -> None:
    ends: list[Any] = []
    with Scheduler(2, poison_after=1000, preload=[jobs.__name__]) as scheduler:

        def pids() -> list[int]:
            workers = scheduler.status().workers
            return [one.pid for one in workers if one.pid is not None and one.state in ("idle", "running")]

        with killer(pids) as killed:
            patient = scheduler.with_options(retries=500)
            tasks = [patient.submit(jobs.nap, 0.001, number) for number in range(count)]
            for task in tasks:
                task.add_done_callback(ends.append)
            assert lost_or_wrong(tasks) == 0  # type: ignore[arg-type]
        assert len(killed) >= 3
        snapshot = scheduler.status()
        assert (snapshot.succeeded, snapshot.failed) == (count, 0)
        deaths = sum(DIED in event.error for task in tasks for event in task.history())
        assert deaths <= len(killed)
        assert {task.status() for task in tasks} == {State.SUCCEEDED}
    assert len(ends) == len(set(map(id, ends))) == count


def test_without_retries_only_the_tasks_that_ran_are_lost() -> None:
    with Scheduler(2, preload=[jobs.__name__]) as scheduler:

        def pids() -> list[int]:
            return [one.pid for one in scheduler.status().workers if one.pid is not None and one.state == "running"]

        with killer(pids) as killed:
            tasks = [scheduler.submit(jobs.nap, 0.001, number) for number in range(TASKS // 2)]
            assert lost_or_wrong(tasks) <= len(killed)  # type: ignore[arg-type]


def test_the_control_a_process_pool_loses_nearly_everything() -> None:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        pool.submit(jobs.add, 1).result()
        with killer(lambda: list(pool._processes or {})):
            tasks = list[Future[int]]()
            with suppress(BrokenProcessPool):  # it may break while it is still being filled
                for number in range(TASKS):
                    tasks.append(pool.submit(jobs.nap, 0.001, number))
            assert lost_or_wrong(tasks) + TASKS - len(tasks) > TASKS // 10
