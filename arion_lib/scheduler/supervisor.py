"""The supervisor: one thread that admits tasks, gives them to the lanes, and watches over these.

Idea        Other threads put tasks and questions into an inbox and wait, where they want to know, for a signal. All
            that changes a task happens in the one thread.
Invariant   No lost wake-ups: the thread sleeps in `select` until something is in the inbox, a pipe is readable or a
            timer is due. No user's code runs in it: callbacks and prints have threads of their own.
When wrong  An error in a step is logged and the next step is made; the task or question that it was about gets it.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_scheduler.py
"""

from __future__ import annotations

import functools
import heapq
import itertools
import logging
import math
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from arion_lib.scheduler.errors import ShutDownError
from arion_lib.scheduler.lane import Lane
from arion_lib.scheduler.lifecycle import PENDING, READY, Command, Lifecycle
from arion_lib.scheduler.monitoring.history import began_at, history
from arion_lib.scheduler.snapshot import Snapshot
from arion_lib.scheduler.states import Event, State
from arion_lib.scheduler.task import Task
from arion_lib.scheduler.waiting.serial import SerialThread
from arion_lib.scheduler.waiting.signals import Question, Signal

log = logging.getLogger(__name__)
T = TypeVar("T")

LOOK = 0.02
"""Seconds between two looks at what has begun, while somebody subscribes to events."""
LONGEST_SLEEP = 5.0
"""Seconds that the supervisor sleeps at most."""
MOST_ADMITTED = 1_000
"""Tasks admitted in one go: a millisecond's worth."""
PAUSE = 0.05
"""Seconds of rest after an error of the supervisor's own: what fails at once again must not take a whole core."""
MOST_ERRORS = 100
"""Turns in a row that may fail before the supervisor gives up."""


class Supervisor(Lifecycle):
    """What every handle and every lane refers to."""

    def __init__(self, lanes: Mapping[str, Lane], *, name: str, poison_after: int, keep: int) -> None:
        super().__init__(lanes, poison_after=poison_after, keep=keep)
        self.name = name
        self.condition = threading.Condition(self.lock)
        self.inbox: deque[Task[Any] | Command] = deque()
        self.urgent: deque[Task[Any] | Command] = deque()
        """A second inbox, seen to first: what is urgent must not wait until a long queue has been taken in."""
        self.closing = False
        self.ended = False
        self.abandoned = False
        """Whether this process is a fork of the one that the scheduler is in: it has no supervisor, and no workers."""
        self.asleep = False
        """Whether the supervisor waits for something to happen, and has to be woken. Written by itself alone."""
        self.next_number: Callable[[], int] = itertools.count(1).__next__
        self._next_check = 0.0
        self._again = False
        self._awaited: list[tuple[Callable[[], bool], Signal]] = []
        """What threads wait for: the last task's end, or room."""
        self._at_end: dict[Command, None] = {}
        self._selector = selectors.DefaultSelector()
        self._bell, self._ring = socket.socketpair()
        self._opened = threading.Event()
        self._finished = Signal()
        self.failure: BaseException | None = None
        self._errors = 0
        """Turns in a row that failed."""
        self._pause = 0.0
        self.callbacks = SerialThread(f"arion-{name}-callbacks")
        self.output = SerialThread(f"arion-{name}-output")
        self.thread = threading.Thread(target=self._live, name=f"arion-{name}", daemon=True)

    # --- any thread ---

    def start(self) -> None:
        """Start the supervisor; return when the lanes are open. Raises what opening them raised."""
        for end in (self._bell, self._ring):
            end.setblocking(False)
        self.watch(self._bell, self._hear)
        self.thread.start()
        self._opened.wait()
        if self.failure is not None:
            self.thread.join()
            raise self.failure

    def post(self, item: Task[Any] | Command) -> None:
        """Hand something to the supervisor. Lock-free: it costs an append, and a byte when the supervisor sleeps."""
        (self.inbox if type(item) is Task and item.options.priority <= 0 else self.urgent).append(item)
        if self.asleep:
            self.wake()
        if self.ended:
            self.refuse_the_late()

    def post_many(self, tasks: list[Task[Any]]) -> None:
        """Hand over several tasks of the same options, in order."""
        (self.inbox if tasks[0].options.priority <= 0 else self.urgent).extend(tasks)
        if self.asleep:
            self.wake()
        if self.ended:
            self.refuse_the_late()

    def ask(self, question: Callable[[], T]) -> T:
        """Have the supervisor call something; return what it returned, or raise what it raised.

        A thread that Ctrl-C may interrupt changes nothing itself: half a change would be everybody's.
        """
        if threading.current_thread() is self.thread:
            return question()
        if self.abandoned:
            raise self.refusal()
        asked = Question(question)
        self.post(asked)
        return asked.answer()

    def wake(self) -> None:
        with suppress(OSError):  # full: it is awake already; closed: it has ended
            self._ring.send(b"\0")

    def unfinished(self) -> int:
        """Return how many tasks have not ended."""
        return self._posted() + self.admitted - self.finished

    def _posted(self) -> int:
        """Return how many tasks have not been taken in yet; among what is urgent there are questions, too."""
        return len(self.inbox) + sum(type(item) is Task for item in list(self.urgent))

    def wait_idle(self, timeout: float | None) -> bool:
        return self.wait_for(lambda: not self.unfinished(), timeout)

    def wait_for(self, condition: Callable[[], bool], timeout: float | None = None) -> bool:
        """Wait until something about the tasks holds, or the scheduler has ended; looked at after each turn."""
        signal = Signal()
        awaited = (condition, signal)
        self._awaited.append(awaited)
        self.wake()
        try:
            return self.ended or signal.wait(timeout)
        finally:
            with suppress(ValueError):
                self._awaited.remove(awaited)

    def request_close(self, close_by: float | None = None) -> None:
        """Take no more tasks; end when all have ended, at `close_by` (of the monotonic clock) at the latest."""
        self.closing = True
        if close_by is not None:
            self.close_by = min(close_by, self.close_by or close_by)
        self.wake()

    def refusal(self) -> ShutDownError:
        """Return why no task is taken any more."""
        if self.abandoned:
            return ShutDownError(
                "the scheduler belongs to the process that this one was forked from; open a new one here"
            )
        return ShutDownError("the scheduler is shut down; open a new one")

    def state_of(self, task: Task[Any]) -> State:
        state = task._state_now
        if state.final or type(task._run) is not tuple:
            return state
        with self.lock:
            if task._state_now.final or self.started(task) is None:
                return task._state_now
            return State.RUNNING

    def cancel(self, task: Task[Any]) -> bool:
        return self.cancel_many([task])

    def cancel_many(self, tasks: list[Task[Any]]) -> bool:
        """Cancel tasks, by one question; return whether all are cancelled now."""
        if not all(task._state_now.final for task in tasks):
            self.ask(functools.partial(self._cancel_each, tasks))
        return all(task._state_now is State.CANCELLED for task in tasks)

    def _cancel_each(self, tasks: list[Task[Any]]) -> None:
        for task in tasks:
            self._cancel(task)

    def _cancel(self, task: Task[Any]) -> None:
        if not task._state_now.final:
            self._end_where_it_is(task, State.CANCELLED, None)

    def history_of(self, task: Task[Any]) -> tuple[Event, ...]:
        with self.lock:
            return tuple(history(task, began_at(task) if task._state_now.final else self.started(task) or None))

    def reject(self, task: Task[Any], error: BaseException) -> None:
        """End a task that cannot be run at all."""
        self.admitted += 1
        if not task._state_now.final:
            self._end(task, State.FAILED, error)

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Give each event to a callback from now on; return what ends that."""
        self.subscribers.append(callback)
        self.wake()

        def unsubscribe() -> None:
            with suppress(ValueError):
                self.subscribers.remove(callback)

        return unsubscribe

    def at_end(self, command: Command) -> Command:
        """Do something when the scheduler has ended, at once when it has; return what takes that back."""
        self._at_end[command] = None
        if self.ended and self._at_end.pop(command, command) is None:
            command()
        return lambda: self._at_end.pop(command, None)

    def join(self) -> None:
        """Wait for the supervisor's end; Ctrl-C while waiting cancels everything.

        By a signal of our own: a `Thread.join` that Ctrl-C ends takes the thread for ended from then on.
        """
        try:
            self._finished.wait()
        except KeyboardInterrupt:
            self.cancel_all()
            self._finished.wait()
            raise
        finally:
            if self.ended and not self.abandoned:
                self.thread.join()

    def is_own_thread(self) -> bool:
        """Whether the calling thread is one that the scheduler's end waits for."""
        return threading.current_thread() in (self.thread, self.callbacks.thread, self.output.thread)

    def cancel_unstarted(self) -> None:
        """Cancel every task whose code has not begun."""
        while self.inbox or self.urgent:
            self._admit(self.urgent)
        for task in self._alive():
            if self.started(task) is None and task._state_now is not State.RUNNING:
                self._cancel(task)

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
                ready=sum(sum(lane.queued.values()) for lane in lanes) + self._posted(),
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

    def abandon(self) -> None:
        """Let go, in a process that was forked from the scheduler's: its workers' pipes are not this process's."""
        self.abandoned = self.closing = self.ended = True
        self._finished.set()
        self.lock = threading.RLock()  # another thread may have held it, and that one is not here
        self.condition = threading.Condition(self.lock)
        self.inbox.clear()
        self.urgent.clear()
        for lane in self.lanes.values():
            lane.abandon()
        for one in (self._selector, self._bell, self._ring):
            with suppress(OSError):
                one.close()

    # --- the lanes ---

    def after_output(self, task: Task[Any], finish: Command) -> None:
        """Finish a task that has printed when all of that has been written. A slow stream holds up no other task."""
        task._run, task._state_now = None, State.RUNNING
        self._waiting.add(task)

        def written() -> None:
            self._waiting.discard(task)
            if not task._state_now.final:
                finish()

        self.output.put(lambda: self.post(Question(written)))

    # --- the supervisor's life ---

    def watch(self, what: Any, heard: Callable[[], None], events: int = selectors.EVENT_READ) -> None:
        """Call `heard()` under the lock when `what` becomes readable (or as `events` say)."""
        self._selector.register(what, events, heard)

    def unwatch(self, what: Any) -> None:
        with suppress(KeyError, ValueError):
            self._selector.unregister(what)

    def _live(self) -> None:
        try:
            with self.lock:
                for lane in self.lanes.values():
                    lane.open(self)
            self._opened.set()
            while not self._turn_guarded():
                pass
        except BaseException as error:
            self.failure = error
            if self._opened.is_set():
                log.critical("the supervisor failed; its tasks are failed with its error", exc_info=True)
        finally:
            try:
                self._close()
            finally:  # whatever happens, nobody waits for a scheduler that does not come
                self._opened.set()
                self._finished.set()

    def _turn_guarded(self) -> bool:
        """Do a turn; one that fails is logged, and the next is done. Raises when too many in a row have failed."""
        try:
            done = self._turn()
        except BaseException as error:
            self._errors += 1
            if self._errors >= MOST_ERRORS:
                raise
            self.report(error)
            return False
        self._errors = 0
        return done

    def _turn(self) -> bool:
        """Wait for something, handle all of it, give out work; True when everything has ended."""
        heard = self._sleep()
        with self.lock:
            for key, _ in heard:
                self._guard(key.data)
            now = time.monotonic()
            self._admit(self.urgent)
            while self._timers and self._timers[0][0] <= now:
                self._guard(heapq.heappop(self._timers)[2])
            self._end_the_overdue(now)
            for lane in self.lanes.values():
                if lane.ready or self.extended:
                    self._guard(lane.dispatch, now)
            self.extended = False
            self._next_check = math.inf
            for lane in self.lanes.values():
                self._guard(self._check, lane, now)
            if self.subscribers:
                self._tell_running()
                self._next_check = min(self._next_check, now + LOOK)
            if self._again:
                self._again, self._next_check = False, now
            done = self.closing and self._closed(now)
            for condition, signal in list(self._awaited):
                if condition():
                    signal.set()
        self._call_back_all()
        return done

    def _check(self, lane: Lane, now: float) -> None:
        self._next_check = min(self._next_check, lane.check(now))

    def _guard(self, step: Callable[..., object], *arguments: Any) -> None:
        """Make a step; an error in it must not keep the others from being made."""
        try:
            step(*arguments)
        except Exception as error:  # noqa: BLE001  (any defect: everybody's tasks depend on this thread)
            self.report(error)

    def report(self, error: BaseException) -> None:
        """Log an error of the supervisor's own, and go slowly for a moment."""
        self._pause, self._again = PAUSE, True  # what could not be done is tried again
        self.later(log.error, "the supervisor goes on after an error: %r", error, exc_info=error)

    def _sleep(self) -> list[Any]:
        """Wait until there is something to do; return what was heard."""
        if self._pause:
            time.sleep(self._pause)
            self._pause = 0.0
        due = [self._next_check, *(heap[0][0] for heap in (self._timers, self._deadlines) if heap)]
        timeout = min(max(0.0, min(due) - time.monotonic()), LONGEST_SLEEP)
        self.asleep = True
        if self.inbox or self.urgent or self._callbacks:
            timeout = 0.0
        try:
            return self._selector.select(timeout)
        finally:
            self.asleep = False

    def again(self) -> None:
        """Go round once more at once: something became ready that could not before."""
        self._again = True

    def _hear(self) -> None:
        with suppress(BlockingIOError):
            self._bell.recv(4096)

    def _closed(self, now: float) -> bool:
        if self.close_by is not None and now >= self.close_by:
            self._cancel_all()
        if self.admitted > self.finished or self.inbox or self.urgent:
            self._next_check = min(self._next_check, self.close_by or now + LONGEST_SLEEP)
            return False
        closed = [lane.close(now) for lane in self.lanes.values()]
        if not all(closed):
            self._next_check = min(self._next_check, now + 0.02)
        return all(closed)

    def cancel_all(self) -> None:
        """Cancel everything that has not ended. Any thread."""
        self.post(self._cancel_all)

    def _cancel_all(self) -> None:
        while self.inbox or self.urgent:
            self._admit(self.urgent)
        self._cancel_each(self._alive())

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
                self._guard(lane.kill)
            self.refuse_the_late()
            commands, self._at_end = list(self._at_end), {}
        for command in commands:
            self._guard(command)
        for _, signal in list(self._awaited):
            signal.set()
        self.output.close(1.0)
        self.callbacks.close(None)
        self._selector.close()
        self._bell.close()
        self._ring.close()

    def refuse_the_late(self) -> None:
        """End what was posted behind the end. Any thread."""
        if self.abandoned:
            self.inbox.clear()
            self.urgent.clear()
            return
        with self.lock:
            error = self.refusal()
            error.__cause__ = self.failure
            while self.inbox or self.urgent:
                item = (self.urgent or self.inbox).popleft()
                if type(item) is Task:
                    self.admitted += 1
                    if not item._state_now.final:
                        self._end(item, State.FAILED, error)
                elif isinstance(item, Question):
                    self._guard(item)
            for task in self._alive():
                self._end(task, State.FAILED, error)
        self._call_back_all()

    def _admit(self, urgent: deque[Task[Any] | Command]) -> None:
        """Take in what was submitted, a bounded number at a time: deadlines are looked after in between."""
        inbox, count = self.inbox, 0
        alike: list[Task[Any]] = []
        while (urgent or inbox) and count < MOST_ADMITTED:
            item = (urgent or inbox).popleft()
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
                self._admit_guarded(item)
            else:
                self._guard(item)
        self._push(alike)

    def _admit_guarded(self, task: Task[Any]) -> None:
        try:
            self._admit_one(task)
        except Exception as error:  # noqa: BLE001  (a defect: it is this task's, and no other's)
            self.report(error)
            if not task._state_now.final:
                self._end(task, State.FAILED, error)
