"""All that changes a task happens in the supervisor's thread, and only the lifecycle says where a task is."""

from __future__ import annotations

import ast
import threading
from pathlib import Path
from typing import Any

import pytest

import arion_lib.scheduler
from arion_lib.scheduler import Scheduler
from arion_lib.scheduler.states import WAITING
from arion_lib.scheduler.task import Task
from tests.scheduler import jobs
from tests.scheduler.gates import PATIENCE

PACKAGE = Path(arion_lib.scheduler.__file__).parent


def written(attribute: str) -> set[str]:
    """Return the modules that assign to an attribute of this name, by their places in the package."""
    found = set[str]()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr == attribute and isinstance(node.ctx, ast.Store):
                found.add(path.relative_to(PACKAGE).as_posix())
    return found


def test_only_the_lifecycle_says_where_a_task_is() -> None:
    assert written("_place") == {"task.py", "lifecycle.py", "deciding/ends.py"}


@pytest.fixture
def writers(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return the names of the threads that have changed where a task is."""
    slot: Any = Task.__dict__["_place"]
    threads = set[str]()

    def write(task: Task[Any], place: Any) -> None:
        if place is not WAITING:  # what a task has when it is made
            threads.add(threading.current_thread().name)
        slot.__set__(task, place)

    monkeypatch.setattr(Task, "_place", property(slot.__get__, write))
    return threads


def test_one_thread_alone_changes_tasks(writers: set[str], no_leaks: None, notes: str) -> None:
    with Scheduler(2, name="one", grace=0.1) as scheduler, scheduler.events():
        threads, loop = scheduler.with_options(lane="threads"), scheduler.with_options(lane="loop")
        first = scheduler.submit(jobs.add, 1, 2)
        chain = threads.submit(jobs.add, scheduler.submit(jobs.add, first, 1), 1)
        packed = scheduler.submit(jobs.identity, threads.submit(list, (1, 2)))
        said = scheduler.submit(jobs.say, "printed")
        again: Any = scheduler.with_options(retries=2, backoff=0.001).submit(jobs.fail_times, notes, 1)
        refused = scheduler.submit(jobs.identity, threading.Lock())
        urgent = scheduler.with_options(priority=5, delay=0.001).submit(jobs.add, 1)
        late = scheduler.with_options(timeout=0.05).submit(jobs.spin_quietly)
        died = scheduler.submit(jobs.die)
        stopped = [one.submit(jobs.spin_quietly) for one in (scheduler, threads)]
        waiting = loop.submit(jobs.later, 3)
        assert all(task.cancel() for task in stopped)
        assert (chain.result(PATIENCE), waiting.result(PATIENCE), urgent.result(PATIENCE)) == (5, 3, 1)
        assert (packed.result(PATIENCE), again.result(PATIENCE), said.result(PATIENCE)) == ([1, 2], "at last", None)
        assert all(task.exception(PATIENCE) for task in (refused, late, died))
        assert list(scheduler.map(jobs.add, range(50), timeout=PATIENCE)) == list(range(50))
        left = scheduler.submit(jobs.spin_quietly)
        scheduler.shutdown(cancel_futures=True, deadline=0.1)
    assert left.cancelled()
    assert writers == {"arion-one"}
