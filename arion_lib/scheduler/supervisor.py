"""The supervisor: one thread that lets the lifecycle decide, carries out what it wants, and watches over the lanes.

Idea        Other threads put tasks and questions into the inbox and wait, where they want to know, for a signal. All
            that changes a task happens in the one thread.
Invariant   One way in (inbox.py) and one way to sleep (sleep.py): until something is in the inbox, a pipe is readable
            or a time has come. No user's code runs in it (test_users_code.py).
When wrong  An error in a step is logged and the next step is made; the task or question that it was about gets it.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_fault_injection.py
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from arion_lib.scheduler.errors import ShutDownError
from arion_lib.scheduler.lane import Lane
from arion_lib.scheduler.lifecycle import Lifecycle
from arion_lib.scheduler.monitoring.figures import Figures
from arion_lib.scheduler.supervising.cancelling import Cancelling
from arion_lib.scheduler.supervising.carrying import Carrying
from arion_lib.scheduler.supervising.sleep import LONGEST, Sleep
from arion_lib.scheduler.task import Task
from arion_lib.scheduler.waiting.aside import Aside
from arion_lib.scheduler.waiting.audience import Audience
from arion_lib.scheduler.waiting.inbox import Command, Inbox, Intake
from arion_lib.scheduler.waiting.signals import Question, Signal

log = logging.getLogger(__name__)
T = TypeVar("T")

LOOK = 0.02
"""Seconds between two looks at what has begun, while somebody subscribes to events."""
MOST_ADMITTED = 1_000
"""Tasks admitted in one go: a millisecond's worth."""
MOST_ERRORS = 100
"""Turns in a row that may fail before the supervisor gives up, when they have lasted for `PATIENCE` seconds."""
PATIENCE = 5.0


class Supervisor:
    """The thread's own: all but `end_the_late` is called by it alone. What lanes refer to."""

    def __init__(self, lanes: Mapping[str, Lane], life: Lifecycle, *, name: str, keep: int) -> None:
        self.lanes, self.life = lanes, life
        self.lock = threading.RLock()
        """Held by the supervisor through a turn; others take it to look, and `concurrent.futures.wait` to begin."""
        self.inbox: Inbox[Task[Any] | Command] = Inbox()
        self.audience = Audience(name)
        self.figures = Figures(keep)
        self.aside = Aside(name, life, self.post)
        self._intake = Intake(self.inbox, life, self._guard)
        self.settle = Carrying(life, lanes, self.audience, self.figures, self.report).settle
        self.cancelling = Cancelling(life, lanes, self._intake.admit, self.settle)
        self.closing = False
        self.ended = False
        self.abandoned = False
        """Whether this process is a fork of the one that the scheduler is in: it has no supervisor, and no workers."""
        self.failure: BaseException | None = None
        self._next_check = 0.0
        self._again = False
        self.at_end: dict[Command, None] = {}
        self._sleep = Sleep(self.inbox)
        self.watch, self.unwatch, self.at = self._sleep.watch, self._sleep.unwatch, self._sleep.at
        self.opened = threading.Event()
        self.finished = Signal()
        self._errors = 0
        """Turns in a row that failed, and since when."""
        self._failing_since = 0.0
        self.thread = threading.Thread(target=self._live, name=f"arion-{name}", daemon=True)

    # --- questions: the supervisor's thread ---

    def reject(self, task: Task[Any], error: BaseException) -> None:
        """End a task that cannot be run at all, instead of admitting it."""
        self.life.admitted += 1
        self.life.reject(task, error, time.monotonic())

    def refusal(self) -> ShutDownError:
        """Return why no task is taken any more."""
        if self.abandoned:
            return ShutDownError(
                "the scheduler belongs to the process that this one was forked from; open a new one here"
            )
        return ShutDownError("the scheduler is shut down; open a new one")

    def end_the_late(self) -> None:
        """End what was posted behind the end."""
        if self.abandoned:
            self.inbox.clear()
            return
        with self.lock:
            error = self.refusal()
            error.__cause__ = self.failure
            for item in self.inbox.take(-1):
                if isinstance(item, Task):
                    self.reject(item, error)
                elif isinstance(item, Question):
                    self._guard(item)
            for task in self.cancelling.alive():
                self.life.reject(task, error, time.monotonic())
            self.settle()
        self.audience.call_all()

    def abandon(self) -> None:
        """Let go in a forked process. Its only thread calls this."""
        self.abandoned = self.closing = self.ended = True
        self.finished.set()
        self.lock = threading.RLock()  # another thread may have held it, and that one is not here
        self.inbox.clear()
        for lane in self.lanes.values():
            lane.abandon()
        self.inbox.close()
        self._sleep.close()

    def threads(self) -> tuple[threading.Thread | None, ...]:
        """Return the threads that end with this one."""
        aside = self.aside
        return self.thread, self.audience.thread.thread, aside.output.thread, aside.packing.thread

    # --- for the lanes ---

    def post(self, command: Command) -> None:
        self.inbox.put(command, urgent=True)
        if self.ended:
            self.end_the_late()

    def again(self) -> None:
        self._again = True

    def later(self, callback: Callable[..., object], *arguments: Any, **named: Any) -> None:
        self.audience.later(callback, *arguments, **named)

    def report(self, error: BaseException) -> None:
        """Log an error of the supervisor's own, and go slowly for a moment."""
        self._sleep.pausing, self._again = True, True  # what could not be done is tried again
        self.later(log.error, "the supervisor goes on after an error: %r", error, exc_info=error)

    def for_task(self, task: Task[Any], step: Callable[..., object], *arguments: Any) -> None:
        try:
            step(*arguments)
        except BaseException as error:  # noqa: BLE001  (any defect: without this, nobody would ever come to the task)
            self.report(error)
            self.life.reject(task, error, time.monotonic())

    # --- the supervisor's life ---

    def _live(self) -> None:
        try:
            with self.lock:
                for lane in self.lanes.values():
                    lane.open(self)
            self.opened.set()
            while not self._turn_guarded():
                pass
        except BaseException as error:
            self.failure = error
            if self.opened.is_set():
                log.critical("the supervisor failed; its tasks are failed with its error", exc_info=True)
        finally:
            try:
                self._close()
            finally:  # whatever happens, nobody waits for a scheduler that does not come
                self.opened.set()
                self.finished.set()

    def _turn_guarded(self) -> bool:
        """Do a turn; one that fails is logged, and the next is done. Raises when too many in a row have failed."""
        try:
            done = self._turn()
        except BaseException as error:
            now = time.monotonic()
            self._errors, self._failing_since = self._errors + 1, self._failing_since if self._errors else now
            if self._errors >= MOST_ERRORS and now >= self._failing_since + PATIENCE:
                raise
            self.report(error)
            self._next_check = 0.0  # what was reported waits to be logged
            return False
        self._errors = 0
        return done

    def _turn(self) -> bool:
        """Wait for something, handle all of it, give out work; True when everything has ended."""
        heard = self._sleep.until(min(self._next_check, self.life.timers.next()))
        with self.lock:
            for step in heard:
                self._guard(step)
            now = time.monotonic()
            self._guard(self._intake.admit, MOST_ADMITTED)
            self._guard(self.life.advance, now)
            for lane in self.lanes.values():
                if lane.ready or self.life.extended:
                    self._guard(lane.dispatch, now)
            self.life.extended = False
            self._next_check = math.inf
            for lane in self.lanes.values():
                self._guard(self._check, lane, now)
            if self.life.telling.wanted:
                self._guard(self._tell_running)
                self._next_check = min(self._next_check, now + LOOK)
            if self._again:
                self._again, self._next_check = False, now
            done = self.closing and self._closed(now)
            self.audience.look()
        self.audience.call_all()
        return done

    def _check(self, lane: Lane, now: float) -> None:
        self._next_check = min(self._next_check, lane.check(now))

    def _tell_running(self) -> None:
        """Tell the subscribers what has begun since; while there are any, the supervisor looks every few moments."""
        for lane in self.lanes.values():
            for task in lane.running():
                self.life.telling.runs(task)

    def _guard(self, step: Callable[..., object], *arguments: Any) -> None:
        """Make a step, and carry out what comes of it; an error in it must not keep the others from being made."""
        try:
            step(*arguments)
        except BaseException as error:  # noqa: BLE001  (any defect: everybody's tasks depend on this thread)
            self.report(error)
        self.settle()

    def _closed(self, now: float) -> bool:
        if self.life.close_by is not None and now >= self.life.close_by:
            self.cancelling.all()
        if self.life.admitted > self.life.finished or self.inbox:
            self._next_check = min(self._next_check, self.life.close_by or now + LONGEST)
            return False
        closed = [lane.close(now) for lane in self.lanes.values()]
        if not all(closed):
            self._next_check = min(self._next_check, now + 0.02)
        return all(closed)

    def _close(self) -> None:
        with self.lock:
            self.closing = self.ended = True
            for lane in self.lanes.values():
                self._guard(lane.kill)
            self.end_the_late()
            commands = list(self.at_end)
        for command in commands:
            if self.at_end.pop(command, command) is None:  # else its own thread has made it: see `Front.at_end`
                self._guard(command)
        self.audience.look(ended=True)
        self.aside.close()
        self.audience.thread.close(None)
        self._sleep.close()
        self.inbox.close()
