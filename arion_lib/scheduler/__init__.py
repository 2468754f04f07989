"""Tasks over worker processes, threads and an event loop: who runs the task, and what if the worker dies?

Idea        An `Executor` whose handles are `Future`s, so everything that knows those two works unchanged; on top of it
            priorities, dependencies, deadlines, cancellation that cancels, and workers that may die.
Invariant   Each task ends exactly once for its caller, whatever happens to workers.
When wrong  Only the task that a worker was running is touched by that worker's death.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler

What a submitted call passes::

    your thread      scheduler.submit(fn, *args)
                        submitting/       the function becomes a number, pickled once; arguments are copied (calls/)
                        task.py           the handle that you get, a Future
                        front.py          what any thread may do: hand over, ask, wait, look
                            |             waiting/inbox.py: an append, and a byte that wakes the supervisor if it sleeps
    supervisor       supervisor.py        one thread: takes in what was posted, hears pipes, looks at the clock
                            |                 events, each with its time
                        lifecycle.py      decides: needs, retries, deadlines, quarantine, cancellation (deciding/)
                            |                 instructions: queue, stop, tell, these are over
                        ready.py          the queue: by priority, then by arrival
                        lane.py           where tasks run, as a few questions; three lanes answer them:
                            +-- processes/    which worker gets what, how much ahead; calls as bytes; the other process
                            |   starting/     how a process starts
                            +-- local/        threads, and coroutines on a loop
    supervisor       lifecycle.py         the end: the value is in the handle, its place says so, dependents go on
                        waiting/audience  waiting threads wake
    other threads    waiting/             your callbacks, prints, packing of values: slow ones hold up no other task

Where a task is, is one value (states.py): waiting, ready, at a worker, ahead at a worker, finishing, ended.

The book, read in this order: states, options, task, ready, lifecycle, supervisor, front, scheduler, lane; errors beside
them. The annex: submitting, calls, deciding, supervising, local, processes, starting, waiting, bounds, monitoring,
journal, dask.
"""

from arion_lib.scheduler.errors import (
    DependencyFailedError,
    MemoryLimitError,
    NotTransferableError,
    QuarantinedError,
    QueueFullError,
    SchedulerError,
    ShutDownError,
    StartError,
    TaskTimeoutError,
    WorkerDiedError,
)
from arion_lib.scheduler.monitoring.progress import report
from arion_lib.scheduler.monitoring.snapshot import Snapshot
from arion_lib.scheduler.options import Options
from arion_lib.scheduler.scheduler import Scheduler
from arion_lib.scheduler.states import Event, State
from arion_lib.scheduler.submitting.times import cron
from arion_lib.scheduler.task import Task

# isort: split
from arion_lib.scheduler.options import task  # last: importing the module of that name has put it in its place

__all__ = [
    "DependencyFailedError",
    "Event",
    "MemoryLimitError",
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
    "cron",
    "report",
    "task",
]
