"""The supervisor: one thread that admits tasks, moves them through their states, and watches over the lanes.

Idea        Submitting only appends to a queue; everything else that changes a task happens in one thread, under one
            lock that it takes once for a whole batch of results.
Invariant   Each task reaches exactly one final state, once; a task runs only when all that it needs has ended well.
When wrong  A lane that cannot work any more fails its tasks with the reason; it never leaves them waiting.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_scheduler.py
"""

from __future__ import annotations

import functools
import heapq
import itertools
import logging
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import Any, Protocol

from arion_lib.scheduler.errors import (
    DependencyFailedError,
    QuarantinedError,
    ShutDownError,
    TaskTimeoutError,
    WorkerDiedError,
)
from arion_lib.scheduler.failures import Failure
from arion_lib.scheduler.figures import Figures
from arion_lib.scheduler.history import NOT_YET, attempt, began_at, change, ended_at, history, in_words, ready_at
from arion_lib.scheduler.ready import ReadyQueue
from arion_lib.scheduler.snapshot import LaneStatus, Snapshot
from arion_lib.scheduler.states import Event, State
from arion_lib.scheduler.task import More, Task

log = logging.getLogger(__name__)

PENDING, READY, SUCCEEDED = State.PENDING, State.READY, State.SUCCEEDED
Command = Callable[[], None]
LOOK = 0.02
"""Seconds between two looks at what has begun, while somebody subscribes to events."""
LONGEST_SLEEP = 5.0
"""Seconds that the supervisor sleeps at most."""
MOST_ADMITTED = 1_000
"""Tasks admitted in one go: a millisecond's worth."""
MODERATION = 0.001
"""Seconds of rest after a batch while every worker has enough to do: results that come meanwhile cost one wake-up."""


class Lane(Protocol):
    """A place where tasks run. All methods are called under the lock, by the supervisor unless they say otherwise."""

    ready: ReadyQueue[Task[Any]]

    def open(self, core: Core) -> None:
        """Begin; register what is to be watched with `core.watch`."""

    def dispatch(self, now: float, /) -> None:
        """Give ready tasks to whoever can take them."""

    def check(self, now: float) -> float:
        """Do what is due (deadlines, kills); return when to be asked again, `inf` for never."""

    def started(self, task: Task[Any]) -> float | None:
        """Return when an assigned task's code began, None when it has not. Any thread."""

    def assigned(self) -> list[Task[Any]]:
        """Return the tasks that were given out and have not come back."""

    def running(self) -> list[Task[Any]]:
        """Return the tasks whose code runs now."""

    def stop(self, place: tuple[Any, ...]) -> None:
        """Stop what runs, or is about to run, at a place: its task has just become final. Any thread."""

    def busy(self) -> bool:
        """Whether there is no point in looking for results at once: every worker has plenty to do."""

    def status(self, now: float, /) -> LaneStatus:
        """Describe the lane."""

    def close(self, now: float, /) -> bool:
        """End the workers; called until it says True: nothing is left."""

    def kill(self) -> None:
        """End the workers at once, whatever they do."""


class Core:
    """What every handle and every lane refers to."""

    def __init__(self, lanes: Mapping[str, Lane], *, name: str, poison_after: int, keep: int) -> None:
        self.lanes, self.name, self.poison_after = lanes, name, poison_after
        self.lock = threading.RLock()
        self.condition = threading.Condition(self.lock)
        self.figures = Figures(keep)
        self.inbox: deque[Task[Any] | Command] = deque()
        self.express: deque[Task[Any] | Command] = deque()
        """A second inbox, seen to first: what is urgent must not wait until a long queue has been taken in."""
        self.closing = False
        self.ended = False
        self.admitted = self.finished = 0
        self.asleep = False
        self.next_number: Callable[[], int] = itertools.count(1).__next__
        self._timers: list[tuple[float, int, Command]] = []
        self._timer_numbers = itertools.count()
        self._waiting: set[Task[Any]] = set()
        """Tasks that wait for other tasks or for their next attempt."""
        self._told: set[int] = set()
        """Tasks whose subscribers know that they run."""
        self._again = False
        self._at_end: dict[Command, None] = {}
        self._doomed: deque[tuple[Task[Any], BaseException]] = deque()
        self._callbacks: list[tuple[Callable[..., object], tuple[Any, ...]]] = []
        self.subscribers: list[Callable[[Event], None]] = []
        self._selector = selectors.DefaultSelector()
        self._bell, self._ring = socket.socketpair()
        self._bell_only = selectors.DefaultSelector()
        self._close_by: float | None = None
        self._opened = threading.Event()
        self.failure: BaseException | None = None
        self.thread = threading.Thread(target=self._live, name=f"arion-{name}", daemon=True)

    # --- any thread ---

    def start(self) -> None:
        """Start the supervisor; return when the lanes are open. Raises what opening them raised."""
        for end in (self._bell, self._ring):
            end.setblocking(False)
        self.watch(self._bell, self._hear)
        self._bell_only.register(self._bell, selectors.EVENT_READ)
        self.thread.start()
        self._opened.wait()
        if self.failure is not None:
            self.thread.join()
            raise self.failure

    def post(self, item: Task[Any] | Command) -> None:
        """Hand something to the supervisor. Lock-free: it costs an append, and a byte when the supervisor sleeps."""
        (self.inbox if type(item) is Task and item.options.priority <= 0 else self.express).append(item)
        if self.asleep:
            self.wake()
        if self.ended:
            self.refuse_the_late()

    def wake(self) -> None:
        self.asleep = False
        with suppress(BlockingIOError, OSError):  # full: it is awake already; closed: it has ended
            self._ring.send(b"\0")

    def unfinished(self) -> int:
        """Return how many tasks have not ended."""
        with self.lock:
            posted = sum(type(item) is Task for inbox in (self.inbox, self.express) for item in list(inbox))
            return posted + self.admitted - self.finished

    def wait_idle(self, timeout: float | None) -> bool:
        with self.condition:
            return self.condition.wait_for(lambda: self.ended or not self.unfinished(), timeout)

    def request_close(self, close_by: float | None = None) -> None:
        """Take no more tasks; end when all have ended, at `close_by` (of the monotonic clock) at the latest."""
        self.closing = True
        if close_by is not None:
            self._close_by = min(close_by, self._close_by or close_by)
        self.wake()

    def state_of(self, task: Task[Any]) -> State:
        state = task._state_now
        if state.final or type(task._run) is not tuple:
            return state
        with self.lock:
            if task._state_now.final or self.started(task) is None:
                return task._state_now
            return State.RUNNING

    def started(self, task: Task[Any]) -> float | None:
        """Return when the present attempt's code began; None when it has not, or there is no attempt."""
        return self.lane_of(task).started(task) if type(task._run) is tuple else None

    def lane_of(self, task: Task[Any]) -> Lane:
        return self.lanes[task.lane]

    def cancel(self, task: Task[Any]) -> bool:
        with self.lock:
            if task._state_now.final:
                return task._state_now is State.CANCELLED
            self._end_where_it_is(task, State.CANCELLED, None)
        self._call_back_all()
        self.wake()
        return True

    def add_callback(self, task: Task[Any], fn: Callable[[Future[Any]], object]) -> bool:
        with self.lock:
            if task._state_now.final:
                return False
            more = task.more()
            more.callbacks = [*more.callbacks, fn]
            return True

    def waiter(self, task: Task[Any]) -> threading.Event | None:
        """Return an event that is set when the task ends; None when it has."""
        with self.lock:
            if task._state_now.final:
                return None
            more = task.more()
            if more.waiter is None:
                more.waiter = threading.Event()
            return more.waiter

    def call_back(self, callback: Callable[..., object], *arguments: Any) -> None:
        try:
            callback(*arguments)
        except (Exception, SystemExit):  # the Executor's contract: a callback's error is logged and ignored
            log.exception("the callback %r for %r raised", callback, arguments[0])

    def history_of(self, task: Task[Any]) -> tuple[Event, ...]:
        with self.lock:
            return tuple(history(task, began_at(task) if task._state_now.final else self.started(task)))

    def reject(self, task: Task[Any], error: BaseException) -> None:
        """End a task that cannot be run at all."""
        self.admitted += 1
        if not task._state_now.final:
            self._end(task, State.FAILED, error)

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Give each event to a callback from now on; return what ends that."""
        with self.lock:
            self.subscribers.append(callback)
        self.wake()

        def unsubscribe() -> None:
            with self.lock, suppress(ValueError):
                self.subscribers.remove(callback)

        return unsubscribe

    def at_end(self, command: Command) -> Command:
        """Do something when the scheduler has ended, at once when it has; return what takes that back."""
        with self.lock:
            if not self.ended:
                self._at_end[command] = None
                return lambda: self._at_end.pop(command, None)
        command()
        return lambda: None

    def join(self) -> None:
        """Wait for the supervisor's end; Ctrl-C while waiting cancels everything."""
        try:
            self.thread.join()
        except KeyboardInterrupt:
            self.cancel_all()
            self.thread.join()
            raise

    def cancel_unstarted(self) -> None:
        """Cancel every task whose code has not begun."""
        while self.inbox or self.express:
            self._admit()
        for task in self._alive():
            if self.started(task) is None:
                self.cancel(task)

    def snapshot(self) -> Snapshot:
        """Return what everything looks like now."""
        with self.lock:
            now = time.monotonic()
            lanes = tuple(lane.status(now) for lane in self.lanes.values())
            counts = self.figures.counts
            workers = next(lane.size for lane in lanes if lane.name == "processes")
            window, throughput, utilisation, waiting, running_time = self.figures.lately(now, workers)
            return Snapshot(
                name=self.name,
                uptime=now - self.figures.opened,
                lanes=lanes,
                pending=len(self._waiting),
                ready=sum(sum(lane.queued.values()) for lane in lanes) + len(self.inbox) + len(self.express),
                running=sum(lane.running for lane in lanes),
                succeeded=counts[State.SUCCEEDED],
                failed=counts[State.FAILED],
                cancelled=counts[State.CANCELLED],
                timed_out=counts[State.TIMED_OUT],
                quarantined=counts[State.QUARANTINED],
                retries=self.figures.retries,
                window=window,
                throughput=throughput,
                utilisation=utilisation,
                waiting=waiting,
                running_time=running_time,
            )

    # --- the supervisor's life ---

    def watch(self, what: Any, heard: Callable[[], None], events: int = selectors.EVENT_READ) -> None:
        """Call `heard()` under the lock when `what` becomes readable (or as `events` say)."""
        self._selector.register(what, events, heard)

    def rewatch(self, what: Any, heard: Callable[[], None], events: int) -> None:
        self._selector.modify(what, events, heard)

    def unwatch(self, what: Any) -> None:
        with suppress(KeyError, ValueError):
            self._selector.unregister(what)

    def at(self, when: float, command: Command) -> None:
        """Run a command under the lock at a time of the monotonic clock."""
        heapq.heappush(self._timers, (when, next(self._timer_numbers), command))

    def _live(self) -> None:
        try:
            with self.lock:
                for lane in self.lanes.values():
                    lane.open(self)
            self._opened.set()
            while not self._turn():
                pass
        except BaseException as error:
            self.failure = error
            if self._opened.is_set():
                log.critical("the supervisor failed; its tasks are failed with its error", exc_info=True)
        finally:
            self._close()
            self._opened.set()

    def _turn(self) -> bool:
        """Wait for something, handle all of it, give out work; True when everything has ended."""
        for key, _ in self._wait():
            with self.lock:
                key.data()
        with self.lock:
            now = time.monotonic()
            self._admit()
            while self._timers and self._timers[0][0] <= now:
                heapq.heappop(self._timers)[2]()
            for lane in self.lanes.values():
                if lane.ready:
                    lane.dispatch(now)
            self._next_check = min(lane.check(now) for lane in self.lanes.values())
            if self.subscribers:
                self._tell_running()
                self._next_check = min(self._next_check, now + LOOK)
            if self._again:
                self._again, self._next_check = False, now
            done = self.closing and self._closed(now)
            if self._callbacks or self.finished == self.admitted:
                self.condition.notify_all()
        self._call_back_all()
        return done

    _next_check = 0.0

    def _wait(self) -> list[Any]:
        if any(lane.busy() for lane in self.lanes.values()) and not (self.inbox or self.express):
            self.asleep = True
            if not (self.inbox or self.express):
                self._bell_only.select(MODERATION)
            self.asleep = False
            return self._selector.select(0)
        until = min(self._next_check, self._timers[0][0]) if self._timers else self._next_check
        timeout = min(max(0.0, until - time.monotonic()), LONGEST_SLEEP)
        self.asleep = True
        if self.inbox or self.express:
            timeout = 0.0
        found = self._selector.select(timeout)
        self.asleep = False
        return found

    def again(self) -> None:
        """Go round once more at once: something became ready that could not before."""
        self._again = True

    def later(self, callback: Callable[..., object], *arguments: Any) -> None:
        """Call something as soon as the lock is released."""
        self._callbacks.append((callback, arguments))

    def _hear(self) -> None:
        with suppress(BlockingIOError):
            self._bell.recv(4096)

    def _closed(self, now: float) -> bool:
        if self._close_by is not None and now >= self._close_by:
            self._cancel_all()
        if self.admitted > self.finished or self.inbox or self.express:
            self._next_check = min(self._next_check, self._close_by or now + LONGEST_SLEEP)
            return False
        closed = [lane.close(now) for lane in self.lanes.values()]
        if not all(closed):
            self._next_check = now + 0.02
        return all(closed)

    def cancel_all(self) -> None:
        """Cancel everything that has not ended. Any thread."""
        self.post(self._cancel_all)

    def _cancel_all(self) -> None:
        while self.inbox or self.express:
            self._admit()
        for task in self._alive():
            self.cancel(task)

    def _alive(self) -> list[Task[Any]]:
        """Return the admitted tasks that have not ended, by looking at every place where one may be."""
        alive = list(self._waiting)
        for lane in self.lanes.values():
            alive += [*lane.ready, *lane.assigned()]
        return [task for task in alive if not task._state_now.final]

    def _close(self) -> None:
        with self.lock:
            self.closing = self.ended = True
            for lane in self.lanes.values():
                lane.kill()
            self.refuse_the_late()
            self.condition.notify_all()
            commands, self._at_end = list(self._at_end), {}
        for command in commands:
            command()
        self._call_back_all()
        self._selector.close()
        self._bell_only.close()
        self._bell.close()
        self._ring.close()

    def refuse_the_late(self) -> None:
        with self.lock:
            error = ShutDownError("the scheduler is shut down; open a new one")
            error.__cause__ = self.failure
            while self.inbox or self.express:
                item = (self.express or self.inbox).popleft()
                if type(item) is Task:
                    self.admitted += 1
                    self._end(item, State.FAILED, error)
            for task in self._alive():
                self._end(task, State.FAILED, error)
            self.condition.notify_all()
        self._call_back_all()

    # --- a task's way through its states; all under the lock ---

    def _admit(self) -> None:
        """Take in what was submitted, a bounded number at a time: deadlines are looked after in between."""
        inbox, express, count = self.inbox, self.express, 0
        alike: list[Task[Any]] = []
        while (express or inbox) and count < MOST_ADMITTED:
            item = (express or inbox).popleft()
            count += 1
            if type(item) is Task and item._more is None and item.options.deadline is None and not self.subscribers:
                if item._state_now is PENDING:
                    item._state_now = READY
                    if alike and (item._function is not alike[0]._function or item.options is not alike[0].options):
                        self._push(alike)
                        alike = []
                    alike.append(item)
                self.admitted += 1
                continue
            self._push(alike)
            alike = []
            if isinstance(item, Task):
                self._admit_one(item)
            else:
                item()
        self._push(alike)

    def _push(self, alike: list[Task[Any]]) -> None:
        """Queue tasks that have the same function and options, at once: most tasks come in such runs."""
        if alike:
            self.lanes[alike[0].lane].ready.extend(alike, alike[0].options.priority)

    def _admit_one(self, task: Task[Any]) -> None:
        self.admitted += 1
        if task._state_now is not PENDING:
            return  # cancelled before it came to this
        if task.options.deadline is not None:
            self.at(task._submitted + task.options.deadline, functools.partial(self._overdue, task))
        if self.subscribers:
            self.emit(change(task, PENDING, task._submitted))
        if task._more is None or not (task._more.needs or task.options.after) or self._needs_nothing(task):
            self._make_ready(task)
        elif not task._state_now.final:
            self._waiting.add(task)

    def _needs_nothing(self, task: Task[Any]) -> bool:
        """Count what a new task must wait for, and have it told; True when there is nothing."""
        more, after = task.more(), task.options.after
        more.ready_at = NOT_YET
        for needed in dict.fromkeys((*more.needs, *after)) if len(more.needs) > 1 or after else more.needs:
            if not needed._state_now.final:
                others = needed.more()
                if type(others.dependents) is list:
                    others.dependents.append(task)
                else:
                    others.dependents = [task]
                more.blocked += 1
            elif not self._acceptable(task, needed):
                self._doom(task, needed)
                self._end_the_doomed()
                return False
        return not more.blocked and not task._state_now.final

    def _acceptable(self, task: Task[Any], needed: Task[Any]) -> bool:
        if needed._state_now is State.SUCCEEDED:
            return True
        return task.options.if_dependency_fails == "run" and needed not in task.more().needs

    def _make_ready(self, task: Task[Any]) -> None:
        task._state_now = READY
        if task._more is not None:
            task._more.ready_at = time.monotonic()
        self.lanes[task.lane].ready.push(task, task.options.priority)
        if self.subscribers:
            self.emit(change(task, READY, ready_at(task)))

    def put_back(self, task: Task[Any]) -> None:
        """Take back an assigned task that was not begun: it is the first of its priority again."""
        task._run = None
        if task._state_now is State.READY:
            self.lanes[task.lane].ready.push_front(task, task.options.priority)

    def ended_plainly(self, tasks: list[Task[Any]]) -> None:
        """Count tasks that a lane has ended well by itself, in one go: ready ones that nobody waits for.

        It is `succeed` without the questions that such a task answers with no: half of a short task's cost here.
        """
        self.finished += len(tasks)
        self.figures.succeeded(tasks)

    def succeed(self, task: Task[Any], value: Any, run: tuple[int, float, float]) -> None:
        """End a task well; `run` is its worker's number, when it began and when it ended."""
        task._value, task._run = value, run
        self._end(task, State.SUCCEEDED)

    def fail(self, task: Task[Any], error: BaseException | Failure, run: tuple[int, float, float] | None) -> None:
        """End an attempt with what the task's own code raised: the task, too, unless it is worth another attempt."""
        task._run = run
        raised = error.exception() if isinstance(error, Failure) and task.options.retries else error
        worth = isinstance(raised, task.options.retry_on)
        self._end_attempt(task, State.FAILED, error, worth)

    def time_out(self, task: Task[Any], run: tuple[int, float, float]) -> None:
        """End an attempt that took too long and has been stopped."""
        task._run = run
        self._end_attempt(task, State.TIMED_OUT, TaskTimeoutError(task.name, task.options.timeout or 0.0), True)

    def lose(self, task: Task[Any], exit_code: int | None, run: tuple[int, float, float]) -> None:
        """End an attempt whose worker died."""
        task._run = run
        more = task.more()
        more.deaths += 1
        died = WorkerDiedError(task.name, exit_code)
        if more.deaths >= self.poison_after and task.options.retries:
            error = QuarantinedError(task.name, more.deaths)
            error.__cause__ = died
            self._remember(task, State.FAILED, died)
            task._run = None
            self._end(task, State.QUARANTINED, error)
        else:
            self._end_attempt(task, State.FAILED, died, True)

    def _end_attempt(self, task: Task[Any], state: State, error: BaseException | Failure, worth: bool) -> None:
        more = task.more()
        if not worth or more.attempts >= task.options.retries or self._close_by is not None:
            self._end(task, state, error)
            return
        self._remember(task, state, error)
        more.attempts += 1
        self.figures.retries += 1
        now = time.monotonic()
        retrying = Event(now, task.number, task.name, State.RETRYING, more.attempts)
        task._state_now, task._run = State.RETRYING, None
        more.past = [*more.past, retrying]
        self.emit(retrying)
        if task.options.backoff:
            self._waiting.add(task)
            self.at(now + task.options.backoff * 2 ** (more.attempts - 1), lambda: self._try_again(task))
        else:
            self._make_ready(task)

    def _try_again(self, task: Task[Any]) -> None:
        if task._state_now is State.RETRYING:
            self._waiting.discard(task)
            self._make_ready(task)

    def _overdue(self, task: Task[Any]) -> None:
        """End a task whose deadline has come, wherever it is."""
        if task._state_now.final:
            return
        error = TaskTimeoutError(task.name, task.options.deadline or 0.0, "submission")
        self._end_where_it_is(task, State.TIMED_OUT, error)

    def overrun(self, task: Task[Any]) -> None:
        """End a task whose attempt has had its time; one with attempts left is ended when it has really stopped."""
        if task.more().attempts >= task.options.retries:
            error = TaskTimeoutError(task.name, task.options.timeout or 0.0)
            self._end_where_it_is(task, State.TIMED_OUT, error, stop=False)

    def _end_where_it_is(
        self, task: Task[Any], state: State, error: BaseException | None, *, stop: bool = True
    ) -> None:
        """Put a task into a final state, be it waiting, ready or running, and stop it there."""
        lane, place = self.lane_of(task), task._run
        if place is None:
            if task._state_now is State.READY:
                lane.ready.discard(task, task.options.priority)
            self._end(task, state, error)
            return
        began = lane.started(task)
        task._run = None if began is None else (place[0].number, began, time.monotonic())
        self._end(task, state, error)
        if stop:
            lane.stop(place)

    def _end(self, task: Task[Any], state: State, error: BaseException | Failure | None = None) -> None:
        """Put a task into its final state and tell everybody who waits for it."""
        self._end_one(task, state, error)
        if self._doomed:
            self._end_the_doomed()

    def _end_the_doomed(self) -> None:
        while self._doomed:  # a loop: a chain of a thousand dependents would be a thousand calls deep
            doomed, cause = self._doomed.popleft()
            if not doomed._state_now.final:
                self._end_one(doomed, State.FAILED, cause)

    def _end_one(self, task: Task[Any], state: State, error: BaseException | Failure | None) -> None:
        more = task._more
        if error is not None or task._run is None:
            more = task.more()
            more.error, more.ended_at = error, time.monotonic()
        if self.subscribers:
            self._emit_end(task, state, ended_at(task), error)
        task._state_now, task._call = state, None
        self.finished += 1
        if more is not None:
            self._tell(task, more)
        self.figures.ended(task, state)

    def _tell(self, task: Task[Any], more: More) -> None:
        self._waiting.discard(task)
        if more.waiter is not None:
            more.waiter.set()
        if more.waiters is not None:
            for waiter in more.waiters:
                _notify(waiter, task)
        if more.callbacks:
            self._callbacks += [(callback, (task,)) for callback in more.callbacks]
            more.callbacks = ()
        if more.dependents:
            for dependent in more.dependents:
                self._met(dependent, task)
            more.dependents = ()

    def _met(self, dependent: Task[Any], needed: Task[Any]) -> None:
        """Tell a task that one it waited for has ended."""
        if dependent._state_now.final:
            return
        if needed._state_now is not SUCCEEDED and not self._acceptable(dependent, needed):
            self._doom(dependent, needed)
            return
        more = dependent.more()
        more.blocked -= 1
        if not more.blocked:
            self._waiting.discard(dependent)
            if dependent._run is not None:  # it followed the other one to its worker already
                dependent._state_now = READY
                more.ready_at = time.monotonic()
                if self.subscribers:
                    self.emit(change(dependent, READY, more.ready_at))
            else:
                self._make_ready(dependent)

    def _doom(self, task: Task[Any], needed: Task[Any]) -> None:
        error = DependencyFailedError(task.name, needed.name)
        error.__cause__ = CancelledError() if needed._state_now is State.CANCELLED else needed.exception()
        self._doomed.append((task, error))

    # --- events ---

    def emit(self, event: Event) -> None:
        """Tell the subscribers, once the lock is released."""
        self._callbacks += [(subscriber, (event,)) for subscriber in self.subscribers]

    def _emit_end(self, task: Task[Any], state: State, when: float, error: BaseException | Failure | None) -> None:
        """Tell how an attempt ended, and before that that it ran, if nobody has told yet."""
        told = task.number in self._told
        self._told.discard(task.number)
        began = began_at(task)
        if began is not None and not told:
            self.emit(change(task, State.RUNNING, began))
        self.emit(change(task, state, when, in_words(error)))

    def _tell_running(self) -> None:
        """Tell the subscribers what has begun since; while there are any, the supervisor looks every few moments."""
        for lane in self.lanes.values():
            for task in lane.running():
                began = self.started(task)
                if began and task.number not in self._told and not task._state_now.final:
                    self._told.add(task.number)
                    self.emit(change(task, State.RUNNING, began))

    def _remember(self, task: Task[Any], state: State, error: BaseException | Failure | None) -> None:
        """Keep the events of an attempt that is not the last, and tell them."""
        more = task.more()
        if task._run is None:
            more.ended_at = time.monotonic()
        ended = change(task, state, ended_at(task), in_words(error))
        more.past = [*more.past, *attempt(task, began_at(task)), ended]
        if self.subscribers:
            self._emit_end(task, state, ended_at(task), error)
        more.ready_at = NOT_YET

    def _call_back_all(self) -> None:
        """Call what waits for ended tasks and events, without the lock: it may do anything, submit included."""
        while self._callbacks:
            with self.lock:
                callbacks, self._callbacks = self._callbacks, []
            for callback, arguments in callbacks:
                self.call_back(callback, *arguments)


def _notify(waiter: Any, task: Task[Any]) -> None:
    """Tell a waiter of `concurrent.futures.wait` or `as_completed`."""
    if task._state_now is State.CANCELLED:
        waiter.add_cancelled(task)
    elif task._state_now is State.SUCCEEDED:
        waiter.add_result(task)
    else:
        waiter.add_exception(task)
