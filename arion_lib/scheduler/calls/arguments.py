"""The arguments of a call as they travel: copied at submit, other tasks' results in their places.

Idea        The pickler meets the tasks among the arguments, at any depth, and writes a place for each; the worker fills
            the results in while it unpickles. Atoms and whole results need no pickle.
Invariant   A call gets the arguments as they were at its submit, but for large buffers (test_calls.py).
When wrong  What cannot travel raises `NotTransferableError` at submit, for that task alone.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_calls.py
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from arion_lib.scheduler.calls.values import ATOMS, Packed, pack


class _Met(threading.local):
    """The tasks that the pickler met among the arguments of the call that this thread is packing."""

    places: dict[Future[Any], int] | None = None


class _Needed(threading.local):
    """In a worker: the results that the call now being unpacked needs."""

    values: Any = ()


MET, NEEDED = _Met(), _Needed()


def needed(place: int) -> Any:
    """Return, while arguments are unpickled, the result that takes the place of a task."""
    return NEEDED.values[place]


def arguments(args: tuple[Any, ...], kwargs: dict[str, Any], name: str) -> tuple[Packed, list[Any]]:
    """Pickle arguments; return them and the tasks met among them, at any depth, whose results they need."""
    places = MET.places = {}
    try:
        return pack((args, kwargs), f"arguments of {name!r}"), list(places)
    finally:
        MET.places = None


class Linked:
    """Arguments that are atoms and whole results of other tasks: no pickle is needed to put them together."""

    __slots__ = ("args", "places")

    def __init__(self, args: tuple[Any, ...], places: tuple[int, ...]) -> None:
        self.args, self.places = args, places


ALONE = Linked((None,), (0,))
"""Another task's result and nothing else: the same for all links of a chain."""


def linked(args: tuple[Any, ...], kind: type[Any]) -> tuple[Linked, Sequence[Any]] | None:
    """Return arguments that are atoms and tasks (objects of `kind`), and those tasks; None when others are among them.

    >>> found, needs = linked((1, 2.5), float)
    >>> found.args, found.places, needs
    ((1, None), (1,), [2.5])
    """
    if len(args) == 1 and type(args[0]) is kind:
        return ALONE, args
    places: list[int] = []
    needs: list[Any] = []
    plain: list[Any] = []
    for place, arg in enumerate(args):
        if type(arg) is kind:
            places.append(place)
            needs.append(arg)
            plain.append(None)
        elif type(arg) in ATOMS:
            plain.append(arg)
        else:
            return None
    return Linked(tuple(plain), tuple(places)), needs


def placeholder(task: Future[Any]) -> tuple[Callable[[int], Any], tuple[int]]:
    """Tell the pickler what to write for a task; remember the task as one whose result is needed."""
    places = MET.places
    if places is None:
        raise TypeError(
            f"a task can be pickled only as an argument of another task's submit, got {task!r}: "
            "pass it to submit, or pickle task.result()"
        )
    return needed, (places.setdefault(task, len(places)),)
