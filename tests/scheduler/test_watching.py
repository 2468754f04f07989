"""What a monitor leans on: a running task's worker is told, and a task can be cancelled by its number."""

from __future__ import annotations

import threading

import pytest

from arion_lib.scheduler import Event, Scheduler, State, Task
from arion_lib.scheduler.processes.worker_handle import WorkerHandle
from tests.scheduler.gates import PATIENCE

pytestmark = pytest.mark.usefixtures("no_leaks")


def spin() -> None:
    while True:
        pass


def running(scheduler: Scheduler) -> tuple[Task[None], list[Event]]:
    """A task that runs for ever, once it was told to run, and what was told of it."""
    told: list[Event] = []
    seen = threading.Event()

    def hear(event: Event) -> None:
        told.append(event)
        if event.state is State.RUNNING:
            seen.set()

    scheduler.subscribe(hear)
    task = scheduler.submit(spin)
    assert seen.wait(20)
    return task, told


def test_the_event_of_a_running_task_names_the_worker_that_the_snapshot_shows() -> None:
    with Scheduler(1) as scheduler:
        task, told = running(scheduler)
        (worker,) = [one for one in scheduler.status().workers if one.task_number == task.number]
        assert {event.worker for event in told if event.state is State.RUNNING} == {worker.number}
        assert task.history()[-1].worker == worker.number
        assert task.cancel()


def test_a_running_task_is_cancelled_by_its_number_and_no_other_is() -> None:
    with Scheduler(1) as scheduler:
        task, _ = running(scheduler)
        assert not scheduler.cancel(task.number + 1)
        assert task.running()
        assert scheduler.cancel(task.number)
        assert task.cancelled()
        assert scheduler.submit(pow, 2, 5).result(20) == 32
        assert not scheduler.cancel(task.number)  # its worker has another one by now


def test_a_call_that_its_worker_is_past_is_never_said_to_run_since_time_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    with Scheduler(1) as scheduler:
        task, told = running(scheduler)
        with monkeypatch.context() as patch:
            patch.setattr(WorkerHandle, "began", lambda *_: 0.0)  # what it answers between the end and its reading
            before, stopped, after = task.history(), task.cancel(), task.history()
        assert scheduler.wait_idle(PATIENCE)
        assert stopped
        assert all(event.time > 0 for event in [*before, *after, *told])
        assert (scheduler.status().running_time.most or 0.0) < 3 * PATIENCE
        assert scheduler.status().utilisation < 1.0
