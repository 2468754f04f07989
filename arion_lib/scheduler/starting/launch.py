"""Three ways to start a worker process, behind one seam: `start(number)` gives its pipes, its note and later its end.

Idea        forkserver: a zygote of our own, started afresh, forks the workers (3 to 4 ms each). fork: the same, but the
            zygote is forked from this process, so the workers share all it had loaded. spawn: each worker is a fresh
            interpreter (a tenth of a second, and the only way on Windows).
Invariant   No worker imports this program's main module: a script needs no `if __name__ == "__main__"`.
When wrong  A worker that could not be started is told as one that ended, with the exit code there is.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_endings.py
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import warnings
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from arion_lib.scheduler.processes.note import Note
from arion_lib.scheduler.processes.outputs import levels
from arion_lib.scheduler.processes.pipes import End, end_of, one_way
from arion_lib.scheduler.starting.forkserver import AUTHKEY

StartMethod = Literal["forkserver", "spawn", "fork"]
START_METHODS: tuple[StartMethod, ...] = ("spawn",) if sys.platform == "win32" else ("forkserver", "spawn", "fork")
LAUNCHERS = sys.platform == "win32"
"""Whether a virtual environment's `sys.executable` only launches the interpreter, which is then a child of its own."""


@dataclass(slots=True)
class Child:
    """A worker process as its starter knows it; `pid` is None until the zygote has told it."""

    number: int
    inbox: End
    """Where calls are written to."""
    outbox: End
    """Where results are read from."""
    note: Note
    pid: int | None = None
    ended: bool = False
    exit_code: int | None = None
    process: subprocess.Popen[bytes] | None = None
    watch: int | None = None
    """A descriptor that becomes readable when the process ends, where the system has such (Linux)."""
    kill_wanted: int | None = field(default=None)
    refused: int | None = None
    """Why the system gave no process, as an error number."""

    def signal(self, number: int) -> None:
        """Send a signal to the process; nothing happens when it has ended."""
        if self.ended:
            return
        if self.pid is None:  # the zygote has not told it yet: as soon as it does
            self.kill_wanted = number
            return
        with suppress(ProcessLookupError):
            if self.process is not None:
                self.process.send_signal(number)
            else:
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End the process at once, and what its tasks have started."""
        if sys.platform != "win32" and self.pid is not None and not self.ended:
            with suppress(ProcessLookupError, PermissionError):  # its group may not be made yet
                os.killpg(self.pid, signal.SIGKILL)
        self.signal(getattr(signal, "SIGKILL", signal.SIGTERM))

    def close_inbox(self) -> None:
        """Let the worker see the end of its inbox."""
        _OURS.discard(self.inbox.fileno())
        self.inbox.close()

    def close(self) -> None:
        """Give back the pipes and the memory."""
        for end in (self.inbox, self.outbox):
            _OURS.discard(end.fileno())
            end.close()
        self.note.close()
        if self.watch is not None:
            os.close(self.watch)
            self.watch = None


class Starter(Protocol):
    """Starts workers and learns of their ends. All its methods are called by the supervisor's thread."""

    def start(self, number: int) -> Child:
        """Start one; it may still be on its way when this returns."""

    def watched(self) -> int | None:
        """Return a descriptor that becomes readable when `ended` has something to tell, None where there is none."""

    def ended(self, children: Sequence[Child]) -> list[Child]:
        """Return those of the children that have ended since, their exit codes set; does not block."""

    def busy(self) -> int:
        """Return how many workers were ordered and are not there yet."""

    def close(self) -> None:
        """End what starts workers, whatever it does; workers that are left end with it."""

    def abandon(self) -> None:
        """Close what this process, a fork of the scheduler's, has inherited; end nothing."""


def starter(method: StartMethod, preload: Sequence[str]) -> Starter:
    """Return the starter for a start method. Raises `ValueError` for one that this system does not have."""
    if method not in START_METHODS:
        raise ValueError(f"start_method must be one of {', '.join(START_METHODS)} on this system, got {method!r}")
    return Spawner() if method == "spawn" else ZygoteStarter(preload, fresh=method == "forkserver")


_OURS: set[int] = set()
"""The supervisors' own descriptors in this process: a zygote that is forked from it must not hold them open."""


class ZygoteStarter:
    """Has a zygote fork the workers; replaces the zygote when it has died."""

    def __init__(self, preload: Sequence[str], *, fresh: bool) -> None:
        self._setup = json.dumps({"preload": list(preload), "levels": levels(), "tracker": _tracker()})
        self._fresh = fresh
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._pid = 0
        self._rest = b""
        self._reports: list[tuple[int, int, int, int]] = []
        self._orphans: set[int] = set()
        self._alive: set[int] = set()
        self._orders: deque[tuple[bytes, list[int]]] = deque()
        """What the zygote is still to be asked."""
        self._on_their_way: dict[int, list[int]] = {}
        """The descriptors sent with an order; macOS may lose them when the sender closes them before they arrive."""
        self._open()

    def start(self, number: int) -> Child:
        if self._control is None:
            self._open()
        child, theirs = _new_child(number)
        fds = [one if isinstance(one, int) else one.detach() for one in theirs if not isinstance(one, str)]
        _OURS.update(fds)
        self._on_their_way[number] = fds
        if sys.platform == "win32":
            raise NotImplementedError("Windows cannot fork")
        self._alive.add(number)
        self._orders.append((_order(number), fds))
        self._send_orders()
        return child

    def busy(self) -> int:
        return len(self._on_their_way)

    def _send_orders(self) -> None:
        """Send what the zygote has not been asked yet. One that is busy is asked again later: busy is not dead."""
        if sys.platform == "win32":
            raise NotImplementedError("Windows cannot fork")
        while self._orders and self._control is not None:
            order, fds = self._orders[0]
            try:
                socket.send_fds(self._control, [order], fds)
            except ConnectionError:  # it has just died: told as the end of these workers, too
                self._lose_zygote()
                return
            except OSError:  # full, or out of memory or descriptors for a moment
                return
            self._orders.popleft()

    def watched(self) -> int | None:
        return self._control.fileno() if self._control is not None else None

    def ended(self, children: Sequence[Child]) -> list[Child]:
        self._receive()
        self._send_orders()
        by_number = {child.number: child for child in children}
        found = []
        for kind, number, pid, exit_code in self._reports:
            self._arrived(number)
            child = by_number.get(number)
            if child is None:
                continue
            if kind == 3:
                self._alive.discard(number)
                child.ended, child.refused = True, exit_code
                found.append(child)
                continue
            child.pid = pid
            if kind == 2:
                self._alive.discard(number)
                child.ended, child.exit_code = True, exit_code
                found.append(child)
            elif child.kill_wanted is not None:
                child.signal(child.kill_wanted)
        self._reports.clear()
        for child in children:
            if child.number in self._orphans and not child.ended:
                child.kill()  # without a zygote nobody would tell its end; Linux has killed it already
                child.ended = True
                found.append(child)
        self._orphans.clear()
        return found

    def abandon(self) -> None:
        if self._control is not None:
            self._control.close()
        for number in list(self._on_their_way):
            self._arrived(number)

    def close(self) -> None:
        if self._control is not None:
            _OURS.discard(self._control.fileno())
            with suppress(OSError):  # a process forked meanwhile may hold a copy: end it for all who do
                self._control.shutdown(socket.SHUT_RDWR)
            self._control.close()
            self._control = None
        self._orders.clear()
        for number in list(self._on_their_way):
            self._arrived(number)
        self._reap()

    def _arrived(self, number: int) -> None:
        """Close our copies of a worker's descriptors: it has its own, or it will never need them."""
        for fd in self._on_their_way.pop(number, ()):
            _OURS.discard(fd)
            os.close(fd)

    def _open(self) -> None:
        ours, theirs = socket.socketpair()
        _OURS.add(ours.fileno())
        try:
            self._start_zygote(theirs)
        except OSError:
            _OURS.discard(ours.fileno())
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)
        self._control, self._rest = ours, b""

    def _start_zygote(self, theirs: socket.socket) -> None:
        if not self._fresh:
            self._pid = _fork_zygote(theirs, self._setup)
            return
        self._process = subprocess.Popen(
            [sys.executable, *_flags(), "-c", _program("zygote_main"), str(theirs.fileno()), self._setup],
            env=_environment(),
            pass_fds=[theirs.fileno(), *_inherited()],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _receive(self) -> None:
        from arion_lib.scheduler.starting.forkserver import REPORT

        while self._control is not None:
            try:
                data = self._control.recv(1 << 16)
            except BlockingIOError:
                break
            except ConnectionError:
                data = b""
            if not data:
                self._lose_zygote()
                return
            self._rest += data
            whole = len(self._rest) // REPORT.size * REPORT.size
            self._reports += REPORT.iter_unpack(self._rest[:whole])
            self._rest = self._rest[whole:]

    def _lose_zygote(self) -> None:
        log.warning("the process that forks the workers has ended; another one is started")
        self.close()
        self._orphans |= self._alive
        self._alive.clear()

    def _reap(self) -> None:
        """End the zygote, which may be in the middle of an import that never ends."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        if self._pid:
            with suppress(ChildProcessError, ProcessLookupError):
                os.kill(self._pid, getattr(signal, "SIGKILL", signal.SIGTERM))
                os.waitpid(self._pid, 0)
            self._pid = 0


class Spawner:
    """Starts each worker as a fresh interpreter."""

    def start(self, number: int) -> Child:
        child, theirs = _new_child(number)
        setup = json.dumps({"levels": levels(), "tracker": _tracker()})
        if sys.platform == "win32":
            child.process = _spawn_on_windows(theirs, setup)
        else:
            fds = _descriptors(theirs)
            program, environment = interpreter()
            try:
                child.process = subprocess.Popen(
                    [program, *_flags(), "-c", _program("worker_main"), *map(str, fds), setup],
                    env=environment,
                    pass_fds=[*fds, *_inherited()],
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                )
            except OSError:
                child.close()
                _close_raw(theirs)
                raise
        _close_raw(theirs)
        child.pid = child.process.pid
        if hasattr(os, "pidfd_open"):
            with suppress(OSError):  # without, its end is seen by its pipes
                child.watch = os.pidfd_open(child.pid)
        return child

    def watched(self) -> int | None:
        return None

    def busy(self) -> int:
        return 0

    def ended(self, children: Sequence[Child]) -> list[Child]:
        found = []
        for child in children:
            if not child.ended and child.process is not None and child.process.poll() is not None:
                child.ended, child.exit_code = True, child.process.returncode
                found.append(child)
        return found

    def close(self) -> None:
        """Nothing is left to end: the workers see the end of their inboxes."""

    def abandon(self) -> None:
        """Nothing is inherited."""


log = logging.getLogger(__name__)


def _order(number: int) -> bytes:
    from arion_lib.scheduler.starting.forkserver import ORDER

    return ORDER.pack(number)


def _new_child(number: int) -> tuple[Child, tuple[int | socket.socket | str, ...]]:
    """Make the pipes and the note; return our side, and the worker's three raw ends: inbox, outbox, note.

    Nothing stays open when one of them cannot be had.
    """
    made: list[int | socket.socket | str] = []
    try:
        made += one_way()
        made += one_way()
        their_inbox, our_inbox, our_outbox, their_outbox = (one for one in made if not isinstance(one, str))
        inbox, outbox = end_of(our_inbox, blocking=False), end_of(our_outbox, blocking=False)
        note, where = Note.create()
    except OSError:
        _close_raw(made)
        raise
    child = Child(number, inbox, outbox, note)
    _OURS.update((child.inbox.fileno(), child.outbox.fileno()))
    return child, (their_inbox, their_outbox, where)


def _descriptors(raw: Sequence[int | socket.socket | str]) -> list[int]:
    return [one.fileno() if isinstance(one, socket.socket) else int(one) for one in raw]


def _close_raw(raw: Sequence[int | socket.socket | str]) -> None:
    for one in raw:
        if isinstance(one, int):
            os.close(one)
        elif isinstance(one, socket.socket):
            one.close()


def interpreter() -> tuple[str, dict[str, str]]:
    """Return the program that is to be a worker, and its environment variables.

    It must be the interpreter itself and not its launcher: the sockets are shared with the process that was started,
    and its process id, its memory and its end must be the worker's. `multiprocessing` does the same on Windows.
    """
    environment = _environment()
    base = str(getattr(sys, "_base_executable", None) or sys.executable)
    if not LAUNCHERS or os.path.normcase(base) == os.path.normcase(sys.executable):
        return sys.executable, environment
    return base, {**environment, "__PYVENV_LAUNCHER__": sys.executable}


def _environment() -> dict[str, str]:
    """Return this process's variables; what a worker prints past `sys.stdout` is UTF-8 on Windows, too."""
    key = multiprocessing.current_process().authkey.hex()  # not an argument: those can be read by every user
    return {**os.environ, "PYTHONIOENCODING": os.environ.get("PYTHONIOENCODING") or "utf-8", AUTHKEY: key}


def _flags() -> list[str]:
    """Return this interpreter's options: warnings, `-X`, `-O` hold in the workers, too."""
    flags: list[str] = getattr(subprocess, "_args_from_interpreter_flags", list)()  # as multiprocessing does
    return flags


def _tracker() -> int:
    """Return the descriptor of multiprocessing's resource tracker, -1 where there is none.

    Workers that had one of their own would, at their end, destroy the shared memory that they only looked at.
    """
    if sys.platform == "win32":
        return -1
    from multiprocessing import resource_tracker

    tracker = getattr(resource_tracker._resource_tracker, "_fd", None)
    if tracker is None:
        try:
            tracker = resource_tracker.getfd()
        except OSError:  # the system gives no process now: the workers will have trackers of their own
            tracker = None
    return -1 if tracker is None else int(tracker)


def _inherited() -> list[int]:
    return [fd for fd in [_tracker()] if fd >= 0]


def _program(function: str) -> str:
    """Return the code that a fresh interpreter begins with: this one's sys.path, then the function."""
    begin = f"from arion_lib.scheduler.starting.mains import {function}; {function}()"
    return f"import sys; sys.path[:] = {sys.path!r}; {begin}"


def _fork_zygote(theirs: socket.socket, setup: str) -> int:
    if sys.platform == "win32":
        raise NotImplementedError("Windows cannot fork")
    from arion_lib.scheduler.starting.forkserver import be_zygote, keeping_the_tracker

    with warnings.catch_warnings(), keeping_the_tracker():
        # Python warns, rightly, that other threads' locks are copied locked. start_method="fork" asks for just that.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid:
        return pid
    try:
        for fd in _OURS:
            with suppress(OSError):
                os.close(fd)
        os.setsid()
        be_zygote(theirs, setup)
    finally:
        os._exit(70)


def _spawn_on_windows(theirs: Sequence[Any], setup: str) -> subprocess.Popen[bytes]:
    """Start a worker that gets duplicates of the two sockets by its standard input."""
    program, environment = interpreter()
    command = [program, *_flags(), "-c", _program("windows_worker_main"), setup]
    group = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)  # Ctrl-C is for the program that has us
    process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, creationflags=group)
    *ends, name = theirs
    shared = [end.share(process.pid).hex() for end in ends]
    if process.stdin is not None:
        process.stdin.write(json.dumps([*shared, name]).encode())
        process.stdin.close()
    return process
