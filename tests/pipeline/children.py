"""Real child processes that report line by line and are really killed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent


class Child:
    """A Python script of this folder, run in a fresh process; each line it prints is an event to wait for."""

    def __init__(self, script: str, *arguments: object) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / script), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def line(self) -> str:
        """Wait for the next line; fail when the process ended instead."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line.endswith("\n"), f"the child ended with code {self._process.wait()} after {line!r}"
        return line.rstrip("\n")

    def kill(self) -> list[str]:
        """Kill it (SIGKILL; TerminateProcess on Windows) and return the whole lines it printed before."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.kill()
        if self._process.stdout.closed:
            return []
        left = self._process.stdout.read()  # not communicate(): `line` may have read ahead
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()
        return [line.rstrip("\n") for line in left.splitlines(keepends=True) if line.endswith("\n")]


@contextmanager
def running(script: str, *arguments: object) -> Iterator[Child]:
    """Run a child and see to it that it is gone afterwards."""
    child = Child(script, *arguments)
    try:
        yield child
    finally:
        child.kill()
