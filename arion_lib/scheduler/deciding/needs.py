"""What a task needs: the tasks among its arguments and those of `after`.

Idea        A task counts what it waits for; each of these lists it among its dependents, and that is all.
Invariant   A task whose count is 0 waits for no task; one that was ended well is never counted.
When wrong  A need that did not end well dooms the task, unless it comes from `after` and `if_dependency_fails="run"`.
See         tests/scheduler/test_lifecycle_fuzz.py
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from arion_lib.scheduler.states import At, State
from arion_lib.scheduler.task import Task


def count_needs(task: Task[Any]) -> tuple[bool, list[Task[Any]]]:
    """Count what a new task waits for; return whether some of that is at a worker, and what makes it impossible."""
    more, after, at_worker, bad = task.more(), task.after, False, list[Task[Any]]()
    for needed in dict.fromkeys((*more.needs, *after)) if len(more.needs) > 1 or after else more.needs:
        if needed._place.final:
            if not acceptable(task, needed):
                bad.append(needed)
            continue
        others = needed.more()
        if type(others.dependents) is list:
            others.dependents.append(task)
        else:
            others.dependents = [*others.dependents, task] if others.dependents else (task,)
        more.blocked += 1
        at_worker = at_worker or isinstance(needed._place, At)
    return at_worker, bad


def acceptable(task: Task[Any], needed: Task[Any]) -> bool:
    """Whether a task may run after one that has ended."""
    if needed._place.state is State.SUCCEEDED:
        return True
    return task.options.if_dependency_fails == "run" and needed not in task.more().needs


def let_go(task: Task[Any]) -> Sequence[Task[Any]]:
    """Let an ended task forget what it needed, and return those that need it.

    Else the last handle of a chain would keep every result alive.
    """
    more = task.more()
    dependents, more.dependents, more.needs, more.carried = more.dependents, (), (), {}
    if task.options.after:
        task.options = task.options.but(after=())
    return dependents
