"""Every step that the supervisor makes fails once, in turn: only the tasks that it was about may fail, and all end."""

from __future__ import annotations

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
from arion_lib.scheduler.processes.parcel import Parcel
from arion_lib.scheduler.processes.pool import Pool
from arion_lib.scheduler.processes.sending import Sending
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
    (Parcel, "message"),
    (Watching, "check"),
    (Pool, "check_size"),
    (WorkerHandle, "send"),
    (ThreadLane, "check"),
]


class Injected(Exception):
    """What the steps raise."""


def failing_once(real: Callable[..., Any], at: int) -> Callable[..., Any]:
    calls = 0

    def step(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        if threading.current_thread().name == "arion-injected":
            calls += 1
            if calls == at:
                raise Injected(real.__qualname__)
        return real(*arguments, **named)

    return step


@pytest.mark.parametrize(
    ("owner", "name"),
    [*OFTEN, *(pytest.param(owner, name, marks=pytest.mark.thorough) for owner, name in SELDOM)],
    ids=[f"{owner.__name__}.{name}" for owner, name in (*OFTEN, *SELDOM)],
)
def test_a_step_may_fail(owner: type, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Scheduler(2, name="injected", grace=0.1, preload=[jobs.__name__]) as scheduler, scheduler.events():
        again = scheduler.with_options(retries=5)
        assert scheduler.submit(jobs.add, 1).result(PATIENCE) == 1
        with monkeypatch.context() as patched:
            patched.setattr(owner, name, failing_once(getattr(owner, name), 3))
            tasks: list[Any] = []
            for number in range(12):
                tasks += [again.submit(jobs.add, number), again.with_options(lane="threads").submit(jobs.add, number)]
                tasks.append(again.with_options(delay=0.001).submit(jobs.add, number))
                tasks.append(again.submit(jobs.add, tasks[-3], 1))
                tasks.append(again.submit(jobs.add, tasks[-2], 1))
                tasks[-1].exception(PATIENCE)
            failing = scheduler.submit(jobs.fail)
            _, left = wait([*tasks, failing], PATIENCE)
            assert not left, f"lost: {left}"
        failed = [task for task in tasks if task.exception() is not None]
        assert all("Injected" in repr(task.exception()) or task.exception().__cause__ for task in failed)
        assert len(failed) < len(tasks) / 2, "too many of them"
        assert [task.result(PATIENCE) for task in [scheduler.submit(jobs.add, n) for n in range(9)]] == [*range(9)]
        assert scheduler.wait_idle(PATIENCE)
