"""What a process of ours is started with: the program, its options, its environment, the first line that it runs.

Idea        A worker should find what this process has: the same `sys.path`, warnings and `-X` options, the key of
            multiprocessing's managers and its resource tracker.
Invariant   The process that is started is the interpreter itself, not a launcher of it.
When wrong  Where the system gives no resource tracker, workers have trackers of their own. A start that fails half-way
            leaves no process.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_launch.py
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from typing import Any

from arion_lib.scheduler.starting.forkserver import AUTHKEY

LAUNCHERS = sys.platform == "win32"
"""Whether a virtual environment's `sys.executable` only launches the interpreter, which is then a child of its own."""


def interpreter() -> tuple[str, dict[str, str]]:
    """Return the program that is to be a worker, and its environment variables.

    It must be the interpreter itself and not its launcher: the sockets are shared with the process that was started,
    and its process id, its memory and its end must be the worker's. `multiprocessing` does the same on Windows.
    """
    variables = environment()
    base = str(getattr(sys, "_base_executable", None) or sys.executable)
    if not LAUNCHERS or os.path.normcase(base) == os.path.normcase(sys.executable):
        return sys.executable, variables
    return base, {**variables, "__PYVENV_LAUNCHER__": sys.executable}


def environment() -> dict[str, str]:
    """Return this process's variables; what a worker prints past `sys.stdout` is UTF-8 on Windows, too."""
    key = multiprocessing.current_process().authkey.hex()  # not an argument: those can be read by every user
    return {**os.environ, "PYTHONIOENCODING": os.environ.get("PYTHONIOENCODING") or "utf-8", AUTHKEY: key}


def flags() -> list[str]:
    """Return this interpreter's options: warnings, `-X`, `-O` hold in the workers, too."""
    flags: list[str] = getattr(subprocess, "_args_from_interpreter_flags", list)()  # as multiprocessing does
    return flags


def tracker() -> int:
    """Return the descriptor of multiprocessing's resource tracker, -1 where there is none.

    Workers that had one of their own would, at their end, destroy the shared memory that they only looked at.
    """
    if sys.platform == "win32":
        return -1
    from multiprocessing import resource_tracker

    found = getattr(resource_tracker._resource_tracker, "_fd", None)
    if found is None:
        try:
            found = resource_tracker.getfd()
        except OSError:  # the system gives no process now: the workers will have trackers of their own
            found = None
    return -1 if found is None else int(found)


def inherited() -> list[int]:
    """Return the descriptors that a worker has beside its own."""
    return [fd for fd in [tracker()] if fd >= 0]


def program_of(function: str) -> str:
    """Return the code that a fresh interpreter begins with: this one's sys.path, then the function."""
    begin = f"from arion_lib.scheduler.starting.mains import {function}; {function}()"
    return f"import sys; sys.path[:] = {sys.path!r}; {begin}"


class Process(subprocess.Popen[bytes]):
    """A process that has ended when its start fails, though it may run by then: how it began cannot be read, say."""

    def __init__(self, command: list[str], **options: Any) -> None:
        try:
            super().__init__(command, **options)
        except BaseException:
            if getattr(self, "pid", None) is not None and self.returncode is None:
                self.end()
            raise

    def end(self) -> None:
        """Kill it, and wait until it is gone."""
        self.kill()
        self.wait()
