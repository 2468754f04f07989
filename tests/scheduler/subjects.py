"""The executors that the conformance suite is run over, and where each is known to differ."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from unittest.mock import patch

from arion_lib.scheduler import Scheduler
from arion_lib.scheduler.starting.launch import START_METHODS

WORKERS = 2


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


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Return what `socket.socketpair` returns on Windows: two ends of a connection over the loopback address."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        first = socket.create_connection(server.getsockname())
        second, _ = server.accept()
    return first, second


@contextmanager
def open_as_on_windows() -> Iterator[Scheduler]:
    """Open a scheduler with what Windows has: fresh interpreters, sockets, and no signal that interrupts a call."""
    with (
        patch("arion_lib.scheduler.starting.launch.one_way", tcp_pair),
        patch("arion_lib.scheduler.processes.worker_handle.INTERRUPTION", None),
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
    if sys.platform == "win32" or sys.version_info < (3, 13):
        return False
    return subprocess.run([sys.executable, "-W", "ignore", "-c", FORK_FROM_A_THREAD], check=False).returncode != 0


FORK_DIFFERS = (
    {"test_a_task_may_clean_up_when_its_time_is_over": "this Python interrupts no loop in what a thread forked"}
    if forked_loops_are_deaf()
    else {}
)
OURS = [
    Subject(
        method,
        partial(Scheduler, WORKERS, start_method=method, preload=["tests.scheduler.jobs"]),
        FORK_DIFFERS if method == "fork" else {},
    )
    for method in START_METHODS
]
DASK_DIFFERS = {
    "test_threads_run_in_this_process": "its threads are in the dask workers",
    "test_a_result_of_a_thread_that_cannot_travel_fails_the_task_that_needs_it": "a thread's result travels there",
    "test_log_records_of_a_task_reach_this_process": "records go to the dask worker's own loggers",
    "test_an_urgent_task_overtakes_what_was_sent_ahead": "dask sends a call ahead to each of its workers",
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
UNINTERRUPTED = "no signal interrupts a call: its worker is killed at once"
SOCKETS = Subject(
    "sockets",
    open_as_on_windows,
    {"test_a_task_may_clean_up_when_its_time_is_over": UNINTERRUPTED},
)
SUBJECTS = [*OURS, *([] if sys.platform == "win32" else [SOCKETS]), *DASK]
POSIX = sys.platform != "win32"
