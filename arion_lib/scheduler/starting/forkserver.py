"""A process with one thread that forks workers: a few milliseconds each, from a clean state.

Idea        Forking a program with threads copies locks that nobody will release. So a small process that never starts a
            thread and never runs a task is asked to fork instead, and tells how its children end.
Invariant   It outlives no supervisor: when its control socket ends, it kills its workers and goes.
When wrong  It dies: so do its workers (Linux sees to that), and the supervisor starts another one.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_endings.py
"""

from __future__ import annotations

import errno
import gc
import importlib
import json
import multiprocessing
import os
import selectors
import signal
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

from arion_lib.scheduler.processes.note import Note
from arion_lib.scheduler.processes.outputs import set_levels
from arion_lib.scheduler.processes.pipes import end_of
from arion_lib.scheduler.processes.worker import work

ORDER = struct.Struct("<Q")
"""What the supervisor sends: the number of the worker to fork; its three descriptors come along."""
REPORT = struct.Struct("<BQqq")
"""What comes back: STARTED or ENDED, the worker's number, its process id, its exit code (negative: the signal). REFUSED
says that the system gives no process now, and instead of the exit code why: an error number."""
STARTED, ENDED, REFUSED = 1, 2, 3
AUTHKEY = "ARION_MULTIPROCESSING_AUTHKEY"
"""The variable by which multiprocessing's key comes: managers of the program are reached with it."""


def be_zygote(control: socket.socket, setup: str) -> NoReturn:
    """Fork workers on demand until the other end of `control` is closed, then end this process."""
    if sys.platform == "win32":
        raise NotImplementedError("Windows cannot fork")
    _prepare(json.loads(setup))
    children: dict[int, int] = {}
    bell, ring = socket.socketpair()
    bell.setblocking(False)
    ring.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(ring.fileno(), warn_on_full_buffer=False)
    selector = selectors.DefaultSelector()
    selector.register(control, selectors.EVENT_READ)
    selector.register(bell, selectors.EVENT_READ)
    own = (control, bell, ring, selector)
    try:
        while True:
            for key, _ in selector.select():
                if key.fileobj is bell:
                    with suppress(BlockingIOError):
                        bell.recv(4096)
                elif not _fork_one(control, children, own):
                    return_code = 0
                    raise SystemExit(return_code)
            _report_ends(control, children)
    finally:
        for pid in children.values():
            kill_with_its_group(pid, signal.SIGKILL)
        for pid in children.values():
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)
        os._exit(0)


def _prepare(setup: dict[str, Any]) -> None:
    begin_anew()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent()
    adopt(setup)
    for name in setup["preload"]:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # what is here now is shared by all workers: their collectors need not touch, and so copy, it


def _order(control: socket.socket) -> tuple[bytes, list[int]]:
    """Return an order and the descriptors that came with it; less than a whole one when the supervisor is gone."""
    if sys.platform == "win32":
        return b"", []
    try:
        data, fds, _, _ = socket.recv_fds(control, ORDER.size, 3)
        while 0 < len(data) < ORDER.size and (rest := control.recv(ORDER.size - len(data))):
            data += rest  # it may come in pieces
    except ConnectionError:
        return b"", []
    return data, fds


def _fork_one(
    control: socket.socket,
    children: dict[int, int],
    own: tuple[socket.socket, socket.socket, socket.socket, selectors.BaseSelector],
) -> bool:
    """Take one order; False when the supervisor is gone."""
    if sys.platform == "win32":
        raise NotImplementedError("Windows cannot fork")
    data, fds = _order(control)
    if len(data) < ORDER.size:
        return False
    (number,) = ORDER.unpack(data)
    try:
        with keeping_the_tracker():
            pid, refused = (os.fork(), 0) if len(fds) == 3 else (-1, errno.EMFILE)  # fewer come when none is free here
    except OSError as error:
        pid, refused = -1, error.errno or errno.EAGAIN
    if refused:  # this worker cannot be; those that run must not end with this process
        for fd in fds:
            os.close(fd)
        control.sendall(REPORT.pack(REFUSED, number, 0, refused))
        return True
    inbox, outbox, note = fds
    if pid == 0:
        for one in own:
            one.close()
        children.clear()
        _be_worker(inbox, outbox, note)
    children[number] = pid
    for fd in fds:
        os.close(fd)
    control.sendall(REPORT.pack(STARTED, number, pid, 0))
    return True


def _be_worker(inbox: int, outbox: int, note: int) -> NoReturn:
    """Go on, in the forked process, as a worker."""
    if sys.platform == "win32":
        raise NotImplementedError("Windows cannot fork")
    os.setpgid(0, 0)  # what its tasks start is ended with it
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    die_with_parent()
    work(end_of(inbox, blocking=True), end_of(outbox, blocking=True), Note.attach(note))


def _report_ends(control: socket.socket, children: dict[int, int]) -> None:
    if sys.platform == "win32":
        raise NotImplementedError("Windows cannot fork")
    for number, pid in list(children.items()):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            del children[number]
            with suppress(ConnectionError):
                control.sendall(REPORT.pack(ENDED, number, pid, os.waitstatus_to_exitcode(status)))


def adopt(setup: dict[str, Any]) -> None:
    """Take over what the program and its workers share: levels of logging, multiprocessing's key and tracker."""
    set_levels(setup["levels"])
    key = os.environ.pop(AUTHKEY, "")
    if key:
        multiprocessing.current_process().authkey = bytes.fromhex(key)
    if setup["tracker"] >= 0 and sys.platform != "win32":
        from multiprocessing import resource_tracker

        resource_tracker._resource_tracker._fd = setup["tracker"]  # type: ignore[attr-defined]


@contextmanager
def keeping_the_tracker() -> Iterator[None]:
    """Let a process that is forked in the block keep multiprocessing's resource tracker.

    A Python of 2026 closes its descriptor in what `os.fork` makes, but for multiprocessing's own processes
    (https://github.com/python/cpython/issues/146313); the descriptor's number would then be taken for another file's.
    """
    from multiprocessing import resource_tracker

    intent = getattr(resource_tracker, "_fork_intent", None)
    if intent is None:
        yield
        return
    intent.preserve_fd = True
    try:
        yield
    finally:
        intent.preserve_fd = False


def begin_anew() -> None:
    """Undo what this process inherited from the program: blocked signals, and those that it ignores."""
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def kill_with_its_group(pid: int, number: int) -> None:
    """Send a signal to a worker and to what its tasks have started."""
    if sys.platform == "win32":
        raise NotImplementedError("Windows has no process groups of this kind")
    for kill in (os.killpg, os.kill):
        with suppress(ProcessLookupError, PermissionError):
            kill(pid, number)


def die_with_parent() -> None:
    """Have the system kill this process when the thread that started it ends; Linux only, elsewhere nothing."""
    if sys.platform == "linux":
        import ctypes

        set_death_signal = 1
        ctypes.CDLL(None, use_errno=True).prctl(set_death_signal, signal.SIGKILL, 0, 0, 0)
