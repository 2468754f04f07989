"""Who waits for tasks and wants to know of them: threads, callbacks, subscribers, `concurrent.futures.wait`.

Idea        The supervisor says what has ended; threads that wait are let go on at once, users' code is only noted, and
            called by a thread of its own.
Invariant   No user's code runs in the supervisor's thread, nor under its lock (test_users_code.py); each callback is
            called once.
When wrong  What a callback raises is logged. A thread that gives up waiting leaves nothing behind.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_users_code.py · tests/scheduler/test_waiting.py
"""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from arion_lib.scheduler.states import Event, State
from arion_lib.scheduler.task import Task
from arion_lib.scheduler.waiting.serial import SerialThread
from arion_lib.scheduler.waiting.signals import Signal

log = logging.getLogger(__name__)


class Audience:
    """The audience of one scheduler. Where it says nothing else, its methods are for the supervisor's thread."""

    def __init__(self, name: str) -> None:
        self.signals: dict[Task[Any], list[Signal]] = {}
        """What the threads wait for that wait for a task. They add to it without the lock; see `Task._wait`."""
        self.subscribers: list[Callable[[Event], None]] = []
        self._awaited: list[tuple[Callable[[], bool], Signal]] = []
        self._calls: list[Callable[[], None]] = []
        self.thread = SerialThread(f"arion-{name}-callbacks")

    def over(self, tasks: list[Task[Any]]) -> None:
        """Let everything go on that waits for tasks which have ended."""
        for task in tasks:
            if self.signals:
                self.wake(task)
            more = task._more
            if more is None:
                continue
            callbacks, more.callbacks = more.callbacks, ()
            for callback in callbacks:
                self.later(callback, task)
            for waiter in more.waiters or ():
                try:
                    _notify(waiter, task)
                except Exception:  # noqa: BLE001  (somebody's own kind of waiter: the others are about other threads)
                    self.later(log.exception, "the waiter %r for %r raised", waiter, task, exc_info=sys.exception())

    def wake(self, task: Task[Any]) -> None:
        """Let the threads go on that wait for a task's end. Any thread, when it has ended."""
        for signal in self.signals.pop(task, ()):
            signal.set()

    def tell(self, event: Event) -> None:
        """Tell the subscribers, once the lock is released."""
        for subscriber in list(self.subscribers):
            self.later(subscriber, event)

    def add_callback(self, task: Task[Any], fn: Callable[[Future[Any]], object]) -> None:
        """Have something called when a task has ended."""
        if task._place.final:
            self.later(fn, task)
            return
        more = task.more()
        if type(more.callbacks) is not list:
            more.callbacks = []
        more.callbacks.append(fn)

    def later(self, callback: Callable[..., object], *arguments: Any, **named: Any) -> None:
        """Call something as soon as the lock is released, in the thread for users' code."""
        self._calls.append(functools.partial(_call_back, callback, *arguments, **named))

    def call_all(self) -> None:
        """Have made what was noted: such calls may do anything, submit included. Without the lock."""
        calls, self._calls = self._calls, []
        for call in calls:
            self.thread.put(call)

    # --- conditions ---

    def wait_for(self, condition: Callable[[], bool], wake: Callable[[], None], timeout: float | None) -> bool:
        """Wait until something about the tasks holds; `wake` has it looked at. Any thread."""
        signal = Signal()
        awaited = (condition, signal)
        self._awaited.append(awaited)
        wake()
        try:
            return signal.wait(timeout)
        finally:
            with suppress(ValueError):
                self._awaited.remove(awaited)

    def look(self, *, ended: bool = False) -> None:
        """Let the threads go on whose conditions hold; all when the scheduler has ended."""
        for condition, signal in list(self._awaited):
            if ended or condition():
                signal.set()


def _call_back(callback: Callable[..., object], *arguments: Any, **named: Any) -> None:
    try:
        callback(*arguments, **named)
    except BaseException:  # the Executor's contract: a callback's error is logged and ignored
        log.exception("the callback %r for %r raised", callback, arguments[0])


def _notify(waiter: Any, task: Task[Any]) -> None:
    """Tell a waiter of `concurrent.futures.wait` or `as_completed`."""
    state = task._place.state
    if state is State.CANCELLED:
        waiter.add_cancelled(task)
    elif state is State.SUCCEEDED:
        waiter.add_result(task)
    else:
        waiter.add_exception(task)
