"""Workers from a fork server: a process of one thread, the zygote, forks them on demand.

Idea        Orders go down a socket with the worker's descriptors, reports come back. "forkserver": the zygote is a
            fresh process; "fork": it is forked from this one, so the workers share all that it had loaded.
Invariant   A descriptor stays open here until the worker says that it has it.
When wrong  A zygote that is busy is asked again later; one that has died is replaced, its workers are told as ended.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_launch.py · tests/scheduler/test_exhaustion.py
"""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import warnings
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

from arion_lib.scheduler.processes.outputs import levels
from arion_lib.scheduler.starting.child import OURS, Child, new_child
from arion_lib.scheduler.starting.forkserver import ENDED, ORDER, REFUSED, REPORT, be_zygote, keeping_the_tracker
from arion_lib.scheduler.starting.interpreter import Process, environment, flags, inherited, program_of, tracker

log = logging.getLogger(__name__)


class ZygoteStarter:
    """Has a zygote fork the workers; replaces the zygote when it has died."""

    def __init__(self, preload: Sequence[str], *, fresh: bool) -> None:
        self._setup = json.dumps({"preload": list(preload), "levels": levels(), "tracker": tracker()})
        self._fresh = fresh
        self._control: socket.socket | None = None
        self._process: Process | None = None
        self._pid = 0
        self._rest = b""
        self._reports: list[tuple[int, int, int, int]] = []
        self._orphans: set[int] = set()
        self._alive: set[int] = set()
        self._orders: deque[tuple[bytes, list[int]]] = deque()
        """What the zygote is still to be asked."""
        self.coming: dict[int, list[int]] = {}
        """The descriptors sent with an order; macOS may lose them when the sender closes them before they arrive."""
        self._open()

    def start(self, number: int) -> Child:
        if self._control is None:
            self._open()
        child, theirs = new_child(number)
        fds = [one if isinstance(one, int) else one.detach() for one in theirs if not isinstance(one, str)]
        OURS.update(fds)
        self.coming[number] = fds
        if sys.platform == "win32":
            raise NotImplementedError("Windows cannot fork")
        self._alive.add(number)
        self._orders.append((ORDER.pack(number), fds))
        self._send_orders()
        return child

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
            if kind == REFUSED:
                self._alive.discard(number)
                child.ended, child.refused = True, exit_code
                found.append(child)
                continue
            child.pid = pid
            if kind == ENDED:
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
        for number in list(self.coming):
            self._arrived(number)

    def close(self) -> None:
        if self._control is not None:
            OURS.discard(self._control.fileno())
            with suppress(OSError):  # a process forked meanwhile may hold a copy: end it for all who do
                self._control.shutdown(socket.SHUT_RDWR)
            self._control.close()
            self._control = None
        self._orders.clear()
        for number in list(self.coming):
            self._arrived(number)
        self._reap()

    def _arrived(self, number: int) -> None:
        """Close our copies of a worker's descriptors: it has its own, or it will never need them."""
        for fd in self.coming.pop(number, ()):
            OURS.discard(fd)
            os.close(fd)

    def _open(self) -> None:
        ours, theirs = socket.socketpair()
        OURS.add(ours.fileno())
        try:
            self._start_zygote(theirs)
        except OSError:
            OURS.discard(ours.fileno())
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
        self._process = Process(
            [sys.executable, *flags(), "-c", program_of("zygote_main"), str(theirs.fileno()), self._setup],
            env=environment(),
            pass_fds=[theirs.fileno(), *inherited()],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _receive(self) -> None:
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
            self._process.end()
            self._process = None
        if self._pid:
            with suppress(ChildProcessError, ProcessLookupError):
                os.kill(self._pid, getattr(signal, "SIGKILL", signal.SIGTERM))
                os.waitpid(self._pid, 0)
            self._pid = 0


def _fork_zygote(theirs: socket.socket, setup: str) -> int:
    if sys.platform == "win32":
        raise NotImplementedError("Windows cannot fork")
    # Python warns, rightly, that other threads' locks are copied locked. start_method="fork" asks for just that. Not by
    # `catch_warnings`: two threads in it at once leave the whole process with the filters of one of them.
    warnings.filterwarnings("ignore", category=DeprecationWarning, module=re.escape(__name__) + "$")
    with keeping_the_tracker():
        pid = os.fork()
    if pid:
        return pid
    try:
        for fd in OURS:
            with suppress(OSError):
                os.close(fd)
        os.setsid()
        be_zygote(theirs, setup)
    finally:
        os._exit(70)
