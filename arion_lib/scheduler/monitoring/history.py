"""What a task went through, as events: told from its few times, not kept as a list.

Idea        Most tasks have one attempt, whose events follow from when it was submitted, began and ended; only earlier
            attempts leave events behind.
Invariant   A task's history is, event for event, what its subscribers were told.
When wrong  What an error's own text cannot say is said by its type.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_conformance.py
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from arion_lib.scheduler.calls.failures import Failure, Raised, describe
from arion_lib.scheduler.states import Ahead, At, Ended, Event, Finishing, Place, State, Waiting
from arion_lib.scheduler.task import Task

NOT_YET = -1.0
"""In place of a time: it has not become ready in this attempt."""


def change(task: Task[Any], state: State, when: float, worker: int | None = None, error: str = "") -> Event:
    """Return the event that a task became something, in its present attempt."""
    attempt = task._more.attempts if task._more else 0
    if state is State.PENDING:
        attempt = 0
    elif state not in (State.READY, State.RETRYING):
        attempt += 1
    return Event(when, task.number, task.name, state, attempt, worker, error)


def history(task: Task[Any], place: Place, began: float | None) -> Iterator[Event]:
    """Yield all changes of a task that is at a place; `began`: when its present attempt's code began."""
    yield change(task, State.PENDING, task._submitted)
    if task._more is not None:
        yield from task._more.past
    if isinstance(place, Ended):
        yield from attempt(task, place, task._more.error if task._more else None)
    elif not isinstance(place, (Waiting, Ahead)):
        if (ready := ready_at(task)) != NOT_YET:
            yield change(task, State.READY, ready)
        if isinstance(place, Finishing):
            yield change(task, State.RUNNING, place.began, place.worker)
        elif isinstance(place, At) and began is not None:
            yield change(task, State.RUNNING, began, place.worker.number)


def attempt(task: Task[Any], end: Ended, error: BaseException | Failure | Raised | None) -> Iterator[Event]:
    """Yield the changes of an attempt that has ended."""
    if (ready := ready_at(task)) != NOT_YET:
        yield change(task, State.READY, ready)
    if end.began is not None:
        yield change(task, State.RUNNING, end.began, end.worker)
    yield change(task, end.state, end.ended, end.worker, in_words(error))


def ready_at(task: Task[Any]) -> float:
    """Return when the task last became ready."""
    return task._more.ready_at if task._more is not None and task._more.ready_at else task._submitted


def in_words(error: BaseException | Failure | Raised | None) -> str:
    """Return an error as one line, "" for none."""
    if error is None:
        return ""
    return error.text if isinstance(error, (Failure, Raised)) else describe(error)
