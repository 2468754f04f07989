"""What a task prints and logs, brought to where it was submitted from.

Idea        In a worker, `sys.stdout`, `sys.stderr` and the root logger write to the supervisor, who passes it on to the
            notebook's own stream and to the logger of the same name.
Invariant   Whole lines, in the order they were written; all of a task's output is there before its result.
When wrong  A record that cannot be pickled travels as its formatted text. What C code writes to descriptor 1 or 2 goes
            where this process's own descriptors lead.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_outputs.py
"""

from __future__ import annotations

import codecs
import copy
import io
import logging
import os
import pickle
import sys
from collections.abc import Callable
from typing import Any


class Forwarded(io.TextIOBase):
    """A text stream whose lines are given to `send(stream, text)`; an unfinished line at `flush`."""

    def __init__(self, stream: str, send: Callable[[str, str], None]) -> None:
        self._stream, self._send = stream, send
        self.name, self.mode = f"<{stream}>", "w"
        self.buffer = _Bytes(self)
        self.line = ""
        """What was written since the last whole line."""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]
        return "replace"

    def fileno(self) -> int:
        """Return the process's own descriptor, for programs that a task starts: what they write goes where it leads."""
        return 1 if self._stream == "stdout" else 2

    def reconfigure(self, **_: object) -> None:
        """Take the settings of a `TextIOWrapper`: here each whole line is sent at once, as UTF-8."""

    def writable(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        whole, newline, rest = (self.line + text).rpartition("\n")
        self.line = rest
        if newline:
            self._send(self._stream, whole + newline)
        return len(text)

    def flush(self) -> None:
        line, self.line = self.line, ""
        if line:
            self._send(self._stream, line)


class _Bytes(io.BufferedIOBase):
    """What a text stream's `buffer` is: bytes of UTF-8, sent as the text that they are."""

    def __init__(self, text: Forwarded) -> None:
        self._text = text
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._text.fileno()

    def write(self, data: Any, /) -> int:
        whole = bytes(data)
        self._text.write(self._decoder.decode(whole))
        return len(whole)

    def flush(self) -> None:
        self._text.flush()


def forward_output(send: Callable[[str, str], None]) -> tuple[Forwarded, Forwarded]:
    """Replace this process's two text streams, and return them; a process forked from it gets the old ones back."""
    real = sys.stdout, sys.stderr
    ours = Forwarded("stdout", send), Forwarded("stderr", send)
    sys.stdout, sys.stderr = ours

    def restore() -> None:
        sys.stdout, sys.stderr = real

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=restore)
    return ours


class _Forwarder(logging.Handler):
    def __init__(self, send: Callable[[bytes], None]) -> None:
        super().__init__()
        self._send, self._pid = send, os.getpid()

    def emit(self, record: logging.LogRecord) -> None:
        if os.getpid() != self._pid:  # a process that the task forked: the pipe is not its own
            return
        self._send(_portable(record))


def _portable(record: logging.LogRecord) -> bytes:
    message = copy.copy(record)
    message.msg, message.args = record.getMessage(), None
    if record.exc_info:
        message.exc_text = logging.Formatter().formatException(record.exc_info)
        message.exc_info = None
    try:
        return pickle.dumps(message.__dict__, 5)
    except Exception:  # noqa: BLE001  (an extra field of any type: its text must do)
        return pickle.dumps({name: _simple(value) for name, value in message.__dict__.items()}, 5)


def _simple(value: object) -> object:
    return value if isinstance(value, (int, float, str, type(None))) else repr(value)


def levels() -> dict[str, int]:
    """Return the levels that this program has set on its loggers, by their names; "" is the root's."""
    named = {
        name: one.level
        for name, one in list(logging.root.manager.loggerDict.items())
        if isinstance(one, logging.Logger) and one.level != logging.NOTSET
    }
    return {"": logging.root.getEffectiveLevel(), **named}


def set_levels(found: dict[str, int]) -> None:
    """Set what `levels` returned in the program, in a worker: records that nobody wants need not travel."""
    for name, level in found.items():
        logging.getLogger(name).setLevel(level)


def forward_logging(send: Callable[[bytes], None]) -> None:
    """Let the root logger of this process give its records to `send`, and nothing else."""
    root = logging.getLogger()
    root.handlers[:] = [_Forwarder(send)]


def relay_record(data: bytes) -> None:
    """Handle here the record that a worker made."""
    record = logging.makeLogRecord(pickle.loads(data))
    logger = logging.getLogger(record.name)
    if logger.isEnabledFor(record.levelno):
        logger.handle(record)


def relay_text(stream: str, text: str) -> None:
    """Write here what a task printed."""
    target = sys.stdout if stream == "stdout" else sys.stderr
    if target is not None:
        target.write(text)
        target.flush()
