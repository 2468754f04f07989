"""Two one-way streams between the supervisor and a worker: pipes, and loopback sockets where select knows no pipes.

Idea        Private to one worker, so that one worker's death can neither block nor garble another's; what a dead worker
            wrote stays readable, which is why a finished task's result is never lost with its worker.
Invariant   The supervisor's ends never block, the worker's always do; no end is inherited by a program started later.
When wrong  The other side's end reads as end-of-file, or as a `ConnectionError` for the writer: a pipe raises
            `BrokenPipeError`, a socket on Windows `ConnectionResetError` or `ConnectionAbortedError`.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_pipes.py
"""

from __future__ import annotations

import os
import socket
import stat
import sys
from collections.abc import Sequence
from contextlib import suppress

from arion_lib.scheduler.processes.frames import READ, Buffer

CAPACITY = 1 << 20
"""Bytes that a pipe should hold, where the system lets us say so: it is what a large array travels in at once."""
AT_ONCE = 64
"""Pieces handed to one system call; the least that systems promise is 16, all the known ones take 1,024."""
MOST_BYTES = 1 << 30
"""Bytes handed to one system call: macOS refuses 2 GiB and more with EINVAL, which would look like a dead worker."""


class PipeEnd:
    """One end of a pipe."""

    def __init__(self, fd: int, blocking: bool) -> None:
        self.fd = fd
        if not blocking:
            _not_blocking(fd)

    def fileno(self) -> int:
        return self.fd

    def read(self) -> bytes:
        """Return what is there, b"" at the end; raises `BlockingIOError` when nothing is."""
        return os.read(self.fd, READ)

    def read_into(self, room: memoryview) -> int:
        """Read straight to where the bytes belong; return how many, 0 at the end."""
        if sys.platform == "win32":
            raise NotImplementedError("Windows has no readv; workers are reached over sockets there")
        return os.readv(self.fd, [room[:MOST_BYTES]])

    def write(self, pieces: Sequence[Buffer]) -> int:
        """Write the beginning of the pieces; return how many bytes of them."""
        if len(pieces) == 1 or sys.platform == "win32":
            return os.write(self.fd, memoryview(pieces[0])[:MOST_BYTES])
        return os.writev(self.fd, within(pieces[:AT_ONCE], MOST_BYTES))

    def write_all(self, data: bytes) -> None:
        """Write one piece to the end; for a blocking end."""
        written = os.write(self.fd, data if len(data) <= MOST_BYTES else memoryview(data)[:MOST_BYTES])
        while written < len(data):
            written += os.write(self.fd, memoryview(data)[written : written + MOST_BYTES])

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class SocketEnd:
    """One end of a pair of connected sockets: Windows can wait for these only."""

    def __init__(self, end: socket.socket, blocking: bool) -> None:
        self.socket = end
        end.setblocking(blocking)
        if end.family != getattr(socket, "AF_UNIX", None):  # a small answer must not wait for an acknowledgement
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def fileno(self) -> int:
        return self.socket.fileno()

    def read(self) -> bytes:
        try:
            return self.socket.recv(READ)
        except ConnectionError:  # a killed process resets its connections: for the reader that is the end
            return b""

    def read_into(self, room: memoryview) -> int:
        try:
            return self.socket.recv_into(room[:MOST_BYTES])
        except ConnectionError:
            return 0

    def write(self, pieces: Sequence[Buffer]) -> int:
        return self.socket.send(memoryview(pieces[0])[:MOST_BYTES])

    def write_all(self, data: bytes) -> None:
        for at in range(0, len(data), MOST_BYTES):
            self.socket.sendall(memoryview(data)[at : at + MOST_BYTES])

    def close(self) -> None:
        self.socket.close()


End = PipeEnd | SocketEnd


def one_way() -> tuple[int | socket.socket, int | socket.socket]:
    """Return a stream's reading and writing end, raw, as they are given to a worker."""
    if sys.platform == "win32":
        return socket.socketpair()
    reading, writing = os.pipe()
    _enlarge(writing)
    return reading, writing


def end_of(raw: int | socket.socket, *, blocking: bool) -> End:
    """Wrap a raw end, or a descriptor that another process gave."""
    if isinstance(raw, int) and stat.S_ISSOCK(os.fstat(raw).st_mode):
        raw = socket.socket(fileno=raw)
    return PipeEnd(raw, blocking) if isinstance(raw, int) else SocketEnd(raw, blocking)


def write_all(end: End, pieces: Sequence[Buffer]) -> None:
    """Write everything to a blocking end."""
    left = list(pieces)
    while left:
        left = rest_of(left, end.write(left))


def rest_of(pieces: list[Buffer], written: int) -> list[Buffer]:
    """Return what remains of the pieces after their first `written` bytes.

    >>> rest_of([b"abc", b"de"], 4)
    [<memory at ...>]
    """
    for number, piece in enumerate(pieces):
        size = len(piece)
        if written < size:
            return [memoryview(piece)[written:], *pieces[number + 1 :]]
        written -= size
    return []


def within(pieces: Sequence[Buffer], size: int) -> list[Buffer]:
    """Return the first `size` bytes of the pieces.

    >>> within([b"abc", b"de"], 4)
    [b'abc', <memory at ...>]
    """
    found: list[Buffer] = []
    for piece in pieces:
        if len(piece) >= size:
            return [*found, memoryview(piece)[:size]]
        found.append(piece)
        size -= len(piece)
    return found


def _not_blocking(fd: int) -> None:
    if sys.platform == "win32":
        raise NotImplementedError("no pipe here can be read without blocking; workers are reached over sockets")
    os.set_blocking(fd, False)


def _enlarge(fd: int) -> None:
    if sys.platform == "linux":
        import fcntl

        with suppress(OSError):  # past the user's allowance it is refused
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, CAPACITY)
