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
import itertools
import logging
import pickle
import time
from collections.abc import Coroutine, Sequence
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any, NamedTuple

from arion_lib.scheduler.calls.failures import Failure, describe, is_one_of
from arion_lib.scheduler.dask.handle import DaskTask
from arion_lib.scheduler.dask.wire import Answer, Bundle, Call, CallFailed, Kind, Place, size_of
from arion_lib.scheduler.errors import (
    DependencyFailedError,
    QuarantinedError,
    SchedulerError,
    TaskTimeoutError,
    WorkerDiedError,
)
from arion_lib.scheduler.states import State

if TYPE_CHECKING:
    from arion_lib.scheduler.dask.ledger import Ledger
    from arion_lib.scheduler.dask.link import Link

log = logging.getLogger(__name__)

STAYS = 1 << 16
"""Bytes from which a single call's result stays in the cluster until it is asked for."""
SCATTERED = 1 << 20
"""Bytes from which arguments go to a dask worker beside the graph, not through dask's scheduler."""
MOST_AT_ONCE = 500
"""Dask tasks that are handed over together."""
IN_ORDER = "0 ms"
"""Dask runs what is handed over within so long as one lot, in whatever order."""
ONCE_MORE = (0.1, 1.0)
"""Seconds after which a young key is cancelled again: dask forgets a cancellation that overtakes its task."""


class InCluster:
    """A large result that has stayed in the cluster, for as long as its handle lives."""

    def __init__(self, link: Link, future: Any) -> None:
        self._link, self.future = link, future

    def fetch(self) -> Any:
        """Bring it here; dask computes it again when it has been lost meanwhile."""

        async def gather() -> Any:
            return await self.future

        found = asyncio.run_coroutine_threadsafe(gather(), self._link.loop)
        return found.result()


class _Attempt(NamedTuple):
    """An attempt that waits to be handed over, and the future in which its life waits for the answer."""

    task: DaskTask[Any]
    answer: asyncio.Future[Answer]


class Lives:
    """All lives, in the link's thread."""

    def __init__(self, link: Link, ledger: Ledger, poison_after: int) -> None:
        self._link, self._ledger, self._poison_after = link, ledger, poison_after
        self.running: dict[DaskTask[Any], asyncio.Future[Any]] = {}
        self.numbers: dict[tuple[str, int], int] = {}
        """The numbers that worker processes have in the whole cluster, by dask worker and number there."""
        self._numbers, self._tickets, self._keys = itertools.count(1), itertools.count(1), itertools.count(1)
        self._asked: dict[int, DaskTask[Any]] = {}
        """Tasks of the calls in the cluster, by ticket."""
        self._sizes: dict[int, int] = {}
        self._inline: dict[int, bytes] = {}
        """Small results that came with the news of their ends."""
        self._outbox: list[_Attempt] = []
        self._to_collect: list[tuple[Any, asyncio.Future[Any]]] = []
        self._background: set[asyncio.Task[Any]] = set()

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
                life = self._begin_attempt(task)
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
            answer = await self._begin_attempt(task)
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
            self.end(task, State.FAILED, _lost(SchedulerError("it was stopped on its dask worker")))
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

    # --- attempts ---

    def _begin_attempt(self, task: DaskTask[Any]) -> asyncio.Future[Answer]:
        """Have a call run in the cluster; those of the same turn are handed over together."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        if not self._outbox:
            loop.call_soon(self._hand_over)
        self._outbox.append(_Attempt(task, answer))
        return answer

    def _hand_over(self) -> None:
        bundles: dict[Any, list[_Attempt]] = {}
        for attempt in self._outbox:
            together = attempt.task.bundle if not attempt.task.attempts else None
            bundles.setdefault(together or attempt, []).append(attempt)
        self._outbox = []
        alike: dict[int, list[tuple[Bundle, list[_Attempt]]]] = {}
        for attempts in bundles.values():
            attempts = [one for one in attempts if not one.answer.done()]
            if not attempts:
                continue
            if any(_is_large(attempt.task) for attempt in attempts):
                self._spawn(self._bring(attempts))
            else:
                alike.setdefault(attempts[0].task.options.priority, []).append((self._bundle(attempts), attempts))
        for priority, found in alike.items():
            for place in range(0, len(found), MOST_AT_ONCE):
                self._map(found[place : place + MOST_AT_ONCE], priority)

    def _map(self, bundles: list[tuple[Bundle, list[_Attempt]]], priority: int) -> None:
        from arion_lib.scheduler.dask.plugin import run_calls

        keys = [bundle.key for bundle, _ in bundles]
        made = self._link.client.map(
            run_calls, [bundle for bundle, _ in bundles], key=keys, priority=priority, fifo_timeout=IN_ORDER, pure=False
        )
        for (bundle, attempts), future in zip(bundles, made, strict=True):
            self._watch(bundle, attempts, future)

    async def _bring(self, attempts: list[_Attempt]) -> None:
        """Hand over calls with large values: those of the cluster by their keys, arguments beside the graph."""
        from arion_lib.scheduler.dask.plugin import run_calls

        brought: list[Any] = []

        def place(future: Any) -> Place:
            brought.append(future)
            return Place(len(brought) - 1)

        calls = []
        for task, _ in attempts:
            arguments = task.arguments
            if size_of(arguments) >= SCATTERED:
                arguments = place(await self._link.client.scatter(arguments, hash=False))
            needs = tuple(one.answer if one.local else place(one.answer.future) for one in task.needs)
            calls.append((arguments, needs))
        bundle = self._bundle(attempts, calls)
        priority = attempts[0].task.options.priority
        future = self._link.client.submit(
            run_calls, bundle, *brought, key=bundle.key, priority=priority, fifo_timeout=IN_ORDER, pure=False
        )
        self._watch(bundle, attempts, future)

    def _bundle(self, attempts: list[_Attempt], values: list[Any] | None = None) -> Bundle:
        task = attempts[0].task
        function, options = task.function, task.options
        if values is None:
            values = [(one.arguments, tuple(need.answer for need in one.needs)) for one, _ in attempts]
        tickets = list(itertools.islice(self._tickets, len(attempts)))
        self._asked.update({ticket: attempt.task for ticket, attempt in zip(tickets, attempts, strict=True)})
        calls = [
            Call(ticket, value[0], value[1], attempt.task.name)
            for ticket, value, attempt in zip(tickets, values, attempts, strict=True)
        ]
        key = f"{_plain(task.name)}-{self._link.name}", next(self._keys)
        data, context = function.data or b"", function.context_data
        return Bundle(self._link.name, key, data, context, task.lane, options.priority, options.timeout, tuple(calls))

    def _watch(self, bundle: Bundle, attempts: list[_Attempt], future: Any) -> None:
        """Follow a dask task until it ends, or until nobody waits for any of its calls any more."""
        following = self._spawn(self._follow(bundle, attempts, future))

        def gone(answer: asyncio.Future[Answer]) -> None:
            if not answer.cancelled() or following.done():
                return
            if all(attempt.answer.done() for attempt in attempts):
                following.cancel()
            else:
                place = next(place for place, attempt in enumerate(attempts) if attempt.answer is answer)
                self._spawn(self._link.ask("stop", bundle.calls[place].ticket))

        for attempt in attempts:
            attempt.answer.add_done_callback(gone)

    async def _follow(self, bundle: Bundle, attempts: list[_Attempt], future: Any) -> None:
        """Wait for a dask task and give each of its calls its answer; let go of it when that is not wanted any more."""
        sent = time.monotonic()
        try:
            answers = await self._answers(bundle, future, await future.exception())
        except asyncio.CancelledError:
            self._spawn(self._forget(future, time.monotonic() - sent))
            raise
        except Exception as error:  # noqa: BLE001  (dask may fail in many ways: each is these calls' end)
            answers = [Answer(Kind.FAILED, _lost(error))] * len(attempts)
        finally:
            for call in bundle.calls:
                self._asked.pop(call.ticket, None)
                self._sizes.pop(call.ticket, None)
                self._inline.pop(call.ticket, None)
        for attempt, answer in zip(attempts, answers, strict=True):
            if not attempt.answer.done():
                attempt.answer.set_result(answer)

    async def _answers(self, bundle: Bundle, future: Any, error: BaseException | None) -> list[Answer]:
        if isinstance(error, CallFailed):
            return [error.answer]
        if error is not None:  # dask's KilledWorker among them: the dask worker itself was lost, again and again
            killed = type(error).__name__ == "KilledWorker"
            answer = Answer(Kind.DIED, None) if killed else Answer(Kind.FAILED, _lost(error))
            return [answer] * len(bundle.calls)
        if future.cancelled():
            raise SchedulerError("the Dask cluster let go of the task: it was cancelled there, or was restarted")
        ticket = bundle.calls[0].ticket
        if ticket in self._inline:
            return [Answer(Kind.RETURNED, pickle.loads(self._inline[ticket]))]
        if len(bundle.calls) == 1 and self._sizes.get(ticket, 0) > STAYS:
            return [Answer(Kind.RETURNED, InCluster(self._link, future))]
        value = await self._collected(future)
        return [Answer(Kind.RETURNED, value)] if len(bundle.calls) == 1 else value

    async def _collected(self, future: Any) -> Any:
        """Fetch a small result, together with those that end at about the same time."""
        value = asyncio.get_running_loop().create_future()
        self._to_collect.append((future, value))
        if len(self._to_collect) == 1:
            self._spawn(self._collect())
        return await value

    async def _collect(self) -> None:
        await asyncio.sleep(0)
        batch, self._to_collect = self._to_collect, []
        try:
            values = await self._link.client.gather([future for future, _ in batch])
        except Exception as error:  # noqa: BLE001  (told to those who wait)
            for _, value in batch:
                if not value.done():
                    value.set_exception(error)
            return
        for (_, waiting), value in zip(batch, values, strict=True):
            if not waiting.done():
                waiting.set_result(value)

    async def _forget(self, future: Any, age: float) -> None:
        await self._link.client.cancel([future])
        for pause in ONCE_MORE if age < 1.0 else ():
            await asyncio.sleep(pause)
            await self._link.client.cancel([future])

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    async def settle(self) -> None:
        """Wait until what was let go of is let go of."""
        while self.running or self._background:
            await asyncio.wait([*self.running.values(), *self._background])

    # --- what the plugins say ---

    def hear(self, news: dict[str, Any]) -> None:
        """Take note of calls that have begun, or have ended."""
        address = news["at"]
        for ticket, ago, worker in news.get("started", ()):
            if (task := self._asked.get(ticket)) is not None:
                task.began(ago, self.number(address, worker))
        for ticket, began, ended, worker, size, inline in news.get("ended", ()):
            if (task := self._asked.get(ticket)) is not None:
                self._sizes[ticket] = size
                if inline is not None:
                    self._inline[ticket] = inline
                task.ended_at = time.monotonic() - ended
                if began >= 0:
                    task.began(began, self.number(address, worker))

    def number(self, address: str, worker: int) -> int:
        """Return a worker process's number in the whole cluster."""
        if (address, worker) not in self.numbers:
            self.numbers[address, worker] = next(self._numbers)
        return self.numbers[address, worker]

    def task_of(self, ticket: int | None) -> DaskTask[Any] | None:
        """Return the task of a call in the cluster."""
        return self._asked.get(ticket or 0)


async def _error_of(task: DaskTask[Any]) -> BaseException | None:
    return await asyncio.to_thread(_exception, task.answer)


def _exception(answer: Any) -> BaseException:
    return answer.exception() if isinstance(answer, Failure) else answer


def _in_words(answer: Any) -> str:
    return answer.text if isinstance(answer, Failure) else describe(answer)


def _lost(error: BaseException) -> BaseException:
    lost = SchedulerError(f"the Dask cluster could not run the task: {describe(error)}")
    lost.__cause__ = error
    return lost


def _is_large(task: DaskTask[Any]) -> bool:
    return size_of(task.arguments) >= SCATTERED or not all(need.local for need in task.needs)


def _plain(name: str) -> str:
    """Return a name as dask's dashboard groups by it."""
    return "".join(c if c.isalnum() or c == "_" else "_" for c in name)[:40] or "call"
