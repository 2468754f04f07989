"""Inside a dask worker: a plugin that opens a scheduler of ours, and the coroutine that every dask task of ours is.

Idea        Dask places the work, moves the data and knows who needs what; the plugin's `Scheduler` runs each call in a
            process of its own, so a time limit holds for C code and a task that kills its process costs no dask worker.
Invariant   When dask lets go of a key, the calls behind it are stopped: `transition` is dask's own word for that.
When wrong  A plugin whose submitter is gone has nothing to run: its processes end after `IDLE` seconds.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_dask.py
"""

from __future__ import annotations

import asyncio
import functools
import os
import pickle
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from distributed import Reschedule, WorkerPlugin, get_worker

from arion_lib.scheduler.calls.failures import Failure, describe, pack_failure
from arion_lib.scheduler.dask.wire import Answer, Bundle, CallFailed, Kind, Place, run, run_atoms, run_in_loop, size_of
from arion_lib.scheduler.errors import TaskTimeoutError, WorkerDiedError
from arion_lib.scheduler.monitoring.snapshot import Snapshot
from arion_lib.scheduler.scheduler import Scheduler
from arion_lib.scheduler.states import State

if TYPE_CHECKING:
    from distributed import Worker

    from arion_lib.scheduler.states import Event
    from arion_lib.scheduler.task import Task

WORTH_TELLING = 0.01
"""Seconds that a call runs before its start is told ahead of its end."""
IDLE = 60.0
"""Seconds without a call after which the processes are given back; the next call starts some again."""
INLINE = 1_024
"""Bytes up to which a single call's result comes with the news of its end."""
FREED = ("cancelled", "released", "forgotten")
"""Dask's states of a key whose result nobody wants."""


async def run_calls(bundle: Bundle, *brought: Any) -> Any:
    """Run a bundle of calls on the dask worker that this runs on; `brought` are results that dask has fetched.

    Returns a single call's sealed result or raises `CallFailed`; of several calls, returns a list of `Answer`s.
    """
    host: Any = get_worker().plugins[bundle.host]
    return await host.run(bundle, brought)


class Host(WorkerPlugin):
    """A scheduler of ours in each dask worker. `settings` are `Scheduler`'s; None for workers: one a dask thread."""

    def __init__(self, name: str, settings: dict[str, Any]) -> None:
        self.name, self._settings = name, settings

    # --- what dask calls ---

    async def setup(self, worker: Worker) -> None:
        """Open the scheduler."""
        self._worker = worker
        self._calls: dict[Any, dict[int, Task[Any]]] = {}
        self._opening = asyncio.Lock()
        self._local: Scheduler | None = None
        self._idle = asyncio.get_running_loop().call_later(IDLE, self._rest)
        worker.extensions[self.name] = self  # a worker that closes closes its extensions, not its plugins
        await self._open()

    async def teardown(self, worker: Worker) -> None:
        """Give everything back."""
        worker.extensions.pop(self.name, None)
        await self.close()

    async def close(self) -> None:
        """Stop what runs and end the processes."""
        self._idle.cancel()
        local, self._local = self._local, None
        if local is not None:
            await asyncio.to_thread(local.shutdown, cancel_futures=True, deadline=1.0)

    def transition(self, key: Any, start: str, finish: str, **_: Any) -> None:  # noqa: ARG002  (dask names them)
        """Stop the calls of a key that dask has let go of."""
        if finish in FREED:
            for task in list(self._calls.get(key, {}).values()):
                task.cancel()

    # --- a dask task ---

    async def run(self, bundle: Bundle, brought: tuple[Any, ...]) -> Any:
        """Run calls in the scheduler's processes, threads or event loop; see `run_calls`."""
        self._idle.cancel()
        local = self._local or await self._open()
        tasks = self._begin(local, bundle, brought)
        self._calls[bundle.key] = tasks
        loop = asyncio.get_running_loop()
        telling = loop.call_later(WORTH_TELLING, self._tell_starts, bundle.key)
        try:
            await _all_ended(list(tasks.values()))
        finally:
            telling.cancel()
            del self._calls[bundle.key]
            if not self._calls:
                self._idle = loop.call_later(IDLE, self._rest)
        answers = [_answer(task) for task in tasks.values()]
        if any(answer.kind is Kind.STOPPED for answer in answers) and self._local is None:
            raise Reschedule  # this dask worker closes: dask has the calls run elsewhere
        alone = len(answers) == 1
        ends = [
            (ticket, *_span(task), size_of(answer.value), _inline(answer) if alone else None)
            for (ticket, task), answer in zip(tasks.items(), answers, strict=True)
        ]
        self._worker.log_event(self.name, {"ended": ends, "at": self._worker.address})
        if not alone:
            return answers
        (answer,) = answers
        if answer.kind is Kind.RETURNED:
            return answer.value
        raise CallFailed(answer, _in_words(answer))

    def _begin(self, local: Scheduler, bundle: Bundle, brought: tuple[Any, ...]) -> dict[int, Task[Any]]:
        submitter = local.with_options(
            lane=bundle.lane, priority=bundle.priority, timeout=bundle.timeout, name=bundle.calls[0].name
        )
        shared = bundle.lane == "threads"
        tasks: dict[int, Task[Any]] = {}
        for call in bundle.calls:
            arguments, *needs = (
                brought[one.number] if type(one) is Place else one for one in (call.arguments, *call.needs)
            )
            there = (bundle.function, bundle.context, arguments, tuple(needs))
            if bundle.lane == "processes" and type(arguments) is tuple:  # a fifth of a longer way's processor time
                tasks[call.ticket] = submitter.submit(run_atoms, bundle.function, bundle.context, *arguments)
            elif bundle.lane == "loop":
                tasks[call.ticket] = submitter.submit(run_in_loop, *there)
            else:
                tasks[call.ticket] = submitter.submit(run, *there, shared)
        return tasks

    async def _open(self) -> Scheduler:
        async with self._opening:
            if self._local is None:
                workers = self._settings.get("workers") or self._worker.state.nthreads
                settings = {**self._settings, "workers": workers, "name": self.name}
                self._local = await asyncio.to_thread(functools.partial(Scheduler, **settings))
            return self._local

    def _rest(self) -> None:
        local, self._local = self._local, None
        if local is not None:
            self._closing = asyncio.ensure_future(asyncio.to_thread(local.shutdown))

    # --- what the submitter is told ---

    def started(self, key: tuple[str, int] | None = None) -> list[tuple[int, float, int]]:
        """Return (ticket, seconds ago, worker) of the calls that run."""
        calls = [self._calls.get(key, {})] if key is not None else list(self._calls.values())
        running = [(n, task) for tasks in calls for n, task in list(tasks.items()) if task.status() is State.RUNNING]
        now = time.monotonic()
        return [(ticket, now - began, worker) for ticket, task in running for began, worker in _began(task)]

    def _tell_starts(self, key: tuple[str, int]) -> None:
        found = self.started(key)
        if found:
            self._worker.log_event(self.name, {"started": found, "at": self._worker.address})

    def look(self) -> tuple[Snapshot, list[tuple[int, float, int]]] | None:
        """Return a snapshot in which workers' tasks are numbered by their tickets, and the calls that run."""
        local = self._local
        if local is None:
            return None
        tickets = {task.number: n for tasks in list(self._calls.values()) for n, task in list(tasks.items())}
        seen = local.status()
        lanes = tuple(
            replace(
                lane,
                workers=tuple(replace(one, task_number=tickets.get(one.task_number or 0)) for one in lane.workers),
            )
            for lane in seen.lanes
        )
        return replace(seen, lanes=lanes), self.started()

    def kill(self, number: int) -> None:
        """End one of the processes."""
        if self._local is not None:
            self._local.kill_worker(number)

    def stop(self, ticket: int) -> None:
        """Stop one call of a bundle whose other calls go on."""
        for tasks in list(self._calls.values()):
            if ticket in tasks:
                tasks[ticket].cancel()


async def _all_ended(tasks: list[Task[Any]]) -> None:
    """Wait for tasks, first for the last one: when it has ended most others have, and need no waking."""
    for task in reversed(tasks):
        if not task.done():
            await _has_ended(task)


async def _has_ended(task: Task[Any]) -> None:
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def wake(_: object) -> None:
        with suppress(RuntimeError):  # the dask worker's loop has ended: nobody waits
            loop.call_soon_threadsafe(ended.set)

    task.add_done_callback(wake)
    await ended.wait()


def _answer(task: Task[Any]) -> Answer:
    if task.cancelled():
        return Answer(Kind.STOPPED, None)
    error = task.exception()
    if error is None:
        value = task.result()
        return value if type(value) is Answer else Answer(Kind.RETURNED, value)
    if isinstance(error, TaskTimeoutError):
        return Answer(Kind.TIMED_OUT, None)
    if isinstance(error, WorkerDiedError):
        return Answer(Kind.DIED, error.exit_code)
    return Answer(Kind.FAILED, pack_failure(error, os.getpid()))


def _inline(answer: Answer) -> bytes | None:
    """Return a small result as bytes: with the news of its end, it need not be fetched."""
    if answer.kind is not Kind.RETURNED or size_of(answer.value) > INLINE:
        return None
    data = pickle.dumps(answer.value, 5)
    return data if len(data) <= INLINE else None


def _in_words(answer: Answer) -> str:
    if isinstance(answer.value, Failure):
        return answer.value.text
    if answer.kind is Kind.DIED:
        return describe(WorkerDiedError("", answer.value))
    return {Kind.TIMED_OUT: "timed out", Kind.STOPPED: "cancelled"}.get(answer.kind, str(answer.kind))


def _began(task: Task[Any]) -> list[tuple[float, int]]:
    """Return when a call's code began, and the worker; nothing when it did not begin."""
    return _beginnings(task.history())


def _beginnings(history: tuple[Event, ...]) -> list[tuple[float, int]]:
    return [(event.time, event.worker or 0) for event in history if event.state is State.RUNNING][-1:]


def _span(task: Task[Any]) -> tuple[float, float, int]:
    """Return how many seconds ago a call's code began (-1 for not at all) and ended, and the worker."""
    now, history = time.monotonic(), task.history()
    for began, worker in _beginnings(history):
        return now - began, now - history[-1].time, worker
    return -1.0, 0.0, 0


# --- what the submitter asks, by `Client.run` ---


async def ask(name: str, what: str, *arguments: Any, dask_worker: Worker) -> Any:
    """Call a method of a plugin, beside the event loop; None where it is not."""
    host = dask_worker.plugins.get(name)
    method: Callable[..., Any] | None = getattr(host, what, None)
    return await asyncio.to_thread(method, *arguments) if method is not None else None
