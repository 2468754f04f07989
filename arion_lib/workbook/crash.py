"""Run a function in a process of its own, to watch that process die.

Idea        A crash can only be shown by a real one: a fresh interpreter gets the function, and how it ended is a word.
Invariant   The child is gone when `in_child` returns, whatever it did; the caller lives.
When wrong  An exception in the child is the answer "raised", with its last line; one that hangs is killed.
See         notebooks/1_streaming_pipeline.ipynb · tests/workbook/test_crash.py
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable

import cloudpickle

_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # Windows has no SIGKILL; its SIGTERM ends a process as abruptly
_MAIN = """
import cloudpickle, sys
fn, args = cloudpickle.load(sys.stdin.buffer)
try:
    fn(*args)
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error}".splitlines()[0])
"""


def die() -> None:
    """End this process at once, as `kill -9` and a power cut do: no clean-up, no flush, no `finally`."""
    os.kill(os.getpid(), _KILL)


def in_child(fn: Callable[..., object], *args: object, timeout: float = 60.0) -> str:
    """Call `fn(*args)` in a fresh interpreter and return how that ended; functions made in a notebook cell work.

    Returns "returned", "killed", or "raised ..." with the exception. Costs the start of an interpreter. Past
    `timeout` seconds the child is killed and `subprocess.TimeoutExpired` is raised.

    >>> in_child(die), in_child(len, [1]), in_child(len)
    ('killed', 'returned', 'raised TypeError: len() takes exactly one argument (0 given)')
    """
    ended = subprocess.run(
        [sys.executable, "-c", _MAIN],
        input=cloudpickle.dumps((fn, args)),
        capture_output=True,
        timeout=timeout,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},  # what it says is decoded here, on Windows as well
    )
    if _was_killed(ended.returncode):
        return "killed"
    if ended.returncode == 0:
        return "returned"
    *_, said = ended.stderr.decode(errors="replace").strip().splitlines() or [f"SystemExit: {ended.returncode}"]
    return f"raised {said}"


def _was_killed(code: int, windows: bool = sys.platform == "win32") -> bool:
    """Whether an exit code is that of a process that did not end by itself.

    Windows knows no signals: there `os.kill` and `TerminateProcess` leave the number they were given (SIGTERM's, or
    SIGKILL's), a crash the status of its exception.

    >>> _was_killed(-9, windows=False), _was_killed(15, windows=True), _was_killed(0xC0000005, windows=True)
    (True, True, True)
    >>> _was_killed(3, windows=False), _was_killed(15, windows=False), _was_killed(1, windows=True)
    (False, False, False)
    """
    return code in (9, 15) or code >= 0xC0000000 if windows else code < 0
