"""In place of a `ProcessPoolExecutor`: its arguments, and the errors that code for it catches."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import pickle
import threading
from typing import Any

import pytest

from arion_lib.scheduler import NotTransferableError, Scheduler, StartError, WorkerDiedError
from arion_lib.scheduler.starting.launch import START_METHODS
from tests.scheduler import jobs
from tests.scheduler.gates import PATIENCE

pytestmark = pytest.mark.usefixtures("no_leaks")


def remember(*values: Any) -> None:
    jobs.REMEMBERED.append(values)


def remembered() -> list[tuple[Any, ...]]:
    return list(jobs.REMEMBERED)


def refuse() -> None:
    raise RuntimeError("not here")


def test_the_initializer_runs_once_in_each_worker_before_its_first_task() -> None:
    with Scheduler(max_workers=2, initializer=remember, initargs=(1, "two")) as scheduler:
        tasks = [scheduler.submit(remembered) for _ in range(20)]
        assert all(task.result(PATIENCE) == [(1, "two")] for task in tasks)


def test_an_initializer_that_raises_breaks_the_executor(capfd: pytest.CaptureFixture[str]) -> None:
    with Scheduler(1, initializer=refuse) as scheduler:
        error = scheduler.submit(jobs.add, 1).exception(PATIENCE)
        assert isinstance(error, StartError)
        assert isinstance(error, concurrent.futures.BrokenExecutor)
    assert "not here" in capfd.readouterr().err


@pytest.mark.parametrize("method", [one for one in START_METHODS if one != "fork"])
def test_a_context_of_multiprocessing_says_how_workers_start(method: Any) -> None:
    with Scheduler(1, mp_context=multiprocessing.get_context(method)) as scheduler:
        assert scheduler._processes.method == method
        assert scheduler.submit(jobs.add, 1).result(PATIENCE) == 1


def test_a_child_ends_after_so_many_tasks() -> None:
    with Scheduler(1, max_tasks_per_child=2) as scheduler:
        pids = [scheduler.submit(jobs.pid).result(PATIENCE) for _ in range(6)]
    assert len(set(pids)) == 3


@pytest.mark.parametrize(
    "words",
    [
        {"workers": 1, "max_workers": 2},
        {"recycle_after": 1, "max_tasks_per_child": 2},
        {"max_workers": 0.5},
        {"max_tasks_per_child": 0},
        {"initializer": 3},
    ],
    ids=str,
)
def test_arguments_that_cannot_be_are_refused(words: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        Scheduler(**words)


def test_moved_code_catches_what_it_caught() -> None:
    with Scheduler(1) as scheduler:
        with pytest.raises(pickle.PicklingError):
            scheduler.submit(jobs.identity, threading.Lock()).result(PATIENCE)
        with pytest.raises(concurrent.futures.BrokenExecutor):
            scheduler.submit(os._exit, 3).result(PATIENCE)
    assert issubclass(NotTransferableError, TypeError)
    assert issubclass(WorkerDiedError, RuntimeError)
