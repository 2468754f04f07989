"""The program that runs in the fresh process: load, stand ready, run, report.

Idea        The parent keeps the clock and the eyes; this side only says where it stands.
Invariant   Between "ready" and "done" nothing runs here but the measured function.
When wrong  Any exception travels to the parent with its traceback; when the parent dies, this process dies too.
See         arion_lib/measure/fresh.py · tests/measure/test_fresh.py
"""

from __future__ import annotations

import gc
import io
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from arion_lib.measure.counter import Page, connect
from arion_lib.measure.rss import alive, high_water_mark, reset_high_water_mark

VALUE_LIMIT = 16 * 1024 * 1024
"""Bytes of a returned value that are sent back; more would cost the parent the memory that the child was to hold."""


@dataclass(frozen=True, slots=True)
class Job:
    """What the parent wants done. `payload` is a cloudpickled (fn, args)."""

    payload: bytes
    parent: int  # process id
    page: str = ""  # path of the counter


@dataclass(frozen=True, slots=True)
class Ready:
    """The function is loaded; the parent may take the baseline."""


@dataclass(frozen=True, slots=True)
class Done:
    """The function has ended. `peak` is the growth of the high-water mark in bytes, where the system tells it."""

    seconds: float
    peak: int | None
    count: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of it: a pickled value, or why it could not be sent, or a pickled exception and its traceback."""

    value: bytes | None = None
    lost: str = ""
    error: bytes | None = None
    traceback: str = ""


def main() -> None:
    """Serve one job: read it from the standard input, report on what was the standard output."""
    inbox, outbox = _channels()
    with inbox, outbox:
        job: Job = pickle.load(inbox)
        _die_with(job.parent)
        try:
            outcome = _measured(job, inbox, outbox)
        except BaseException as error:  # noqa: BLE001  any exception of the user's code is raised again in the parent
            outcome = _failure(error)
        _send(outbox, outcome)
        inbox.read()  # the parent closes its end when it has read everything


def _measured(job: Job, inbox: BinaryIO, outbox: BinaryIO) -> Outcome:
    fn, args = pickle.loads(job.payload)
    page = Page(Path(job.page))
    connect(page)
    gc.collect()
    _send(outbox, Ready())
    inbox.read(1)  # the parent has taken the baseline
    try:
        value, done = _timed(fn, args, page)
    except BaseException as error:  # noqa: BLE001  sent to the parent, which raises it
        connect(None)
        return _failure(error)
    connect(None)
    sys.stdout.flush()  # what it printed comes before what it returned
    _send(outbox, done)
    return _success(value)


def _timed(fn: Callable[..., object], args: tuple[object, ...], page: Page) -> tuple[object, Done]:
    before = reset_high_water_mark()
    start = time.perf_counter()
    value = fn(*args)
    seconds = time.perf_counter() - start
    after = high_water_mark()
    peak = None if before is None or after is None else after - before
    return value, Done(seconds, peak, page.read())


def _success(value: object) -> Outcome:
    import cloudpickle

    buffer = _Bounded()
    try:
        cloudpickle.dump(value, buffer)
    except _TooLargeError:
        return Outcome(lost=f"it takes more than {VALUE_LIMIT:,} bytes; return a summary, such as its length")
    except Exception as error:  # noqa: BLE001  a value that does not pickle must not cost the measurement
        return Outcome(lost=f"it does not pickle ({error}); return plain data")
    return Outcome(value=buffer.getvalue())


def _failure(error: BaseException) -> Outcome:
    import cloudpickle

    text = "".join(traceback.format_exception(error.with_traceback(_users_part(error.__traceback__))))
    try:
        return Outcome(error=cloudpickle.dumps(error), traceback=text)
    except Exception:  # noqa: BLE001  an exception that does not pickle is told by its text
        return Outcome(lost=f"{type(error).__name__}: {error}", traceback=text)


def _users_part(trace: TracebackType | None) -> TracebackType | None:
    """Leave out the frames of this file."""
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    return trace


class _TooLargeError(Exception):
    pass


class _Bounded(io.BytesIO):
    def write(self, data: Any, /) -> int:
        if self.tell() + len(memoryview(data).cast("B")) > VALUE_LIMIT:
            raise _TooLargeError
        return super().write(data)


def _channels() -> tuple[BinaryIO, BinaryIO]:
    """Keep the two pipes to ourselves; the function prints where our parent does, and reads nothing.

    On Windows, where no further descriptor is inherited, what it prints goes to the standard error.
    """
    inbox, outbox = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    printed = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    os.dup2(printed, 1)
    if printed > 2:
        os.close(printed)
    return inbox, outbox


def _send(outbox: BinaryIO, message: object) -> None:
    pickle.dump(message, outbox)
    outbox.flush()


def _die_with(parent: int) -> None:
    """End this process when the parent ends without having said so (a killed or restarted notebook kernel)."""
    if sys.platform == "linux":
        import ctypes

        # A thread that waits would do, but Python 3.12 warns of fork() in a process with threads: ask the kernel.
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os._exit(1)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while alive(parent):
        time.sleep(1)
    os._exit(1)
