"""Ctrl-C and kill at any moment of the set-up: no process and no half-made folder stay.

Idea        A command runs in a process group of its own, so that what it started can be ended with it.
Invariant   Leaving `started` by an exception ends the whole group first; `alone` holds one set-up at a time.
When wrong  A killed set-up (-9) leaves the lock to its installer: the next set-up waits until that has ended.
See         README.md · tests/test_setup.py
"""

from __future__ import annotations

import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import FrameType

GRACE = 5.0
"""Seconds that an interrupted command gets before it is killed."""

HELD = (0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds between two tries to remove what Windows holds for a moment: virus scanners look, killed processes end."""

WAITING = "another set-up is at work here: waiting for it"
NOT_FOR_PIP = ("PYTHONWARNINGS", "PIP_DRY_RUN", "PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT")
"""Variables that would make pip's own warnings errors, or have it install nothing, or elsewhere."""

TERMINATIONS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


class SetupError(Exception):
    """The environment could not be made; the message says what to do."""


@contextmanager
def started(command: list[str], *, captured: bool) -> Iterator[subprocess.Popen[str]]:
    """Start a command; leave the block by an exception, Ctrl-C or SIGTERM, and all it started is ended first.

    With `captured`, both its streams come as text by `process.stdout`; otherwise they are this process's.
    """
    output = subprocess.PIPE if captured else None
    errors = subprocess.STDOUT if captured else None
    with _terminable(), _popen(command, output, errors) as process:
        try:
            yield process
        except BaseException:
            _end(process)
            raise


def _popen(command: list[str], output: int | None, errors: int | None) -> subprocess.Popen[str]:
    text = {"encoding": "utf-8", "errors": "replace"}  # what uv says; what pip says in UTF-8 mode, see `environment`
    variables = {name: value for name, value in os.environ.items() if name not in NOT_FOR_PIP}
    streams: dict[str, int | None] = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": errors}
    start = partial(subprocess.Popen[str], command, env=variables, **streams, **text)
    if sys.platform == "win32":
        return start(creationflags=subprocess.CREATE_NEW_PROCESS_GROUP)
    return start(process_group=0, close_fds=False)  # the set-up's lock goes with it: see `alone`


def ended(process: subprocess.Popen[str], step: float = 0.2) -> int:
    """Wait for a command and return its exit code; in steps of `step` seconds, for Windows hears Ctrl-C between two."""
    while True:
        try:
            return process.wait(step)
        except subprocess.TimeoutExpired:
            continue


def lines(process: subprocess.Popen[str], step: float = 0.2) -> Iterator[str]:
    """Yield what a captured command prints, line by line; in steps of `step` seconds, as `ended` waits.

    Another thread reads: a read hears no Ctrl-C on Windows until there is a line, which may be minutes.
    """
    said: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read() -> None:
        with suppress(ValueError):  # closed meanwhile: the command was ended
            for line in process.stdout or ():
                said.put(line)
        said.put(None)

    threading.Thread(target=read, name="set-up-reader", daemon=True).start()
    while True:
        with suppress(queue.Empty):
            line = said.get(timeout=step)
            if line is None:
                return
            yield line


def _end(process: subprocess.Popen[str]) -> None:
    """End a command and all it started: politely first."""
    if sys.platform == "win32":
        subprocess.run(["taskkill", "/T", "/F", "/PID", str(process.pid)], check=False, capture_output=True)
    else:
        for number in (signal.SIGTERM, signal.SIGKILL):  # killed even when it ended: what it started may not have
            # PermissionError: macOS's answer where all that is left of the group are zombies.
            with suppress(ProcessLookupError, PermissionError, subprocess.TimeoutExpired):
                os.killpg(process.pid, number)
                process.wait(timeout=GRACE)


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM and SIGHUP unwind like Ctrl-C does, instead of ending this process on the spot."""

    def unwind(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, unwind) for number in TERMINATIONS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def remove(folder: Path) -> None:
    """Remove a folder, whatever is pressed meanwhile.

    Raises:
        SetupError: when something holds it (Windows).
    """
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        shutil.rmtree(folder, ignore_errors=True)
        for pause in HELD:
            if folder.exists():
                time.sleep(pause)
                shutil.rmtree(folder, ignore_errors=True)
    finally:
        signal.signal(signal.SIGINT, before)
    if folder.exists():
        raise SetupError(f"{folder} must be removed, but something uses it: close what runs in it, remove it, repeat.")


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold the lock file for the block; wait for it where another process has it. What starts inside inherits it."""
    with path.open("a") as file:
        _lock(file.fileno())
        yield


def _lock(fd: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        locked_by_trying(lambda: msvcrt.locking(fd, msvcrt.LK_NBLCK, 1))  # LK_LOCK gives up after ten seconds
    else:
        import fcntl

        os.set_inheritable(fd, True)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(WAITING, file=sys.stderr, flush=True)
            fcntl.flock(fd, fcntl.LOCK_EX)


def locked_by_trying(take: Callable[[], None], step: float = 0.2) -> None:
    """Call `take` every `step` seconds until it no longer raises PermissionError, however long that takes."""
    said = False
    while True:
        try:
            return take()
        except PermissionError:
            if not said:
                print(WAITING, file=sys.stderr, flush=True)
            said = True
            time.sleep(step)
