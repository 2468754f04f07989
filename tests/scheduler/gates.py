"""Places where tasks of any process stop until the test lets them through: states are reached, never slept for."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from arion_lib.scheduler import WorkerDiedError

PATIENCE = 100.0
"""Seconds after which something that must happen counts as not happening."""
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)
"""Ends a process on the spot; Windows has no SIGKILL, its SIGTERM is as abrupt."""
DEATH = KILL if sys.platform == "win32" else -KILL
"""The exit code of a process that was sent `KILL`."""
DIED = WorkerDiedError("", int(DEATH)).how
"""The same in words."""


class Gate:
    """Two named pipes: tasks that run `jobs.hold(gate.place)` write their process id to one and read from the other."""

    def __init__(self, place: Path) -> None:
        self.place = str(place)
        if not hasattr(os, "mkfifo"):
            pytest.skip("Windows has no named pipes in folders")
        for name in ("arrivals", "passes"):
            os.mkfifo(f"{place}.{name}")
        self._arrivals = os.open(f"{place}.arrivals", os.O_RDWR | os.O_NONBLOCK)
        self._passes = os.open(f"{place}.passes", os.O_RDWR)

    def arrived(self, count: int = 1) -> list[int]:
        """Wait until `count` more tasks have come; return the process ids of their workers."""
        data, deadline = b"", time.monotonic() + PATIENCE
        while len(data) < 8 * count:
            ready, _, _ = select.select([self._arrivals], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"only {len(data) // 8} of {count} tasks began within {PATIENCE:g} s"
            data += os.read(self._arrivals, 8 * count - len(data))
        return [int.from_bytes(data[at : at + 8], "little") for at in range(0, len(data), 8)]

    def nobody(self) -> bool:
        """Whether nobody has come since `arrived` was last asked."""
        return not select.select([self._arrivals], [], [], 0)[0]

    def open(self, count: int = 1) -> None:
        """Let `count` tasks through."""
        os.write(self._passes, b"\0" * count)

    def close(self) -> None:
        """Let through whoever still waits: they read the end of the pipe."""
        for fd in (self._arrivals, self._passes):
            os.close(fd)
        for name in ("arrivals", "passes"):
            Path(f"{self.place}.{name}").unlink()


def until(condition: Callable[[], object], what: str = "the condition") -> None:
    """Look again and again until a real condition holds; the last resort, where nothing tells of it."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come within {PATIENCE:g} s"
        time.sleep(0.002)
