"""What a task's `result()` raises when the task itself did not: each error names the task and says what to do.

Idea        The error of a task's own code comes back as itself; these are for what happened around it.
Invariant   Each survives pickling with its data: a task may fail on another machine.
When wrong  The data is on the exception (`.exit_code`, `.deaths`, `.limit`), the sentence for people in its message.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_errors.py
"""

from __future__ import annotations

import pickle
import signal
from concurrent.futures import BrokenExecutor

from arion_lib.units import how_many


class SchedulerError(Exception):
    """Base of what the scheduler raises on its own behalf."""


class ShutDownError(SchedulerError, RuntimeError):
    """The scheduler takes no more tasks, or ended before this one did."""


class QueueFullError(SchedulerError):
    """`max_pending` tasks wait already, and the scheduler was told to refuse rather than to wait."""


class NotTransferableError(SchedulerError, TypeError, pickle.PicklingError):
    """A function, an argument, a result or an exception could not be brought to or from a worker."""


class DependencyFailedError(SchedulerError):
    """A task that this one needs did not succeed; that one's error is the `__cause__`."""

    def __init__(self, task: str, dependency: str) -> None:
        super().__init__(task, dependency)
        self.task, self.dependency = task, dependency

    def __str__(self) -> str:
        return f"task {self.task!r} was not run: it needs {self.dependency!r}, which did not succeed"


class TaskTimeoutError(SchedulerError, TimeoutError):
    """An attempt ran for more than `limit` seconds, or the task was not done `limit` seconds after its submission."""

    def __init__(self, task: str, limit: float, since: str = "start") -> None:
        super().__init__(task, limit, since)
        self.task, self.limit, self.since = task, limit, since

    def __str__(self) -> str:
        return f"task {self.task!r} did not end within {self.limit:g} s of its {self.since}"


class WorkerDiedError(SchedulerError, BrokenExecutor):
    """The worker process that ran the task ended: `exit_code` as `subprocess` gives it, None when nobody could tell."""

    def __init__(self, task: str, exit_code: int | None) -> None:
        super().__init__(task, exit_code)
        self.task, self.exit_code = task, exit_code

    @property
    def how(self) -> str:
        """What the exit code says, in words.

        >>> WorkerDiedError("resize", -11).how
        'was killed by SIGSEGV'
        >>> WorkerDiedError("resize", 3).how
        'exited with code 3'
        """
        if self.exit_code is None:
            return "ended"
        if self.exit_code >= 0:
            return f"exited with code {self.exit_code}"
        try:
            return f"was killed by {signal.Signals(-self.exit_code).name}"
        except ValueError:
            return f"was killed by signal {-self.exit_code}"

    def __str__(self) -> str:
        hint = "its code may have run in part; retries=1 runs such a task again (at-least-once)"
        return f"the worker that ran task {self.task!r} {self.how}; {hint}"


class MemoryLimitError(SchedulerError, MemoryError):
    """The worker process that ran the task had `bytes` of memory, more than `limit`, and was ended."""

    def __init__(self, task: str, limit: int, bytes: int) -> None:  # noqa: A002  (the word for it everywhere here)
        super().__init__(task, limit, bytes)
        self.task, self.limit, self.bytes = task, limit, bytes

    def __str__(self) -> str:
        return (
            f"task {self.task!r} was stopped: its worker process had {self.bytes / 1e6:,.0f} MB of memory, more than "
            f"memory_limit={self.limit / 1e6:,.0f} MB; let it hold less at once, or give its worker more"
        )


class StartError(SchedulerError, BrokenExecutor):
    """No worker process can be started: several in a row ended before they could run anything."""


class QuarantinedError(SchedulerError):
    """The task ended `deaths` workers, as many as one task may; it is not run again."""

    def __init__(self, task: str, deaths: int) -> None:
        super().__init__(task, deaths)
        self.task, self.deaths = task, deaths

    def __str__(self) -> str:
        return (
            f"task {self.task!r} is quarantined: {how_many(self.deaths, 'workers')} died while running it; "
            "task.history() tells when and how; raise poison_after only when the deaths are not its doing"
        )
