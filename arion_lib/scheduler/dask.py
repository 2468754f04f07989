"""The same scheduler past one machine: on the workers of a Dask cluster.

Idea        Policy stays with the submitter: priorities, dependencies, retries, deadlines are the supervisor's, as on
            one machine. Each dask worker has a scheduler of ours inside, whose processes run the calls; between the two
            goes a conversation, many calls and many results at a time.
Invariant   What holds for a task on one machine holds here, but for the differences that the class lists.
When wrong  A task's process that dies costs no dask worker; a dask worker that is lost costs what it had begun.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_dask.py
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Literal

from arion_lib.scheduler.calls import Function, Functions, pickled
from arion_lib.scheduler.core import Core
from arion_lib.scheduler.dask_lane import Crew, DaskLane
from arion_lib.scheduler.errors import NotTransferableError
from arion_lib.scheduler.options import LANES
from arion_lib.scheduler.scheduler import _OPEN, Scheduler, _check_count, cores
from arion_lib.scheduler.states import State

if TYPE_CHECKING:
    from distributed import Client
    from distributed.deploy.cluster import Cluster

    from arion_lib.scheduler.adapt import Adaptation
    from arion_lib.scheduler.launch import StartMethod
    from arion_lib.scheduler.options import Options
    from arion_lib.scheduler.snapshot import Snapshot
    from arion_lib.scheduler.task import Task


class _Core(Core):
    """The supervisor; asked about a task that may have begun far away, it asks there."""

    def __init__(self, crew: Crew, lanes: Any, *, name: str, poison_after: int, keep: int) -> None:
        super().__init__(lanes, name=name, poison_after=poison_after, keep=keep)
        self._crew = crew

    def state_of(self, task: Task[Any]) -> State:
        state = super().state_of(task)
        if state is State.READY and type(task._run) is tuple:
            self._crew.ask(task)
            state = super().state_of(task)
        return state


class DaskScheduler(Scheduler):
    """Run calls on the workers of a Dask cluster, with everything that `Scheduler` has.

    `cluster`: a cluster, a client or an address, which are used and left as they were; None opens a `LocalCluster` of
    `workers` dask workers, a process for tasks in each (None: as many as this process may use cores), and closes it at
    the end. In a dask worker of n threads n processes run tasks. The other parameters are `Scheduler`'s; `threads`,
    `start_method`, `grace`, `recycle_after` and `memory_limit` hold in each dask worker.

    What differs from one machine:

    - Opening takes seconds. A script that opens a cluster of its own needs `if __name__ == "__main__":`, as dask says;
      on other machines arion_lib must be installed, and the modules that tasks import.
    - Submit to result takes some 5 ms where one machine takes 0.1: worth it for tasks of 10 ms or more, or for many at
      a time. Arguments and results go by way of the submitter, never from one dask worker to the next: share large data
      by a path or an address.
    - The lanes "threads" and "loop" run inside the dask workers. So arguments and results are pickled there too, and a
      call that ends or blocks its process does so to the dask worker; keep such calls on "processes".
    - Priorities hold but for what was sent ahead, 30 ms of work for each process. A slot whose task was cancelled or
      timed out is free again a round trip after it has really stopped.
    - `status()` asks each dask worker, a task's `status()` the one that has it: 3 ms. Events tell 15 ms late that a
      task runs; times are exact to 1 ms between machines.
    - What tasks print and log goes to the streams and loggers of the dask worker, not of the submitter.
    - `scale` and `adapt` need a cluster object, count worker processes and are rounded up to whole dask workers; they
      take as long as the cluster takes. Only the lane "processes" can be scaled.
    - A process that a task ends is replaced at once, as on one machine. When a whole dask worker is lost, calls known
      to have begun there raise `WorkerDiedError` without an exit code or are retried; of those that may have begun,
      the ones with retries are run again, the others raise it, too: none runs twice that may not.
    - Dask's own scheduler and dashboard do not see the tasks, only the dask workers; a cluster that ends when it is
      idle must be told to stay.

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
        ageing: float | None = None,
        grace: float = 0.25,
        poison_after: int = 3,
        recycle_after: int | None = None,
        memory_limit: int | None = None,
        keep: int = 10_000,
        name: str = "dask",
    ) -> None:
        if cluster is not None and workers is not None:
            raise ValueError(f"workers must be None for a cluster that is there, got {workers!r}; use scale")
        for word, value, least in (
            ("workers", workers, 1),
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
        inside = {
            "threads": threads,
            "start_method": start_method,
            "grace": grace,
            "recycle_after": recycle_after,
            "memory_limit": memory_limit,
        }
        self._crew = Crew(cluster, cores() if workers is None else workers, inside)
        lanes: Any = {lane: DaskLane(lane, self._crew, ageing) for lane in LANES}
        self.name, self._lanes, self._processes = name, lanes, lanes["processes"]
        self._max_pending, self._when_full = max_pending, when_full
        self._functions = Functions()
        self._adaptation: Adaptation | None = None
        self._core = _Core(self._crew, self._lanes, name=name, poison_after=poison_after, keep=keep)
        self._core.start()
        finalizer = weakref.finalize(self, self._core.request_close)
        finalizer.atexit = False
        _OPEN.add(self._core)

    def _submit_here(
        self, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any], options: Options
    ) -> Task[Any]:
        """Pickle what on one machine would stay as it is: here threads and the event loop are elsewhere, too."""
        if function.data is None:
            try:
                pickled(function)
            except NotTransferableError as error:
                return self._refused(function, options, error)
        return self._submit_pickled(function, args, kwargs, options)

    def scale(self, workers: int, lane: str = "processes") -> None:
        """Change how many worker processes there are, in whole dask workers; fewer as their running tasks end.

        Returns at once; the cluster takes its time. Raises `SchedulerError` where only the cluster's address is known.
        """
        if lane != "processes":
            raise ValueError(
                f"lane must be 'processes' on a Dask cluster, got {lane!r}; threads= holds in each dask worker"
            )
        self._crew.link.cluster()
        super().scale(workers)

    def adapt(self, minimum: int, maximum: int, target: float = 1.0) -> None:
        """Keep as many worker processes as would finish what is queued in `target` seconds, within the two bounds."""
        self._crew.link.cluster()
        super().adapt(minimum, maximum, target)

    def status(self) -> Snapshot:
        """Return what the scheduler looks like now, its workers included. Costs a round trip to each dask worker."""
        self._crew.link.look()
        return super().status()
