"""What a process holds open: threads, child processes, file descriptors; and what it forgot to give back."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker
from pathlib import Path

import psutil

PATIENCE = 30.0
"""Seconds in all that something already ending gets to end: a busy machine lets a thread wait for some."""


@dataclass(frozen=True)
class Snapshot:
    """The threads, child processes and descriptors of this process at one moment."""

    threads: frozenset[threading.Thread]
    children: frozenset[psutil.Process]
    descriptors: dict[int, str]

    @classmethod
    def take(cls) -> Snapshot:
        """Look now. multiprocessing's resource tracker lives as long as this process: start it before."""
        if sys.platform != "win32":
            resource_tracker.ensure_running()
        if sys.platform == "linux" and sys.version_info >= (3, 14):  # the default start method's server, likewise
            forkserver.ensure_running()
        gc.collect()
        gc.freeze()  # what stands now is not looked through again: a collection costs 0.01 s instead of 0.4
        return cls(frozenset(_threads()), frozenset(_children()), _descriptors())

    def leaked(self) -> list[str]:
        """Describe what is there now and was not then; wait for what is just ending, `PATIENCE` seconds at most."""
        deadline = time.monotonic() + PATIENCE
        threads = self._leaked_threads(deadline)
        children = self.leaked_children(deadline)
        return threads + children + self._leaked_descriptors(deadline)

    def leaked_children(self, deadline: float | None = None) -> list[str]:
        """Describe the child processes (theirs too) that are there now and were not then."""
        new = [child for child in _children() if child not in self.children]
        timeout = PATIENCE if deadline is None else max(0.0, deadline - time.monotonic())
        _, alive = psutil.wait_procs(new, timeout=timeout)
        return [f"process {child.pid}: {_command(child)}" for child in alive]

    def _leaked_threads(self, deadline: float) -> list[str]:
        new = [thread for thread in _threads() if thread not in self.threads]
        for thread in new:
            thread.join(max(0.0, deadline - time.monotonic()))
        return [f"thread {thread.name!r}" for thread in new if thread.is_alive()]

    def _leaked_descriptors(self, deadline: float) -> list[str]:
        gc.collect()  # a file in a reference cycle is closed by the collector, not left open
        while (new := self._new_descriptors()) and time.monotonic() < deadline:
            time.sleep(0.05)  # a thread of the library that opened it may be about to close it
            gc.collect()
        return new

    def _new_descriptors(self) -> list[str]:
        return [
            f"descriptor {fd}: {target}" for fd, target in _descriptors().items() if self.descriptors.get(fd) != target
        ]


def _threads() -> list[threading.Thread]:
    # tqdm's monitor and dask's thread for serialising are one for the whole process and never end: no test leaks them.
    found = (thread for thread in threading.enumerate() if type(thread).__name__ != "TMonitor")
    return [thread for thread in found if not thread.name.startswith("Dask-Offload")]


def _children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children(recursive=True) if _alive(child)]


def _alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return process.name() if process.is_running() else "(just ended)"


def _descriptors() -> dict[int, str]:
    """Map each open descriptor to what it is open on; nothing on Windows, which has handles instead."""
    if sys.platform == "win32":
        return {}
    found = {}
    for name in os.listdir("/dev/fd"):  # noqa: PTH208  (a Path would stat each entry)
        try:
            found[int(name)] = _target(int(name))
        except OSError:
            continue  # the descriptor that listed the folder itself
    return found


def _target(fd: int) -> str:
    link = Path(f"/proc/self/fd/{fd}")
    if link.parent.exists():
        return str(link.readlink())
    status = os.fstat(fd)
    return f"device {status.st_dev}, inode {status.st_ino}"
