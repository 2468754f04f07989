"""What the lifecycle wants done: the only words by which it reaches the world.

Idea        A decision is a value. Who carries it out (supervisor.py, or a test) does so later, one after the other, and
            cannot call back into a decision that is half made.
Invariant   Carried out in order, they bring ready queues, workers and waiting threads to where the tasks' places say.
When wrong  One that cannot be carried out is logged; the next ones are carried out all the same.
See         tests/scheduler/test_lifecycle_fuzz.py
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from arion_lib.scheduler.states import At, Event
from arion_lib.scheduler.task import Task


@dataclass(slots=True)
class Queue:
    """Put tasks, all of one lane and one priority, into the ready queue."""

    tasks: list[Task[Any]]


@dataclass(slots=True)
class QueueFirst:
    """Put back a task before those of its priority: it was given out and not begun."""

    task: Task[Any]


@dataclass(slots=True)
class Withdraw:
    """Take a task out of the ready queue."""

    task: Task[Any]


@dataclass(slots=True)
class Stop:
    """Stop a call where it is: its task has ended."""

    task: Task[Any]
    at: At


@dataclass(slots=True)
class Tell:
    """Tell those who want events."""

    event: Event


@dataclass(slots=True)
class Over:
    """These have ended: wake those who wait for one."""

    tasks: list[Task[Any]]


Instruction = Queue | QueueFirst | Withdraw | Stop | Tell | Over
