"""A task's way through its states: what follows from what, and who is told.

Idea        Ready when nothing is waited for, running when a lane says so, ended once; the rules are here, the thread
            that applies them is the supervisor's (supervisor.py).
Invariant   Each task reaches exactly one final state, once; a task runs only when all that it needs has ended well.
When wrong  A failed attempt is tried again as the options say; a task that kills workers is quarantined.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_random_graphs.py
"""

from __future__ import annotations

import functools
import heapq
import itertools
import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future
from dataclasses import replace
from typing import Any

from arion_lib.scheduler.bounds.limits import Limits
from arion_lib.scheduler.calls.failures import Failure, is_one_of
from arion_lib.scheduler.errors import DependencyFailedError, QuarantinedError, TaskTimeoutError, WorkerDiedError
from arion_lib.scheduler.lane import Lane
from arion_lib.scheduler.monitoring.figures import Figures
from arion_lib.scheduler.monitoring.history import NOT_YET, attempt, began_at, change, ended_at, in_words, ready_at
from arion_lib.scheduler.states import Event, State
from arion_lib.scheduler.task import More, Task
from arion_lib.scheduler.waiting.serial import SerialThread
from arion_lib.scheduler.waiting.signals import Signal

log = logging.getLogger(__name__)

PENDING, READY, SUCCEEDED = State.PENDING, State.READY, State.SUCCEEDED
Command = Callable[[], None]


class Lifecycle:
    """The states of all tasks of one scheduler. Every method is called under the lock, unless it says otherwise."""

    def __init__(self, lanes: Mapping[str, Lane], *, poison_after: int, keep: int) -> None:
        self.lanes, self.poison_after = lanes, poison_after
        self.lock = threading.RLock()
        self.figures = Figures(keep)
        self.limits: Limits[Task[Any]] | None = None
        self.admitted = self.finished = 0
        self.subscribers: list[Callable[[Event], None]] = []
        self.close_by: float | None = None
        """When whatever is left is cancelled: no attempt begins after it."""
        self.extended = False
        """Whether a task has come that needs one which has been given out: it may follow it to its worker."""
        self._timers: list[tuple[float, int, Command]] = []
        self._deadlines: list[tuple[float, int, weakref.ref[Task[Any]]]] = []
        """Weak: a task that has ended, and its result, must not live until its deadline would have come."""
        self._timer_numbers = itertools.count()
        self._waiting: set[Task[Any]] = set()
        """Tasks that wait for other tasks or for their next attempt."""
        self._told: set[int] = set()
        """Tasks whose subscribers know that they run."""
        self._doomed: deque[tuple[Task[Any], BaseException]] = deque()
        self.signals: dict[Task[Any], list[Signal]] = {}
        """What the threads wait for that wait for a task. They add to it without the lock; see `Task._wait`."""
        self._callbacks: list[Callable[[], None]] = []
        self.callbacks: SerialThread

    def at(self, when: float, command: Command) -> None:
        """Run a command under the lock at a time of the monotonic clock."""
        heapq.heappush(self._timers, (when, next(self._timer_numbers), command))

    def started(self, task: Task[Any]) -> float | None:
        """Return when the present attempt's code began; None when it has not, or there is no attempt."""
        return self.lane_of(task).started(task) if type(task._run) is tuple else None

    def lane_of(self, task: Task[Any]) -> Lane:
        return self.lanes[task.lane]

    def _push(self, alike: list[Task[Any]]) -> None:
        """Queue tasks that have the same function and options, at once: most tasks come in such runs."""
        if alike:
            self.lanes[alike[0].lane].ready.extend(alike, alike[0].options.priority)

    def _admit_one(self, task: Task[Any]) -> None:
        self.admitted += 1
        if task._state_now is not PENDING:
            return  # cancelled before it came to this
        if task.options.deadline is not None:
            self._keep_deadline(task, task._submitted + task.options.deadline)
        if self.subscribers:
            self.emit(change(task, PENDING, task._submitted))
        nothing = task._more is None or not (task._more.needs or task.options.after) or self._needs_nothing(task)
        if task._state_now.final:
            return  # what it needs has failed
        if task.options.delay:
            self._wait_for_its_time(task)
        elif nothing:
            self._make_ready(task)
            return
        self._waiting.add(task)

    def _wait_for_its_time(self, task: Task[Any]) -> None:
        """Count the time to wait as one more thing that a task needs."""
        more = task.more()
        more.blocked, more.ready_at = more.blocked + 1, NOT_YET

        def come() -> None:
            if task._state_now.final:
                return
            more.blocked -= 1
            if not more.blocked:
                self._waiting.discard(task)
                self._make_ready(task)

        self.at(task._submitted + task.options.delay, come)

    def _keep_deadline(self, task: Task[Any], when: float) -> None:
        heapq.heappush(self._deadlines, (when, next(self._timer_numbers), weakref.ref(task)))
        if len(self._deadlines) > 1_000 + 2 * (self.admitted - self.finished):  # most are of tasks that have ended
            alive = [entry for entry in self._deadlines if (its := entry[2]()) is not None and not its._state_now.final]
            heapq.heapify(alive)
            self._deadlines = alive

    def _end_the_overdue(self, now: float) -> None:
        """End the tasks whose deadlines have come, wherever they are."""
        while self._deadlines and self._deadlines[0][0] <= now:
            task = heapq.heappop(self._deadlines)[2]()
            if task is not None and not task._state_now.final:
                error = TaskTimeoutError(task.name, task.options.deadline or 0.0, "submission")
                self._end_where_it_is(task, State.TIMED_OUT, error)

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
                    others.dependents = [*others.dependents, task] if others.dependents else (task,)
                more.blocked += 1
                self.extended = self.extended or needed._run is not None
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
        """Queue a task for a worker, if its tags' limits leave room; else it waits for its turn."""
        if self.limits is not None and self.limits.concern(task.options.tags):
            more = task.more()
            if not more.has_places:
                more.has_places = self.limits.take(task, task.options.tags, task.options.priority)
            if not more.has_places:
                self._waiting.add(task)
                return
            self._waiting.discard(task)
        task._state_now = READY
        if task._more is not None:
            task._more.ready_at = time.monotonic()
        self.lanes[task.lane].ready.push(task, task.options.priority)
        if self.subscribers:
            self.emit(change(task, READY, ready_at(task)))

    def _give_places_back(self, task: Task[Any], more: More) -> None:
        """Let others of a task's tags have their turn; those that have ended meanwhile let the next ones."""
        if self.limits is None or not more.has_places:
            return
        more.has_places = False
        asking = self.limits.give_back(task.options.tags)
        while asking:
            other = asking.pop()
            if not other._state_now.final:
                self._make_ready(other)
                if not other.more().has_places:
                    asking += self.limits.asking(other.options.tags)
            else:  # it takes and gives back at once what it no longer needs
                its = other.options
                if self.limits.take(other, its.tags, its.priority):
                    asking += self.limits.give_back(its.tags)
                else:
                    asking += self.limits.asking(its.tags)

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
        if self.signals:
            for task in tasks:
                self.wake_waiting(task)

    def met_plainly(self, task: Task[Any], more: More) -> bool:
        """Let the tasks that wait for a task go on, if nobody else waits for it; False when somebody does."""
        if more.waiters is not None or more.callbacks or more.has_places:
            return False
        more.needs = ()
        for dependent in more.dependents:
            its = dependent._more
            if its is None or dependent._run is None or its.blocked != 1:
                self._met(dependent, task)
            elif not dependent._state_now.final:  # the next link of a chain, at its worker already
                its.blocked, its.ready_at = 0, task._run[2]
                dependent._state_now = READY
                self._waiting.discard(dependent)
        more.dependents = ()
        return True

    def succeed(self, task: Task[Any], value: Any, run: tuple[int, float, float]) -> None:
        """End a task well; `run` is its worker's number, when it began and when it ended."""
        task._value, task._run = value, run
        self._end(task, State.SUCCEEDED)

    def fail(self, task: Task[Any], error: BaseException | Failure, run: tuple[int, float, float] | None) -> None:
        """End an attempt with what the task's own code raised: the task, too, unless it is worth another attempt."""
        task._run = run
        self._end_attempt(task, State.FAILED, error, is_one_of(error, task.options.retry_on))

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
        if not worth or more.attempts >= task.options.retries or self._is_late():
            self._end(task, state, error)
            return
        self._remember(task, state, error)
        self._give_places_back(task, more)
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

    def _is_late(self) -> bool:
        return self.close_by is not None and time.monotonic() >= self.close_by

    def _try_again(self, task: Task[Any]) -> None:
        if task._state_now is State.RETRYING:
            self._waiting.discard(task)
            self._make_ready(task)

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
        task._run = (place[0].number, began, time.monotonic()) if began else None
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
            if doomed._state_now.final:
                continue
            place = doomed._run
            if place is not None:  # it followed the other one to its worker, and may have begun there
                began = self.lane_of(doomed).started(doomed)
                doomed._run = (place[0].number, began, time.monotonic()) if began else None
            self._end_one(doomed, State.FAILED, cause)
            if place is not None:
                self.lane_of(doomed).stop(place)

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
        if self.signals:
            self.wake_waiting(task)

    def _tell(self, task: Task[Any], more: More) -> None:
        self._waiting.discard(task)
        self._give_places_back(task, more)
        more.needs = ()  # else the last handle of a chain would keep every result alive
        if task.options.after:
            task.options = replace(task.options, after=())
        if more.waiters is not None:
            for waiter in more.waiters:
                _notify(waiter, task)
        if more.callbacks:
            for callback in more.callbacks:
                self.later(callback, task)
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

    # --- who is told ---

    def emit(self, event: Event) -> None:
        """Tell the subscribers, once the lock is released."""
        for subscriber in list(self.subscribers):
            self.later(subscriber, event)

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
                # Not a cancelled one, whose worker has not stopped, nor a link whose dependency's end is not heard yet.
                if task._state_now is not State.READY or task.number in self._told:
                    continue
                if began := self.started(task):
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

    def add_callback(self, task: Task[Any], fn: Callable[[Future[Any]], object]) -> None:
        """Have something called when a task has ended."""
        if task._state_now.final:
            self.later(fn, task)
            return
        more = task.more()
        if type(more.callbacks) is not list:
            more.callbacks = []
        more.callbacks.append(fn)

    def wake_waiting(self, task: Task[Any]) -> None:
        """Let the threads go on that wait for a task's end."""
        for signal in self.signals.pop(task, ()):
            signal.set()

    def later(self, callback: Callable[..., object], *arguments: Any, **named: Any) -> None:
        """Call something as soon as the lock is released, in the thread for users' code."""
        self._callbacks.append(functools.partial(_call_back, callback, *arguments, **named))

    def _call_back_all(self) -> None:
        """Have made what calls wait for ended tasks and events: they may do anything, submit included."""
        calls, self._callbacks = self._callbacks, []
        for call in calls:
            self.callbacks.put(call)


def _call_back(callback: Callable[..., object], *arguments: Any, **named: Any) -> None:
    try:
        callback(*arguments, **named)
    except BaseException:  # the Executor's contract: a callback's error is logged and ignored
        log.exception("the callback %r for %r raised", callback, arguments[0])


def _notify(waiter: Any, task: Task[Any]) -> None:
    """Tell a waiter of `concurrent.futures.wait` or `as_completed`."""
    if task._state_now is State.CANCELLED:
        waiter.add_cancelled(task)
    elif task._state_now is State.SUCCEEDED:
        waiter.add_result(task)
    else:
        waiter.add_exception(task)
