"""Inside a dask worker: a scheduler of ours, whose processes run the tasks that a submitter far away sends.

Idea        The dask worker runs nothing of a task itself: it hands calls on to a `Scheduler` of its own and tells what
            became of them. So a deadline holds for C code, a running task can be stopped, and a task that kills its
            process costs no dask worker.
Invariant   What became of a call is told until the submitter says that it was heard.
When wrong  A submitter not heard of for `LEASE` seconds is taken for gone: all is stopped, nothing of it stays.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_dask.py
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import pickle
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from arion_lib.scheduler.calls import NEEDED, Function, Linked
from arion_lib.scheduler.context import context_of
from arion_lib.scheduler.errors import NotTransferableError, WorkerDiedError
from arion_lib.scheduler.failures import pack_failure
from arion_lib.scheduler.options import Options
from arion_lib.scheduler.scheduler import Scheduler
from arion_lib.scheduler.snapshot import Snapshot, WorkerStatus
from arion_lib.scheduler.states import State
from arion_lib.scheduler.task import More, Task
from arion_lib.scheduler.values import Packed, decode, encode

if TYPE_CHECKING:
    from distributed import Worker

    from arion_lib.scheduler.options import Lane

LEASE = 60.0
"""Seconds without a word from the submitter after which a host gives up."""
PARKED = 10.0
"""Seconds that a question for news waits for some."""
WORTH_TELLING = 0.01
"""Seconds that a call runs before its start is told ahead of its end."""

STARTED, RETURNED, FAILED, TIMED_OUT, DIED, STOPPED, RECALLED = range(7)

Word: TypeAlias = tuple[int, int, Any, float, float, int]
"""(ticket, kind, value, started, ended, worker): what became of a call; times are this machine's monotonic seconds,
0 for a call that did not begin."""


# --- what travels ---


@dataclass(slots=True)
class Parcel:
    """A `Packed` value that ordinary pickling can carry, its buffers included."""

    data: bytes
    buffers: list[Any] = field(default_factory=list)

    @classmethod
    def of(cls, value: Any) -> Any:
        """Wrap a `Packed`; an atom stays what it is."""
        return cls(value.data, [pickle.PickleBuffer(one) for one in value.buffers]) if type(value) is Packed else value

    def packed(self) -> Packed:
        """Return the `Packed` again."""
        return Packed(self.data, tuple(self.buffers))


def _repacked(value: Any) -> Any:
    return value.packed() if type(value) is Parcel else value


class Call(NamedTuple):
    """One attempt of a task on its way to a dask worker; `ticket` is the number of the attempt.

    `arguments` is a tuple of atoms, `Linked`, or a `Parcel` of (args, kwargs); the latter two have places for `needs`.
    """

    ticket: int
    function: int
    arguments: Any
    needs: list[Any]
    lane: Lane
    priority: int
    timeout: float | None
    name: str


@dataclass(slots=True)
class Mail:
    """What a submitter has to say to one host: functions, calls to begin, to stop, to give back, workers to end."""

    functions: list[tuple[int, bytes, bytes | None]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    stop: list[int] = field(default_factory=list)
    recall: list[int] = field(default_factory=list)
    kill: list[int] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.calls or self.stop or self.recall or self.kill)


@dataclass(frozen=True, slots=True)
class Hello:
    """How a host introduces itself: dask's name of its worker, and how many processes it runs tasks with."""

    name: Any
    slots: int


# --- in the dask worker's event loop ---


class _Known:
    """Stands for a task that ended well elsewhere, where the local scheduler looks for what a call needs."""

    __slots__ = ("_value",)
    _state_now = State.SUCCEEDED

    def __init__(self, value: Any) -> None:
        self._value = _repacked(value)


class Host:
    """One submitter's scheduler inside one dask worker."""

    def __init__(self, local: Scheduler, abandon: Callable[[], object]) -> None:
        self._local, self._abandon = local, abandon
        self._loop = asyncio.get_running_loop()
        self._functions: dict[int, Function] = {}
        self._tasks: dict[int, Task[Any]] = {}
        self._untold: dict[int, Task[Any]] = {}
        """Tasks whose start has not been told."""
        self._recalled: set[int] = set()
        self._words: list[Word] = []
        self._heard = 0
        """How many words the submitter has acknowledged."""
        self._ended: deque[int] = deque()
        self._ringing = self._looking = False
        self._news = asyncio.Event()
        self._lease = self._loop.call_later(LEASE, abandon)

    def take(self, mail: Mail) -> None:
        """Begin, stop, give back what the submitter says."""
        self._renew()
        for number, data, context in mail.functions:
            self._functions[number] = function = Function(run, number, None)
            function.data, function.context_data = data, context
        for call in mail.calls:
            self._begin(call)
        for ticket in mail.stop:
            if ticket in self._tasks:
                self._tasks[ticket].cancel()
        for ticket in mail.recall:
            self._recall(ticket)
        for worker in mail.kill:
            with suppress(LookupError, ValueError):  # it has ended meanwhile
                self._local.kill_worker(worker)

    async def news(self, heard: int) -> list[Word]:
        """Return the words after the first `heard` ones; wait for some, `PARKED` seconds at most."""
        self._renew()
        del self._words[: heard - self._heard]
        self._heard = heard
        if not self._words:
            self._news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(PARKED):
                    await self._news.wait()
        return self._words[:]

    def look(self) -> Snapshot:
        """Return what the local scheduler looks like."""
        seen = self._local.status()
        return replace(
            seen, lanes=tuple(replace(lane, workers=self._with_tickets(lane.workers)) for lane in seen.lanes)
        )

    def _with_tickets(self, workers: tuple[WorkerStatus, ...]) -> tuple[WorkerStatus, ...]:
        """Name what each worker runs by its ticket: the task's number here means nothing to the submitter."""
        tickets = {task.number: ticket for ticket, task in list(self._tasks.items())}
        return tuple(replace(worker, task_number=tickets.get(worker.task_number or 0)) for worker in workers)

    async def close(self) -> None:
        """Stop everything and give back the processes; dask calls this when its worker closes."""
        self._lease.cancel()
        self._news.set()
        await asyncio.to_thread(self._local.shutdown, cancel_futures=True, deadline=1.0)

    def _renew(self) -> None:
        self._lease.cancel()
        self._lease = self._loop.call_later(LEASE, self._abandon)

    def _begin(self, call: Call) -> None:
        task = self._begin_here(call) if call.lane != "processes" else self._begin_in_process(call)
        self._tasks[call.ticket] = self._untold[call.ticket] = task
        task.add_done_callback(functools.partial(self._on_end, call.ticket))
        self._look_soon()

    def _begin_in_process(self, call: Call) -> Task[Any]:
        """Hand on a call as it came: what was pickled by the submitter is unpickled by the process that runs it."""
        function = self._functions[call.function]
        options = Options(priority=call.priority, timeout=call.timeout, name=call.name)
        more: More | None = None
        passed: Any
        if type(call.arguments) is tuple:
            passed = (function.number, *call.arguments)
        else:
            more, passed = More(), _repacked(call.arguments)
            needs: Any = [_Known(need) for need in call.needs]
            more.needs = needs
        core = self._local._core
        task: Task[Any] = Task(core, core.next_number(), function, passed, options, more)
        core.post(task)
        return task

    def _begin_here(self, call: Call) -> Task[Any]:
        """Run a call on a thread or on the event loop of this dask worker."""
        function = self._functions[call.function]
        submitter = self._local.with_options(
            lane=call.lane, priority=call.priority, timeout=call.timeout, name=call.name
        )
        code: Callable[..., Any] = run_in_loop if call.lane == "loop" else run
        return submitter.submit(code, function.data, function.context_data, call.arguments, call.needs)

    def _recall(self, ticket: int) -> None:
        """Give a call back that has not begun; one that has goes on."""
        task = self._tasks.get(ticket)
        if task is not None and task.status() is State.READY:
            self._recalled.add(ticket)
            task.cancel()

    def _look_soon(self) -> None:
        if not self._looking:
            self._looking = True
            self._loop.call_later(WORTH_TELLING, self._look_for_starts)

    def _look_for_starts(self) -> None:
        self._looking = False
        for word in _starts(self._untold):
            self._untold.pop(word[0])
            self._tell(word)
        if self._untold:
            self._look_soon()

    def starts(self) -> list[Word]:
        """Return what is to be said of the calls that run: what was told of them may not have been heard yet."""
        return _starts(self._tasks)

    def _tell(self, word: Word) -> None:
        self._words.append(word)
        self._news.set()

    def _tell_ends(self) -> None:
        self._ringing = False
        while self._ended:
            ticket = self._ended.popleft()
            self._untold.pop(ticket, None)
            self._tell(self._last_word(ticket, self._tasks.pop(ticket)))

    def _last_word(self, ticket: int, task: Task[Any]) -> Word:
        worker, started, ended = task._run if type(task._run) is tuple and len(task._run) == 3 else (0, 0.0, 0.0)
        try:
            kind, value = self._outcome(ticket, task)
        except Exception as error:  # noqa: BLE001  (a call of which nothing is told would never end for its submitter)
            kind, value = FAILED, pack_failure(error, os.getpid())
        return ticket, kind, value, started, ended, worker

    def _outcome(self, ticket: int, task: Task[Any]) -> tuple[int, Any]:
        state, error = task._state_now, task._more.error if task._more is not None else None
        if state is State.SUCCEEDED:
            return task._value if type(task._value) is tuple else (RETURNED, Parcel.of(task._value))
        if state is State.CANCELLED:
            recalled = ticket in self._recalled
            self._recalled.discard(ticket)
            return (RECALLED if recalled else STOPPED), None
        if state is State.TIMED_OUT:
            return TIMED_OUT, None
        if isinstance(error, WorkerDiedError):
            return DIED, error.exit_code
        if isinstance(error, BaseException):
            return FAILED, pack_failure(error, os.getpid())
        return FAILED, error

    # --- in the local scheduler's thread ---

    def _on_end(self, ticket: int, _task: Any) -> None:
        self._ended.append(ticket)
        if not self._ringing:
            self._ringing = True
            with suppress(RuntimeError):  # the dask worker's loop has ended: nobody is left to tell
                self._loop.call_soon_threadsafe(self._tell_ends)


def _starts(tasks: dict[int, Task[Any]]) -> list[Word]:
    running = [(ticket, task) for ticket, task in tasks.items() if task.status() is State.RUNNING]
    return [(ticket, STARTED, None, *_start_of(task)) for ticket, task in running]


def _start_of(task: Task[Any]) -> tuple[float, float, int]:
    """Return when a task's code began, 0.0 for the end that is to come, and the worker; zeros when it did not begin."""
    for event in reversed(task.history()):
        if event.state is State.RUNNING:
            return event.time, 0.0, event.worker or 0
    return 0.0, 0.0, 0


# --- what the submitter calls, by `Client.run` ---


async def open_host(name: str, settings: dict[str, Any], dask_worker: Worker) -> Hello:
    """Start a host on a dask worker; one of that name that is there already is closed first."""
    await close_host(name, dask_worker)
    slots = settings.get("workers") or dask_worker.state.nthreads
    local = await asyncio.to_thread(functools.partial(Scheduler, **{**settings, "workers": slots, "name": name}))
    loop = asyncio.get_running_loop()
    host = Host(local, lambda: loop.create_task(close_host(name, dask_worker)))
    dask_worker.extensions[name] = host
    return Hello(dask_worker.name, slots)


async def tell_time() -> float:
    """Return this machine's monotonic seconds."""
    return time.monotonic()


async def deliver(name: str, mail: bytes, dask_worker: Worker) -> None:
    """Bring a host its mail."""
    _host(name, dask_worker).take(pickle.loads(mail))


async def ask_for_news(name: str, heard: int, dask_worker: Worker) -> bytes:
    """Return a pickled list of words."""
    return pickle.dumps(await _host(name, dask_worker).news(heard), 5)


async def ask_for_starts(name: str, dask_worker: Worker) -> list[Word]:
    """Return the starts of the calls that run."""
    return _host(name, dask_worker).starts()


async def look(name: str, dask_worker: Worker) -> Snapshot:
    """Return the snapshot of a host's scheduler."""
    return await asyncio.to_thread(_host(name, dask_worker).look)


async def close_host(name: str, dask_worker: Worker) -> None:
    """End a host; nothing of it stays on the dask worker."""
    host = dask_worker.extensions.pop(name, None)
    if host is not None:
        await host.close()


def _host(name: str, dask_worker: Worker) -> Host:
    host: Host = dask_worker.extensions[name]
    return host


# --- in the processes of the local scheduler ---


def run(function: bytes, context: bytes | None, arguments: Any, needs: list[Any]) -> tuple[int, Any]:
    """Run a call; return how it ended and its value or its packed exception. Neither is unpickled on the way."""
    try:
        call, args, kwargs = _prepared(function, arguments, needs)
        value = _context(context).run(call, *args, **kwargs)
        if inspect.iscoroutine(value):
            value = asyncio.run(value)
        return RETURNED, Parcel.of(encode(value, f"result of {getattr(call, '__qualname__', call)}"))
    except Exception as error:  # noqa: BLE001  (a worker's boundary: any exception becomes the result)
        return FAILED, pack_failure(error, os.getpid())


async def run_in_loop(function: bytes, context: bytes | None, arguments: Any, needs: list[Any]) -> tuple[int, Any]:
    """Run an asynchronous call, as `run` does."""
    try:
        call, args, kwargs = _prepared(function, arguments, needs)
        value = await asyncio.create_task(call(*args, **kwargs), context=_context(context))
        return RETURNED, Parcel.of(encode(value, f"result of {getattr(call, '__qualname__', call)}"))
    except Exception as error:  # noqa: BLE001  (a worker's boundary: any exception becomes the result)
        return FAILED, pack_failure(error, os.getpid())


def _context(context: bytes | None) -> Context:
    return context_of(pickle.loads(context) if context is not None else [])


def _prepared(function: bytes, arguments: Any, needs: list[Any]) -> tuple[Callable[..., Any], Any, Any]:
    call = _loaded(function)
    results = [decode(_repacked(value)) for value in needs]
    if type(arguments) is tuple:
        return call, arguments, {}
    if isinstance(arguments, Linked):
        filled = dict(zip(arguments.places, results, strict=True))
        return call, [filled.get(place, value) for place, value in enumerate(arguments.args)], {}
    NEEDED.values = results
    try:
        args, kwargs = arguments.packed().unpack()
    finally:
        NEEDED.values = ()
    return call, args, kwargs


@functools.lru_cache(maxsize=256)
def _loaded(function: bytes) -> Callable[..., Any]:
    try:
        call: Callable[..., Any] = pickle.loads(function)
    except Exception as error:
        raise NotTransferableError(
            f"the function could not be loaded in the worker: {type(error).__name__}: {error}; the module that defines "
            "it must be installed on the dask workers"
        ) from error
    return call
