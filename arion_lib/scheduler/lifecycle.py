"""A task's way from submission to its end: what follows from what. No clock, no lock, no thread, no pipe.

Idea        Events go in, each with its time: a task was submitted, an attempt ended, a time has come. Instructions come
            out, in `out`: queue this, stop that, these have ended. Only methods of this class change where a task is.
Invariant   Each task reaches exactly one final state, once; it runs only when all that it needs has ended well. Random
            histories against an independent oracle hold it to that (test_lifecycle_fuzz.py).
When wrong  A failed attempt is tried again as the options say; a task that kills workers is quarantined.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_lifecycle_fuzz.py
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from arion_lib.scheduler.bounds.limits import Limits
from arion_lib.scheduler.calls.failures import is_one_of
from arion_lib.scheduler.deciding.ends import Ends, Error
from arion_lib.scheduler.deciding.instructions import Instruction, Queue, QueueFirst, Tell
from arion_lib.scheduler.deciding.needs import count_needs
from arion_lib.scheduler.deciding.timers import Timers
from arion_lib.scheduler.deciding.turns import Turns
from arion_lib.scheduler.errors import QuarantinedError, TaskTimeoutError, WorkerDiedError
from arion_lib.scheduler.monitoring.history import NOT_YET, attempt, change, ready_at
from arion_lib.scheduler.monitoring.telling import Telling
from arion_lib.scheduler.states import (
    HELD,
    QUEUED,
    WAITING,
    Ahead,
    At,
    Ended,
    Finishing,
    State,
    Waiting,
    Worker,
    ended_from,
)
from arion_lib.scheduler.task import Task

PENDING, READY, SUCCEEDED, FAILED = State.PENDING, State.READY, State.SUCCEEDED, State.FAILED


class Lifecycle:
    """The tasks of one scheduler. Each method is an event."""

    def __init__(self, *, poison_after: int, limits: Limits[Task[Any]] | None = None) -> None:
        self._poison_after, self._turns = poison_after, Turns(limits)
        self.out: list[Instruction] = []
        """What is to be done now, in this order; to be emptied by who does it."""
        self.telling = Telling(lambda event: self.out.append(Tell(event)))
        self.admitted = self.retries = 0
        self.waiting: set[Task[Any]] = set()
        """Tasks that are neither queued nor at a worker."""
        self.close_by: float | None = None
        """When whatever is left is cancelled: no attempt begins after it."""
        self.extended = False
        """Whether a task has come that needs one which is at a worker: it may follow it there."""
        self.timers = Timers()
        """When `advance` is to be called."""
        self._ends = Ends(self.out, self.telling, self.waiting, self._unblock, self._hand_on)

    @property
    def finished(self) -> int:
        """How many tasks have ended."""
        return self._ends.count

    # --- submission ---

    def admit_alike(self, tasks: list[Task[Any]]) -> None:
        """Take in tasks of one function and the same options that need, and have, nothing special: most are such."""
        fresh: list[Task[Any]] = []
        for task in tasks:
            if task._place is WAITING:
                task._place = QUEUED
                fresh.append(task)
        if fresh:
            self.out.append(Queue(fresh))

    def admit(self, task: Task[Any], now: float) -> None:
        """Take in a task: it becomes ready, or waits for others, for its time or for its turn."""
        if task._place.final:
            return  # cancelled before it came to this
        if task.options.deadline is not None:
            self.timers.add(task._submitted + task.options.deadline, task)
        self.telling.became(task, PENDING, task._submitted)
        if task._more is not None and (task._more.needs or task.options.after):
            task._more.ready_at = NOT_YET
            at_worker, bad = count_needs(task)
            self.extended = self.extended or at_worker
            self._ends.doomed.extend((task, needed) for needed in bad)
        if task._more is not None and task._more.not_before and not task._place.final:
            self._wait_until(task, PENDING, task._more.not_before)
        if self._ends.doomed:
            self._ends.end_the_doomed(now)
        elif task._more is None or not task._more.blocked:
            self._make_ready(task, now)
        else:
            self.waiting.add(task)

    def reject(self, task: Task[Any], error: BaseException, now: float) -> None:
        """End a task that cannot be run at all, admitted or not; there is no other attempt."""
        if not task._place.final:
            self._ends.end(task, Ended(FAILED, None, None, now), error)

    def _wait_until(self, task: Task[Any], state: State, until: float) -> None:
        """Let a task wait for a time: it counts as one more thing that it needs."""
        more = task.more()
        more.blocked, more.ready_at = more.blocked + 1, NOT_YET
        task._place = Waiting(state, until)
        self.timers.add(until, task)

    def _make_ready(self, task: Task[Any], now: float) -> None:
        """Queue a task, if its tags' limits leave room; else it waits for its turn."""
        if not self._turns.take(task):
            task.more().ready_at = NOT_YET
            self.waiting.add(task)
            return
        self.waiting.discard(task)
        task._place = QUEUED
        if task._more is not None:
            task._more.ready_at = now
        last = self.out[-1] if self.out else None
        if type(last) is Queue and last.tasks[0].options is task.options and last.tasks[0].lane == task.lane:
            last.tasks.append(task)
        else:
            self.out.append(Queue([task]))
        self.telling.became(task, READY, ready_at(task))

    # --- a worker has it ---

    def give(self, task: Task[Any], worker: Worker, call: int) -> None:
        """A queued task was sent to a worker."""
        if not task._place.final:
            task._place = At(worker, call)

    def hold(self, task: Task[Any]) -> None:
        """A queued task cannot be given out yet: what it needs has to be packed first, which runs users' code."""
        task._place = HELD
        self.waiting.add(task)

    def release(self, task: Task[Any], carried: Mapping[int, Any]) -> None:
        """What a task needs is packed."""
        if task._place is HELD:
            task._place, task.more().carried = QUEUED, carried
            self.waiting.discard(task)
            self.out.append(QueueFirst(task))

    def send_ahead(self, task: Task[Any], worker: Worker, call: int) -> None:
        """A waiting task was sent to the worker at which the one is that it needs, to be run behind it."""
        task._place = Ahead(worker, call)

    def put_back(self, task: Task[Any]) -> None:
        """A task that was given out was not begun: it is the first of its priority again."""
        if type(task._place) is At:
            task._place = QUEUED
            self.out.append(QueueFirst(task))
        elif type(task._place) is Ahead:
            task._place = WAITING

    def finish_later(self, task: Task[Any], worker: int, began: float) -> None:
        """A task has come back; how it ended is said when what it printed has been written."""
        task._place = Finishing(worker, began)
        self.waiting.add(task)

    # --- an attempt has ended ---

    def succeed(self, task: Task[Any], value: Any, worker: int, began: float, ended: float) -> None:
        """A task's code returned a value."""
        if task._place.final:
            return
        task._value = value
        self._ends.one(task, Ended(SUCCEEDED, worker, began, ended), None)
        if self._ends.doomed:
            self._ends.end_the_doomed(ended)

    def fail(self, task: Task[Any], error: Error, worker: int, began: float, ended: float) -> None:
        """A task's code raised: it is tried again if the options say so."""
        worth = is_one_of(error, task.options.retry_on)
        self._end_attempt(task, Ended(FAILED, worker, began, ended), error, worth)

    def time_out(self, task: Task[Any], worker: int, began: float, ended: float) -> None:
        """An attempt that took too long has been stopped."""
        error = TaskTimeoutError(task.name, task.options.timeout or 0.0)
        self._end_attempt(task, Ended(State.TIMED_OUT, worker, began, ended), error, True)

    def lose(self, task: Task[Any], exit_code: int | None, worker: int, began: float, ended: float) -> None:
        """A task's worker died while it ran."""
        if task._place.final:
            return
        more, end = task.more(), Ended(FAILED, worker, began, ended)
        more.deaths += 1
        died = WorkerDiedError(task.name, exit_code)
        if more.deaths >= self._poison_after and task.options.retries:
            self._remember(task, end, died)
            error = QuarantinedError(task.name, more.deaths)
            error.__cause__ = died
            self._ends.end(task, Ended(State.QUARANTINED, None, None, ended), error)
        else:
            self._end_attempt(task, end, died, True)

    def overrun(self, task: Task[Any], now: float) -> None:
        """An attempt has had its time, and is being stopped. With no other attempt left the task has ended here."""
        if not task._place.final and task.more().attempts >= task.options.retries:
            error = TaskTimeoutError(task.name, task.options.timeout or 0.0)
            self._ends.end(task, ended_from(task._place, State.TIMED_OUT, now), error)

    def _end_attempt(self, task: Task[Any], end: Ended, error: Error, worth: bool) -> None:
        more, now = task.more(), end.ended
        late = self.close_by is not None and now >= self.close_by
        if task._place.final:
            return
        if not worth or more.attempts >= task.options.retries or late:
            self._ends.end(task, end, error)
            return
        self._remember(task, end, error)
        self._hand_on(task, now)
        more.attempts += 1
        self.retries += 1
        more.past = [*more.past, change(task, State.RETRYING, now)]
        self.telling.became(task, State.RETRYING, now)
        if task.options.backoff:
            self._wait_until(task, State.RETRYING, now + task.options.backoff * 2 ** (more.attempts - 1))
            self.waiting.add(task)
        else:
            task._place = Waiting(State.RETRYING)
            self._make_ready(task, now)

    def _remember(self, task: Task[Any], end: Ended, error: Error) -> None:
        """Keep the events of an attempt that is not the last, and tell them."""
        more = task.more()
        more.past = [*more.past, *attempt(task, end, error)]
        self.telling.ended(task, end, error)
        more.ready_at = NOT_YET

    # --- the clock ---

    def advance(self, now: float) -> None:
        """Let happen what was to happen by now: ends of waits, and deadlines, wherever the tasks are."""
        while (found := self.timers.due(now)) is not None:
            when, task = found
            place, options = task._place, task.options
            if options.deadline is not None and when >= task._submitted + options.deadline:
                error = TaskTimeoutError(task.name, options.deadline, "submission")
                self._ends.where_it_is(task, State.TIMED_OUT, error, now)
            elif isinstance(place, Waiting) and place.until == when:
                task._place = Waiting(place.state)
                self._unblock(task, now)

    # --- the end ---

    def cancel(self, task: Task[Any], now: float) -> None:
        """Somebody wants a task to stop, wherever it is."""
        if not task._place.final:
            self._ends.where_it_is(task, State.CANCELLED, None, now)

    def _unblock(self, task: Task[Any], now: float) -> None:
        more, place = task.more(), task._place
        more.blocked -= 1
        if more.blocked:
            return
        if isinstance(place, Ahead):
            self.waiting.discard(task)
            task._place, more.ready_at = At(place.worker, place.call), now
            self.telling.became(task, READY, now)
        else:
            self._make_ready(task, now)

    def _hand_on(self, task: Task[Any], now: float) -> None:
        """Let others of a task's tags have their turn."""
        for other in self._turns.hand_on(task):
            self._make_ready(other, now)
