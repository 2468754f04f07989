"""What has ended and been dropped is gone: arguments, results, captured objects, exceptions."""

from __future__ import annotations

import functools
import os
import weakref
from typing import Any

import psutil
import pytest

from arion_lib.scheduler import Scheduler
from tests.scheduler import jobs
from tests.scheduler.gates import PATIENCE, until

pytestmark = pytest.mark.usefixtures("no_leaks", "without_the_collector")
LARGE = 1 << 20


class Result:
    """A result that can be watched, which a bytes object cannot."""


def make() -> Result:
    return Result()


def is_gone(ref: weakref.ref[Any]) -> bool:
    """Wait until nothing holds the object."""
    until(lambda: ref() is None, "the end of the object")
    return True


def test_a_task_that_ended_does_not_live_until_its_deadline() -> None:
    with Scheduler(1) as scheduler:
        far = scheduler.with_options(deadline=3600.0)
        refs = []
        for _ in range(20):
            task = far.submit(make)
            refs.append(weakref.ref(task.result(PATIENCE)))
            del task
        assert all(map(is_gone, refs))


@pytest.mark.parametrize("by", ["argument", "after"])
def test_the_last_handle_of_a_chain_keeps_no_result_but_its_own(by: str) -> None:
    with Scheduler(0) as scheduler:
        lane = scheduler.with_options(lane="threads")
        task: Any = lane.submit(make)
        refs = [weakref.ref(task)]
        for _ in range(20):
            task = (
                lane.submit(lambda _: Result(), task)
                if by == "argument"
                else lane.with_options(after=task).submit(make)
            )
            refs.append(weakref.ref(task))
        task.result(PATIENCE)
        assert all(map(is_gone, refs[:-1]))


@pytest.mark.parametrize("lane", ["threads", "loop", "processes"])
def test_an_exception_is_gone_with_its_task(lane: str) -> None:
    class Watched(Exception):
        pass

    def plain() -> None:
        raise Watched

    async def waiting() -> None:
        raise Watched

    with Scheduler(1) as scheduler:
        task = scheduler.with_options(lane=lane).submit(waiting if lane == "loop" else plain)
        error = task.exception(PATIENCE)
        assert error is not None
        with pytest.raises(type(error)) as caught:
            task.result()
        ref = weakref.ref(error)
        del error, task, caught
        assert is_gone(ref)


def test_an_idle_thread_keeps_no_result() -> None:
    with Scheduler(0) as scheduler:
        task = scheduler.with_options(lane="threads").submit(make)
        ref = weakref.ref(task.result(PATIENCE))
        del task
        assert is_gone(ref)


class Model:
    """Something large with a method, as people submit them."""

    def __init__(self) -> None:
        self.weights = os.urandom(LARGE)

    def predict(self, number: int) -> int:
        return number + len(self.weights) * 0


def closure_over(model: Model) -> Any:
    return lambda number: model.predict(number)


def rss(pid: int) -> int:
    return int(psutil.Process(pid).memory_info().rss)


@pytest.mark.parametrize("kind", ["bound method", "partial", "closure"])
def test_what_functions_captured_is_gone_from_here_and_from_the_worker(kind: str) -> None:
    with Scheduler(1) as scheduler:
        pid = scheduler.submit(jobs.pid).result(PATIENCE)

        def rounds(count: int) -> None:
            for number in range(count):
                model = Model()
                call: Any = {
                    "bound method": model.predict,
                    "partial": functools.partial(Model.predict, model),
                    "closure": closure_over(model),
                }[kind]
                assert scheduler.submit(call, number).result(PATIENCE) == number

        rounds(10)
        here, there = rss(os.getpid()), rss(pid)
        rounds(60)
        assert rss(os.getpid()) - here < 25 * LARGE
        assert rss(pid) - there < 25 * LARGE


def test_the_ring_of_ended_tasks_keeps_names_only() -> None:
    with Scheduler(0) as scheduler:
        model = Model()
        ref = weakref.ref(model)
        call = closure_over(model)
        task = scheduler.with_options(lane="threads").submit(call, 1)
        task.result(PATIENCE)
        del task, model, call
        assert is_gone(ref)
        assert scheduler.recent()[-1].name == "<lambda>"
