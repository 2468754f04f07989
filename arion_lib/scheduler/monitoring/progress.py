"""How far a running task is, as it says itself: `report(done, total)`.

Idea        A worker process writes the two numbers into the page that it shares with its supervisor, a thread into its
            slot; whoever looks (`status()`, the monitor, `top`, HTTP) reads them there. No message is sent.
Invariant   What is shown is the running task's own: the next one on the same worker begins with nothing
            (test_progress.py).
When wrong  Where nobody looks on - outside a task, or in a coroutine of the lane "loop" - a report does nothing.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_progress.py
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = tuple[float, float | None]
"""How much is done, of how much; None where that is not known."""
Sink: TypeAlias = Callable[[float, float | None], None]


class _Here(threading.local):
    """What a thread of the lane "threads" does with a report."""

    sink: Sink | None = None


class _Process:
    """What a worker process does with a report of any of its threads."""

    sink: Sink | None = None


HERE, PROCESS = _Here(), _Process()


def report(done: float, total: float | None = None) -> None:
    """Say from inside a task how far it is; costs less than a microsecond, so say it as often as you like.

    >>> report(3, 10)  # outside a task: nobody looks on
    >>> report(3, -1)
    Traceback (most recent call last):
        ...
    ValueError: done must be >= 0 and total > 0 or None, got 3 and -1
    """
    if not 0 <= done < math.inf or not (total is None or 0 < total < math.inf):
        raise ValueError(f"done must be >= 0 and total > 0 or None, got {done!r} and {total!r}")
    sink = HERE.sink or PROCESS.sink
    if sink is not None:
        sink(float(done), None if total is None else float(total))
