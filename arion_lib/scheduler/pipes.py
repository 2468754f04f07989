"""Two one-way streams between the supervisor and a worker: pipes, and loopback sockets where select knows no pipes.

Idea        Private to one worker, so that one worker's death can neither block nor garble another's; what a dead worker
            wrote stays readable, which is why a finished task's result is never lost with its worker.
Invariant   The supervisor's ends never block, the worker's always do; no end is inherited by a program started later.
When wrong  The other side's end reads as end-of-file, or as `BrokenPipeError` for the writer.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_pipes.py
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence

from arion_lib.scheduler.frames import READ, Buffer

CAPACITY = 1 << 20
"""Bytes that a pipe should hold, where the system lets us say so: it is what a large array travels in at once."""
AT_ONCE = 64
"""Pieces handed to one system call; the least that systems promise is 16, all the known ones take 1,024."""


class PipeEnd:
    """One end of a pipe."""

    def __init__(self, fd: int, blocking: bool) -> None:
        self.fd = fd
        if not blocking:
            os.set_blocking(fd, False)

    def fileno(self) -> int:
        return self.fd

    def read(self) -> bytes:
        """Return what is there, b"" at the end; raises `BlockingIOError` when nothing is."""
        return os.read(self.fd, READ)

    def read_into(self, room: memoryview) -> int:
        """Read straight to where the bytes belong; return how many, 0 at the end."""
        return os.readv(self.fd, [room])

    def write(self, pieces: Sequence[Buffer]) -> int:
        """Write the beginning of the pieces; return how many bytes of them."""
        return os.writev(self.fd, pieces[:AT_ONCE]) if len(pieces) > 1 else os.write(self.fd, pieces[0])

    def write_all(self, data: bytes) -> None:
        """Write one piece to the end; for a blocking end."""
        written = os.write(self.fd, data)
        while written < len(data):
            written += os.write(self.fd, memoryview(data)[written:])

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class SocketEnd:
    """One end of a pair of connected sockets: Windows can wait for these only."""

    def __init__(self, end: socket.socket, blocking: bool) -> None:
        self.socket = end
        end.setblocking(blocking)

    def fileno(self) -> int:
        return self.socket.fileno()

    def read(self) -> bytes:
        try:
            return self.socket.recv(READ)
        except ConnectionError:  # a killed process resets its connections: for the reader that is the end
            return b""

    def read_into(self, room: memoryview) -> int:
        try:
            return self.socket.recv_into(room)
        except ConnectionError:
            return 0

    def write(self, pieces: Sequence[Buffer]) -> int:
        return self.socket.send(pieces[0])

    def write_all(self, data: bytes) -> None:
        self.socket.sendall(data)

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
    """Wrap a raw end."""
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


def _enlarge(fd: int) -> None:
    try:
        import fcntl

        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, CAPACITY)  # Linux only; past the user's allowance it is refused
    except (ImportError, AttributeError, OSError):
        return
