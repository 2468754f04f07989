"""Processes that are forked from a scheduler's, and from a worker: the scheduler is not theirs."""

from __future__ import annotations

import os
import time
import warnings
from pathlib import Path

import pytest

from arion_lib.scheduler import Scheduler, ShutDownError
from tests.scheduler import jobs
from tests.scheduler.gates import PATIENCE, Gate
from tests.scheduler.script_runs import run

pytestmark = [
    pytest.mark.usefixtures("no_leaks"),
    pytest.mark.posix("Windows cannot fork"),
]


def test_a_forked_process_gets_a_sentence_and_its_parent_none_of_its_results(tmp_path: Path) -> None:
    code, out, err = run(
        tmp_path,
        """
        import warnings; warnings.simplefilter("ignore")
        from arion_lib.scheduler import ShutDownError
        def slow(n): time.sleep(0.05); return n
        if __name__ == "__main__":
            s = Scheduler(1)
            running = s.submit(slow, 0)
            if (pid := os.fork()) == 0:
                told = []
                for question in (lambda: s.submit(slow, 1001), running.result, running.cancel, s.wait_idle, s.shutdown):
                    try:
                        told.append(type(question()).__name__)
                    except ShutDownError as error:
                        told.append("forked" if "forked" in str(error) else str(error))
                tell(*told)
                with Scheduler(1) as own:
                    tell(own.submit(slow, 7).result())
                os._exit(0)
            os.waitpid(pid, 0)
            tell(running.result(), s.submit(slow, 1).result(), s.map(slow, [2, 3]).__next__())
            s.shutdown()
        """,
    )
    assert (code, out.split("\n")) == (0, ["forked forked forked bool NoneType", "7", "0 1 2", ""]), err


def test_a_forked_process_holds_no_pipe_of_a_worker(gate: Gate) -> None:
    """A copy of a worker's inbox would keep the worker from seeing its end."""
    with Scheduler(1) as scheduler:
        held = scheduler.submit(jobs.hold, gate.place)
        gate.arrived()
        ends = [
            end.fileno()
            for one in scheduler._processes.pool.workers.values()
            for end in (one.child.inbox, one.child.outbox)
        ]
        with warnings.catch_warnings():  # since 3.12 the parent is told that it has threads, the child is not
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            left = 0
            for end in ends:
                try:
                    os.fstat(end)
                    left += 1
                except OSError:
                    continue
            os._exit(left)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        gate.open()
        held.result(PATIENCE)


def fork_and_return(number: int) -> int:
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        return number
    return -1


def test_a_task_whose_child_returns_too_ends_once() -> None:
    with Scheduler(1) as scheduler:
        assert [scheduler.submit(fork_and_return, n).result(PATIENCE) for n in range(5)] == list(range(5))


def test_a_shut_down_scheduler_says_so_still() -> None:
    scheduler = Scheduler(1)
    scheduler.shutdown()
    with pytest.raises(ShutDownError, match="open a new one"):
        scheduler.submit(time.sleep, 0)
