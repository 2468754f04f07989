"""The life of a task on a Dask cluster: one coroutine each, from its submission to its end.

Idea        What follows from what is written down from top to bottom: wait for what it needs, have it tried, try it
            again or end it. Dask decides where and when an attempt runs; the submitter decides whether there is one.
Invariant   A life ends only when its task has ended, and what it has in the cluster is let go then.
When wrong  A life that fails ends its own task with its error, and no other.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_dask.py
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Sequence
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

from arion_lib.scheduler.calls.failures import Failure, describe, is_one_of
from arion_lib.scheduler.dask.handle import DaskTask
from arion_lib.scheduler.dask.results import lost
from arion_lib.scheduler.dask.wire import Answer, Kind
from arion_lib.scheduler.errors import (
    DependencyFailedError,
    QuarantinedError,
    SchedulerError,
    TaskTimeoutError,
    WorkerDiedError,
)
from arion_lib.scheduler.states import State

if TYPE_CHECKING:
    from arion_lib.scheduler.dask.attempts import Attempts
    from arion_lib.scheduler.dask.ledger import Ledger

log = logging.getLogger(__name__)


class Lives:
    """All lives, in the link's thread."""

    def __init__(self, ledger: Ledger, attempts: Attempts, poison_after: int) -> None:
        self._ledger, self._attempts, self._poison_after = ledger, attempts, poison_after
        self.running: dict[DaskTask[Any], asyncio.Future[Any]] = {}

    # --- a life ---

    def begin(self, tasks: Sequence[DaskTask[Any]]) -> None:
        """Begin the lives of tasks that were submitted together."""
        for task in tasks:
            if task.over.is_set():
                continue
            options = task.options
            if (
                task.needs
                or options.after
                or options.delay
                or options.at
                or options.retries
                or options.deadline is not None
            ):
                life: asyncio.Future[Any] = asyncio.ensure_future(self._live(task))
            else:  # a life of one attempt needs no coroutine: a third of what it costs here
                task.change(State.READY)
                life = self._attempts.begin(task)
                life.add_done_callback(functools.partial(self._end_of_one, task))
            self.running[task] = life
            life.add_done_callback(functools.partial(self._forget_life, task))

    def _end_of_one(self, task: DaskTask[Any], life: asyncio.Future[Answer]) -> None:
        if not life.cancelled():
            self._goes_on(task, life.result())

    def _forget_life(self, task: DaskTask[Any], _: object) -> None:
        del self.running[task]

    def stop(self, task: DaskTask[Any]) -> None:
        """Let go of what a cancelled task has in the cluster."""
        if task in self.running:
            self.running[task].cancel()

    async def _live(self, task: DaskTask[Any]) -> None:
        try:
            await self._before_its_deadline(task)
        except Exception as error:  # whatever goes wrong: a task that never ends would be worse
            log.exception("the life of %r failed", task)
            self.end(task, State.FAILED, error)

    async def _before_its_deadline(self, task: DaskTask[Any]) -> None:
        limit = task.options.deadline
        if limit is None:
            await self._try(task)
            return
        left = limit - (time.monotonic() - task.submitted)
        try:
            async with asyncio.timeout(max(0.0, left)):
                await self._try(task)
        except TimeoutError:
            self.end(task, State.TIMED_OUT, TaskTimeoutError(task.name, limit, "submission"))

    async def _try(self, task: DaskTask[Any]) -> None:
        if not await self._needs_are_met(task):
            return
        wall = time.time() - (time.monotonic() - task.submitted)
        if (until := task.options.not_before(task.submitted, wall)) is not None:
            await asyncio.sleep(until - time.monotonic())
        while True:
            task.change(State.READY)
            answer = await self._attempts.begin(task)
            if not self._goes_on(task, answer):
                return
            task.attempts += 1
            self._ledger.retries += 1
            task.change(State.RETRYING)
            await asyncio.sleep(task.options.backoff * 2 ** (task.attempts - 1))

    async def _needs_are_met(self, task: DaskTask[Any]) -> bool:
        after: tuple[Any, ...] = task.options.after
        strict = {*task.needs, *(after if task.options.if_dependency_fails == "fail" else ())}
        for needed in (*task.needs, *after):
            life = self.running.get(needed)
            if life is not None:
                await asyncio.wait([life])
            if needed.state is not State.SUCCEEDED and needed in strict:
                error = DependencyFailedError(task.name, needed.name)
                error.__cause__ = CancelledError() if needed.cancelled() else await _error_of(needed)
                self.end(task, State.FAILED, error)
                return False
        return True

    def _goes_on(self, task: DaskTask[Any], answer: Answer) -> bool:
        """End a task with its attempt's answer, unless it is given another attempt."""
        kind, value = answer
        left = task.attempts < task.options.retries
        if kind is Kind.RETURNED:
            self.end(task, State.SUCCEEDED, value)
        elif kind is Kind.TIMED_OUT:
            error = TaskTimeoutError(task.name, task.options.timeout or 0.0)
            return self._again(task, State.TIMED_OUT, error, left)
        elif kind is Kind.DIED:
            task.deaths += 1
            died = WorkerDiedError(task.name, value)
            if task.options.retries and task.deaths >= self._poison_after:
                task.change(State.FAILED, error=describe(died))
                poison = QuarantinedError(task.name, task.deaths)
                poison.__cause__ = died
                self.end(task, State.QUARANTINED, poison)
                return False
            return self._again(task, State.FAILED, died, left)
        elif kind is Kind.STOPPED:
            self.end(task, State.FAILED, lost(SchedulerError("it was stopped on its dask worker")))
        else:
            return self._again(task, State.FAILED, value, left and is_one_of(value, task.options.retry_on))
        return False

    def _again(self, task: DaskTask[Any], state: State, error: Any, worth: bool) -> bool:
        if worth:
            task.change(state, error=_in_words(error))
        else:
            self.end(task, state, error)
        return worth

    def end(self, task: DaskTask[Any], state: State, answer: Any) -> None:
        """Write a task's end and have its waiters told, unless it has ended. Any thread."""
        words = "" if state is State.SUCCEEDED else _in_words(answer)
        if task.end(state, answer, words):
            self._ledger.tell(DaskTask.tell, task)

    async def settle(self) -> None:
        """Wait until every life has ended."""
        while self.running:
            await asyncio.wait([*self.running.values()])


async def _error_of(task: DaskTask[Any]) -> BaseException | None:
    return await asyncio.to_thread(_exception, task.answer)


def _exception(answer: Any) -> BaseException:
    return answer.exception() if isinstance(answer, Failure) else answer


def _in_words(answer: Any) -> str:
    return answer.text if isinstance(answer, Failure) else describe(answer)
