"""How a call becomes a task: the function's number, the arguments' copy, the options; then it is posted.

Idea        Most calls are a known function and plain arguments, and need one look; the rest is packed as it needs.
Invariant   A call means what it meant at submit, whatever its arguments become later (test_calls.py).
When wrong  What cannot travel is a task that has failed: it concerns nobody else. Misuse raises.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_calls.py
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

from arion_lib.scheduler.calls.arguments import arguments, linked
from arion_lib.scheduler.calls.functions import WRAPPED, Function, Functions, unwrapped
from arion_lib.scheduler.calls.substitute import tasks_in
from arion_lib.scheduler.calls.values import ATOMS
from arion_lib.scheduler.errors import NotTransferableError, QueueFullError
from arion_lib.scheduler.front import Front
from arion_lib.scheduler.options import Options
from arion_lib.scheduler.submitting.more import More
from arion_lib.scheduler.submitting.periodic import Periodic, PeriodicCalls
from arion_lib.scheduler.submitting.submitter import Chosen
from arion_lib.scheduler.submitting.times import Times
from arion_lib.scheduler.task import Task

MOST_AT_ONCE = 200
"""Tasks of a `map` that are handed over together: the first of them run while the others are made."""


class Submission:
    """The submits of one scheduler. Called by many threads at once."""

    def __init__(self, core: Front, max_pending: int | None, when_full: Literal["wait", "refuse"]) -> None:
        self._core, self._max_pending, self._when_full = core, max_pending, when_full
        self._functions = Functions()
        self.periodic = PeriodicCalls(core.cancel_later, lambda: core.supervisor.closing)
        core.on_closing = self.periodic.end

    def submit(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Task[Any]:
        """Submit a call without options. What most are, a known function and plain arguments, is dealt with here."""
        core = self._core
        if not (kwargs or core.supervisor.closing or self._max_pending or type(fn) in WRAPPED):
            function = self._functions.find(fn)
            if function.plain:
                if ATOMS.issuperset(map(type, args)):
                    call = (function.number, *args)
                    task: Task[Any] = Task(core, core.next_number(), function, call, function.options, None)
                    core.post(task)
                    return task
                return self._submit_pickled(function, args, kwargs, function.options)
        return self._submit(fn, args, kwargs, None)

    def _submit(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], chosen: Chosen | None
    ) -> Task[Any]:
        core = self._core
        if core.supervisor.closing:
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
            if options.plain and not kwargs and ATOMS.issuperset(map(type, args)):
                return self._post(function, (function.number, *args), (), options)
            return self._submit_pickled(function, args, kwargs, options)
        return self._submit_here(function, args, kwargs, options)

    def _submit_many(
        self, fn: Callable[..., Any], calls: Iterable[tuple[Any, ...]], chosen: Chosen, _chunksize: int
    ) -> list[Task[Any]]:
        """Submit a function with many arguments; what is asked for each submit is asked once."""
        core, tasks = self._core, list[Task[Any]]()
        if core.supervisor.closing:
            raise core.refusal()
        if type(fn) in WRAPPED:  # what it is bound to is an argument of each call
            return [self._submit(fn, args, {}, chosen) for args in calls]
        function = self._functions.find(fn)
        options = chosen.of(function)
        plain = (options.plain and not self._max_pending) and (options.lane or function.lane) == "processes"
        batch: list[Task[Any]] = []
        for args in calls:
            if plain and function.data is not None and ATOMS.issuperset(map(type, args)):
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

    def _every(
        self, times: Times, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], chosen: Chosen
    ) -> Periodic:
        core = self._core
        if core.supervisor.closing:
            raise core.refusal()

        def submit_in(seconds: float) -> Task[Any]:
            return self._submit(fn, args, kwargs, Chosen({**chosen.changes, "delay": seconds}))

        return self.periodic.begin(submit_in, times, chosen.plain.name or self._functions.find(fn).name)

    def _post(self, function: Function, call: Any, needs: Sequence[Task[Any]], options: Options) -> Task[Any]:
        core = self._core
        more: More[Task[Any]] | None = None
        if options.key is not None:
            raise ValueError("key must be given where there is a journal: open Scheduler(journal=path)")
        if needs or not options.plain:
            more = More()
            more.needs = needs
            more.not_before = options.not_before(time.monotonic(), time.time()) or 0.0
            for needed in (*needs, *options.after) if options.after else needs:
                if getattr(needed, "_core", None) is not core:
                    raise ValueError(f"a task can need tasks of its own scheduler only, got {needed!r}")
        task: Task[Any] = Task(core, core.next_number(), function, call, options, more)
        core.post(task)
        return task

    def _refused(self, function: Function, options: Options, error: NotTransferableError) -> Task[Any]:
        """Return a task that has failed already: what could not travel concerns nobody else."""
        task: Task[Any] = Task(self._core, self._core.next_number(), function, None, options, None)
        self._core.reject(task, error)
        return task

    def _make_room(self, most: int) -> None:
        core = self._core
        if core.unfinished() < most:
            return
        if self._when_full == "refuse":
            raise QueueFullError(f"as many tasks wait or run as max_pending={most} allows; submit later, or wait")
        if not core.is_own_thread():  # a callback that submits must not wait: others, behind it, may be waited for
            core.wait_for(lambda: core.unfinished() < most)
