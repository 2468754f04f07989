"""The life of a task: nine states, the places where a task may be, and one frozen event for each change.

Idea        Where a task is, is one value, its place: it waits, is queued, is at a worker, has ended. The state that
            people read follows from the place; all that watches (history, monitor, metrics) reads events.
Invariant   A final state is never left, and each task reaches exactly one (test_lifecycle_fuzz.py).
When wrong  An event carries the error's text, never the error itself: an event may be kept for long, a traceback not.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_states.py
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import ClassVar, Protocol


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


class Worker(Protocol):
    """What runs calls, one after the other: a process, a thread, a coroutine's place on the loop."""

    @property
    def number(self) -> int: ...

    def began(self, call: int, /) -> float | None:
        """Return when a call's code began, by the monotonic clock; None when it has not. 0.0: earlier, unknown when."""


# Places are never written to again. They are not frozen all the same: that costs half a microsecond for each.


@dataclass(slots=True, eq=False)
class Waiting:
    """For other tasks, for its turn, or (`until`) for a time: no worker knows of it."""

    final: ClassVar[bool] = False
    state: State = State.PENDING
    """RETRYING between two attempts."""
    until: float | None = None


@dataclass(slots=True, eq=False)
class Ready:
    """Needs nothing more: in the ready queue of its lane, or held until what it needs is packed for another process."""

    final: ClassVar[bool] = False
    state: ClassVar[State] = State.READY
    queued: bool


@dataclass(slots=True, eq=False)
class At:
    """At a worker, as its call of a number: sent to it, perhaps begun."""

    final: ClassVar[bool] = False
    before: ClassVar[State] = State.READY
    worker: Worker
    call: int

    @property
    def state(self) -> State:
        """What the worker says: to be asked under the scheduler's lock."""
        return self.before if self.worker.began(self.call) is None else State.RUNNING


@dataclass(slots=True, eq=False)
class Ahead(At):
    """At a worker already, behind the call that it waits for: the next link of a chain."""

    before: ClassVar[State] = State.PENDING


@dataclass(slots=True, eq=False)
class Finishing:
    """Back from its worker; what it has printed is being written."""

    final: ClassVar[bool] = False
    state: ClassVar[State] = State.RUNNING
    worker: int
    began: float


@dataclass(slots=True, eq=False)
class Ended:
    """In its final state, at a time; `worker` and `began` are those of its last attempt, None when there was none."""

    final: ClassVar[bool] = True
    state: State
    worker: int | None
    began: float | None
    ended: float


Place = Waiting | Ready | At | Finishing | Ended

WAITING, QUEUED, HELD = Waiting(), Ready(queued=True), Ready(queued=False)


def ended_from(place: Place, state: State, now: float) -> Ended:
    """Return the end, here and now, of a task that is at a place."""
    if isinstance(place, Finishing):
        return Ended(state, place.worker, place.began, now)
    if isinstance(place, At) and (began := place.worker.began(place.call)):
        return Ended(state, place.worker.number, began, now)
    return Ended(state, None, None, now)


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
