"""The lane of one event loop: `async def` tasks, thousands at a time, in one thread.

Idea        A coroutine gives way by itself, so here a task is cancelled the way asyncio does it.
Invariant   At most `size` coroutines run; the loop's thread is started by the first task and ended with the scheduler.
When wrong  A coroutine that blocks the loop blocks its neighbours: work that computes belongs to the processes.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_loop.py
"""

from __future__ import annotations

import functools
import math
import threading
import time
from contextlib import suppress
from contextvars import Context
from typing import TYPE_CHECKING, Any

from arion_lib.scheduler.calls.failures import Raised, describe, without_our_frame
from arion_lib.scheduler.calls.substitute import filled_in
from arion_lib.scheduler.lane import Core
from arion_lib.scheduler.monitoring.snapshot import LaneStatus, WorkerStatus
from arion_lib.scheduler.ready import ReadyQueue
from arion_lib.scheduler.states import At
from arion_lib.scheduler.task import Task

if TYPE_CHECKING:
    import asyncio

LONGEST_END = 1.0
"""Seconds that the loop's last coroutines have to clean up; one that blocks the loop is left behind."""
NUMBER = 2_000
"""The loop's number as a worker."""


class _Run:
    """One coroutine on a loop."""

    number = NUMBER

    def __init__(self, task: Task[Any], loop: asyncio.AbstractEventLoop) -> None:
        self.task, self.loop = task, loop
        self.since: float | None = None
        """When its code began."""
        self.stopping = False
        self.running: asyncio.Task[None] | None = None
        self.heard = False
        """Whether its loop has come to cancel it: then the loop is not blocked."""
        self.given_up_at = math.inf
        """When it is given up if it has not stopped by then."""

    def began(self, _call: int) -> float | None:
        """Return when its code began."""
        return self.since


class LoopLane:
    """The lane "loop"."""

    name = "loop"

    def __init__(self, size: int, *, ageing: float | None, grace: float) -> None:
        self.ready: ReadyQueue[Task[Any]] = ReadyQueue(ageing)
        self.size, self.restarts, self._grace = size, 0, grace
        self._runs: dict[int, _Run] = {}
        self._done = self._failed = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._left: list[tuple[asyncio.AbstractEventLoop, threading.Thread]] = []
        """Loops that a coroutine blocks."""
        self._stopped: set[asyncio.AbstractEventLoop] = set()
        self._close_by = math.inf
        self._core: Core

    def open(self, core: Core) -> None:
        self._core = core

    def scale(self, size: int) -> None:
        """Change how many coroutines run at once."""
        self.size = size

    def dispatch(self, _now: float) -> None:
        while self.ready and len(self._runs) < self.size:
            loop, taken = self._open_loop(), list[Task[Any]]()
            try:
                taken.append(self.ready.pop())
                run = self._runs[taken[0].number] = _Run(taken[0], loop)
                self._core.life.give(taken[0], run, taken[0].number)
                loop.call_soon_threadsafe(self._begin, loop, run)
            except BaseException as error:  # a defect: nobody would ever come to the task
                for task in taken:
                    self._runs.pop(task.number, None)
                    self._core.life.reject(task, error, time.monotonic())
                raise

    def _open_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            import asyncio  # many schedulers never need it, and it takes long to import

            loop = asyncio.new_event_loop()
            thread = threading.Thread(target=_run_loop, args=(loop,), name="arion-loop", daemon=True)
            try:
                thread.start()
            except BaseException:  # the next attempt makes a loop of its own: a task on this one would never begin
                loop.close()
                raise
            self._loop, self._thread = loop, thread
        return self._loop

    def _begin(self, loop: asyncio.AbstractEventLoop, run: _Run) -> None:
        context = (run.task._function.context or Context()).copy()
        run.running = loop.create_task(self._live(run), context=context)
        run.running.add_done_callback(lambda _: self._core.post(lambda: self._not_begun(run)))
        if run.stopping:
            run.running.cancel()

    def _not_begun(self, run: _Run) -> None:
        """Take back the place of a coroutine that was cancelled before its first step: it can tell nothing itself."""
        if self._runs.get(run.task.number) is run and run.since is None:
            now = time.monotonic()
            self._take(run, None, None, now, now)

    async def _live(self, run: _Run) -> None:
        run.since = began = time.monotonic()
        error: Raised | None = None
        args: Any = None
        kwargs: Any = None
        value: Any = None
        try:
            args, kwargs = filled_in(run.task)
            value = await run.task._function.call(*args, **kwargs)
        except BaseException as raised:  # noqa: BLE001  (a worker's boundary: any exception becomes the result)
            error = Raised(without_our_frame(raised), describe(raised))
        self._core.post(functools.partial(self._take, run, value, error, began, time.monotonic()))
        args = kwargs = error = value = None  # the error's traceback leads here by way of the frames below
        del run

    def _take(self, run: _Run, value: Any, error: Raised | None, began: float, ended: float) -> None:
        task = run.task
        if self._runs.get(task.number) is not run:
            return  # it was given up
        del self._runs[task.number]
        self._done += 1
        if task._place.final:
            return
        if run.stopping:
            self._core.for_task(task, self._core.life.time_out, task, NUMBER, began, ended)
        elif error is None:
            self._core.for_task(task, self._core.life.succeed, task, value, NUMBER, began, ended)
        else:
            self._failed += 1
            self._core.for_task(task, self._core.life.fail, task, error, NUMBER, began, ended)

    def assigned(self) -> list[Task[Any]]:
        return [run.task for run in self._runs.values()]

    def running(self) -> list[Task[Any]]:
        return [run.task for run in self._runs.values() if run.since is not None]

    def stop(self, at: At) -> None:
        run = self._runs.get(at.call)
        if run is not None:
            self._stop(run)

    def _stop(self, run: _Run) -> None:
        if not run.stopping:
            run.stopping, run.given_up_at = True, time.monotonic() + self._grace
            self._core.again()  # so that it is looked at when it is to be given up
        if run.running is not None:
            with suppress(RuntimeError):  # its loop has just been closed
                run.loop.call_soon_threadsafe(self._cancel, run)

    @staticmethod
    def _cancel(run: _Run) -> None:
        run.heard = True
        if run.running is not None:
            run.running.cancel()

    def check(self, now: float) -> float:
        soonest = math.inf
        for run in list(self._runs.values()):
            limit = run.task.options.timeout
            if run.stopping:
                if now >= run.given_up_at:
                    self._give_up(run, now)
                else:
                    soonest = min(soonest, run.given_up_at)
            elif limit is not None:
                due = (run.since or now) + limit
                if now >= due:
                    self._core.life.overrun(run.task, now)
                    self._stop(run)
                    due = run.given_up_at
                soonest = min(soonest, due)
        return soonest

    def _give_up(self, run: _Run, now: float) -> None:
        """Do without a coroutine that does not stop, and without its loop when that is blocked: a new one is opened.

        What had not begun on that loop is queued again; what had may end yet, when the loop is free again.
        """
        del self._runs[run.task.number]
        self.restarts += 1
        if run.loop is self._loop and self._thread is not None and not run.heard:
            self._left.append((run.loop, self._thread))
            self._loop = self._thread = None
        for other in [] if run.heard else reversed(list(self._runs.values())):
            if other.loop is run.loop and other.since is None and not other.stopping:
                del self._runs[other.task.number]
                self._core.life.put_back(other.task)
        self._core.for_task(run.task, self._core.life.time_out, run.task, NUMBER, run.since or now, now)
        self._core.again()

    def status(self, _now: float) -> LaneStatus:
        workers: tuple[WorkerStatus, ...] = ()
        if self._loop is not None:
            state = "running" if self._runs else "idle"
            workers = (WorkerStatus(NUMBER, self.name, state, done=self._done, failed=self._failed),)  # type: ignore[arg-type]
        return LaneStatus(self.name, self.size, workers, self.ready.counts(), len(self._runs), self.restarts)

    def close(self, now: float) -> bool:
        """End the loops. The supervisor asks again: to wait here would keep their last coroutines from the lock."""
        self._close_by = min(self._close_by, now + LONGEST_END)
        self._stop_loops()
        return now >= self._close_by or not any(thread.is_alive() for _, thread in self._left)

    def _stop_loops(self) -> None:
        """Stop each loop, once: another stop would come while its last coroutines clean up, and cut them short."""
        if self._loop is not None and self._thread is not None:
            self._left.append((self._loop, self._thread))
            self._loop = self._thread = None
        for loop in {loop for loop, _ in self._left} - self._stopped:
            self._stopped.add(loop)
            with suppress(RuntimeError):  # a coroutine has ended it already
                loop.call_soon_threadsafe(loop.stop)

    def abandon(self) -> None:
        """Nothing of it is in a forked process."""

    def kill(self) -> None:
        self._stop_loops()


def _run_loop(loop: asyncio.AbstractEventLoop) -> None:
    import asyncio

    try:
        loop.run_forever()
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:  # of nothing, `gather` would ask for the thread's current loop, and there is none
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()
