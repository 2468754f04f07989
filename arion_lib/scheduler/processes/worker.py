"""A worker process: take calls from a pipe, run them one after the other, write each result at once.

Idea        Each result is in the pipe before the next call begins, so a death costs the call that was running and no
            other; the note says which one that was.
Invariant   At most one call runs at a time, and none whose number has been revoked.
When wrong  Whatever a call raises, `SystemExit` included, is its result. A supervisor that is gone ends the worker.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_conformance.py
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextvars import Context
from typing import Any, NoReturn, cast

from arion_lib.scheduler.calls.failures import TaskInterrupted, pack_failure
from arion_lib.scheduler.calls.values import ATOMS, Encoded, encode
from arion_lib.scheduler.errors import NotTransferableError
from arion_lib.scheduler.monitoring.progress import PROCESS
from arion_lib.scheduler.processes import wire
from arion_lib.scheduler.processes.frames import INITIALIZER, FrameParser, Message, frame, small_frame
from arion_lib.scheduler.processes.loading import Unloaded, prepared, result_of, was_importing
from arion_lib.scheduler.processes.note import HEARD, INTERRUPT, REVOKED_AFTER, REVOKED_TO, SINCE, STARTED, Note
from arion_lib.scheduler.processes.outputs import forward_logging, forward_output
from arion_lib.scheduler.processes.pipes import End, write_all
from arion_lib.scheduler.processes.wire import FAILED, INTERRUPTED, RETURNED, RETURNED_PACKED, SKIPPED

INTERRUPTION = getattr(signal, "SIGUSR1", None)
"""The signal that interrupts a call; Windows has none, there the worker is ended at once."""


class Worker:
    """The child's side. `serve()` returns when the supervisor has closed its end."""

    def __init__(self, inbox: End, outbox: End, note: Note) -> None:
        self._inbox, self._outbox, self._words, self._times = inbox, outbox, note.words, note.times
        self._note = note
        self._functions: dict[int, Callable[..., Any]] = {}
        self._last: dict[int, Encoded] = {}
        """The result of the last call, if it is small: the next link of a chain may come with the next message."""
        self._running = 0
        """The number of the call whose code runs now: an interruption meant for it may be raised into it."""
        self._writing, self._struck = 0, False
        self._forked = False
        self._suspect = False
        """Whether an interruption struck in the middle of an import."""
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def serve(self) -> None:
        """Run what comes until the supervisor closes the inbox."""
        if INTERRUPTION is not None:
            signal.signal(INTERRUPTION, self._interrupt)
        self._out, self._err = forward_output(self._print)
        forward_logging(self._log)
        PROCESS.sink = self._report
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget_supervisor)
        self._answer(wire.begun())
        for message in self._messages():
            first, forget, linked, functions, calls, *rest = message
            for number in forget:
                self._functions.pop(number, None)
            for number, function, context in functions:
                if number == INITIALIZER:
                    prepared(function, context)()  # what it raises ends this worker, with its traceback
                    continue
                self._functions[number] = Unloaded(self._functions, number, function, context)
            if calls:
                self._run_all(first, calls, rest[0] if rest else (), self._last if linked else None)
            if self._suspect:
                return
            del message, calls, rest  # large arguments must not stay while nothing is to be done

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

    def _run_all(  # noqa: C901  (every microsecond here is one of each task)
        self, first: int, calls: list[tuple[Any, ...]], buffers: Sequence[Any], results: dict[int, Encoded] | None
    ) -> None:
        words, functions, monotonic = self._words, self._functions, time.monotonic
        times = self._times
        used = skipped = number = 0
        own: Sequence[Any] = ()
        ended = monotonic()
        kind, value = SKIPPED, cast(Any, None)
        for number, call in enumerate(calls, first):
            if buffers and call[0] < 0:
                own = buffers[used : used + wire.buffers_of(call)]
                used += len(own)
            started = ended
            if number <= words[REVOKED_TO] and number > words[REVOKED_AFTER]:
                skipped = skipped or number
                continue
            if (
                results is not None and call[0] < 0 and wire.lacks(call, results)
            ):  # not noted as begun: it never will be
                skipped = skipped or number
                continue
            if skipped:
                self._answer(wire.skipped(skipped, number - 1))
                skipped = 0
            try:
                self._running = number  # first: an interruption may come as soon as the note says that it runs
                times[SINCE] = started
                words[STARTED] = number
                if number <= words[REVOKED_TO] and number > words[REVOKED_AFTER]:
                    kind, value = SKIPPED, number  # revoked meanwhile: the supervisor may have read that it had begun
                elif call[0] > 0:
                    function = functions[call[0]]
                    value = Context().run(function, *call[1:])  # what it sets is not the next one's
                    self._running, kind = 0, RETURNED
                    if type(value) not in ATOMS:
                        kind, value = RETURNED_PACKED, encode(value, result_of(functions[call[0]]))
                else:
                    kind, value = self._run_more(call, own, results or {})
            except TaskInterrupted as error:
                kind, value = INTERRUPTED, None
                self._suspect = was_importing(error)
            except BaseException as error:  # noqa: BLE001  (a worker's boundary: any exception becomes the result)
                kind, value = self._failure(error)
            self._running, self._struck = 0, False
            if self._out.line or self._err.line:
                self._out.flush()
                self._err.flush()
            ended = monotonic()
            if results is not None and kind in (RETURNED, RETURNED_PACKED):
                results[number] = value
            try:
                if kind == RETURNED_PACKED:
                    self._answer((number, kind, value.data, started, ended), value.buffers)
                else:
                    self._answer((number, kind, value, started, ended))
            except ValueError as error:  # 2 GiB and more: no frame holds it
                kind, value = self._failure(NotTransferableError(f"the result cannot travel: {error}"))
                self._answer((number, kind, value, started, ended))
            if self._suspect:
                return  # an import was interrupted half-way: what it left must not be another call's module
        if skipped:
            self._answer(wire.skipped(skipped, number))
        self._last = {number: value} if not skipped and wire.may_be_kept(kind, value) else {}

    def _run_more(self, call: tuple[Any, ...], buffers: Sequence[Any], results: dict[int, Encoded]) -> tuple[int, Any]:
        """Run a call whose arguments are more than atoms."""
        args, kwargs = wire.opened(call, iter(buffers), results)
        value = Context().run(self._functions[-call[0]], *args, **kwargs)
        return self._returned(value, call)

    def _returned(self, value: Any, call: tuple[Any, ...]) -> tuple[int, Any]:
        self._running = 0
        if type(value) in ATOMS:
            return RETURNED, value
        return RETURNED_PACKED, encode(value, result_of(self._functions[-call[0]]))

    def _failure(self, error: BaseException) -> tuple[int, Any]:
        """Turn what a call raised into its answer."""
        try:
            self._running = 0
            return FAILED, tuple(pack_failure(error, self._pid))
        except TaskInterrupted:  # it struck on the way here
            return INTERRUPTED, None

    def _forget_supervisor(self) -> None:
        """Be, in a process that a task has forked, no worker any more: the answers are its parent's to give."""
        self._forked, self._running = True, 0

    def _interrupt(self, _signal: int, _stack: Any) -> None:
        """Raise into the call that the supervisor means, once; a signal that comes late or early means nothing."""
        call = self._running
        if call and call == self._words[INTERRUPT] != self._words[HEARD]:
            self._words[HEARD] = call
            if self._writing:  # a frame cut in two would garble all that follow
                self._struck = True
            else:
                raise TaskInterrupted

    def _answer(self, message: Message, buffers: tuple[Any, ...] = ()) -> None:
        """Write an answer; no call runs, so no interruption strikes."""
        if self._forked:
            os._exit(0)  # a task's child has come back from its parent's call: that call is the parent's
        try:
            with self._lock:
                if buffers:
                    write_all(self._outbox, frame(message, buffers))
                else:
                    self._outbox.write_all(small_frame(message))
        except ConnectionError:  # a pipe says BrokenPipeError, a socket on Windows "reset" or "aborted"
            os._exit(0)  # nobody is left to work for

    def _tell(self, message: Message) -> None:
        """Write what a running call has to say; an interruption waits until the frame is whole."""
        self._writing += 1
        try:
            self._answer(message)
        finally:
            self._writing -= 1
        if self._struck and self._running:
            self._struck = False
            raise TaskInterrupted

    def _report(self, done: float, total: float | None) -> None:
        if self._running:  # not a thread that a call has left behind, nor a process that it has forked
            self._note.report(self._running, done, total)

    def _print(self, stream: str, text: str) -> None:
        self._tell(wire.printed(stream, text))

    def _log(self, record: bytes) -> None:
        self._tell(wire.logged(record))


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
    except ConnectionError:
        pass
    except BaseException:  # noqa: BLE001  (a defect of ours: say so where a terminal may show it, and end)
        sys.__excepthook__(*sys.exc_info())
        code = 70
    os._exit(code)
