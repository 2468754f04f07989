"""The lane of one event loop: `async def` tasks, thousands at a time, in one thread.

Idea        A coroutine gives way by itself, so here a task is cancelled the way asyncio does it.
Invariant   At most `size` coroutines run; the loop's thread is started by the first task and ended with the scheduler.
When wrong  A coroutine that blocks the loop blocks its neighbours: work that computes belongs to the processes.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_loop.py
"""

from __future__ import annotations

import math
import threading
import time
from contextvars import Context
from typing import TYPE_CHECKING, Any

from arion_lib.scheduler.ready import ReadyQueue
from arion_lib.scheduler.snapshot import LaneStatus, WorkerStatus
from arion_lib.scheduler.substitute import filled_in

if TYPE_CHECKING:
    import asyncio

    from arion_lib.scheduler.core import Core
    from arion_lib.scheduler.task import Task

NUMBER = 2_000
"""The loop's number as a worker."""


class _Run:
    """One coroutine on the loop."""

    number = NUMBER

    def __init__(self, task: Task[Any]) -> None:
        self.task = task
        self.began: float | None = None
        self.stopping = False
        self.running: asyncio.Task[None] | None = None


class LoopLane:
    """The lane "loop"."""

    name = "loop"

    def __init__(self, size: int, *, ageing: float | None) -> None:
        self.ready: ReadyQueue[Task[Any]] = ReadyQueue(ageing)
        self.size, self.restarts = size, 0
        self._runs: dict[int, _Run] = {}
        self._done = self._failed = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._core: Core

    def open(self, core: Core) -> None:
        self._core = core

    def scale(self, size: int) -> None:
        """Change how many coroutines run at once."""
        self.size = size

    def dispatch(self, _now: float) -> None:
        while self.ready and len(self._runs) < self.size:
            loop = self._open_loop()
            task = self.ready.pop()
            run = self._runs[task.number] = _Run(task)
            task._run = (run, task.number)
            loop.call_soon_threadsafe(self._begin, loop, run)

    def _open_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            import asyncio  # many schedulers never need it, and it takes long to import

            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=_run_loop, args=(self._loop,), name="arion-loop", daemon=True)
            self._thread.start()
        return self._loop

    def _begin(self, loop: asyncio.AbstractEventLoop, run: _Run) -> None:
        context = (run.task._function.context or Context()).copy()
        run.running = loop.create_task(self._live(run), context=context)
        if run.stopping:
            run.running.cancel()

    async def _live(self, run: _Run) -> None:
        run.began = began = time.monotonic()
        error: BaseException | None = None
        value: Any = None
        try:
            args, kwargs = filled_in(run.task)
            value = await run.task._function.call(*args, **kwargs)
        except BaseException as raised:  # noqa: BLE001  (a worker's boundary: any exception becomes the result)
            error = raised
        finished = NUMBER, began, time.monotonic()
        self._core.post(lambda: self._take(run, value, error, finished))

    def _take(self, run: _Run, value: Any, error: BaseException | None, finished: tuple[int, float, float]) -> None:
        task = run.task
        self._runs.pop(task.number, None)
        self._done += 1
        if task._state_now.final:
            return
        if run.stopping:
            self._core.time_out(task, finished)
        elif error is None:
            self._core.succeed(task, value, finished)
        else:
            self._failed += 1
            self._core.fail(task, error, finished)

    def started(self, task: Task[Any]) -> float | None:
        began: float | None = task._run[0].began
        return began

    def assigned(self) -> list[Task[Any]]:
        return [run.task for run in self._runs.values()]

    def running(self) -> list[Task[Any]]:
        return [run.task for run in self._runs.values() if run.began is not None]

    def stop(self, place: tuple[Any, ...]) -> None:
        run = place[0]
        run.stopping = True
        if self._loop is not None and run.running is not None:
            self._loop.call_soon_threadsafe(run.running.cancel)

    def check(self, now: float) -> float:
        soonest = math.inf
        for run in list(self._runs.values()):
            limit = run.task.options.timeout
            if limit is None or run.stopping:
                continue
            due = (run.began or now) + limit
            if now >= due:
                self._core.overrun(run.task)
                self.stop((run, run.task.number))
            else:
                soonest = min(soonest, due)
        return soonest

    def status(self, _now: float) -> LaneStatus:
        workers: tuple[WorkerStatus, ...] = ()
        if self._loop is not None:
            state = "running" if self._runs else "idle"
            workers = (WorkerStatus(NUMBER, self.name, state, done=self._done, failed=self._failed),)  # type: ignore[arg-type]
        return LaneStatus(self.name, self.size, workers, self.ready.counts(), len(self._runs), self.restarts)

    def close(self, _now: float) -> bool:
        self.kill()
        return True

    def abandon(self) -> None:
        """Nothing of it is in a forked process."""

    def kill(self) -> None:
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(timeout=1.0)
            self._loop = None


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
