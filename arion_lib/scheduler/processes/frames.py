"""Messages on a byte stream: a length, a marshalled tuple, and large buffers behind it, never copied into it.

Idea        A frame is a header, its body, and any number of raw buffers; the parser is sans-IO, so that a worker's
            blocking pipe and the supervisor's non-blocking one share it.
Invariant   Frames come out whole and in the order they went in, however the stream was cut.
When wrong  A stream that ends inside a frame yields nothing of it: what a dying worker half wrote never counts.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_frames.py
"""

from __future__ import annotations

import marshal
import struct
from collections.abc import Sequence
from typing import Any, TypeAlias

Message: TypeAlias = tuple[Any, ...]
Buffer: TypeAlias = bytes | bytearray | memoryview

INITIALIZER = 0
"""In place of a function's number: what a worker calls, once, before anything else."""
HEADER = struct.Struct("<IQ")
SIZE = struct.Struct("<Q")
LARGE = 1 << 18
"""Bytes from which a body is read straight into its place."""
READ = 1 << 14
"""Bytes to ask for in one read."""
MARSHAL = 2
"""The version before object references: they would cost time, and let tasks share what must be theirs alone."""


def frame(message: Message, buffers: Sequence[Buffer] = ()) -> list[Buffer]:
    """Return the pieces to write, in order. `message` holds what marshal knows; `buffers` follow it untouched.

    >>> parser = FrameParser()
    >>> parser.feed(b"".join(frame((7, "done"), [b"raw"])))
    [(7, 'done', [bytearray(b'raw')])]
    """
    body = marshal.dumps(message, MARSHAL)
    if not buffers:
        return [HEADER.pack(0, len(body)) + body]
    sizes = b"".join(SIZE.pack(len(buffer)) for buffer in buffers)
    return [HEADER.pack(len(buffers), len(body)) + sizes + body, *buffers]


def small_frame(message: Message) -> bytes:
    """Return a message without buffers as one piece."""
    body = marshal.dumps(message, MARSHAL)
    return HEADER.pack(0, len(body)) + body


class FrameParser:
    """Cut a stream of bytes into messages. One that came with buffers has the list of them as its last element."""

    def __init__(self) -> None:
        self._rest = b""
        self._large: _Large | None = None

    def room(self) -> memoryview | None:
        """Return where the next bytes may be read to directly, or None: then read some and `feed` them."""
        return self._large.room() if self._large is not None else None

    def filled(self, size: int) -> list[Message]:
        """Say that `size` bytes were read into `room()`; return the message that this completed, if it did."""
        if self._large is None or not self._large.filled(size):
            return []
        message, self._large = self._large.message(), None
        return [message]

    def feed(self, data: bytes) -> list[Message]:
        """Take the next bytes; return the messages that they complete."""
        found: list[Message] = []
        while data and self._large is not None:
            room = self._large.room()
            taken = min(len(room), len(data))
            room[:taken] = data[:taken]
            found += self.filled(taken)
            data = data[taken:]
        if self._rest:
            data = self._rest + data
        at, end = 0, len(data)
        header, loads = HEADER.unpack_from, marshal.loads
        while end - at >= 12:
            count, size = header(data, at)
            if count or size >= LARGE:
                return found + self._begin_large(data[at:], count, size)
            stop = at + 12 + size
            if stop > end:
                break
            found.append(loads(data[at + 12 : stop]))
            at = stop
        self._rest = data[at:]
        return found

    def _begin_large(self, data: bytes, count: int, size: int) -> list[Message]:
        start = 12 + SIZE.size * count
        if len(data) < start:
            self._rest = data
            return []
        sizes = [SIZE.unpack_from(data, 12 + SIZE.size * number)[0] for number in range(count)]
        self._rest, self._large = b"", _Large([size, *sizes])
        return self.feed(data[start:])


class _Large:
    """The parts of one large frame, filled one after the other."""

    def __init__(self, sizes: list[int]) -> None:
        self._parts = [bytearray(size) for size in sizes]
        self._part, self._at = 0, 0

    def room(self) -> memoryview:
        return memoryview(self._parts[self._part])[self._at :]

    def filled(self, size: int) -> bool:
        """Move on; True when the last part is full."""
        self._at += size
        while self._part < len(self._parts) and self._at == len(self._parts[self._part]):
            self._part, self._at = self._part + 1, 0
        return self._part == len(self._parts)

    def message(self) -> Message:
        body, *buffers = self._parts
        message: Message = marshal.loads(body)
        return (*message, buffers) if buffers else message
