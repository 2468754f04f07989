"""Workers are killed at random while short tasks run: nothing is lost, nothing is wrong, nothing hangs."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing import get_context
from typing import Any

import pytest

from arion_lib.scheduler import Scheduler, State
from tests.scheduler import jobs
from tests.scheduler.gates import DIED, KILL

pytestmark = pytest.mark.usefixtures("no_leaks")

TASKS = 1_500
EVERY = 100
"""Tasks that end between two kills, about. Seconds would kill faster than some systems start a process."""
STUCK = 60.0
"""Seconds without the end of any task after which the rest counts as lost."""


class Killer:
    """Kills a random one of some processes each time that some more tasks have ended; `killed` lists them."""

    def __init__(self, pids: Callable[[], list[int]]) -> None:
        self._pids, self._draw = pids, random.Random(7)
        self._ends, self._over = threading.Semaphore(0), False
        self._thread = threading.Thread(target=self._strike)
        self.killed: list[int] = []

    def __enter__(self) -> Killer:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over = True
        self._ends.release(2 * EVERY)
        self._thread.join()

    def watch(self, task: Future[Any]) -> None:
        """Count the task's end."""
        task.add_done_callback(lambda _: self._ends.release())

    def _strike(self) -> None:
        while not self._over:
            for _ in range(self._draw.randrange(EVERY // 2, 3 * EVERY // 2)):
                self._ends.acquire()
            alive = [] if self._over else self._pids()
            if alive:
                self.killed.append(self._draw.choice(alive))
                with suppress(ProcessLookupError):
                    os.kill(self.killed[-1], KILL)


def lost_or_wrong(tasks: list[Future[int]]) -> int:
    """Count the tasks without their result, once all have ended or none ends any more."""
    waiting, before = set(tasks), len(tasks) + 1
    while waiting and len(waiting) < before:
        before = len(waiting)
        waiting = wait(waiting, STUCK).not_done
    results = [task.exception() is None and task.result() == number for number, task in enumerate(tasks) if task.done()]
    return results.count(False) + len(waiting)


@pytest.mark.parametrize("count", [TASKS, pytest.param(10 * TASKS, marks=pytest.mark.thorough)])
def test_nothing_is_lost_when_workers_are_killed_at_random(count: int) -> None:
    ends: list[Any] = []
    with Scheduler(2, poison_after=1000, preload=[jobs.__name__]) as scheduler:

        def pids() -> list[int]:
            workers = scheduler.status().workers
            return [one.pid for one in workers if one.pid is not None and one.state in ("idle", "running")]

        with Killer(pids) as killer:
            patient = scheduler.with_options(retries=500)
            tasks = [patient.submit(jobs.nap, 0.001, number) for number in range(count)]
            for task in tasks:
                task.add_done_callback(ends.append)
                killer.watch(task)  # type: ignore[arg-type]
            assert lost_or_wrong(tasks) == 0  # type: ignore[arg-type]
        killed = killer.killed
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

        with Killer(pids) as killer:
            tasks = [scheduler.submit(jobs.nap, 0.001, number) for number in range(TASKS // 2)]
            for task in tasks:
                killer.watch(task)  # type: ignore[arg-type]
            lost = lost_or_wrong(tasks)  # type: ignore[arg-type]
        assert lost <= len(killer.killed)


def test_the_control_a_process_pool_loses_nearly_everything() -> None:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        pool.submit(jobs.add, 1).result()
        with Killer(lambda: list(pool._processes or {})) as killer:
            tasks = list[Future[int]]()
            with suppress(BrokenProcessPool):  # it may break while it is still being filled
                for number in range(TASKS):
                    tasks.append(pool.submit(jobs.nap, 0.001, number))
                    killer.watch(tasks[-1])
            assert lost_or_wrong(tasks) + TASKS - len(tasks) > TASKS // 10
