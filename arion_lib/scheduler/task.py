"""The handle of a submitted call: a `concurrent.futures.Future` that also knows its state, its history, how to stop.

Idea        Handles are made by the hundred thousand, so a handle holds what its task needs and no lock of its own: the
            scheduler's one lock stands in for the condition that other Futures carry each.
Invariant   A final state is written once; after `cancel()` has said True, no result ever appears.
When wrong  What the task raised comes out of `result()` as itself; anything else is one of our own errors.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_conformance.py
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from typing import Any, Generic, Protocol, TypeVar, cast

from arion_lib.scheduler.calls.arguments import placeholder
from arion_lib.scheduler.calls.failures import brought_here
from arion_lib.scheduler.calls.functions import Function
from arion_lib.scheduler.calls.values import Packed
from arion_lib.scheduler.errors import NotTransferableError, ShutDownError
from arion_lib.scheduler.options import Options
from arion_lib.scheduler.states import WAITING, Event, Place, State
from arion_lib.scheduler.submitting.more import More, error_of
from arion_lib.scheduler.waiting.signals import Signal

log = logging.getLogger(__name__)
T = TypeVar("T")


class Core(Protocol):
    """What a handle asks of its scheduler; supervisor.py has it."""

    condition: threading.Condition
    signals: dict[Task[Any], list[Signal]]
    """What the threads wait for that wait for a task."""

    @property
    def abandoned(self) -> bool: ...

    def refusal(self) -> ShutDownError: ...

    def state_of(self, task: Task[Any], /) -> State: ...

    def history_of(self, task: Task[Any], /) -> tuple[Event, ...]: ...

    def cancel(self, task: Task[Any], /) -> bool: ...

    def add_callback(self, task: Task[Any], fn: Callable[[Future[Any]], object], /) -> None: ...

    def wake_waiting(self, task: Task[Any], /) -> None: ...


class Task(Future, Generic[T]):  # type: ignore[type-arg]
    """A submitted call. Everything of `concurrent.futures.Future` holds; `cancel()` stops running tasks, too.

    `number` counts from 1 in the order of submission; `options` are those it was submitted with.
    """

    __slots__ = (
        "_call",
        "_core",
        "_function",
        "_more",
        "_place",
        "_submitted",
        "_value",
        "number",
        "options",
    )

    def __init__(  # Future's own __init__ would make a lock and two lists for each task
        self, core: Core, number: int, function: Function, call: Any, options: Options, more: More[Task[Any]] | None
    ) -> None:
        self._core, self.number, self._function, self._call, self.options = core, number, function, call, options
        self._submitted = time.monotonic()
        self._place: Place = WAITING
        """Where it is; written by the lifecycle alone."""
        self._value: Any = None
        self._more = more

    # --- what people ask ---

    @property
    def name(self) -> str:
        """The name it was given, else its function's."""
        return self.options.name or self._function.name

    @property
    def after(self) -> tuple[Task[Any], ...]:
        """The tasks that must have ended first, beyond those among the arguments; none when it has ended itself."""
        return cast("tuple[Task[Any], ...]", self.options.after)

    @property
    def lane(self) -> str:
        """The lane it runs on."""
        return self.options.lane or self._function.lane

    def status(self) -> State:
        """Return where the task stands now."""
        return self._core.state_of(self)

    def history(self) -> tuple[Event, ...]:
        """Return every change so far, the first first."""
        return self._core.history_of(self)

    def cancel(self) -> bool:
        """Stop the task, whatever it is doing; False when it had already ended.

        At once it counts as cancelled, and so do the tasks that depend on it. A running one is interrupted in its
        worker (`TaskInterrupted` is raised inside it) and its worker is replaced if it does not stop in the grace time.
        """
        return self._core.cancel(self)

    # --- Future ---

    def cancelled(self) -> bool:
        return self._outcome() is State.CANCELLED

    def running(self) -> bool:
        return self.status() is State.RUNNING

    def done(self) -> bool:
        return self._place.final

    def result(self, timeout: float | None = None) -> T:
        """Return what the function returned, waiting for it `timeout` seconds at most.

        Raises what the function raised, `CancelledError`, `TimeoutError` when it is not done in time, or one of the
        scheduler's errors. The value is unpickled by the first call.
        """
        error = self.exception(timeout)
        if error is not None:
            try:
                raise error
            finally:
                # The error's traceback leads to this frame; were it to lead back, both would wait for the collector.
                error, self = None, cast(Any, None)  # noqa: PLW0642
        result: T = self._value
        return result

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return what the task raised, or None; waits and raises as `result` does.

        A result that cannot be unpickled here is an error, too: `result` raises it, this returns it, always the same.
        """
        if not self._place.final and not self._wait(timeout):
            raise FutureTimeoutError
        outcome = self._place.state
        if outcome is State.CANCELLED:
            raise CancelledError
        if outcome is State.SUCCEEDED:
            return self._unpack() if type(self._value) is Packed else None
        return error_of(self)

    def add_done_callback(self, fn: Callable[[Future[Any]], object]) -> None:
        """Call `fn(task)` when the task has ended, in a thread of the scheduler's for such calls;
        at once, here, when it already has."""
        if not self._place.final:
            self._core.add_callback(self, fn)
            return
        try:
            fn(self)
        except Exception:  # the Executor's contract: a callback's error is logged and ignored
            log.exception("the callback %r for %r raised", fn, self)

    def set_running_or_notify_cancel(self) -> bool:
        raise RuntimeError("a task of a scheduler is set running by its scheduler only")

    def set_result(self, _result: T) -> None:
        raise RuntimeError("a task of a scheduler gets its result from its scheduler only")

    def set_exception(self, _exception: BaseException | None) -> None:
        raise RuntimeError("a task of a scheduler gets its exception from its scheduler only")

    # --- what concurrent.futures.wait and as_completed look at ---

    @property
    def _condition(self) -> threading.Condition:  # type: ignore[override]
        return self._core.condition

    @property
    def _state(self) -> str:  # type: ignore[override]
        outcome = self._outcome()
        if outcome is None:
            return "PENDING"
        return "CANCELLED_AND_NOTIFIED" if outcome is State.CANCELLED else "FINISHED"

    def _get_snapshot(self) -> tuple[bool, bool, Any, BaseException | None]:
        """Return done, cancelled, result and exception: what asyncio asks for since Python 3.15."""
        outcome = self._outcome()
        if outcome is None or outcome is State.CANCELLED:
            return outcome is not None, outcome is not None, None, None
        error = self.exception()
        return True, False, None if error is not None else self._value, error

    @property
    def _waiters(self) -> list[Any]:  # type: ignore[override]
        more = self.more()
        if more.waiters is None:
            more.waiters = []
        return more.waiters

    # --- for the scheduler ---

    def _outcome(self) -> State | None:
        """Return its final state, None before. Without the lock, so a place that is not final is asked for nothing."""
        place = self._place
        return place.state if place.final else None

    def more(self) -> More[Task[Any]]:
        """Return the part that few tasks have; the scheduler's lock must be held."""
        if self._more is None:
            self._more = More()
        return self._more

    def _unpack(self) -> BaseException | None:
        """Unpickle the value where it stands; return the error that this ends in, made once."""
        if self._more is not None and isinstance(self._more.error, NotTransferableError):
            return self._more.error
        try:
            self._value = brought_here(self.name, self._value.unpack)
        except NotTransferableError as error:
            self.more().error = error
            return error
        return None

    def _wait(self, timeout: float | None) -> bool:
        """Wait for the end. No lock: Ctrl-C may end this between any two steps."""
        core, signal = self._core, Signal()
        if core.abandoned:
            raise core.refusal()
        signals = core.signals.setdefault(self, [])
        signals.append(signal)
        # Looked at after the signal can be seen: of the two threads, one sees the other. The signal itself may never be
        # set then: the list that it is in may have been taken, and gone through, just before it was appended.
        if self._place.final:
            core.wake_waiting(self)
            return True
        if signal.wait(timeout):
            return True
        with suppress(ValueError):
            signals.remove(signal)
        return self._place.final

    def __reduce_ex__(self, _protocol: Any) -> Any:
        return placeholder(self)

    def __repr__(self) -> str:
        return f"<Task {self.number} {self.name} {self.status()}>"
