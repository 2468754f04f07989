"""Tasks over worker processes, threads and an event loop: who runs the task, and what if the worker dies?

Idea        An `Executor` whose handles are `Future`s, so everything that knows those two works unchanged; on top of it
            priorities, dependencies, deadlines, cancellation that cancels, and workers that may die.
Invariant   Each task ends exactly once for its caller, whatever happens to workers.
When wrong  Only the task that a worker was running is touched by that worker's death.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler
"""

from arion_lib.scheduler.errors import (
    DependencyFailedError,
    NotTransferableError,
    QuarantinedError,
    QueueFullError,
    SchedulerError,
    ShutDownError,
    StartError,
    TaskTimeoutError,
    WorkerDiedError,
)
from arion_lib.scheduler.options import Options
from arion_lib.scheduler.scheduler import Scheduler
from arion_lib.scheduler.snapshot import Snapshot
from arion_lib.scheduler.states import Event, State
from arion_lib.scheduler.task import Task

# isort: split
from arion_lib.scheduler.options import task  # last: importing the module of that name has put it in its place

__all__ = [
    "DependencyFailedError",
    "Event",
    "NotTransferableError",
    "Options",
    "QuarantinedError",
    "QueueFullError",
    "Scheduler",
    "SchedulerError",
    "ShutDownError",
    "Snapshot",
    "StartError",
    "State",
    "Task",
    "TaskTimeoutError",
    "WorkerDiedError",
    "task",
]
