"""What worker processes use: CPU and memory, read when somebody looks.

Idea        psutil keeps, for each process, when it was last asked; so the objects are kept as long as the worker.
Invariant   Asking about a process that has ended is not an error.
When wrong  What cannot be told is None.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_scheduler.py
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import psutil

T = TypeVar("T")


class Usage:
    """CPU and memory of some processes by their ids."""

    def __init__(self) -> None:
        self._processes: dict[int, psutil.Process] = {}

    def cpu(self, pid: int | None) -> float | None:
        """Return percent of one core since this was last asked, 0.0 the first time."""
        process = self._process(pid)
        return None if process is None else self._ask(process.cpu_percent)

    def rss(self, pid: int | None) -> int | None:
        """Return the resident memory in bytes."""
        process = self._process(pid)
        return None if process is None else self._ask(lambda: int(process.memory_info().rss))

    def forget(self, pid: int | None) -> None:
        """Forget a process that has ended: its id may be another's soon."""
        if pid is not None:
            self._processes.pop(pid, None)

    def _process(self, pid: int | None) -> psutil.Process | None:
        import psutil

        if pid is None:
            return None
        if pid not in self._processes:
            try:
                self._processes[pid] = psutil.Process(pid)
            except (psutil.Error, OSError):  # OSError: no descriptor is free to read its figures with
                return None
        return self._processes[pid]

    @staticmethod
    def _ask(question: Callable[[], T]) -> T | None:
        import psutil

        try:
            return question()
        except (psutil.Error, OSError):
            return None
