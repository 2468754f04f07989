"""The scheduler: a `concurrent.futures.Executor` with priorities, dependencies, deadlines, and workers that may die.

Idea        The three methods everybody knows, `submit`, `map`, `shutdown`; how a task is to be run is said beside the
            call (`with_options`), so that no option can collide with a function's own argument.
Invariant   Every submitted task ends, exactly once for its caller, whatever system call fails on the way
            (test_fault_injection.py); `shutdown` leaves no process and no thread of its own.
When wrong  `submit` raises only for misuse; what befalls a task is in its handle.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_scheduler.py
"""

from __future__ import annotations

import functools
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from datetime import datetime
from multiprocessing.context import BaseContext
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, cast

from arion_lib.scheduler.bounds.checks import check_settings, check_workers, cores, one_of
from arion_lib.scheduler.bounds.limits import Limits
from arion_lib.scheduler.bounds.sizing import Sizing
from arion_lib.scheduler.calls.values import by_value
from arion_lib.scheduler.front import Front
from arion_lib.scheduler.lifecycle import Lifecycle
from arion_lib.scheduler.local.loop import LoopLane
from arion_lib.scheduler.local.threads import ThreadLane
from arion_lib.scheduler.monitoring.snapshot import Snapshot
from arion_lib.scheduler.monitoring.stream import EventStream
from arion_lib.scheduler.processes.lane import ProcessLane
from arion_lib.scheduler.starting import exits, launch
from arion_lib.scheduler.starting.launch import StartMethod
from arion_lib.scheduler.states import Event
from arion_lib.scheduler.submitting.periodic import Periodic
from arion_lib.scheduler.submitting.submission import Submission
from arion_lib.scheduler.submitting.submitter import Submitter
from arion_lib.scheduler.task import Task
from arion_lib.units import how_many

if TYPE_CHECKING:
    from arion_lib.scheduler.journal.book import Journal
    from arion_lib.scheduler.journal.keeping import Keeping

P = ParamSpec("P")
T = TypeVar("T")

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
    `journal`: a file in which calls are kept until they have ended: killed in between, the next start runs the rest, at
    least once; their handles are in `recovered`. Only functions that have a name are taken then; see `journal`.

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
        journal: str | Path | Journal | None = None,
    ) -> None:
        workers = one_of(workers=workers, max_workers=max_workers)
        recycle_after = one_of(recycle_after=recycle_after, max_tasks_per_child=max_tasks_per_child)
        asked = None if mp_context is None else cast(StartMethod, mp_context.get_start_method())
        method: StartMethod = one_of(start_method=start_method, mp_context=asked) or launch.START_METHODS[0]
        size = cores() if workers is None else workers
        check_workers(size)
        counts = {"threads": threads, "max_pending": max_pending, "poison_after": poison_after, "keep": keep}
        check_settings({**counts, "recycle_after": recycle_after, "memory_limit": memory_limit}, grace, when_full)
        if initializer is not None and not callable(initializer):
            raise TypeError(f"initializer must be callable, got {initializer!r}")
        begin = None if initializer is None else by_value(functools.partial(initializer, *initargs), "initializer")
        life = Lifecycle(poison_after=poison_after, limits=Limits(limits) if limits else None)
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
        self._core = Front(self._lanes, life, name=name, keep=keep)
        self._sizing = Sizing(self._core, self._lanes, self._processes)
        self._submission: Submission | Keeping = Submission(self._core, max_pending, when_full)
        self._core.start()
        self.recovered: list[Task[Any]] = []
        if journal is not None:
            self._keep_journal(self._submission, journal)
        # A scheduler that is dropped ends when its tasks have; one that is left open ends with the interpreter.
        finalizer = weakref.finalize(self, self._core.request_close)
        finalizer.atexit = False
        exits.keep(self._core)

    def _keep_journal(self, submission: Submission, journal: str | Path | Journal) -> None:
        from arion_lib.scheduler.journal.keeping import kept  # most schedulers have none

        try:
            self._submission = keeping = kept(submission, journal)
        except BaseException:
            self.shutdown()
            raise
        self._core.at_end(keeping.close)
        self.recovered = keeping.recover()

    # --- giving it work ---

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Task[T]:
        """Run `fn(*args, **kwargs)` on a worker; return its handle at once.

        Every argument is the function's own. Tasks among them, also inside lists, tuples and dicts, are replaced by
        their results; the call waits for them. Arguments are copied now, but for buffers of 16 KiB and more, such as
        arrays: leave those alone until the task has ended. Costs some microseconds. Raises `ShutDownError`,
        `QueueFullError`.
        """
        return self._submission.submit(fn, args, kwargs)

    def with_options(self, **options: Any) -> Submitter:
        """Return something whose `submit` and `map` run tasks with these `Options`.

        >>> from arion_lib.scheduler import Scheduler
        >>> with Scheduler(workers=1) as scheduler:
        ...     scheduler.with_options(priority=3, retries=1, timeout=10).submit(pow, 2, 5).result()
        32
        """
        return Submitter(self._submission, options)

    def every(
        self, when: float | str | Iterable[datetime], fn: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs
    ) -> Periodic:
        """Run a call every `when` seconds, by a cron expression in UTC (`"*/5 * * * *"`; `cron(text, zone)` for another
        zone), or at the times that an iterable of datetimes with time zones names.

        One run at a time: times that pass meanwhile are skipped and counted. `pause`, `resume` and `cancel` are the
        handle's; `with_options(name=..., timeout=...).every(...)` says how a run is to be run. Ends with the scheduler.
        """
        return self.with_options().every(when, fn, *args, **kwargs)

    @property
    def periodic(self) -> tuple[Periodic, ...]:
        """The periodic calls that are not over."""
        return self._submission.periodic.alive()

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
        progress: bool = False,
    ) -> Iterator[T]:
        """Yield `fn` of each of the iterables' items, in order, computed on the workers.

        All tasks are submitted at once (within `max_pending`), or `buffersize` of them, and further ones as results are
        taken: so the iterables may be endless. `timeout`: seconds until the results must be there; what is not is
        cancelled. `chunksize` is accepted and not needed: short tasks travel together. `progress` shows a bar.
        """
        chosen = self.with_options()
        return chosen.map(
            fn, *iterables, timeout=timeout, chunksize=chunksize, buffersize=buffersize, progress=progress
        )

    # --- how many workers ---

    def scale(self, workers: int, lane: str = "processes") -> None:
        """Change how many workers a lane has while it runs: more at once, fewer as their running tasks end.

        Raises `ValueError` for more processes than this one's descriptors allow.
        """
        self._sizing.scale(workers, lane)

    def adapt(self, minimum: int, maximum: int, target: float = 1.0) -> None:
        """Keep as many worker processes as would finish what is queued in `target` seconds, within the two bounds.

        Looked at four times a second; more workers come at once, fewer after two seconds in which they were not needed.
        `scale` ends it. Raises `ValueError` for bounds that are none.
        """
        self._sizing.adapt(minimum, maximum, target)

    def kill_worker(self, number: int) -> None:
        """End a worker process at once, as `kill -9` does: for trying out what happens then.

        Raises `ValueError` when there is no such worker.
        """
        self._core.ask(lambda: self._processes.pool.kill_worker(number))

    def cancel(self, number: int) -> bool:
        """Cancel the task of this number that a worker has: for a monitor's button, which has no handle.

        False when no worker has one of this number: it waits still, or has ended. Costs a look at what was given out.
        """
        task = self._core.given_out(number)
        return task is not None and task.cancel()

    # --- looking at it ---

    def status(self) -> Snapshot:
        """Return what the scheduler looks like now. Costs about a millisecond with a full window of figures."""
        return self._core.snapshot()

    def recent(self) -> tuple[Event, ...]:
        """Return the last tasks' ends, as far back as `keep` reaches, the oldest first."""
        with self._core.supervisor.lock:
            return self._core.supervisor.figures.recent()

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
        core = self._core
        return core.wait_for(lambda: not core.unfinished(), timeout)

    # --- the end ---

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False, deadline: float | None = None) -> None:
        """Take no more tasks; end when the submitted ones have ended.

        `cancel_futures` cancels those that have not begun. `deadline`: seconds after which the rest is cancelled, too.
        `wait` waits for the end: afterwards no process and no thread is left. May be called several times.
        """
        if cancel_futures:
            self._core.cancel_unstarted()
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
        workers, tasks = how_many(self._processes.size, "workers"), how_many(self._core.unfinished(), "tasks")
        return f"<Scheduler {self.name}: {workers}, {tasks} unfinished>"
