"""The executors that the conformance suite is run over, and where each is known to differ."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from unittest.mock import patch

from arion_lib.scheduler import Scheduler
from arion_lib.scheduler.processes import worker_handle
from arion_lib.scheduler.starting import child
from arion_lib.scheduler.starting.launch import START_METHODS
from tests.elsewhere import tcp_pair

WORKERS = 2
POSIX = hasattr(os, "fork")


@dataclass(frozen=True)
class Subject:
    """An implementation: how to open it with two workers; `differs` maps the name of a test to why it does not hold."""

    name: str
    open: Callable[[], Any]
    differs: Mapping[str, str] = field(default_factory=dict)
    long: frozenset[str] = frozenset()
    """Tests of thousands of calls, which take so long here that only `--thorough` runs them."""

    def __str__(self) -> str:
        return self.name


def open_dask() -> Any:
    from arion_lib.scheduler.dask import DaskScheduler

    return DaskScheduler(workers=WORKERS)


HERE = child.one_way, worker_handle.INTERRUPTION
"""How a worker is reached and interrupted on this system, or on the one that it stands in for."""


@contextmanager
def reaching_workers(one_way: Callable[[], Any], interruption: int | None) -> Iterator[None]:
    """Have workers reached and interrupted in these ways, by whichever scheduler."""
    with patch.object(child, "one_way", one_way), patch.object(worker_handle, "INTERRUPTION", interruption):
        yield


@contextmanager
def open_as_on_windows() -> Iterator[Scheduler]:
    """Open a scheduler with what Windows has: fresh interpreters, sockets, and no signal that interrupts a call."""
    with (
        reaching_workers(tcp_pair, None),
        Scheduler(WORKERS, start_method="spawn", preload=["tests.scheduler.jobs"]) as scheduler,
    ):
        yield scheduler


FORK_FROM_A_THREAD = """
import os, signal, threading

def fork():
    if pid := os.fork():
        os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0)
    signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    signal.setitimer(signal.ITIMER_VIRTUAL, 1.0)     # kills whoever has not heard by then
    while True:
        pass

threading.Thread(target=fork).start()
"""


def forked_loops_are_deaf() -> bool:
    """Whether this Python delivers no signal to a loop in a process that a thread has forked, as 3.13.0 does not."""
    if not POSIX or sys.version_info < (3, 13):
        return False
    return subprocess.run([sys.executable, "-W", "ignore", "-c", FORK_FROM_A_THREAD], check=False).returncode != 0


INTERRUPTED = [method for method in START_METHODS if method != "fork" or not forked_loops_are_deaf()]
"""The ways to start a worker in which a signal interrupts a loop in Python."""
OURS = [
    Subject(method, partial(Scheduler, WORKERS, start_method=method, preload=["tests.scheduler.jobs"]))
    for method in START_METHODS
]
DASK_DIFFERS = {
    "test_threads_run_in_this_process": "its threads are in the dask workers",
    "test_a_result_of_a_thread_that_cannot_travel_fails_the_task_that_needs_it": "a thread's result travels there",
    "test_log_records_of_a_task_reach_this_process": "records go to the dask worker's own loggers",
    "test_an_urgent_task_overtakes_what_was_sent_ahead": "dask sends a call ahead to each of its workers",
    "test_an_urgent_task_waits_behind_no_stuck_call_while_another_worker_goes_on": (
        "dask sends a call ahead to each of its workers"
    ),
    "test_what_waits_is_cancelled_at_once_and_never_run": "a cancellation takes some 10 ms to reach the cluster",
    "test_what_was_sent_ahead_can_be_cancelled": "a cancellation takes some 10 ms to reach the cluster",
    "test_it_scales_up_and_down_while_it_runs": "what runs on a dask worker that goes is begun again elsewhere",
    "test_what_a_task_prints_appears_here": "what is printed goes to the dask worker's own streams",
}
"""Where the same API on Dask is another thing: `DaskScheduler` says so in its docstring."""
DASK_LONG = frozenset(
    {
        "test_a_chain_of_a_thousand",
        "test_a_chain_whose_worker_dies_in_the_middle_is_finished_elsewhere",
        "test_tasks_share_no_mutable_argument",
        "test_urgent_tasks_run_before_a_large_backlog",
    }
)
"""A dask task takes milliseconds."""
DASK = (
    [Subject("dask", open_dask, DASK_DIFFERS, DASK_LONG)]
    if importlib.util.find_spec("arion_lib.scheduler.dask")
    else []
)
SOCKETS = Subject("sockets", open_as_on_windows)
SUBJECTS = [*OURS, *([SOCKETS] if POSIX else []), *DASK]
