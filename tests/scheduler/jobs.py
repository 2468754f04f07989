"""What the tests have run: functions that a worker can import.

Nothing heavy is imported at the top: each new worker imports this, and some tests kill ten workers a second.
"""

from __future__ import annotations

import contextvars
import itertools
import locale
import logging
import os
import re
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    import numpy as np

MARK: contextvars.ContextVar[str] = contextvars.ContextVar("MARK", default="unset")

REMEMBERED: list[tuple[Any, ...]] = []
"""What an initializer has left in this process."""


# --- values ---


def identity(value: Any) -> Any:
    return value


def add(*numbers: int) -> int:
    return sum(numbers)


def take_all(*args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return args, kwargs


def grow(values: list[int]) -> int:
    """Change what it was given: whoever shares it sees that."""
    values.append(0)
    return len(values)


def pid() -> int:
    return os.getpid()


def thread_name() -> str:
    return threading.current_thread().name


def total(array: np.ndarray[Any, Any]) -> float:
    return float(array.sum())


def zeros(size: int) -> np.ndarray[Any, Any]:
    import numpy as np  # here: a worker that needs no array is there sooner

    return np.zeros(size)


def first_item(array: np.ndarray[Any, Any]) -> float:
    return float(array[0])


def first_items(one: np.ndarray[Any, Any], two: Any) -> tuple[float, float]:
    return float(one[0]), float(two[0])


def bump(array: np.ndarray[Any, Any]) -> float:
    """Write into what it was given."""
    array += 1
    return float(array.sum())


def lock() -> Any:
    return threading.Lock()


def mark() -> str:
    return MARK.get()


def set_mark(value: str) -> str:
    before = MARK.get()
    MARK.set(value)
    return before


def say(text: str, error: str = "") -> None:
    print(text)  # noqa: T201
    if error:
        print(error, file=sys.stderr)  # noqa: T201


def log_something(text: str) -> None:
    logging.getLogger("tests.scheduler.jobs").warning("said: %s", text)


class Opaque:
    """An argument that cannot travel."""

    def __reduce__(self) -> NoReturn:
        raise TypeError("an Opaque stays where it is")


def opaque() -> Opaque:
    return Opaque()


class Stubborn:
    """A result that leaves the worker and cannot be had here."""

    def __init__(self, home: int) -> None:
        self.home = home

    def __reduce__(self) -> Any:
        return stubborn, (self.home,)


def stubborn(home: int) -> Stubborn:
    """Make one anywhere but in the process `home`."""
    if os.getpid() == home:
        raise RuntimeError("cannot be made here")
    return Stubborn(home)


# --- errors ---


class OddError(Exception):
    """An exception whose own pickling code loses an argument."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first)
        self.first, self.second = first, second


class RudeError(Exception):
    """An exception that cannot even be printed."""

    def __str__(self) -> str:
        raise RuntimeError("no")


class StrangerError(Exception):
    """An exception that can be unpickled anywhere but in the process `home`."""

    def __init__(self, home: int) -> None:
        self.home = home

    def __reduce__(self) -> Any:
        return stranger, (self.home,)


def stranger(home: int) -> StrangerError:
    if os.getpid() == home:
        raise RuntimeError("cannot be made here")
    return StrangerError(home)


def fail(message: str = "as told") -> NoReturn:
    raise ValueError(message)


def fail_from(message: str) -> NoReturn:
    try:
        raise_this(KeyError("the cause"))
    except KeyError as error:
        raise ValueError(message) from error


def raise_this(error: BaseException) -> NoReturn:
    raise error


def raise_odd() -> NoReturn:
    raise OddError("one", "two")


def raise_rude() -> NoReturn:
    raise RudeError


def raise_stranger(home: int) -> NoReturn:
    raise StrangerError(home)


def leave() -> NoReturn:
    sys.exit("not a way to end a worker")


# --- files as memory ---


def note(path: str, text: str) -> None:
    """Append a line, in one write: several processes may do so at once."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.write(fd, f"{text}\n".encode())
    finally:
        os.close(fd)


def noted(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def tally(path: str) -> None:
    """Remember that something was begun, in one system call: no interruption of a thread can leave a file open."""
    os.mkdir(f"{path}.{os.getpid()}.{time.monotonic_ns()}")  # noqa: PTH102  (a Path would take several calls)


def tallied(path: str) -> int:
    """Count how often a path was tallied."""
    folder, name = os.path.split(path)
    return sum(one.startswith(f"{name}.") for one in os.listdir(folder))  # noqa: PTH208  (one call, no iterator)


def note_pid(path: str, text: str) -> None:
    note(path, f"{os.getpid()} {text}")


def note_then(path: str, text: str, value: Any = None) -> Any:
    note(path, text)
    return value


def spin_quietly() -> NoReturn:
    while True:
        pass


def fail_times(path: str, times: int, value: Any = "at last") -> Any:
    """Fail the first `times` attempts."""
    note(path, str(os.getpid()))
    if len(noted(path)) <= times:
        raise ValueError(f"attempt {len(noted(path))}")
    return value


def die_times(path: str, times: int, value: Any = "at last") -> Any:
    """End the worker in the first `times` attempts."""
    note(path, str(os.getpid()))
    if len(noted(path)) <= times:
        os._exit(7)
    return value


# --- waiting and never ending ---


def hold(place: str, value: Any = None) -> Any:
    """Report the arrival at a gate, then wait until it lets one through (see gates.py)."""
    arrive(place)
    # A plain open would wait for ever where the gate is closed at this very moment: it waits for somebody who writes.
    passes = os.open(f"{place}.passes", os.O_RDONLY | os.O_NONBLOCK)
    try:
        os.set_blocking(passes, True)
        os.read(passes, 1)
    finally:
        os.close(passes)
    return value


def arrive(place: str) -> None:
    arrivals = os.open(f"{place}.arrivals", os.O_RDWR)  # for writing alone, it would wait for somebody who reads
    try:
        os.write(arrivals, os.getpid().to_bytes(8, "little"))
    finally:
        os.close(arrivals)


def pass_and_note(place: str, path: str, text: str, stop: int) -> None:
    """Note the process and a text, and before that stop at the gate if told to."""
    if stop:
        hold(place)
    note_pid(path, text)


def spin(place: str) -> NoReturn:
    """Never end, in Python."""
    arrive(place)
    while True:
        pass


def spin_and_clean(place: str, path: str) -> NoReturn:
    try:
        arrive(place)
        while True:
            pass
    finally:
        note(path, "cleaned")


def spin_and_clean_slowly(place: str, path: str) -> NoReturn:
    """Arrive a second time, and stay, in the clean-up."""
    try:
        arrive(place)
        while True:
            pass
    finally:
        hold(place)
        note(path, "cleaned")


def swallow(place: str) -> NoReturn:
    """Never end, and let no exception end it."""
    arrive(place)
    while True:
        try:
            while True:
                pass
        except BaseException:  # noqa: BLE001, S112
            continue


def catastrophe(place: str) -> Any:
    """Not end within a life time, in the regular expression engine."""
    arrive(place)
    return re.match(r"(a|aa)+$", "a" * 100 + "b")


def stuck_in_c(place: str) -> int:
    """Never end, in C code that holds the interpreter's lock and looks at no signal."""
    arrive(place)
    return sum(itertools.repeat(0))


def sleep_on(place: str) -> None:
    """Wait in a system call that releases the interpreter's lock."""
    arrive(place)
    time.sleep(3_600)


def nap(seconds: float, value: Any = None) -> Any:
    time.sleep(seconds)
    return value


# --- deaths ---


def die(code: int = 3) -> NoReturn:
    os._exit(code)


def die_by(number: int) -> NoReturn:
    os.kill(os.getpid(), number)
    signal.pause()
    raise AssertionError("survived")


def crash() -> None:
    """Read from address 0."""
    import ctypes
    import faulthandler

    faulthandler.disable()
    ctypes.string_at(0)


def do(kind: str, path: str, number: int, values: list[Any]) -> int:
    """Do what a node of a random graph is for; a tally tells how often it was begun."""
    tally(path)
    if kind == "raise":
        raise ValueError(number)
    if kind == "raise once" and tallied(path) == 1:
        raise ValueError(number)
    if kind == "die":
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
    if kind == "die once" and tallied(path) == 1:
        die()
    while kind == "spin":
        pass
    return number + sum(values)


def join(number: int, *needs: int) -> int:
    """Be one of many quick tasks of a graph, one in ten of which fails."""
    if number % 10 == 7:
        raise ValueError(number)
    return (number + sum(needs)) % 997


# --- on an event loop ---


async def later(value: Any) -> Any:
    import asyncio

    await asyncio.sleep(0)
    return value


async def never(place: str) -> None:
    import asyncio

    arrive(place)
    await asyncio.Event().wait()


async def loop_thread() -> str:
    import asyncio

    await asyncio.sleep(0)
    return threading.current_thread().name


async def async_mark() -> str:
    return MARK.get()


async def async_fail() -> NoReturn:
    import asyncio

    await asyncio.sleep(0)
    raise ValueError("from the loop")


def own_encoding() -> str:
    """Return how this process encodes what it prints past our streams."""
    return sys.__stdout__.encoding.lower() if sys.__stdout__ is not None else "none"


def encoding_of_files() -> str:
    """Return the encoding of a file that is opened without one."""
    return locale.getpreferredencoding(False).lower()
