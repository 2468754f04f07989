"""Every step that the supervisor makes fails once, in turn: only the tasks that it was about may fail, and all end."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from concurrent.futures import wait
from typing import Any

import pytest

from arion_lib.scheduler import Scheduler
from arion_lib.scheduler.lifecycle import Lifecycle
from arion_lib.scheduler.local.threads import ThreadLane
from arion_lib.scheduler.monitoring.figures import Figures
from arion_lib.scheduler.processes.answers import Answers
from arion_lib.scheduler.processes.chains import Chains
from arion_lib.scheduler.processes.giving import Giving
from arion_lib.scheduler.processes.parcel import Parcel, Sending
from arion_lib.scheduler.processes.pool import Pool
from arion_lib.scheduler.processes.watching import Watching
from arion_lib.scheduler.processes.worker_handle import WorkerHandle
from arion_lib.scheduler.ready import ReadyQueue
from arion_lib.scheduler.waiting.audience import Audience
from tests.scheduler import jobs
from tests.scheduler.gates import PATIENCE

pytestmark = pytest.mark.usefixtures("no_leaks")
OFTEN: list[tuple[type, str]] = [
    (Lifecycle, "admit"),
    (Lifecycle, "succeed"),
    (ReadyQueue, "extend"),
    (Giving, "_send_all"),
    (Answers, "take"),
    (WorkerHandle, "receive"),
    (ThreadLane, "dispatch"),
]
SELDOM: list[tuple[type, str]] = [
    (Lifecycle, "admit_alike"),
    (Lifecycle, "advance"),
    (Lifecycle, "fail"),
    (Lifecycle, "give"),
    (ReadyQueue, "take"),
    (ReadyQueue, "pop"),
    (Figures, "ended"),
    (Audience, "tell"),
    (Audience, "look"),
    (Giving, "dispatch"),
    (Sending, "post"),
    (Chains, "follow"),
    (Parcel, "add"),
    (Watching, "check"),
    (Pool, "check_size"),
    (WorkerHandle, "send"),
    (ThreadLane, "check"),
]


class Injected(Exception):
    """What the steps raise."""


class FailingOnce:
    """A step that fails once, the third time that it is made after `armed` was set."""

    def __init__(self, real: Callable[..., Any]) -> None:
        self.real, self.armed, self.calls = real, False, 0

    def __get__(self, owner: Any, _kind: type) -> Callable[..., Any]:
        return functools.partial(self, owner)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        if self.armed and threading.current_thread().name == "arion-injected":
            self.calls += 1
            if self.calls == 3:
                raise Injected(self.real.__qualname__)
        return self.real(*arguments, **named)


@pytest.mark.parametrize(
    ("owner", "name"),
    [*OFTEN, *(pytest.param(owner, name, marks=pytest.mark.thorough) for owner, name in SELDOM)],
    ids=[f"{owner.__name__}.{name}" for owner, name in (*OFTEN, *SELDOM)],
)
def test_a_step_may_fail(owner: type, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    step = FailingOnce(getattr(owner, name))
    monkeypatch.setattr(owner, name, step)  # before there is a scheduler: its parts may hold one another's methods
    with Scheduler(2, name="injected", grace=0.1, preload=[jobs.__name__]) as scheduler:
        events = scheduler.events()
        again = scheduler.with_options(retries=5)
        assert scheduler.submit(jobs.add, 1).result(PATIENCE) == 1
        step.armed = True
        tasks: list[Any] = []
        for number in range(12):
            tasks += [again.submit(jobs.add, number), again.with_options(lane="threads").submit(jobs.add, number)]
            tasks.append(again.with_options(delay=0.001).submit(jobs.add, number))
            tasks.append(again.submit(jobs.add, tasks[-3], 1))
            tasks.append(again.submit(jobs.add, tasks[-2], 1))
            tasks[-1].exception(PATIENCE)
        events.close()  # alike tasks are taken in together when nobody wants to hear of each
        for number in range(5):
            tasks.append(again.submit(jobs.add, number))
            tasks[-1].exception(PATIENCE)
        failing = [scheduler.submit(jobs.fail) for _ in range(4)]
        _, left = wait([*tasks, *failing], PATIENCE)
        assert not left, f"lost: {left}"
        failed = [task for task in tasks if task.exception() is not None]
        assert all("Injected" in repr(task.exception()) or task.exception().__cause__ for task in failed)
        assert len(failed) < len(tasks) / 2, "too many of them"
        assert [task.result(PATIENCE) for task in [scheduler.submit(jobs.add, n) for n in range(9)]] == [*range(9)]
        assert scheduler.wait_idle(PATIENCE)
    assert step.calls >= 3, "it did not fail"
