"""What the tests on a Dask cluster have run: functions that a new worker can import in no time."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PATIENCE = 120.0


def until(condition: Callable[[], Any]) -> Any:
    """Wait for a condition; return what it came to."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.005)
    return found


def square(x: int) -> int:
    return x * x


def add(*values: int) -> int:
    return sum(values)


def fail(word: str) -> None:
    raise ValueError(word)


def spin() -> None:
    while True:
        pass


def backtrack() -> None:
    re.match(r"(a+)+$", "a" * 40 + "b")  # ages, in C, without a line of Python


def leave(code: int) -> None:
    os._exit(code)


def hold(gate: Path, value: Any = None) -> Any:
    """Return when the gate is there."""
    until(gate.exists)
    return value


def note(path: Path, word: str) -> None:
    with path.open("a") as file:
        file.write(word + "\n")


def fail_until(path: Path, times: int) -> int:
    note(path, "attempt")
    attempts = len(path.read_text().splitlines())
    if attempts < times:
        raise ConnectionError(f"attempt {attempts}")
    return attempts


async def double_in_loop(x: int) -> int:
    await asyncio.sleep(0)
    return 2 * x


def pid_when_open(gate: Path, log: Path) -> int:
    """Note the process; return it when the gate is there."""
    note(log, str(os.getpid()))
    until(gate.exists)
    return os.getpid()


def pid_to_the_end(gate: Path, log: Path) -> int:
    """The same, and note that it is over, also when it was stopped."""
    try:
        return pid_when_open(gate, log)
    finally:
        note(log, "over")


def leave_or_spin_once(folder: Path, number: int) -> int:
    """Return the number; the first time, 7 ends its process and 11 never returns."""
    mark = folder / {7: "left 7", 11: "spun 11"}.get(number, "nothing")
    if number in (7, 11) and not mark.exists():
        mark.touch()
        leave(3) if number == 7 else spin()
    return number
