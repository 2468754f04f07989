"""The life of a task: nine states, and one frozen event for each change.

Idea        A task is a state and the list of its changes; all that watches (history, monitor, metrics) reads these.
Invariant   A final state is never left, and each task reaches exactly one.
When wrong  An event carries the error's text, never the error itself: an event may be kept for long, a traceback not.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_states.py
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class State(enum.Enum):
    """Where a task stands. `str(state)` is the word people read.

    >>> str(State.TIMED_OUT), State.TIMED_OUT.final, State.RETRYING.final
    ('timed out', True, False)
    """

    PENDING = "pending"
    """Waits for other tasks."""
    READY = "ready"
    """Waits for a worker."""
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed out"
    RETRYING = "retrying"
    """An attempt failed; waits for its next one."""
    QUARANTINED = "quarantined"
    """Killed as many workers as a task may; it is not run again."""

    final: bool
    """Whether no change follows."""

    def __init__(self, word: str) -> None:
        self.final = word not in ("pending", "ready", "running", "retrying")

    def __str__(self) -> str:
        return str(self.value)

    __hash__ = object.__hash__  # an Enum's own is a Python function: it would be called several times a task


@dataclass(frozen=True, slots=True)
class Event:
    """One change of one task: it became `state` at `time`, seconds of `time.monotonic()`.

    `attempt` counts those begun so far, from 0; `worker` is the number of the worker that runs or ran it.
    """

    time: float
    task: int
    name: str
    state: State
    attempt: int = 0
    worker: int | None = None
    error: str = ""

    def __str__(self) -> str:
        where = f" on worker {self.worker}" if self.worker is not None else ""
        attempt = f" (attempt {self.attempt})" if self.attempt > 1 else ""
        return f"{self.name} {self.state}{where}{attempt}{': ' + self.error if self.error else ''}"
