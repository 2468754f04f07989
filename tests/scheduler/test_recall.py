"""What was sent to a worker is taken back before it begins, also what was sent behind a recall under way."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from arion_lib.scheduler.processes.note import REVOKED_AFTER, REVOKED_TO, STARTED
from arion_lib.scheduler.processes.worker_handle import WorkerHandle


def worker_with(*calls: int) -> tuple[WorkerHandle, dict[int, int]]:
    words = {STARTED: 0, REVOKED_AFTER: 0, REVOKED_TO: 0}
    child: Any = SimpleNamespace(number=1, note=SimpleNamespace(words=words))
    worker = WorkerHandle(child)
    for call in calls:
        send(worker, call)
    return worker, words


def send(worker: WorkerHandle, call: int) -> None:
    task: Any = SimpleNamespace(
        name=f"{call}", _function=SimpleNamespace(mean=0.0), options=SimpleNamespace(priority=0)
    )
    worker.outstanding[call], worker.last = task, call


def begins(words: dict[int, int], call: int) -> bool:
    """Whether the worker's side begins a call; see `Worker._run`."""
    return not words[REVOKED_AFTER] < call <= words[REVOKED_TO]


def test_an_urgent_call_sent_behind_a_recall_and_cancelled_at_once_does_not_begin() -> None:
    worker, words = worker_with(1, 2, 3)
    worker.revoke(10.0, 0.5)
    send(worker, 4)
    assert begins(words, 4)
    worker.revoke(10.1, 0.5)
    assert not any(begins(words, call) for call in (1, 2, 3, 4))
    assert worker.revoking == (4, 10.6), "the note is believed only when the later store has reached the worker"
    assert [task.name for task in worker.taken_back()] == ["1", "2", "3", "4"]
    send(worker, 5)
    assert begins(words, 5)


def test_what_has_begun_meanwhile_is_not_taken_back() -> None:
    worker, words = worker_with(1, 2)
    worker.revoke(10.0, 0.5)
    send(worker, 3)
    words[STARTED] = 3
    worker.revoke(10.1, 0.5)
    assert worker.taken_back() == []
