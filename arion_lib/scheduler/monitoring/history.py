"""What a task went through, as events: told from its few times, not kept as a list.

Idea        Most tasks have one attempt, whose events follow from when it was submitted, began and ended; only earlier
            attempts leave events behind.
Invariant   A task's history is, event for event, what its subscribers were told.
When wrong  What an error's own text cannot say is said by its type.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_conformance.py
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from arion_lib.scheduler.calls.failures import Failure, describe
from arion_lib.scheduler.states import Event, State

if TYPE_CHECKING:
    from arion_lib.scheduler.task import Task

NOT_YET = -1.0
"""In place of a time: it has not become ready in this attempt."""


def change(task: Task[Any], state: State, when: float, error: str = "") -> Event:
    """Return the event that a task became something."""
    earlier = task._more.attempts if task._more else 0
    if state in (State.PENDING, State.READY):
        return Event(when, task.number, task.name, state, earlier if state is State.READY else 0)
    attempt = earlier + 1
    by = task._run[0] if type(task._run) is tuple else None  # the worker's number, or its handle still
    worker = by if type(by) is int else getattr(by, "number", None)
    return Event(when, task.number, task.name, state, attempt, worker, error)


def history(task: Task[Any], began: float | None) -> Iterator[Event]:
    """Yield all changes of a task; `began`: when its present attempt's code began, None when it has not."""
    yield change(task, State.PENDING, task._submitted)
    if task._more is not None:
        yield from task._more.past
    if task._state_now not in (State.PENDING, State.RETRYING):
        yield from attempt(task, began)


def attempt(task: Task[Any], began: float | None) -> Iterator[Event]:
    """Yield the changes of the present attempt, its end among them when it was the last."""
    ready = ready_at(task)
    if ready != NOT_YET:
        yield change(task, State.READY, ready)
    if began is not None:
        yield change(task, State.RUNNING, began)
    if task._state_now.final:
        yield change(task, task._state_now, ended_at(task), in_words(task._more.error if task._more else None))


def ready_at(task: Task[Any]) -> float:
    """Return when the task last became ready."""
    return task._more.ready_at if task._more is not None and task._more.ready_at else task._submitted


def ended_at(task: Task[Any]) -> float:
    """Return when the last attempt ended."""
    if type(task._run) is tuple and len(task._run) == 3:
        return float(task._run[2])
    return task._more.ended_at if task._more is not None else task._submitted


def began_at(task: Task[Any]) -> float | None:
    """Return when the last attempt of an ended task began; None when it was never run."""
    return float(task._run[1]) if type(task._run) is tuple and len(task._run) == 3 else None


def in_words(error: BaseException | Failure | None) -> str:
    """Return an error as one line, "" for none."""
    if error is None:
        return ""
    return error.text if isinstance(error, Failure) else describe(error)
