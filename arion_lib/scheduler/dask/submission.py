"""How a call becomes a task on a Dask cluster: pickled at once, then handed to the link's thread.

Idea        What `submitting/submission.py` is on one machine: function, options and arguments are looked at in the
            caller's thread; what follows from them is decided in the link's.
Invariant   A call means what it meant at submit, whatever its arguments become later.
When wrong  What cannot travel is a task that has failed: it concerns nobody else. Misuse raises.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_dask.py
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from arion_lib.scheduler.calls.arguments import arguments
from arion_lib.scheduler.calls.functions import Functions
from arion_lib.scheduler.calls.values import ATOMS
from arion_lib.scheduler.dask.handle import DaskTask, Owner
from arion_lib.scheduler.dask.wire import seal
from arion_lib.scheduler.errors import NotTransferableError
from arion_lib.scheduler.states import State
from arion_lib.scheduler.submitting.periodic import Periodic, PeriodicCalls
from arion_lib.scheduler.submitting.submitter import Chosen
from arion_lib.scheduler.submitting.times import Times

if TYPE_CHECKING:
    from arion_lib.scheduler.dask.ledger import Ledger
    from arion_lib.scheduler.dask.life import Lives
    from arion_lib.scheduler.dask.link import Link


class Submission:
    """The submits of one scheduler. Called by many threads at once; `owner` is what the handles refer to."""

    def __init__(self, owner: Owner, ledger: Ledger, link: Link, lives: Lives) -> None:
        self._owner, self._ledger, self._link, self._lives = owner, ledger, link, lives
        self._functions = Functions()
        self._inbox: deque[Sequence[DaskTask[Any]]] = deque()
        self._called = False
        self.periodic = PeriodicCalls(lambda task: task.cancel(), lambda: ledger.closing)

    def _submit(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], chosen: Chosen
    ) -> DaskTask[Any]:
        task = self._made(fn, args, kwargs, chosen)
        self._post([task])
        return task

    def _submit_many(
        self, fn: Callable[..., Any], calls: Iterable[tuple[Any, ...]], chosen: Chosen, chunksize: int
    ) -> list[DaskTask[Any]]:
        tasks: list[DaskTask[Any]] = []
        together: list[DaskTask[Any]] = []
        for args in calls:
            if not together:
                bundle = object()
            task = self._made(fn, args, {}, chosen)
            task.bundle = bundle
            together.append(task)
            tasks.append(task)
            if len(together) >= chunksize:
                self._post(together)
                together = []
        self._post(together)
        return tasks

    def _cancel_many(self, tasks: Iterable[DaskTask[Any]]) -> None:
        for task in tasks:
            task.cancel()

    def _every(
        self, times: Times, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], chosen: Chosen
    ) -> Periodic:
        if self._ledger.closing:
            raise self._ledger.refusal()

        def submit_in(seconds: float) -> Any:
            return self._submit(fn, args, kwargs, Chosen({**chosen.changes, "delay": seconds}))

        return self.periodic.begin(submit_in, times, chosen.plain.name or self._functions.find(fn).name)

    def _made(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], chosen: Chosen
    ) -> DaskTask[Any]:
        function = self._functions.find(fn)
        options = chosen.of(function)
        needs: Sequence[Any] = ()
        refusal: NotTransferableError | None = None
        call: Any = args
        try:
            if function.data is None:
                self._functions.pickled(function)
            if kwargs or not all(type(arg) in ATOMS for arg in args):
                packed, needs = arguments(args, kwargs, options.name or function.name)
                call = seal(packed)
        except NotTransferableError as error:  # what could not travel concerns nobody else
            refusal = error
        for needed in (*needs, *options.after):
            if getattr(needed, "_owner", None) is not self._owner:
                raise ValueError(f"a task can need tasks of its own scheduler only, got {needed!r}")
        task = self._ledger.admit(lambda number: DaskTask(self._owner, number, function, options, call, needs))
        if refusal is not None:
            self._lives.end(task, State.FAILED, refusal)
        return task

    def _post(self, tasks: Sequence[DaskTask[Any]]) -> None:
        self._inbox.append(tasks)
        if not self._called:
            self._called = True
            self._link.call(self.take_in)

    def take_in(self) -> None:
        """Begin the lives of what was submitted. The link's thread."""
        self._called = False
        while self._inbox:
            self._lives.begin(self._inbox.popleft())
