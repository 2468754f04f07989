"""A fresh process that measures on order, and that may hang without taking the bench along.

Idea        Every pool lives in a process of its own that is told what to measure by a pipe; an answer that does not
            come in time is a result as well: it hangs.
Invariant   Closing ends the process and every descendant it left, also those whose parents are gone.
When wrong  `Hangs` when the time is up, `ChildFailedError` with the reason when the call raised or the process ended.
See         arion_lib/bench/lab.py · tests/bench/test_child.py
"""

from __future__ import annotations

import io
import logging
import multiprocessing
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any, Self

import psutil

from arion_lib.bench.verdicts import is_absent_peer


class Hangs(RuntimeError):
    """The answer did not come in time."""


class ChildFailedError(RuntimeError):
    """The call raised, or the process ended; `absent` says that only a package is missing."""

    def __init__(self, reason: str, absent: bool = False) -> None:
        super().__init__(reason)
        self.absent = absent


class Child:
    """One process: `with Child() as child: child.call(function, *arguments, limit=30.0)`.

    Functions must be importable. After `Hangs` it is of no further use.
    """

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._line, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,))
        self._process.start()
        theirs.close()
        self.pid: int = self.call(os.getpid, limit=60.0)  # it is up

    def call(self, function: Callable[..., Any], *arguments: Any, limit: float) -> Any:
        """Call a function in the process; wait `limit` seconds for what it returns."""
        try:
            self._line.send((function, arguments))
            if not self._line.poll(limit):
                raise Hangs(f"no answer within {limit:g} s")
            answer, absent, reason = self._line.recv()
        except (EOFError, ConnectionError):
            raise ChildFailedError("the measuring process ended") from None
        if reason:
            raise ChildFailedError(reason, absent)
        return answer

    @contextmanager
    def serving(self, role: Callable[[list[str]], object], args: list[str], limit: float) -> Iterator[str]:
        """Run `role(args)` while the block runs, and give the first word it prints: where it serves.

        It is asked to end (SIGTERM) and waited for. Raises `ChildFailedError` for a role that ends without a word.
        """
        said = self.call(_announced, role, args, limit=limit)
        if not isinstance(said, str):
            raise ChildFailedError(f"a server must say its URL, got its end ({said!r})")
        yield said
        os.kill(self.pid, signal.SIGTERM)
        self._line.poll(limit)

    def descendants(self) -> list[psutil.Process]:
        """Return the processes that it has started and that are alive, theirs included."""
        found = list(_of_session(self.pid))
        with suppress(psutil.NoSuchProcess):
            found += psutil.Process(self.pid).children(recursive=True)
        return [process for process in dict.fromkeys(found) if alive(process)]

    def close(self) -> None:
        """End the process and whatever it left behind."""
        left = self.descendants()
        self._process.kill()
        end(left)
        end(self.descendants())  # what was just being started
        self._process.join()
        self._process.close()
        self._line.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def alive(process: psutil.Process) -> bool:
    """Whether a process still runs; one that only waits for its parent to look at its end does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def end(processes: Iterable[psutil.Process]) -> None:
    """Kill processes and wait for their ends."""
    mine = list(processes)
    for process in mine:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(mine, timeout=5.0)


def _of_session(leader: int) -> Iterator[psutil.Process]:
    if sys.platform == "win32":
        return
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, PermissionError):
            if process.pid != leader and os.getsid(process.pid) == leader:
                yield process


# --- the other side ---

_lines: list[Connection] = []


def _serve(line: Connection) -> None:
    """Call what is asked for until the other side hangs up, then end without waiting for anybody."""
    _lines.append(line)
    if sys.platform != "win32":
        os.setsid()  # whatever is started from here on can be found again
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for noise in (1, 2):
        os.dup2(nowhere, noise)
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    with suppress(EOFError, ConnectionError):
        while True:
            function, arguments = line.recv()
            line.send(_answer(function, arguments))
    os._exit(0)


def _answer(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, bool, str]:
    try:
        return function(*arguments), False, ""
    except BaseException as error:  # noqa: BLE001  (a worker's boundary: whatever a pool raises is what it did)
        absent = isinstance(error, ModuleNotFoundError) and is_absent_peer(error)
        return None, absent, f"{type(error).__name__}: {error}"


class _Announcement(io.TextIOBase):
    """A standard output whose first word goes to the other side as an answer."""

    said = False

    def write(self, text: str) -> int:
        if not self.said and text.strip():
            _lines[0].send((text.split()[0], False, ""))
            self.said = True
        return len(text)


def _announced(role: Callable[[list[str]], object], args: list[str]) -> object:
    sys.stdout = _Announcement()
    return role(args)
