"""What the system does not give: descriptors, processes, room in a pipe. Running tasks never pay for it."""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from arion_lib.scheduler import Scheduler
from arion_lib.scheduler.starting import zygote
from tests.scheduler import jobs
from tests.scheduler.gates import KILL, PATIENCE, Gate, until
from tests.scheduler.script_runs import alive, run, wait_until_gone

pytestmark = [
    pytest.mark.usefixtures("no_leaks"),
    pytest.mark.posix("Windows has no limits of this kind"),
]


@contextmanager
def few_descriptors(free: int) -> Iterator[None]:
    """Let this process open only so many more files."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def workers(scheduler: Scheduler) -> int:
    return sum(one.state in ("idle", "running") for one in scheduler.status().workers if one.lane == "processes")


def trouble(scheduler: Scheduler) -> str:
    return scheduler.status().lanes[0].trouble


def test_an_error_of_scale_goes_to_its_caller_and_running_tasks_go_on(gate: Gate) -> None:
    with Scheduler(1) as scheduler:
        running = scheduler.submit(jobs.hold, gate.place)
        gate.arrived()
        with few_descriptors(12):
            with pytest.raises(OSError, match="Too many open files"):
                scheduler.scale(8)
            assert "Too many open files" in trouble(scheduler)
            assert scheduler.submit(jobs.add, 1, 2).result(PATIENCE) == 3
        gate.open()
        running.result(PATIENCE)
        until(lambda: workers(scheduler) == 8, "the pool's size")
        until(lambda: not trouble(scheduler), "the end of the trouble")


def test_more_workers_than_there_can_be_descriptors_are_refused_before_one_is_started() -> None:
    with few_descriptors(200), Scheduler(1) as scheduler:
        for ask in (lambda: scheduler.scale(100_000), lambda: scheduler.adapt(1, 100_000), lambda: Scheduler(100_000)):
            with pytest.raises(ValueError, match=r"workers must be <= \d+, got 100000: .*ulimit -n"):
                ask()
        assert scheduler.submit(jobs.add, 1, 2).result(PATIENCE) == 3
        assert len(scheduler.status().workers) == 1
        scheduler.scale(100_000, lane="threads")  # the control: threads take no descriptors
        scheduler.scale(1, lane="threads")


def test_a_worker_that_dies_while_no_descriptor_is_free_is_replaced_later(gate: Gate) -> None:
    with Scheduler(2) as scheduler:
        running = scheduler.submit(jobs.hold, gate.place)
        (pid,) = gate.arrived()
        others: list[int] = []
        while not others:  # the other one may be starting still
            others = [one.pid for one in scheduler.status().workers if one.pid is not None and one.pid != pid]
        (other,) = others
        with few_descriptors(0):
            os.kill(other, KILL)
            until(lambda: "Too many open files" in trouble(scheduler), "the refusal")
        gate.open()
        running.result(PATIENCE)
        until(lambda: workers(scheduler) == 2, "the next worker")


def test_a_fork_that_fails_ends_nothing(tmp_path: Path) -> None:
    """The process that forks the workers is refused every second one."""
    code, out, err = run(
        tmp_path,
        """
        from arion_lib.scheduler.starting import forkserver
        real, calls, here = os.fork, [], os.getpid()
        def fork():
            calls.append(0)
            if os.getpid() != here and len(calls) % 2:
                raise BlockingIOError(11, "Resource temporarily unavailable")
            return real()
        os.fork = fork
        with Scheduler(2, start_method="fork") as scheduler:
            tell([scheduler.submit(pow, n, 2).result(20) for n in range(3)])
            while sum(one.state == "idle" for one in scheduler.status().workers) < 2:
                time.sleep(0.01)
            tell("both")
        """,
    )
    assert (code, out) == (0, "[0, 1, 4]\nboth\n"), err


def test_many_workers_are_started_with_few_descriptors() -> None:
    """Those on their way need theirs twice: not all are on their way at once."""
    with few_descriptors(180), Scheduler(40) as scheduler:
        until(lambda: workers(scheduler) == 40, "the workers")
        assert not trouble(scheduler)


def test_a_fork_server_that_is_busy_is_not_taken_for_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    real, refusals = socket.send_fds, iter([BlockingIOError(errno.EAGAIN, "full"), OSError(errno.ENOBUFS, "none")])

    def sometimes(*arguments: Any) -> int:
        for refusal in refusals:
            raise refusal
        return real(*arguments)

    with Scheduler(1) as scheduler:
        first = scheduler.submit(jobs.pid).result(PATIENCE)
        monkeypatch.setattr(zygote.socket, "send_fds", sometimes)
        scheduler.scale(3)
        until(lambda: workers(scheduler) == 3, "the workers")
        assert first in {one.pid for one in scheduler.status().workers}


@pytest.mark.parametrize("seconds", [0.0, 3600.0], ids=["at once", "never"])
def test_shutdown_by_a_deadline_does_not_wait_for_a_preload(
    seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slow_module.py").write_text(f"import time; time.sleep({seconds})")
    monkeypatch.syspath_prepend(str(tmp_path))
    scheduler = Scheduler(1, preload=["slow_module"])
    scheduler.submit(jobs.add, 1)
    began = time.monotonic()
    scheduler.shutdown(deadline=0.05)
    assert time.monotonic() - began < PATIENCE / 2


def test_a_blocked_signal_of_the_program_does_not_reach_the_workers() -> None:
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD, signal.SIGUSR1])
    try:
        with Scheduler(1) as scheduler:
            scheduler.submit(jobs.add, 1).result(PATIENCE)
            task = scheduler.with_options(timeout=0.05).submit(jobs.spin_quietly)
            assert isinstance(task.exception(PATIENCE), TimeoutError)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_what_a_killed_task_started_is_ended_with_it(method: Any, notes: str) -> None:
    with Scheduler(1, start_method=method, grace=0.05) as scheduler:
        task = scheduler.submit(os.system, f"echo $$ > {notes}; exec sleep 4321")
        until(lambda: jobs.noted(notes), "the start")
        task.cancel()
        wait_until_gone([int(jobs.noted(notes)[0])])
        assert scheduler.submit(jobs.add, 1).result(PATIENCE) == 1


def test_the_control_killing_a_process_alone_leaves_what_it_started(notes: str) -> None:
    import subprocess

    process = subprocess.Popen([sys.executable, "-c", f"import os; os.system('echo $$ > {notes}; exec sleep 4321')"])
    until(lambda: jobs.noted(notes), "the start")
    pid = int(jobs.noted(notes)[0])
    process.kill()
    process.wait()
    assert alive(pid)
    os.kill(pid, KILL)
