"""What tasks share with multiprocessing's tools, and with programs that they start."""

from __future__ import annotations

import logging
import multiprocessing
import subprocess
import sys
import warnings
from multiprocessing.managers import DictProxy
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import psutil
import pytest

from arion_lib.scheduler import Scheduler
from arion_lib.scheduler.starting.launch import START_METHODS
from tests.scheduler import jobs
from tests.scheduler.gates import PATIENCE

METHODS = [one for one in START_METHODS if one != "fork"]


def touch(name: str) -> int:
    memory = SharedMemory(name)
    memory.buf[0] += 1
    value = int(memory.buf[0])
    memory.close()
    return value


def touch_and_look(name: str) -> list[str]:
    """Return the processes that this worker has started: a resource tracker of its own would be one."""
    touch(name)
    return [" ".join(one.cmdline()) for one in psutil.Process().children()]


@pytest.mark.parametrize("method", METHODS)
def test_a_worker_that_looks_at_shared_memory_starts_no_tracker_that_would_destroy_it(method: Any) -> None:
    memory = SharedMemory(create=True, size=64)
    try:
        with Scheduler(1, start_method=method) as scheduler:
            assert scheduler.submit(touch_and_look, memory.name).result(PATIENCE) == []
    finally:
        memory.close()
        memory.unlink()


@pytest.mark.parametrize("method", METHODS)
def test_shared_memory_outlives_the_workers_that_looked_at_it(method: Any) -> None:
    memory = SharedMemory(create=True, size=64)
    try:
        with Scheduler(1, start_method=method) as scheduler:
            assert scheduler.submit(touch, memory.name).result(PATIENCE) == 1
        with Scheduler(1, start_method=method) as scheduler:
            assert scheduler.submit(touch, memory.name).result(PATIENCE) == 2
        assert memory.buf[0] == 2
        SharedMemory(memory.name).close()
    finally:
        memory.close()
        memory.unlink()


def put(shared: DictProxy[str, int], number: int) -> None:
    shared[str(number)] = number


@pytest.mark.parametrize("method", METHODS)
def test_a_managers_proxy_works_in_tasks(method: Any) -> None:
    with multiprocessing.get_context("spawn").Manager() as manager, Scheduler(2, start_method=method) as scheduler:
        shared = manager.dict()
        for task in [scheduler.submit(put, shared, number) for number in range(4)]:
            task.result(PATIENCE)
        assert dict(shared) == {str(number): number for number in range(4)}


def use_the_stream() -> tuple[int, str]:
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    sys.stdout.buffer.write("gr\u00fc\u00dfe\n".encode())
    done = subprocess.run([sys.executable, "-c", "print('from the child')"], stdout=sys.stdout, check=True)
    return done.returncode, sys.stdout.name


def test_a_tasks_stream_is_taken_for_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    with Scheduler(1) as scheduler:
        assert scheduler.submit(use_the_stream).result(PATIENCE) == (0, "<stdout>")
    assert capsys.readouterr().out == "gr\u00fc\u00dfe\n"


def level_of(name: str) -> int:
    return logging.getLogger(name).level


def test_levels_of_single_loggers_reach_the_workers() -> None:
    logging.getLogger("tests.of.one").setLevel(logging.ERROR)
    with Scheduler(1) as scheduler:
        assert scheduler.submit(level_of, "tests.of.one").result(PATIENCE) == logging.ERROR
        assert scheduler.submit(jobs.add, 1).result(PATIENCE) == 1


def filters() -> list[str]:
    return sys.warnoptions


def test_the_interpreters_own_options_reach_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "warnoptions", ["ignore::ResourceWarning"])
    with warnings.catch_warnings(), Scheduler(1) as scheduler:
        assert "ignore::ResourceWarning" in scheduler.submit(filters).result(PATIENCE)
