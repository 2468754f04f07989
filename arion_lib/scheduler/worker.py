"""A worker process: take calls from a pipe, run them one after the other, write each result at once.

Idea        Each result is in the pipe before the next call begins, so a death costs the call that was running and no
            other; the note says which one that was.
Invariant   At most one call runs at a time, and none whose number has been revoked.
When wrong  Whatever a call raises, `SystemExit` included, is its result. A supervisor that is gone ends the worker.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_worker.py
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import Context
from typing import Any, NoReturn

from arion_lib.scheduler.context import context_of
from arion_lib.scheduler.failures import TaskInterrupted, pack_failure
from arion_lib.scheduler.frames import FrameParser, Message, frame
from arion_lib.scheduler.messages import (
    NO_CALL,
    FAILED,
    INTERRUPTED,
    LOGGED,
    PRINTED,
    RETURNED,
    RETURNED_PACKED,
    SKIPPED,
)
from arion_lib.scheduler.note import INTERRUPT, REVOKED_AFTER, REVOKED_TO, SINCE, STARTED, Note
from arion_lib.scheduler.outputs import forward_logging, forward_output
from arion_lib.scheduler.pipes import End, write_all
from arion_lib.scheduler.values import ATOMS, Encoded, Packed, decode, encode

INTERRUPTION = getattr(signal, "SIGUSR1", None)
"""The signal that interrupts a call; Windows has none, there the worker is ended at once."""


class Worker:
    """The child's side. `serve()` returns when the supervisor has closed its end."""

    def __init__(self, inbox: End, outbox: End, note: Note) -> None:
        self._inbox, self._outbox, self._words = inbox, outbox, note.words
        self._functions: dict[int, Callable[..., Any]] = {}
        self._running = 0
        """The number of the call whose code runs now: an interruption meant for it may be raised into it."""
        self._writing, self._struck = 0, False
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def serve(self) -> None:
        """Run what comes until the supervisor closes the inbox."""
        if INTERRUPTION is not None:
            signal.signal(INTERRUPTION, self._interrupt)
        forward_output(self._print)
        forward_logging(self._log)
        for message in self._messages():
            first, forget, functions, calls, *rest = message
            if forget:
                self._functions.clear()
            for number, function, context in functions:
                self._functions[number] = _prepare(function, context)
            self._run_all(first, calls, iter(rest[0] if rest else ()))

    def _messages(self) -> Iterator[Message]:
        parser = FrameParser()
        while True:
            room = parser.room()
            if room is not None:
                size = self._inbox.read_into(room)
                room.release()
                if not size:
                    return
                yield from parser.filled(size)
                continue
            data = self._inbox.read()
            if not data:
                return
            yield from parser.feed(data)

    def _run_all(self, first: int, calls: list[tuple[Any, ...]], buffers: Iterator[Any]) -> None:
        words, functions, monotonic_ns = self._words, self._functions, time.monotonic_ns
        chained = any(_needs_sequence(call) for call in calls)
        results: dict[int, Encoded] = {}
        ended = monotonic_ns()
        number = first - 1
        for call in calls:
            number += 1
            started = ended
            words[SINCE] = started
            words[STARTED] = number
            if words[REVOKED_AFTER] < number <= words[REVOKED_TO]:
                _drop(call, buffers)
                self._send((number, SKIPPED, None, 0, 0))
                continue
            try:
                kind, value = self._run_one(number, call, functions, buffers, results)
            except TaskInterrupted:  # it struck between two lines of ours, after the call's own code was left
                kind, value = INTERRUPTED, None
            self._running, self._struck = 0, False
            ended = monotonic_ns()
            if chained and kind in (RETURNED, RETURNED_PACKED):
                results[number] = value
            if kind == RETURNED_PACKED:
                message = (number, kind, value.data, started, ended)
                self._send(message, value.buffers)
            else:
                self._send((number, kind, value, started, ended))

    def _run_one(
        self,
        number: int,
        call: tuple[Any, ...],
        functions: dict[int, Callable[..., Any]],
        buffers: Iterator[Any],
        results: dict[int, Encoded],
    ) -> tuple[int, Any]:
        """Run one call; return the kind of its end and the value that goes with it."""
        kwargs: dict[str, Any] = {}
        try:
            if call[0] > 0:
                function, args = functions[call[0]], call[1:]
            else:
                needed = _dependencies(call, buffers, results)
                if needed is None:
                    return SKIPPED, None
                function = functions[-call[0]]
                args, kwargs = _arguments(call, buffers, needed)
            self._running = number
            value = function(*args, **kwargs)
            if type(value) not in ATOMS:
                value = encode(value, f"result of {getattr(function, '__qualname__', function)}")
                self._running = 0
                return RETURNED_PACKED, value
            self._running = 0
        except TaskInterrupted:
            return INTERRUPTED, None
        except BaseException as error:  # noqa: BLE001  (a worker's boundary: any exception becomes the result)
            self._running = 0
            return FAILED, pack_failure(error, self._pid)
        return RETURNED, value

    def _interrupt(self, signum: int, stack: Any) -> None:
        """Raise into the call that the supervisor means; a signal that comes late or early means nothing."""
        if self._running and self._running == self._words[INTERRUPT]:
            if self._writing:  # a frame cut in two would garble all that follow
                self._struck = True
            else:
                raise TaskInterrupted

    def _send(self, message: Message, buffers: tuple[Any, ...] = ()) -> None:
        self._writing += 1
        try:
            with self._lock:
                write_all(self._outbox, frame(message, buffers))
        except BrokenPipeError:
            os._exit(0)  # nobody is left to work for
        finally:
            self._writing -= 1
        if self._struck and self._running:
            self._struck = False
            raise TaskInterrupted

    def _print(self, stream: str, text: str) -> None:
        self._send((NO_CALL, PRINTED, stream, text))

    def _log(self, record: bytes) -> None:
        self._send((NO_CALL, LOGGED, record))


def _prepare(function: bytes, context: bytes | None) -> Callable[..., Any]:
    """Return the function as it is to be called; one that cannot be had here fails each call of it."""
    try:
        loaded: Callable[..., Any] = pickle.loads(function)  # noqa: S301  (our own supervisor wrote it)
        if inspect.iscoroutinefunction(loaded):
            loaded = functools.partial(_run_coroutine, loaded)
        return loaded if context is None else _InContext(loaded, context_of(pickle.loads(context)))  # noqa: S301
    except Exception as error:  # noqa: BLE001  (an import may raise anything: it is the result of every call)
        return functools.partial(_fail, error)


def _run_coroutine(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return asyncio.run(function(*args, **kwargs))


class _InContext:
    """A function that sees the submitter's context variables; each call in a copy of its own."""

    def __init__(self, function: Callable[..., Any], context: Context) -> None:
        self._function, self._context = function, context
        self.__qualname__ = getattr(function, "__qualname__", repr(function))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._context.copy().run(self._function, *args, **kwargs)


def _fail(error: Exception, *_args: Any, **_kwargs: Any) -> NoReturn:
    from arion_lib.scheduler.errors import NotTransferableError

    raise NotTransferableError(
        f"the function could not be loaded in the worker: {type(error).__name__}: {error}; the module that defines it "
        "must be importable there (the worker has this process's sys.path)"
    ) from error


# A call is (function, *arguments) when all arguments are atoms, else (-function, pickle, buffers, dependencies), where a
# dependency is (0, atom), (1, pickle, buffers), or (2, number) for the result of an earlier call in the same message.


def _needs_sequence(call: tuple[Any, ...]) -> bool:
    return call[0] < 0 and any(dependency[0] == 2 for dependency in call[3])


def _dependencies(call: tuple[Any, ...], buffers: Iterator[Any], results: dict[int, Encoded]) -> list[Any] | None:
    """Return the results that a call needs, or None when one of them has not come to be."""
    found, missing = [], False
    for kind, value, *count in call[3]:
        if kind == 2:
            missing = missing or value not in results
            found.append(decode(results.get(value)))
        elif kind == 1:
            found.append(Packed(value, tuple(next(buffers) for _ in range(count[0]))).unpack())
        else:
            found.append(value)
    if missing:
        for _ in range(call[2]):
            next(buffers)
    return None if missing else found


def _arguments(call: tuple[Any, ...], buffers: Iterator[Any], needed: list[Any]) -> tuple[Any, Any]:
    from arion_lib.scheduler import calls

    own = tuple(next(buffers) for _ in range(call[2]))
    calls.NEEDED.values = needed
    try:
        args, kwargs = Packed(call[1], own).unpack()
    finally:
        calls.NEEDED.values = ()
    return args, kwargs


def _drop(call: tuple[Any, ...], buffers: Iterator[Any]) -> None:
    """Pass over the buffers of a call that is not run."""
    if call[0] < 0:
        for _ in range(call[2] + sum(dependency[2] for dependency in call[3] if dependency[0] == 1)):
            next(buffers)


def work(inbox: End, outbox: End, note: Note) -> NoReturn:
    """Be a worker until the supervisor is gone, then end this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program that has us; it tells us what to do
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:  # forked after its import: every worker would draw the same numbers
        numpy_random.seed()
    code = 0
    try:
        Worker(inbox, outbox, note).serve()
        sys.stdout.flush()
    except BrokenPipeError:
        pass
    except BaseException:  # noqa: BLE001  (a defect of ours: say so where a terminal may show it, and end)
        sys.__excepthook__(*sys.exc_info())
        code = 70
    os._exit(code)
