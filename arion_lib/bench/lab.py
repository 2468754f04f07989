"""Contenders that live in processes of their own: rounds in turns, and a time limit for each turn.

Idea        A machine's speed drifts, a ratio within one round does not: every round runs all contenders, each round
            starts with another one. Each lives in a fresh process that is told what to measure by a pipe.
Invariant   While one contender is measured no other has a pool open. Closing ends the process and every descendant it
            left, also those whose parents are gone.
When wrong  "hangs" is an answer that did not come within `limit` seconds; what else went wrong stands in its own words.
            A contender that hangs or fails drops out; its row says so.
See         arion_lib/bench/scheduler (its contenders) · tests/bench/test_lab.py
"""

from __future__ import annotations

import io
import logging
import multiprocessing
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Self

import psutil

from arion_lib.bench.compare import in_turns
from arion_lib.bench.ratios import Runs
from arion_lib.bench.verdicts import ABSENT, is_absent_peer


@dataclass(frozen=True, slots=True)
class Lab:
    """What to measure against whom, and how much of it.

    `size` is the share of the full number of tasks; `rounds` are interleaved; `peers` are the contenders beside ours;
    `grace` is the scheduler's own, in seconds; `limit` is how many seconds one turn may take.
    """

    rounds: int = 5
    size: float = 1.0
    peers: tuple[str, ...] = ()
    grace: float = 0.1
    limit: float = 150.0

    def tasks(self, full: int, least: int = 10) -> int:
        """Return how many of something to take at this size.

        >>> Lab(size=0.1).tasks(1_000), Lab(size=0.001).tasks(1_000)
        (100, 10)
        """
        return max(least, round(full * self.size))

    def present(self, *names: str) -> list[str]:
        """Return ours and those of the named peers that were asked for.

        >>> Lab(peers=("PPE",)).present("PPE", "dask")
        ['ours', 'PPE']
        """
        return ["ours", *(name for name in names if name in self.peers)]

    def turns(self, job: Callable[..., float], arguments: Mapping[str, tuple[Any, ...]]) -> dict[str, Runs]:
        """Return what `job(*arguments[contender])` returned in each contender's process, once in each round."""
        found: dict[str, list[float]] = {name: [] for name in arguments}
        out: dict[str, str] = {}
        children: dict[str, Child] = {}
        with ExitStack() as stack:
            for name in in_turns(list(arguments), self.rounds):
                if name in out:
                    continue
                if name not in children:
                    children[name] = stack.enter_context(Child())
                value = asked(children[name], job, arguments[name], self.limit)
                if isinstance(value, str):
                    out[name] = value
                else:
                    found[name].append(value)
        return {**found, **out}

    def once(self, job: Callable[..., Any], *arguments: Any, limit: float | None = None) -> Any:
        """Call a job in a fresh process; return what it returned, or in a word why it did not."""
        with Child() as child:
            return asked(child, job, arguments, limit or self.limit)


def asked(child: Child, job: Callable[..., Any], arguments: tuple[Any, ...], limit: float) -> Any:
    """Return a job's answer, or a word in its place."""
    try:
        return child.call(job, *arguments, limit=limit)
    except Hangs:
        return f"hangs (no answer in {limit:g} s)"
    except ChildFailedError as error:
        return ABSENT if error.absent else str(error)[:90]


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
