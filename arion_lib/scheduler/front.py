"""What any thread may do with a scheduler's core: hand things over, ask, wait, look.

Idea        Tasks and questions go into the inbox and are answered by the supervisor's thread; to look takes the lock.
            Nothing here changes a task.
Invariant   Ctrl-C may end a call between any two steps: no lock is left held, nothing is half changed
            (test_interrupts.py). A forked process gets a sentence instead of its parent's results (test_forks.py).
When wrong  What comes behind the end is refused with a sentence.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_interrupts.py
"""

from __future__ import annotations

import functools
import itertools
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

from arion_lib.scheduler.errors import ShutDownError
from arion_lib.scheduler.lane import Lane
from arion_lib.scheduler.lifecycle import Lifecycle
from arion_lib.scheduler.monitoring.history import history
from arion_lib.scheduler.monitoring.look import snapshot
from arion_lib.scheduler.monitoring.snapshot import Snapshot
from arion_lib.scheduler.states import At, Event, State
from arion_lib.scheduler.supervisor import Supervisor
from arion_lib.scheduler.task import Task
from arion_lib.scheduler.waiting.inbox import Command
from arion_lib.scheduler.waiting.signals import Question

T = TypeVar("T")


class Front:
    """What handles and the scheduler refer to."""

    def __init__(self, lanes: Mapping[str, Lane], life: Lifecycle, *, name: str, keep: int) -> None:
        self.name, self.lanes, self.life = name, lanes, life
        self.supervisor = Supervisor(lanes, life, name=name, keep=keep)
        self.inbox, self.audience = self.supervisor.inbox, self.supervisor.audience
        self.signals = self.audience.signals
        self.condition = threading.Condition(self.supervisor.lock)
        """What `concurrent.futures.wait` takes for each handle's own."""
        self.on_closing: Callable[[], None] = lambda: None
        """Called when no more tasks are taken, by any thread."""
        self.next_number: Callable[[], int] = itertools.count(1).__next__

    @property
    def abandoned(self) -> bool:
        """Whether this process is a fork of the one that the scheduler is in."""
        return self.supervisor.abandoned

    def refusal(self) -> ShutDownError:
        """Return why no task is taken any more."""
        return self.supervisor.refusal()

    def start(self) -> None:
        """Start the supervisor; return when the lanes are open. Raises what opening them raised."""
        self.supervisor.thread.start()
        self.supervisor.opened.wait()
        if self.supervisor.failure is not None:
            self.supervisor.thread.join()
            raise self.supervisor.failure

    def post(self, item: Task[Any] | Command) -> None:
        """Hand something to the supervisor."""
        self.inbox.put(item, type(item) is not Task or item.options.priority > 0)
        if self.supervisor.ended:
            self.supervisor.end_the_late()

    def post_many(self, tasks: list[Task[Any]]) -> None:
        """Hand over several tasks of the same options, in order."""
        self.inbox.put_many(tasks, tasks[0].options.priority > 0)
        if self.supervisor.ended:
            self.supervisor.end_the_late()

    def ask(self, question: Callable[[], T]) -> T:
        """Have the supervisor call something; return what it returned, or raise what it raised.

        A thread that Ctrl-C may interrupt changes nothing itself: half a change would be everybody's.
        """
        if threading.current_thread() is self.supervisor.thread:
            return question()
        if self.supervisor.abandoned:
            raise self.supervisor.refusal()
        asked = Question(question)
        self.post(asked)
        return asked.answer()

    def unfinished(self) -> int:
        """Return how many tasks have not ended."""
        return self.inbox.count(Task) + self.life.admitted - self.life.finished

    def wait_for(self, condition: Callable[[], bool], timeout: float | None = None) -> bool:
        """Wait until something about the tasks holds, or the scheduler has ended; looked at after each turn."""
        return self.supervisor.ended or self.audience.wait_for(condition, self.inbox.wake, timeout)

    def request_close(self, close_by: float | None = None) -> None:
        """Take no more tasks; end when all have ended, at `close_by` (of the monotonic clock) at the latest."""
        self.supervisor.closing = True
        if close_by is not None:
            self.life.close_by = min(close_by, self.life.close_by or close_by)
        self.on_closing()
        self.inbox.wake()

    def state_of(self, task: Task[Any]) -> State:
        place = task._place
        if not isinstance(place, At):
            return place.state
        with self.supervisor.lock:
            return task._place.state

    def history_of(self, task: Task[Any]) -> tuple[Event, ...]:
        with self.supervisor.lock:
            place = task._place
            began = place.worker.began(place.call) if isinstance(place, At) else None
        return tuple(history(task, place, began or None))  # without the lock: errors are asked for their words

    def given_out(self, number: int) -> Task[Any] | None:
        """Return the task of this number that a worker has; None when none has it."""

        def find() -> Task[Any] | None:
            given = (task for lane in self.lanes.values() for task in lane.assigned())
            return next((one for one in given if one.number == number), None)

        return self.ask(find)

    def cancel(self, task: Task[Any]) -> bool:
        return self.cancel_many([task])

    def cancel_many(self, tasks: Iterable[Task[Any]]) -> bool:
        """Cancel tasks, by one question; return whether all are cancelled now."""
        tasks = list(tasks)
        if not all(task._place.final for task in tasks):
            self.ask(functools.partial(self.supervisor.cancelling.each, tasks))
        return all(task.cancelled() for task in tasks)

    def cancel_later(self, task: Task[Any]) -> None:
        """Have a task cancelled, without waiting for that."""
        self.post(functools.partial(self.supervisor.cancelling.each, [task]))

    def add_callback(self, task: Task[Any], fn: Callable[[Future[Any]], object]) -> None:
        """Have something called when a task has ended."""
        self.post(Question(lambda: self.audience.add_callback(task, fn)))

    def reject(self, task: Task[Any], error: BaseException) -> None:
        """Hand over a task that cannot be run at all: it has failed."""
        self.post(Question(lambda: self.supervisor.reject(task, error)))

    def cancel_unstarted(self) -> None:
        """Cancel every task whose code has not begun."""
        self.post(self.supervisor.cancelling.unstarted)

    def wake_waiting(self, task: Task[Any]) -> None:
        self.audience.wake(task)

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Give each event to a callback from now on; return what ends that."""
        subscribers = self.audience.subscribers

        def unsubscribe() -> None:
            with self.supervisor.lock:  # another may come just when the last one leaves
                with suppress(ValueError):
                    subscribers.remove(callback)
                if not subscribers:
                    self.life.telling.want(False)

        with self.supervisor.lock:
            subscribers.append(callback)
            self.life.telling.want(True)
        self.inbox.wake()
        return unsubscribe

    def at_end(self, command: Command) -> Command:
        """Do something when the scheduler has ended, at once when it has; return what takes that back."""
        self.supervisor.at_end[command] = None
        if self.supervisor.ended and self.supervisor.at_end.pop(command, command) is None:
            command()
        return lambda: self.supervisor.at_end.pop(command, None)

    def join(self) -> None:
        """Wait for the supervisor's end; Ctrl-C while waiting cancels everything.

        By a signal of our own: a `Thread.join` that Ctrl-C ends takes the thread for ended from then on.
        """
        try:
            self.supervisor.finished.wait()
        except KeyboardInterrupt:
            self.cancel_all()
            self.supervisor.finished.wait()
            raise
        finally:
            if self.supervisor.ended and not self.supervisor.abandoned:
                self.supervisor.thread.join()

    def is_own_thread(self) -> bool:
        """Whether the calling thread is one that the scheduler's end waits for."""
        return threading.current_thread() in self.supervisor.threads()

    def snapshot(self) -> Snapshot:
        """Return what everything looks like now."""
        with self.supervisor.lock:
            posted = self.inbox.count(Task)
            return snapshot(self.name, self.lanes, self.life, self.supervisor.figures, posted, time.monotonic())

    def cancel_all(self) -> None:
        """Cancel everything that has not ended."""
        self.post(self.supervisor.cancelling.all)

    def abandon(self) -> None:
        """Let go, in a process that was forked from the scheduler's: its workers' pipes are not this process's."""
        self.supervisor.abandon()
        self.condition = threading.Condition(self.supervisor.lock)
