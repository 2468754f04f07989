"""The supervisor: one thread that admits tasks, gives them to the lanes, and watches over these.

Idea        Submitting only appends to a queue; everything else that changes a task happens in one thread, under one
            lock that it takes once for a whole batch of results.
Invariant   Nothing waits for nothing: the thread sleeps until something is posted, heard or due, and misses none of it.
When wrong  A defect of the supervisor's own ends the scheduler: every task fails with it, none is left waiting.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_scheduler.py
"""

from __future__ import annotations

import heapq
import itertools
import logging
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from arion_lib.scheduler.errors import (
    ShutDownError,
)
from arion_lib.scheduler.history import began_at, history
from arion_lib.scheduler.lane import Lane
from arion_lib.scheduler.lifecycle import PENDING, READY, Command, Lifecycle
from arion_lib.scheduler.snapshot import Snapshot
from arion_lib.scheduler.states import Event, State
from arion_lib.scheduler.task import Task

log = logging.getLogger(__name__)

LOOK = 0.02
"""Seconds between two looks at what has begun, while somebody subscribes to events."""
LONGEST_SLEEP = 5.0
"""Seconds that the supervisor sleeps at most."""
MOST_ADMITTED = 1_000
"""Tasks admitted in one go: a millisecond's worth."""


class Core(Lifecycle):
    """What every handle and every lane refers to."""

    def __init__(self, lanes: Mapping[str, Lane], *, name: str, poison_after: int, keep: int) -> None:
        super().__init__(lanes, poison_after=poison_after, keep=keep)
        self.name = name
        self.condition = threading.Condition(self.lock)
        self.inbox: deque[Task[Any] | Command] = deque()
        self.express: deque[Task[Any] | Command] = deque()
        """A second inbox, seen to first: what is urgent must not wait until a long queue has been taken in."""
        self.closing = False
        self.ended = False
        self.asleep = False
        """Whether the supervisor waits for something to happen, and has to be told of a new task."""
        self.resting = False
        """Whether it only lets results gather: every worker has enough to do, so a new task need not wake it."""
        self.next_number: Callable[[], int] = itertools.count(1).__next__
        self._next_check = 0.0
        self._again = False
        self._awaited = 0
        """How many threads wait for the last task's end, or for room."""
        self._at_end: dict[Command, None] = {}
        self._selector = selectors.DefaultSelector()
        self._bell, self._ring = socket.socketpair()
        self._alarms = selectors.DefaultSelector()
        """What ends a rest: the bell, and whatever tells of a worker's death."""
        self._opened = threading.Event()
        self.failure: BaseException | None = None
        self.thread = threading.Thread(target=self._live, name=f"arion-{name}", daemon=True)

    # --- any thread ---

    def start(self) -> None:
        """Start the supervisor; return when the lanes are open. Raises what opening them raised."""
        for end in (self._bell, self._ring):
            end.setblocking(False)
        self.watch(self._bell, self._hear, alarm=True)
        self.thread.start()
        self._opened.wait()
        if self.failure is not None:
            self.thread.join()
            raise self.failure

    def post(self, item: Task[Any] | Command) -> None:
        """Hand something to the supervisor. Lock-free: it costs an append, and a byte when the supervisor sleeps."""
        (self.inbox if type(item) is Task and item.options.priority <= 0 else self.express).append(item)
        if self.asleep or self.resting:
            self.wake()
        if self.ended:
            self.refuse_the_late()

    def post_many(self, tasks: list[Task[Any]]) -> None:
        """Hand over several tasks of the same options, in order."""
        (self.inbox if tasks[0].options.priority <= 0 else self.express).extend(tasks)
        if self.asleep:
            self.wake()
        if self.ended:
            self.refuse_the_late()

    def hurry(self, lane: Lane) -> None:
        """Have a task that was just put into the inbox given out: by this very thread when a worker is idle.

        The supervisor sleeps; to wake it only to write to a pipe would cost a quarter of a short task's way. For tasks
        without deadlines only: those it must know of.
        """
        if self.subscribers or not lane.idle() or not self.lock.acquire(blocking=False):
            self.wake()
            return
        try:
            self._admit(self.inbox)  # tasks only: commands start processes, which must be the supervisor's children
            if lane.ready:
                lane.dispatch(time.monotonic())
        finally:
            self.lock.release()
        if self._callbacks:
            self.wake()

    def assist(self) -> None:
        """Have what is in the inbox given out by this very thread, while it goes on submitting.

        A thread that only computes keeps the supervisor from running for milliseconds, and the workers from working.
        """
        if self.subscribers or self.ended or not self.lock.acquire(blocking=False):
            return
        try:
            self._admit(self.inbox)
            self._dispatch(time.monotonic())
        finally:
            self.lock.release()
        self.wake()  # there may be deadlines, results, callbacks

    def _dispatch(self, now: float) -> None:
        for lane in self.lanes.values():
            if lane.ready or self.extended:
                lane.dispatch(now)
        self.extended = False

    def wake(self) -> None:
        self.asleep = False
        with suppress(BlockingIOError, OSError):  # full: it is awake already; closed: it has ended
            self._ring.send(b"\0")

    def unfinished(self) -> int:
        """Return how many tasks have not ended."""
        with self.lock:
            posted = len(self.inbox) + sum(type(item) is Task for item in list(self.express))
            return posted + self.admitted - self.finished

    def wait_idle(self, timeout: float | None) -> bool:
        return self.wait_for(lambda: not self.unfinished(), timeout)

    def wait_for(self, condition: Callable[[], bool], timeout: float | None = None) -> bool:
        """Wait until something about the tasks holds, or the scheduler has ended; looked at after each turn."""
        with self.condition:
            self._awaited += 1
            try:
                return self.condition.wait_for(lambda: self.ended or condition(), timeout)
            finally:
                self._awaited -= 1

    def request_close(self, close_by: float | None = None) -> None:
        """Take no more tasks; end when all have ended, at `close_by` (of the monotonic clock) at the latest."""
        self.closing = True
        if close_by is not None:
            self.close_by = min(close_by, self.close_by or close_by)
        self.wake()

    def state_of(self, task: Task[Any]) -> State:
        state = task._state_now
        if state.final or type(task._run) is not tuple:
            return state
        with self.lock:
            if task._state_now.final or self.started(task) is None:
                return task._state_now
            return State.RUNNING

    def cancel(self, task: Task[Any]) -> bool:
        with self.lock:
            if task._state_now.final:
                return task._state_now is State.CANCELLED
            self._end_where_it_is(task, State.CANCELLED, None)
        self.wake()
        return True

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
            self._admit(self.express)
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

    def watch(
        self, what: Any, heard: Callable[[], None], events: int = selectors.EVENT_READ, *, alarm: bool = False
    ) -> None:
        """Call `heard()` under the lock when `what` becomes readable (or as `events` say); an alarm ends a rest."""
        self._selector.register(what, events, heard)
        if alarm:
            self._alarms.register(what, events)

    def unwatch(self, what: Any) -> None:
        for selector in (self._selector, self._alarms):
            with suppress(KeyError, ValueError):
                selector.unregister(what)

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
            try:
                self._close()
            finally:  # whatever happens, nobody waits for a scheduler that does not come
                self._opened.set()

    def _turn(self) -> bool:
        """Wait for something, handle all of it, give out work; True when everything has ended."""
        for key, _ in self._wait():
            with self.lock:
                key.data()
        if self._nothing_left():
            return False
        with self.lock:
            now = time.monotonic()
            self._admit(self.express)
            while self._timers and self._timers[0][0] <= now:
                heapq.heappop(self._timers)[2]()
            self._dispatch(now)
            self._next_check = min(lane.check(now) for lane in self.lanes.values())
            if self.subscribers:
                self._tell_running()
                self._next_check = min(self._next_check, now + LOOK)
            if self._again:
                self._again, self._next_check = False, now
            done = self.closing and self._closed(now)
            if self._awaited:
                self.condition.notify_all()
        self._call_back_all()
        return done

    def _nothing_left(self) -> bool:
        """Whether the last task has just ended and nobody asks for more: back to sleep, its caller wants to go on."""
        busy = self.inbox or self.express or self._callbacks or self._timers or self._again or self._awaited
        if busy or self.closing or self.finished < self.admitted or time.monotonic() >= self._next_check:
            return False
        return not any(lane.assigned() for lane in self.lanes.values())  # one that is cancelled may run still

    def _wait(self) -> list[Any]:
        until = min(self._next_check, self._timers[0][0]) if self._timers else self._next_check
        timeout = min(max(0.0, until - time.monotonic()), LONGEST_SLEEP)
        rest = min(timeout, max([lane.rest() for lane in self.lanes.values()]))
        if rest > 0.0 and not (self.inbox or self.express):
            self.resting = True
            if not self.express:
                self._alarms.select(rest)
            self.resting = False
            return self._selector.select(0)
        self.asleep = True
        if self.inbox or self.express:
            timeout = 0.0
        found = self._selector.select(timeout)
        self.asleep = False
        return found

    def again(self) -> None:
        """Go round once more at once: something became ready that could not before."""
        self._again = True

    def _hear(self) -> None:
        with suppress(BlockingIOError):
            self._bell.recv(4096)

    def _closed(self, now: float) -> bool:
        if self.close_by is not None and now >= self.close_by:
            self._cancel_all()
        if self.admitted > self.finished or self.inbox or self.express:
            self._next_check = min(self._next_check, self.close_by or now + LONGEST_SLEEP)
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
            self._admit(self.express)
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
        self._alarms.close()
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

    def _admit(self, express: deque[Task[Any] | Command]) -> None:
        """Take in what was submitted, a bounded number at a time: deadlines are looked after in between."""
        inbox, count = self.inbox, 0
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
