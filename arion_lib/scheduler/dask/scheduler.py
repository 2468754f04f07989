"""The scheduler on a Dask cluster: what people call, and what of it is different from one machine.

Idea        The methods of `Scheduler`, over lives in the link's thread; a submit pickles its call and is done.
Invariant   Every submitted task ends, exactly once for its caller; `shutdown` leaves no thread here, no plugin there.
When wrong  `submit` raises only for misuse; what befalls a task is in its handle.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_dask.py
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar

from arion_lib.scheduler.bounds.checks import check_count, check_settings, cores
from arion_lib.scheduler.dask.attempts import Attempts
from arion_lib.scheduler.dask.handle import DaskTask
from arion_lib.scheduler.dask.ledger import Ledger
from arion_lib.scheduler.dask.life import Lives
from arion_lib.scheduler.dask.link import Link
from arion_lib.scheduler.dask.submission import Submission
from arion_lib.scheduler.dask.view import View
from arion_lib.scheduler.errors import ShutDownError
from arion_lib.scheduler.monitoring.snapshot import Snapshot
from arion_lib.scheduler.monitoring.stream import EventStream
from arion_lib.scheduler.states import Event, State
from arion_lib.scheduler.submitting.periodic import Periodic
from arion_lib.scheduler.submitting.submitter import Submitter

if TYPE_CHECKING:
    from distributed import Client
    from distributed.deploy.cluster import Cluster

    from arion_lib.scheduler.starting.launch import StartMethod

P = ParamSpec("P")
T = TypeVar("T")


class DaskScheduler(Executor):
    """Run calls as tasks of a Dask cluster, with what `Scheduler` has.

    `cluster`: a cluster, a client or an address, which are used and left as they were; None opens a `LocalCluster` of
    `workers` dask workers, a process for tasks in each (None: as many as this process may use cores), and closes it at
    the end. In a dask worker of n threads n processes run tasks. The other parameters are `Scheduler`'s; `threads`,
    `start_method`, `grace`, `recycle_after` and `memory_limit` hold in each dask worker.

    What differs from one machine:

    - Opening takes seconds. A script that opens a cluster of its own needs `if __name__ == "__main__":`, as dask says.
      arion_lib must be installed where dask's scheduler and workers are, and there the modules that tasks import.
    - A dask task takes milliseconds where one machine takes 0.1: worth it for calls of 10 ms or more. For shorter ones,
      `map(..., chunksize=100)` makes one dask task of 100 calls; each of them still has its own end, time limit and
      process. Functions travel with each dask task: a closure over large data is sent each time.
    - When a whole dask worker is lost, dask begins again elsewhere what ran there, also with `retries=0` and up to
      `distributed.scheduler.allowed-failures` times (3); then `WorkerDiedError` without an exit code. So a task runs at
      most once only as long as its dask worker lives. `retire_workers` and scaling down do the same to what runs.
    - When the line to dask's scheduler is cut (the submitter's machine slept for more than 30 s), dask stops what the
      submitter had there and lets go of the results that stayed there. What had not ended is begun again at the next
      connection, also with `retries=0`, ten times at most. A submitter that stands still while its line holds loses
      nothing.
    - A single call's result of 64 KiB or more stays in the cluster: tasks that need it get it from there, `result()`
      fetches it, and it is let go of with its handle. A lost one is computed again. Results in bundles come here.
    - A cancellation takes some 10 ms to reach the cluster: what begins in that time is stopped. A time limit and its
      grace are kept in the dask worker. Events tell 15 ms late that a call runs, and ends when they are heard of.
    - Priorities order what waits in dask and hold among dask tasks: a bundle is one. There is no `ageing`.
    - The lanes "threads" and "loop" run inside the dask workers, and each call takes a thread of dask's. Arguments and
      results are pickled there too, and a call that ends or blocks its process does so to the dask worker.
    - What tasks print and log goes to the streams and loggers of the dask worker, not of the submitter.
    - `scale` and `adapt` need a cluster object, count worker processes and are rounded up to whole dask workers.
      `adapt` is dask's own, by what its scheduler has to do. Only the lane "processes" can be scaled.

    Raises `ValueError` for a wrong argument and what dask raises when the cluster cannot be reached.
    """

    def __init__(
        self,
        cluster: str | Client | Cluster | None = None,
        *,
        workers: int | None = None,
        threads: int = 16,
        start_method: StartMethod | None = None,
        max_pending: int | None = None,
        when_full: Literal["wait", "refuse"] = "wait",
        grace: float = 0.25,
        poison_after: int = 3,
        recycle_after: int | None = None,
        memory_limit: int | None = None,
        keep: int = 10_000,
        name: str = "dask",
    ) -> None:
        if cluster is not None and workers is not None:
            raise ValueError(f"workers must be None for a cluster that is there, got {workers!r}; use scale")
        inside: dict[str, Any] = {
            "threads": threads,
            "start_method": start_method,
            "grace": grace,
            "recycle_after": recycle_after,
            "memory_limit": memory_limit,
        }
        counts = {"workers": workers, "threads": threads, "max_pending": max_pending, "poison_after": poison_after}
        others = {"keep": keep, "recycle_after": recycle_after, "memory_limit": memory_limit}
        check_settings({**counts, **others}, grace, when_full)
        self.name = name
        self._ledger = Ledger(name, keep, max_pending, when_full == "refuse")
        self._link = Link(cluster, cores() if workers is None else workers, inside, self._work, self._hear)
        self._view = View(self._link, self._ledger)
        self._lives = Lives(self._ledger, Attempts(self._link, self._view), poison_after)
        self._submission = Submission(self, self._ledger, self._link, self._lives)
        self._link.open()
        self._ledger.teller.start()

    # --- giving it work ---

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> DaskTask[T]:
        """Run `fn(*args, **kwargs)` on the cluster; return its handle at once. See `Scheduler.submit`."""
        return self.with_options().submit(fn, *args, **kwargs)  # type: ignore[return-value]

    def with_options(self, **options: Any) -> Submitter:
        """Return something whose `submit` and `map` run tasks with these `Options`."""
        return Submitter(self._submission, options)  # type: ignore[arg-type]

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
        progress: bool = False,
    ) -> Iterator[T]:
        """Yield `fn` of each of the items, in order; `chunksize` calls make one dask task. See `Scheduler.map`."""
        chosen = self.with_options()
        return chosen.map(
            fn, *iterables, timeout=timeout, chunksize=chunksize, buffersize=buffersize, progress=progress
        )

    def every(
        self, when: float | str | Iterable[datetime], fn: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs
    ) -> Periodic:
        """Run a call on the cluster again and again; see `Scheduler.every`. A run that waits is no dask task yet."""
        return self.with_options().every(when, fn, *args, **kwargs)

    @property
    def periodic(self) -> tuple[Periodic, ...]:
        """The periodic calls that are not over."""
        return self._submission.periodic.alive()

    # --- how many workers ---

    def scale(self, workers: int, lane: str = "processes") -> None:
        """Change how many worker processes there are, in whole dask workers. Returns at once.

        What runs on a dask worker that goes is begun again elsewhere. Raises `SchedulerError` where only the cluster's
        address is known.
        """
        check_count("workers", workers, 0)
        if lane != "processes":
            raise ValueError(f"lane must be 'processes' on a Dask cluster, got {lane!r}; threads= holds in each worker")
        self._link.scale(workers)

    def adapt(self, minimum: int, maximum: int, target: float = 1.0) -> None:
        """Keep as many worker processes as would finish what there is to do in `target` seconds, within the bounds."""
        if not (0 <= minimum <= maximum and maximum >= 1 and target > 0):
            raise ValueError(f"must be 0 <= minimum <= maximum >= 1, target > 0, got {minimum}, {maximum}, {target}")
        self._link.adapt(minimum, maximum, target)

    def kill_worker(self, number: int) -> None:
        """End a worker process at once, as `kill -9` does. Raises `ValueError` when there is no such worker."""
        self._view.kill_worker(number)

    def cancel(self, number: int) -> bool:
        """Cancel the task of this number; False when it has ended, or never was."""
        task = next((one for one in self._ledger.alive() if one.number == number), None)
        return task is not None and task.cancel()

    # --- looking at it ---

    def status(self) -> Snapshot:
        """Return what the scheduler looks like now, its workers included. Costs a round trip to each dask worker."""
        return self._view.snapshot()

    def recent(self) -> tuple[Event, ...]:
        """Return the last tasks' ends, as far back as `keep` reaches, the oldest first."""
        return self._ledger.recent()

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Call `callback(event)` for each change of each task from now on, in a thread; return what ends that."""
        return self._ledger.subscribe(callback)

    def events(self, most: int = 10_000) -> EventStream:
        """Return an iterator over the changes from now on; see `Scheduler.events`."""
        return EventStream(self._ledger, most)

    def wait_idle(self, timeout: float | None = None) -> bool:
        """Wait until no task is unfinished, `timeout` seconds at most; return whether that is so."""
        return self._ledger.wait_idle(timeout)

    # --- what handles ask ---

    def look_whether_it_runs(self) -> None:
        """Have the handles of calls that have begun know that."""
        self._view.look()

    def note_change(self, event: Event) -> None:
        """Tell of a change."""
        self._ledger.emit(event)

    def note_end(self, task: DaskTask[Any], event: Event) -> None:
        """Count a task out, whose end has been written."""
        self._ledger.note_end(task, event)
        if event.state is State.CANCELLED:
            self._link.call(self._lives.stop, task)
        if self._ledger.closing:
            self._link.call(self._look_whether_done)

    # --- the end ---

    async def _work(self) -> None:
        """What the link's thread does: live, until it is closed and every task has ended."""
        self._done = asyncio.Event()
        self._look_whether_done()
        await self._done.wait()
        self._submission.take_in()
        await self._lives.settle()

    def _hear(self, news: dict[str, Any]) -> None:
        self._view.hear(news)

    def _look_whether_done(self) -> None:
        if self._ledger.closing and not self._ledger.alive():
            self._done.set()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False, deadline: float | None = None) -> None:
        """Take no more tasks; end when the submitted ones have ended. See `Scheduler.shutdown`."""
        if self._ledger.close():
            self._submission.periodic.end()
            threading.Thread(target=self._finish, name=f"{self._link.name}-end", daemon=True).start()
        for task in self._ledger.alive() if cancel_futures else ():
            if task.status() is not State.RUNNING:
                task.cancel()
        if deadline is not None:
            self._link.call(lambda: self._link.loop.call_later(deadline, self._cancel_all))
        self._link.call(self._look_whether_done)
        if wait and threading.current_thread() not in (self._link.thread, self._ledger.teller):
            self._link.thread.join()
            self._ledger.teller.join()

    def _cancel_all(self) -> None:
        for task in self._ledger.alive():
            task.cancel()

    def _finish(self) -> None:
        """Tell the last of what is to be told, when the link has ended."""
        self._link.thread.join()
        for task in self._ledger.alive():  # only where the link has failed
            self._lives.end(task, State.FAILED, ShutDownError("the line to the Dask cluster was lost"))
        self._ledger.end()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Wait for the tasks and end; after Ctrl-C or `SystemExit`, cancel everything instead of waiting for it."""
        if kind is not None and not issubclass(kind, Exception):
            self._cancel_all()
        self.shutdown(wait=True)

    def __repr__(self) -> str:
        return f"<DaskScheduler {self.name}: {len(self._ledger.alive())} unfinished tasks>"
