"""The lane of threads."""

from __future__ import annotations

import linecache
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from arion_lib.scheduler import Scheduler, State, TaskTimeoutError
from tests.scheduler import jobs
from tests.scheduler.gates import PATIENCE, Gate, until

pytestmark = pytest.mark.usefixtures("no_leaks")


def lane(scheduler: Scheduler) -> Any:
    return next(lane for lane in scheduler.status().lanes if lane.name == "threads")


def current_lines() -> list[str]:
    """Return the line of Python that each thread is at."""
    frames = sys._current_frames().values()
    return [linecache.getline(frame.f_code.co_filename, frame.f_lineno) for frame in frames]


def test_threads_are_started_as_needed_up_to_their_number(gate: Gate) -> None:
    with Scheduler(0, threads=3) as scheduler:
        assert lane(scheduler).workers == ()
        threads = scheduler.with_options(lane="threads")
        tasks = [threads.submit(jobs.hold, gate.place, n) for n in range(5)]
        gate.arrived(3)
        assert gate.nobody()
        assert (len(lane(scheduler).workers), lane(scheduler).running) == (3, 3)
        gate.open(5)
        assert [task.result(PATIENCE) for task in tasks] == list(range(5))


def test_shutdown_leaves_no_thread() -> None:
    for _ in range(5):
        with Scheduler(0, threads=4) as scheduler:
            list(scheduler.with_options(lane="threads").map(jobs.identity, range(20)))
        assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("arion")]


def test_priorities_hold_for_threads(gate: Gate, notes: str) -> None:
    with Scheduler(0, threads=1) as scheduler:
        held = scheduler.with_options(lane="threads").submit(jobs.hold, gate.place)
        gate.arrived()
        for priority in (1, 3, 2, 3):
            scheduler.with_options(lane="threads", priority=priority).submit(jobs.note, notes, str(priority))
        gate.open()
        held.result(PATIENCE)
        assert scheduler.wait_idle(PATIENCE)
    assert jobs.noted(notes) == ["3", "3", "2", "1"]


@pytest.mark.parametrize("limit", ["timeout", "deadline", "cancel"])
def test_a_loop_in_python_is_interrupted(gate: Gate, limit: str) -> None:
    with Scheduler(0, threads=1) as scheduler:
        options: dict[str, Any] = {} if limit == "cancel" else {limit: 0.1}
        task = scheduler.with_options(lane="threads", **options).submit(jobs.spin, gate.place)
        gate.arrived()
        if limit == "cancel":
            assert task.cancel()
            assert task.status() is State.CANCELLED
        else:
            assert isinstance(task.exception(PATIENCE), TaskTimeoutError)
        assert scheduler.with_options(lane="threads").submit(jobs.add, 1).result(PATIENCE) == 1


def test_a_thread_stuck_in_a_system_call_is_given_up_and_replaced(gate: Gate) -> None:
    with Scheduler(0, threads=1, grace=0.05) as scheduler:
        threads = scheduler.with_options(lane="threads")
        stuck = threads.submit(jobs.hold, gate.place)
        gate.arrived()
        until(lambda: any("os.read(passes" in line for line in current_lines()), "the system call")
        assert stuck.cancel()
        assert threads.submit(jobs.add, 1).result(PATIENCE) == 1
        assert [worker.number for worker in lane(scheduler).workers] == [1002]
        assert lane(scheduler).restarts == 1
        gate.open()  # Python cannot end the thread: it ends with its call


def test_an_interruption_that_comes_too_late_does_not_strike_the_next_task() -> None:
    """The call ends and is cancelled at the same moment, again and again, on one thread."""
    with Scheduler(0, threads=1, grace=5.0) as scheduler:
        threads = scheduler.with_options(lane="threads")
        for _ in range(300):
            begun = threading.Event()
            task = threads.submit(begun.set)
            begun.wait(PATIENCE)
            task.cancel()
            assert threads.submit(jobs.add, 1).result(PATIENCE) == 1
        assert lane(scheduler).restarts == 0


def lost_after_a_late_interruption(patience: float) -> bool:
    """Interrupt a call that has ended and been reported, but not taken; return whether the next one is lost by that.

    It counts as lost after `patience` seconds.
    """
    go, begun = threading.Event(), threading.Event()
    with Scheduler(0, threads=1, grace=5.0) as scheduler:
        core, threads = scheduler._core, scheduler.with_options(lane="threads")
        task = threads.submit(lambda: (begun.set(), go.wait(PATIENCE)))
        assert begun.wait(PATIENCE)

        def interrupt_late() -> None:  # in the supervisor's thread, which takes no report meanwhile
            go.set()
            until(lambda: core.inbox, "the report")
            time.sleep(0.01)  # the thread is waiting for its next call by now, all but surely
            core.supervisor.cancelling.each([task])

        core.ask(interrupt_late)
        following = threads.submit(jobs.add, 1)
        try:
            return following.result(patience) != 1
        except TimeoutError:
            following.cancel()
            return True


def test_an_interruption_of_a_call_that_was_reported_does_not_strike_the_next() -> None:
    assert not lost_after_a_late_interruption(PATIENCE)


def test_the_control_a_pending_interruption_takes_the_next_task_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from arion_lib.scheduler.local import threads as module

    def forget(slot: Any) -> None:
        slot.interrupting = None

    monkeypatch.setattr(module._Slot, "calm", forget)
    assert any(lost_after_a_late_interruption(1.0) for _ in range(20))  # the thread may not have come to its end yet


def test_scaling_down_lets_running_tasks_finish(make_gate: Callable[[], Gate]) -> None:
    gate = make_gate()
    with Scheduler(0, threads=3) as scheduler:
        threads = scheduler.with_options(lane="threads")
        tasks = [threads.submit(jobs.hold, gate.place, n) for n in range(3)]
        gate.arrived(3)
        scheduler.scale(1, lane="threads")
        more = [threads.submit(jobs.hold, gate.place, n) for n in range(2)]
        gate.open(3)
        assert [task.result(PATIENCE) for task in tasks] == [0, 1, 2]
        gate.arrived(1)
        assert gate.nobody()
        gate.open(2)
        assert [task.result(PATIENCE) for task in more] == [0, 1]
        until(lambda: len(lane(scheduler).workers) == 1, "one thread")
        scheduler.scale(2, lane="threads")
        tasks = [threads.submit(jobs.hold, gate.place, n) for n in range(2)]
        gate.arrived(3 - 1)
        gate.open(2)


def test_a_thread_task_may_submit_and_wait_for_processes() -> None:
    with Scheduler(1, threads=1) as scheduler:

        def outer() -> int:
            return scheduler.submit(jobs.add, 20, 1).result(PATIENCE) * 2

        assert scheduler.with_options(lane="threads").submit(outer).result(PATIENCE) == 42
