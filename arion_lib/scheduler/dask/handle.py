"""The handle of a call on a Dask cluster: a `concurrent.futures.Future` with a state, a history and a real `cancel`.

Idea        The standard Future is all that threads wait on; beside it stand the events so far and the end as it
            arrived: a sealed value, a value that is still in the cluster, or a packed exception.
Invariant   An end is written once, under the handle's lock; after `cancel()` has said True, no result ever appears.
When wrong  What cannot be unpickled here raises `NotTransferableError` from `result()`, the same one each time.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_dask.py
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from arion_lib.scheduler.calls.arguments import placeholder
from arion_lib.scheduler.calls.failures import Failure, brought_here
from arion_lib.scheduler.dask.wire import opened
from arion_lib.scheduler.errors import NotTransferableError
from arion_lib.scheduler.states import Event, State

if TYPE_CHECKING:
    from arion_lib.scheduler.calls.functions import Function
    from arion_lib.scheduler.options import Options

T = TypeVar("T")


class Remote(Protocol):
    """A sealed value that has stayed in the cluster."""

    def fetch(self) -> Any:
        """Bring it here. Not in the thread that talks with the cluster."""


class Owner(Protocol):
    """What a handle asks of its scheduler. Any thread."""

    def look_whether_it_runs(self) -> None:
        """Have the handles of calls that have begun know that."""

    def note_change(self, event: Event) -> None:
        """Tell of a change. Called under the handle's lock."""

    def note_end(self, task: DaskTask[Any], event: Event) -> None:
        """Count a task out, whose end has been written."""


class DaskTask(Future, Generic[T]):  # type: ignore[type-arg]
    """A submitted call, as `Task` is on one machine: `number`, `name`, `lane`, `options`, and all that a Future has."""

    def __init__(
        self,
        owner: Owner,
        number: int,
        function: Function,
        options: Options,
        arguments: Any,
        needs: Sequence[DaskTask[Any]],
    ) -> None:
        super().__init__()
        self._owner, self.number, self.function, self.options = owner, number, function, options
        self.name: str = options.name or function.name
        self.lane: str = options.lane or function.lane
        self.arguments, self.needs = arguments, needs
        self.bundle: object | None = None
        """What the tasks have in common that travel together."""
        self.attempts = 0
        """How many attempts have failed."""
        self.deaths = 0
        self.ended_at: float | None = None
        """When the last attempt's code ended, where that is known."""
        self.answer: Any = None
        """The end as it came: sealed, or `Remote`; of a failed task, a `Failure` or an exception."""
        self.over = threading.Event()
        """Set a moment before waiters hear of the end."""
        self._open: Any = self
        """The unpickled value; itself for not yet."""
        self._error: BaseException | None = None
        self._events = [Event(time.monotonic(), number, self.name, State.PENDING)]
        self._lock = threading.Lock()

    # --- what people ask ---

    def status(self) -> State:
        """Return where the task stands now. One that may have begun is asked for in the cluster: some 3 ms."""
        if self._events[-1].state is State.READY:
            self._owner.look_whether_it_runs()
        return self._events[-1].state

    def history(self) -> tuple[Event, ...]:
        """Return every change so far, the first first. Times are the submitter's: an end is when it was heard of."""
        if self._events[-1].state is State.READY:
            self._owner.look_whether_it_runs()
        return tuple(self._events)

    def cancel(self) -> bool:
        """Stop the task, whatever it is doing; False when it had already ended.

        At once it counts as cancelled; a running call is interrupted when the cluster hears of it, some 10 ms later.
        """
        with self._lock:
            if self.over.is_set():
                return self._events[-1].state is State.CANCELLED
            event = self._change(State.CANCELLED)
            self.over.set()
        self._let_go()
        super().cancel()
        self._owner.note_end(self, event)
        self.set_running_or_notify_cancel()
        return True

    def cancelled(self) -> bool:
        return self.state is State.CANCELLED

    def done(self) -> bool:
        return self.over.is_set()

    def running(self) -> bool:
        return self.status() is State.RUNNING

    def result(self, timeout: float | None = None) -> T:
        """Return what the function returned, waiting for it `timeout` seconds at most.

        A large value is fetched from the cluster by the first call. Raises what the function raised, `CancelledError`,
        `TimeoutError` when it is not done in time, or one of the scheduler's errors.
        """
        error = self.exception(timeout)
        if error is not None:
            try:
                raise error
            finally:
                error = None  # the traceback leads to this frame: together they would be a cycle
        value: T = self._open
        return value

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return what the task raised, or None; waits and raises as `result` does."""
        if not self.over.is_set():
            super().exception(timeout)
        if self.cancelled():
            raise CancelledError
        with self._condition:
            if self._error is None and self._open is self:
                self._unpack()
            return self._error

    def _unpack(self) -> None:
        answer = self.answer
        if isinstance(answer, Failure):
            self._error = answer.exception()
        elif isinstance(answer, BaseException):
            self._error = answer
        else:
            try:
                self._open = brought_here(
                    self.name, lambda: opened(answer.fetch() if hasattr(answer, "fetch") else answer, copy=True)
                )
            except NotTransferableError as error:
                self._error = error

    def _get_snapshot(self) -> tuple[bool, bool, Any, BaseException | None]:
        """Return done, cancelled, result and exception: what asyncio asks for since Python 3.14."""
        if not self.done() or self.cancelled():
            return self.done(), self.cancelled(), None, None
        error = self.exception()
        return True, False, None if error is not None else self._open, error

    # --- for the scheduler ---

    def change(self, *states: State, when: float | None = None, worker: int | None = None, error: str = "") -> bool:
        """Write that it became something, unless it has ended."""
        with self._lock:
            if self.over.is_set():
                return False
            for state in states:
                event = self._change(state, self._end_time(state) if when is None else when, worker, error)
                self._owner.note_change(event)
                error = ""
        return True

    def _change(self, state: State, when: float | None = None, worker: int | None = None, error: str = "") -> Event:
        last = self._events[-1]
        if state.final and worker is None and last.state is State.RUNNING:
            worker = last.worker
        attempt = self.attempts + (state is State.RUNNING or state.final)
        time_ = max(last.time, time.monotonic() if when is None else when)
        event = Event(time_, self.number, self.name, state, attempt, worker, error)
        self._events.append(event)
        return event

    def _end_time(self, state: State) -> float | None:
        """Return when an attempt ended that is known to have run, and forget that."""
        when = self.ended_at if state.final else None
        self.ended_at = None
        return when

    def began(self, ago: float, worker: int) -> None:
        """Write that its code runs, since `ago` seconds; nothing when that is known."""
        if self._events[-1].state is State.READY:
            self.change(State.RUNNING, when=time.monotonic() - ago, worker=worker)

    def end(self, state: State, answer: Any, error: str = "") -> bool:
        """Write its end; waiters are told by `tell`. False when it has ended already."""
        with self._lock:
            if self.over.is_set():
                return False
            self.answer = answer
            event = self._change(state, self._end_time(state), error=error)
            self.over.set()
        self._owner.note_end(self, event)
        self._let_go()
        return True

    def tell(self) -> None:
        """Wake whoever waits, and call the callbacks, in the calling thread."""
        if self._events[-1].state is State.SUCCEEDED:
            self.set_result(None)
        else:
            self.set_exception(CancelledError())  # a stand-in: `exception` unpacks the real one when it is asked for

    def _let_go(self) -> None:
        """Keep nothing alive that an ended task does not need."""
        self.arguments, self.needs = None, ()

    @property
    def state(self) -> State:
        """Where it stands, as far as it is known here."""
        return self._events[-1].state

    @property
    def submitted(self) -> float:
        """When it was submitted."""
        return self._events[0].time

    @property
    def ran(self) -> tuple[float, float] | None:
        """When the last attempt began and ended; None when it was not run or has not ended."""
        if len(self._events) > 1 and self._events[-2].state is State.RUNNING and self._events[-1].state.final:
            return self._events[-2].time, self._events[-1].time
        return None

    @property
    def local(self) -> bool:
        """Whether its value is here, not in the cluster."""
        return not hasattr(self.answer, "fetch")

    def __reduce_ex__(self, _protocol: Any) -> Any:
        return placeholder(self)

    def __repr__(self) -> str:
        return f"<DaskTask {self.number} {self.name} {self._events[-1].state}>"
