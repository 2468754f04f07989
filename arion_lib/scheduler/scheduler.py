"""The scheduler: a `concurrent.futures.Executor` with priorities, dependencies, deadlines, and workers that may die.

Idea        The three methods everybody knows, `submit`, `map`, `shutdown`; how a task is to be run is said beside the
            call (`with_options`), so that no option can collide with a function's own argument.
Invariant   Every submitted task ends, exactly once for its caller, whatever system call fails on the way
            (test_fault_injection.py); `shutdown` leaves no process and no thread of its own.
When wrong  `submit` raises only for misuse; what befalls a task is in its handle.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_scheduler.py
"""

from __future__ import annotations

import atexit
import functools
import os
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from multiprocessing.context import BaseContext
from types import TracebackType
from typing import Any, Literal, ParamSpec, Protocol, TypeVar, cast

from arion_lib.scheduler.bounds.adapt import Adaptation
from arion_lib.scheduler.bounds.limits import Limits
from arion_lib.scheduler.calls.arguments import arguments, linked
from arion_lib.scheduler.calls.functions import WRAPPED, Function, Functions, unwrapped
from arion_lib.scheduler.calls.substitute import tasks_in
from arion_lib.scheduler.calls.values import ATOMS, by_value
from arion_lib.scheduler.errors import NotTransferableError, QueueFullError
from arion_lib.scheduler.loop import LoopLane
from arion_lib.scheduler.options import LANES, PLAIN, Options
from arion_lib.scheduler.processes.lane import ProcessLane
from arion_lib.scheduler.snapshot import Snapshot
from arion_lib.scheduler.starting import launch
from arion_lib.scheduler.starting.launch import StartMethod
from arion_lib.scheduler.states import Event
from arion_lib.scheduler.supervisor import Supervisor
from arion_lib.scheduler.task import More, Task
from arion_lib.scheduler.threads import ThreadLane
from arion_lib.scheduler.waiting.signals import Question

P = ParamSpec("P")
T = TypeVar("T")

MOST_AT_ONCE = 200
"""Tasks of a `map` that are handed over together: the first of them run while the others are made."""
MOST_COROUTINES = 1_000
"""Coroutines that run at once on the loop lane."""


class Scheduler(Executor):
    """Run calls on worker processes, threads and an event loop.

    `workers`: worker processes; None is one for each core that this process may use. `threads`: how many tasks of the
    lane "threads" run at once. `start_method`: "forkserver" (the default but on Windows), "spawn" or "fork" (on Python
    3.13 no signal reaches a loop in a process that a thread forked: there its worker is ended after the grace time).
    `preload`: modules that the forkserver imports once, for all workers.
    `max_pending`: how many unfinished tasks there may be; `when_full` says whether `submit` then waits or raises
    `QueueFullError`. `ageing`: seconds of waiting worth one step of priority. `grace`: seconds between interrupting a
    task and killing its worker. `poison_after`: deaths of workers after which a task is quarantined.
    `recycle_after`: tasks after which a worker is replaced; `memory_limit`: bytes of resident memory after which it is,
    looked at four times a second: a task that runs for two looks in a worker with more than that is ended by
    `MemoryLimitError`, its worker replaced.
    `keep`: how many ended tasks the figures and `recent()` look back on.
    `limits`: for a tag, how many tasks that have it may be given out at once, on all lanes together: `{"db": 4}`.
    `initializer(*initargs)` is called in each worker process before its first task; when it raises in several workers
    in a row, the tasks fail with `StartError`. `max_workers`, `mp_context` and `max_tasks_per_child` are
    `ProcessPoolExecutor`'s words for `workers`, `start_method` and `recycle_after`: code for it runs unchanged.

    Opening one takes some milliseconds; the workers start meanwhile. Raises `ValueError` for a wrong argument.
    """

    def __init__(
        self,
        workers: int | None = None,
        *,
        threads: int = 16,
        start_method: StartMethod | None = None,
        preload: Sequence[str] = (),
        max_pending: int | None = None,
        when_full: Literal["wait", "refuse"] = "wait",
        ageing: float | None = None,
        grace: float = 0.25,
        poison_after: int = 3,
        recycle_after: int | None = None,
        memory_limit: int | None = None,
        keep: int = 10_000,
        name: str = "scheduler",
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        max_workers: int | None = None,
        mp_context: BaseContext | None = None,
        max_tasks_per_child: int | None = None,
        limits: Mapping[str, int] | None = None,
    ) -> None:
        workers = _one_of(workers=workers, max_workers=max_workers)
        recycle_after = _one_of(recycle_after=recycle_after, max_tasks_per_child=max_tasks_per_child)
        start_method = _one_of(
            start_method=start_method, mp_context=None if mp_context is None else _method(mp_context)
        )
        if initializer is not None and not callable(initializer):
            raise TypeError(f"initializer must be callable, got {initializer!r}")
        begin = None if initializer is None else by_value(functools.partial(initializer, *initargs), "initializer")
        limited: Limits[Task[Any]] | None = Limits(limits) if limits else None
        size = cores() if workers is None else workers
        for word, value, least in (
            ("workers", size, 0),
            ("threads", threads, 1),
            ("max_pending", max_pending, 1),
            ("poison_after", poison_after, 1),
            ("recycle_after", recycle_after, 1),
            ("memory_limit", memory_limit, 1),
            ("keep", keep, 1),
        ):
            _check_count(word, value, least)
        if not grace >= 0:
            raise ValueError(f"grace must be seconds >= 0, got {grace!r}")
        if when_full not in ("wait", "refuse"):
            raise ValueError(f"when_full must be 'wait' or 'refuse', got {when_full!r}")
        method: StartMethod = start_method or launch.START_METHODS[0]
        self.name = name
        self._processes = ProcessLane(
            size,
            method,
            preload=preload,
            ageing=ageing,
            grace=grace,
            recycle_after=recycle_after,
            memory_limit=memory_limit,
            initializer=begin,
        )
        self._lanes: dict[str, ProcessLane | ThreadLane | LoopLane] = {
            "processes": self._processes,
            "threads": ThreadLane(threads, ageing=ageing, grace=grace),
            "loop": LoopLane(MOST_COROUTINES, ageing=ageing, grace=grace),
        }
        self._max_pending, self._when_full = max_pending, when_full
        self._functions = Functions()
        self._adaptation: Adaptation | None = None
        self._core = Supervisor(self._lanes, name=name, poison_after=poison_after, keep=keep)
        self._core.limits = limited
        self._core.start()
        # A scheduler that is dropped ends when its tasks have; one that is left open ends with the interpreter.
        finalizer = weakref.finalize(self, self._core.request_close)
        finalizer.atexit = False
        _OPEN.add(self._core)

    # --- giving it work ---

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Task[T]:
        """Run `fn(*args, **kwargs)` on a worker; return its handle at once.

        Every argument is the function's own. Tasks among them, also inside lists, tuples and dicts, are replaced by
        their results; the call waits for them. Arguments are copied now, but for buffers of 16 KiB and more, such as
        arrays: leave those alone until the task has ended. Costs some microseconds. Raises `ShutDownError`,
        `QueueFullError`.
        """
        # What most calls are, a known function and plain arguments, is dealt with here; the rest in _submit.
        core = self._core
        if not (kwargs or core.closing or self._max_pending or type(fn) in WRAPPED):
            function = self._functions.find(fn)
            if function.plain:
                for arg in args:
                    if type(arg) not in ATOMS:
                        break
                else:
                    call = (function.number, *args)
                    task: Task[T] = Task(core, core.next_number(), function, call, function.options, None)
                    core.inbox.append(task)
                    if core.asleep:
                        core.wake()
                    if core.ended:
                        core.refuse_the_late()
                    return task
                return self._submit_pickled(function, args, kwargs, function.options)
        return self._submit(fn, args, kwargs, None)

    def with_options(self, **options: Any) -> Submitter:
        """Return something whose `submit` and `map` run tasks with these `Options`.

        >>> from arion_lib.scheduler import Scheduler
        >>> with Scheduler(workers=1) as scheduler:
        ...     scheduler.with_options(priority=3, retries=1, timeout=10).submit(pow, 2, 5).result()
        32
        """
        return Submitter(self, options)

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        progress: bool = False,
    ) -> Iterator[T]:
        """Yield `fn` of each of the iterables' items, in order, computed on the workers.

        All tasks are submitted at once (within `max_pending`). `timeout`: seconds until the results must be there.
        `chunksize` is accepted and not needed: short tasks travel together by themselves. `progress` shows a bar.
        """
        return self.with_options().map(fn, *iterables, timeout=timeout, chunksize=chunksize, progress=progress)

    def _submit(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], chosen: _Chosen | None
    ) -> Task[Any]:
        core = self._core
        if core.closing:
            raise core.refusal()
        if self._max_pending is not None:
            self._make_room(self._max_pending)
        if type(fn) in WRAPPED:
            fn, args, kwargs = unwrapped(fn, args, kwargs)
        function = self._functions.find(fn)
        options = function.options if chosen is None else chosen.of(function)
        lane = options.lane or function.lane
        if lane == "processes":
            if function.data is None:
                try:
                    self._functions.pickled(function)
                except NotTransferableError as error:
                    return self._refused(function, options, error)
            if options.plain and not kwargs:
                for arg in args:
                    if type(arg) not in ATOMS:
                        break
                else:
                    call = (function.number, *args)
                    task: Task[Any] = Task(core, core.next_number(), function, call, options, None)
                    core.post(task)
                    return task
            return self._submit_pickled(function, args, kwargs, options)
        return self._submit_here(function, args, kwargs, options)

    def _submit_many(
        self, fn: Callable[..., Any], calls: Iterable[tuple[Any, ...]], chosen: _Chosen, _chunksize: int
    ) -> list[Task[Any]]:
        """Submit a function with many arguments; what is asked for each submit is asked once."""
        core, tasks = self._core, list[Task[Any]]()
        if core.closing:
            raise core.refusal()
        if type(fn) in WRAPPED:  # what it is bound to is an argument of each call
            return [self._submit(fn, args, {}, chosen) for args in calls]
        function = self._functions.find(fn)
        options = chosen.of(function)
        plain = (options.plain and not self._max_pending) and (options.lane or function.lane) == "processes"
        batch: list[Task[Any]] = []
        for args in calls:
            if plain and function.data is not None and all([type(arg) in ATOMS for arg in args]):  # noqa: C419
                task: Task[Any] = Task(core, core.next_number(), function, (function.number, *args), options, None)
                batch.append(task)
            else:
                if batch:
                    core.post_many(batch)
                    batch = []
                task = self._submit(fn, args, {}, chosen)
            tasks.append(task)
            if len(batch) >= MOST_AT_ONCE:
                core.post_many(batch)
                batch = []
        if batch:
            core.post_many(batch)
        return tasks

    def _cancel_many(self, tasks: list[Task[Any]]) -> None:
        self._core.cancel_many(tasks)

    def _submit_pickled(
        self, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any], options: Options
    ) -> Task[Any]:
        links = None if kwargs else linked(args, Task)
        if links is not None:
            return self._post(function, *links, options)
        try:
            call, needs = arguments(args, kwargs, options.name or function.name)
        except NotTransferableError as error:
            return self._refused(function, options, error)
        return self._post(function, call, needs, options)

    def _submit_here(
        self, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any], options: Options
    ) -> Task[Any]:
        return self._post(function, (args, kwargs), tasks_in((args, kwargs), Task), options)

    def _post(self, function: Function, call: Any, needs: Sequence[Task[Any]], options: Options) -> Task[Any]:
        core, more = self._core, None
        if needs or not options.plain:
            more = More()
            more.needs = needs
            for needed in (*needs, *options.after) if options.after else needs:
                if getattr(needed, "_core", None) is not core:
                    raise ValueError(f"a task can need tasks of its own scheduler only, got {needed!r}")
        task: Task[Any] = Task(core, core.next_number(), function, call, options, more)
        core.post(task)
        return task

    def _refused(self, function: Function, options: Options, error: NotTransferableError) -> Task[Any]:
        """Return a task that has failed already: what could not travel concerns nobody else."""
        task: Task[Any] = Task(self._core, self._core.next_number(), function, None, options, None)
        self._core.post(Question(lambda: self._core.reject(task, error)))
        return task

    def _make_room(self, most: int) -> None:
        core = self._core
        if core.unfinished() < most:
            return
        if self._when_full == "refuse":
            raise QueueFullError(f"{most} tasks wait or run, as many as max_pending allows; submit later, or wait")
        if not core.is_own_thread():  # a callback that submits must not wait: others, behind it, may be waited for
            core.wait_for(lambda: core.unfinished() < most)

    # --- how many workers ---

    def scale(self, workers: int, lane: str = "processes") -> None:
        """Change how many workers a lane has while it runs: more at once, fewer as their running tasks end."""
        _check_count("workers", workers, 0)
        if lane not in LANES:
            raise ValueError(f"lane must be one of {', '.join(LANES)}, got {lane!r}")
        self._adaptation = None
        self._command(lambda: self._lanes[lane].scale(workers))

    def adapt(self, minimum: int, maximum: int, target: float = 1.0) -> None:
        """Keep as many worker processes as would finish what is queued in `target` seconds, within the two bounds.

        Looked at four times a second; more workers come at once, fewer after two seconds in which they were not needed.
        `scale` ends it. Raises `ValueError` for bounds that are none.
        """
        self._adaptation = adaptation = Adaptation(self._processes, minimum, maximum, target)

        def look() -> None:
            if self._adaptation is adaptation and not self._core.closing:
                adaptation.look(time.monotonic())
                self._core.at(time.monotonic() + 0.25, look)

        self._command(look)

    def kill_worker(self, number: int) -> None:
        """End a worker process at once, as `kill -9` does: for trying out what happens then.

        Raises `ValueError` when there is no such worker.
        """

        def kill() -> None:
            worker = self._processes.worker(number)
            if worker is None:
                numbers = [status.number for status in self.status().workers if status.lane == "processes"]
                raise ValueError(f"number must be that of a worker process ({numbers}), got {number!r}")
            worker.kill()

        self._core.ask(kill)

    def cancel(self, number: int) -> bool:
        """Cancel the task of this number that a worker has: for a monitor's button, which has no handle.

        False when no worker has one of this number: it waits still, or has ended. Costs a look at what was given out.
        """
        with self._core.lock:
            given = (task for lane in self._lanes.values() for task in lane.assigned())
            task = next((one for one in given if one.number == number), None)
        return task is not None and task.cancel()

    def _command(self, command: Callable[[], None]) -> None:
        if self._core.closing:
            raise self._core.refusal()
        self._core.ask(command)

    # --- looking at it ---

    def status(self) -> Snapshot:
        """Return what the scheduler looks like now. Costs about a millisecond with a full window of figures."""
        return self._core.snapshot()

    def recent(self) -> tuple[Event, ...]:
        """Return the last tasks' ends, as far back as `keep` reaches, the oldest first."""
        with self._core.lock:
            return self._core.figures.recent()

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Call `callback(event)` for each change of each task from now on; return what ends that.

        It is called in a thread of the scheduler's for such calls, in order; what it raises is logged.
        """
        return self._core.subscribe(callback)

    def events(self, most: int = 10_000) -> EventStream:
        """Return an iterator over the changes from now on; it ends with the scheduler or its own `close()`.

        It holds `most` events at most: of more, the oldest are dropped and counted in `dropped`.
        """
        return EventStream(self._core, most)

    def wait_idle(self, timeout: float | None = None) -> bool:
        """Wait until no task is unfinished, `timeout` seconds at most; return whether that is so."""
        return self._core.wait_idle(timeout)

    # --- the end ---

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False, deadline: float | None = None) -> None:
        """Take no more tasks; end when the submitted ones have ended.

        `cancel_futures` cancels those that have not begun. `deadline`: seconds after which the rest is cancelled, too.
        `wait` waits for the end: afterwards no process and no thread is left. May be called several times.
        """
        if cancel_futures:
            self._core.post(self._core.cancel_unstarted)
        self._core.request_close(None if deadline is None else time.monotonic() + deadline)
        if wait and not self._core.is_own_thread():
            self._core.join()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Wait for the tasks and end; after Ctrl-C or `SystemExit`, cancel everything instead of waiting for it."""
        if kind is not None and not issubclass(kind, Exception):
            self._core.cancel_all()
        self.shutdown(wait=True)

    def __repr__(self) -> str:
        return f"<Scheduler {self.name}: {self._processes.size} workers, {self._core.unfinished()} unfinished tasks>"


class _Chosen:
    """Options that were chosen for some submits, over what their functions declare."""

    def __init__(self, changes: dict[str, Any]) -> None:
        self.changes, self.plain = changes, PLAIN.but(**changes)

    def of(self, function: Function) -> Options:
        return self.plain if function.options is PLAIN else function.options.but(**self.changes)


class Submitter:
    """`submit` and `map` of a scheduler, with options."""

    def __init__(self, scheduler: Scheduler, options: dict[str, Any]) -> None:
        self._scheduler, self._chosen = scheduler, _Chosen(options)

    def with_options(self, **options: Any) -> Submitter:
        """Return a submitter with these options, too."""
        return Submitter(self._scheduler, {**self._chosen.changes, **options})

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Task[T]:
        """Run a call with the options; see `Scheduler.submit`."""
        return self._scheduler._submit(fn, args, kwargs, self._chosen)

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        progress: bool = False,
    ) -> Iterator[T]:
        """Run a call for each of the iterables' items with the options; see `Scheduler.map`."""
        if chunksize < 1:
            raise ValueError(f"chunksize must be >= 1, got {chunksize!r}")
        until = None if timeout is None else time.monotonic() + timeout
        tasks = self._scheduler._submit_many(fn, zip(*iterables, strict=False), self._chosen, chunksize)
        return _results(tasks, until, progress, self._scheduler._cancel_many)


def _results(
    tasks: list[Task[T]], until: float | None, progress: bool, cancel: Callable[[list[Task[Any]]], object]
) -> Iterator[T]:
    """Yield the results in order, letting go of each task; cancel the rest when nobody wants them any more."""
    bar = _Bar(tasks) if progress else None
    tasks.reverse()
    try:
        while tasks:
            left = None if until is None else max(0.0, until - time.monotonic())
            yield tasks.pop().result(left)
    finally:
        if tasks:
            cancel(tasks)
        if bar is not None:
            bar.close(complete=not tasks)


class _Bar:
    """A progress bar that the tasks' ends move on."""

    def __init__(self, tasks: list[Task[Any]]) -> None:
        from tqdm.auto import tqdm

        self._bar, self._total = tqdm(total=len(tasks), unit="task"), len(tasks)
        self._lock, self._closed = threading.Lock(), False
        for task in tasks:
            task.add_done_callback(self._count)

    def _count(self, _: object) -> None:
        with self._lock:
            if not self._closed:
                self._bar.update()

    def close(self, *, complete: bool) -> None:
        """End the bar; `complete`: all tasks have ended, though the last ends may not have been told yet."""
        with self._lock:
            self._closed = True
            if complete:
                self._bar.update(self._total - self._bar.n)
            self._bar.close()


class _Source(Protocol):
    """What events come from."""

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]: ...

    def at_end(self, command: Callable[[], None]) -> Callable[[], object]: ...


class EventStream:
    """An iterator over the changes of all tasks from the moment it was made."""

    def __init__(self, source: _Source, most: int) -> None:
        _check_count("most", most, 1)
        self._events: deque[Event] = deque(maxlen=most)
        self._changed = threading.Condition()
        self._closed = False
        self.dropped = 0
        """How many events were dropped because nobody took them."""
        self._unsubscribe = source.subscribe(self._take)
        self._forget: Callable[[], object] = lambda: None
        self._forget = source.at_end(self.close)

    def _take(self, event: Event) -> None:
        with self._changed:
            self.dropped += len(self._events) == self._events.maxlen
            self._events.append(event)
            self._changed.notify()

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        with self._changed:
            self._changed.wait_for(lambda: self._events or self._closed)
            if not self._events:
                raise StopIteration
            return self._events.popleft()

    def __enter__(self) -> EventStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the iteration behind what is still there."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._unsubscribe()
        self._forget()


def _one_of(**words: T | None) -> T | None:
    """Return the value given under one of two words for the same thing."""
    given = {word: value for word, value in words.items() if value is not None}
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)} must not be given together: they say the same")
    return next(iter(given.values()), None)


def _method(context: BaseContext) -> StartMethod:
    """Return the start method of a context of multiprocessing's; one that this system lacks is refused later."""
    return cast(StartMethod, context.get_start_method())


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _check_count(name: str, value: int | None, least: int) -> None:
    if value is not None and (type(value) is not int or value < least):
        raise ValueError(f"{name} must be an int >= {least}, got {value!r}")


_OPEN: weakref.WeakSet[Supervisor] = weakref.WeakSet()


def _abandon_all_in_a_fork() -> None:
    """Let a forked process use no scheduler of its parent: the parent would get its results."""
    for core in list(_OPEN):
        core.abandon()
    _OPEN.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_all_in_a_fork)


@atexit.register
def _close_all_at_exit() -> None:
    """Let the tasks end, as every executor of the standard library does, before the interpreter does."""
    ended_by_ctrl_c = isinstance(getattr(sys, "last_value", None), KeyboardInterrupt)
    # The interpreter has taken note of its main thread's end by now, unless Ctrl-C struck at just that moment.
    ended_by_ctrl_c |= threading.main_thread().is_alive()
    for core in list(_OPEN):
        if ended_by_ctrl_c:
            core.cancel_all()  # nobody waits for what is left
        core.request_close()
        core.join()
