"""What the contenders are given to do: nothing, a little, for ever, once too often.

Idea        Plain functions in a module that every worker can import: nobody's way of pickling functions is measured.
Invariant   Each returns something that tells whether it was really run, with its own argument.
When wrong  Those that run for ever, or kill their process, say so in their first line.
See         arion_lib/bench/scheduler/pools.py · tests/bench/test_scheduler.py
"""

from __future__ import annotations

import itertools
import os
import signal
import time
from pathlib import Path
from typing import Any

KILL = getattr(signal, "SIGKILL", signal.SIGTERM)
"""Ends a process on the spot; Windows has no SIGKILL, its SIGTERM is as abrupt."""
BEGINNING = 20.0
"""Seconds to wait for another process to begin what it was given."""


def nothing(number: int) -> int:
    return number


def same(value: Any) -> Any:
    return value


def add(a: int, b: int) -> int:
    return a + b


def successor(number: int) -> int:
    return number + 1


def total(numbers: list[int]) -> int:
    return sum(numbers)


def now() -> float:
    """Return the clock that all processes of a machine share."""
    return time.monotonic()


def work(number: int, loops: int) -> int:
    """Be busy for a number of loops; return the square of the first argument."""
    for _ in range(loops):
        pass
    return number * number


def share(count: int, loops: int) -> int:
    """Do many pieces of work, one after the other, in one call; return how many."""
    for number in range(count):
        work(number, loops)
    return count


def nap(number: int, seconds: float) -> int:
    """Wait; return the square of the first argument."""
    time.sleep(seconds)
    return number * number


def block(path: str) -> None:
    """Note the start in a file, then wait for ever."""
    note(path)
    while True:
        time.sleep(3600)


def spin(path: str) -> None:
    """Note the start in a file, then loop for ever, in Python."""
    note(path)
    while True:
        pass


def spin_in_c(path: str) -> None:
    """Note the start in a file, then loop for ever inside one call of C code, which never lets go of the GIL."""
    note(path)
    sum(itertools.repeat(0))


def stay_once(path: str) -> tuple[int, float]:
    """Wait for ever when run for the first time; afterwards return the process and the clock at its start."""
    began = now()
    if not Path(path).exists():
        block(path)
    return os.getpid(), began


def die(path: str) -> None:
    """Add a line to a file, then kill this process."""
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(f"{os.getpid()}\n")
    os.kill(os.getpid(), KILL)


def meet(folder: str, number: int, count: int) -> None:
    """Wait until `count` calls of this have begun, each with a number of its own."""
    note(str(Path(folder) / str(number)))
    deadline = now() + BEGINNING
    while len(os.listdir(folder)) < count and now() < deadline:  # noqa: PTH208  (a name each, no stat)
        time.sleep(0.001)


def note(path: str) -> None:
    """Write this process's id and the clock to a file that appears with all of it at once."""
    half = f"{path}.{os.getpid()}"
    Path(half).write_text(f"{os.getpid()} {now()!r}", encoding="utf-8")
    os.replace(half, path)  # noqa: PTH105  (both are strings)


def noted(path: str) -> tuple[int, float]:
    """Wait for what `note` wrote; return it. Raises `TimeoutError`."""
    deadline = now() + BEGINNING
    while True:
        try:
            pid, when = Path(path).read_text(encoding="utf-8").split()
        except FileNotFoundError:
            if now() > deadline:
                raise TimeoutError(f"the task did not begin within {BEGINNING:g} s") from None
            time.sleep(0.0005)
            continue
        return int(pid), float(when)


def loops_for(seconds: float) -> int:
    """Return how many loops of `work` keep an undisturbed core busy for so long."""
    tried = 20_000

    def once() -> float:
        began = time.perf_counter()
        work(0, tried)
        return time.perf_counter() - began

    return max(1, int(tried * seconds / min(once() for _ in range(15))))
