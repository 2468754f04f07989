"""A task's attempts are bars in the rows of the workers that ran them."""

from __future__ import annotations

from dataclasses import dataclass

from arion_lib.scheduler import Scheduler
from arion_lib.workbook.rows import worker_of, worker_rows


@dataclass
class Event:
    time: float
    state: str
    worker: int | None = None
    error: str = ""


class Told:
    def __init__(self, *events: Event) -> None:
        self.events = events

    def history(self) -> tuple[Event, ...]:
        return self.events


def test_an_attempt_is_a_bar_in_its_workers_row_and_a_failed_one_is_another_kind() -> None:
    once = Told(Event(5, "ready"), Event(6, "running", 1), Event(7, "succeeded", 1))
    twice = Told(
        Event(5, "ready"),
        Event(6, "running", 2),
        Event(8, "failed", 2, "died"),
        Event(8, "ready"),
        Event(9, "running", 1),
        Event(10, "succeeded", 1),
    )
    assert worker_rows([twice, once]) == {
        "worker 1": [(4, 5, "ended well"), (1, 2, "ended well")],
        "worker 2": [(1, 3, "killed")],
    }


def test_a_schedulers_tasks_have_such_histories() -> None:
    with Scheduler(workers=1) as scheduler:
        tasks = [scheduler.submit(pow, 2, n) for n in range(3)]
        scheduler.wait_idle()
    rows = worker_rows(tasks)
    assert [len(bars) for bars in rows.values()] == [3]
    assert all(0 <= start <= end and kind == "ended well" for bars in rows.values() for start, end, kind in bars)


def test_the_worker_of_a_running_task_is_known() -> None:
    with Scheduler(workers=1, grace=0.0) as scheduler:
        task = scheduler.submit(forever)
        assert worker_of(task) in [worker.number for worker in scheduler.status().workers]
        task.cancel()


def forever() -> None:
    while True:
        pass
