"""Tasks among the arguments of a call that stays in this process: found at submit, replaced at the start.

Idea        What the pickler does on the way to a worker process is done here by looking into lists, tuples and dicts.
Invariant   The arguments themselves are handed over as they are, not copied; only containers that hold a task are.
When wrong  A task inside any other object is not found: it arrives as the handle that it is.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_substitute.py
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from arion_lib.scheduler.task import Task


def tasks_in(value: Any, kind: type[Any]) -> list[Any]:
    """Return the tasks (objects of `kind`) in a value, at any depth of exact lists, tuples and dicts.

    >>> tasks_in(([1, {"a": 2.0}], "b"), float)
    [2.0]
    """
    found: dict[int, Any] = {}
    stack = [value]
    while stack:
        one = stack.pop()
        if type(one) is kind:
            found[id(one)] = one
        elif type(one) in (list, tuple):
            stack += one
        elif type(one) is dict:
            stack += one.values()
    return list(found.values())


def filled_in(task: Task[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of a call with the results of the tasks in their places."""
    args, kwargs = task._call
    needs = task._more.needs if task._more is not None else ()
    if not needs:
        return args, kwargs
    results = {id(needed): needed.result() for needed in needs}
    filled: tuple[tuple[Any, ...], dict[str, Any]] = _fill((args, kwargs), results)
    return filled


def _fill(value: Any, results: dict[int, Any]) -> Any:
    if id(value) in results:
        return results[id(value)]
    if type(value) in (list, tuple):
        return type(value)(_fill(one, results) for one in value)
    if type(value) is dict:
        return {key: _fill(one, results) for key, one in value.items()}
    return value
