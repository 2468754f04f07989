"""Periodic tasks: a call that is submitted again and again, at the times that times.py tells.

Idea        One delayed task at a time: when it has ended, the next one is submitted for the first time that is still to
            come. So waiting costs no worker and no timer of its own.
Invariant   Missed runs are not made up for: while one runs, or the machine sleeps, the times that pass are skipped and
            counted in `missed`. Two runs never overlap (test_periodic.py).
When wrong  A run that fails is logged and counted, and the next one comes at its time. The scheduler's end cancels the
            run that waits.
See         tests/scheduler/test_periodic.py
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from arion_lib.scheduler.errors import ShutDownError
from arion_lib.scheduler.submitting.times import Times
from arion_lib.scheduler.task import Task
from arion_lib.units import how_many

log = logging.getLogger(__name__)


class Periodic:
    """One periodic call. `runs`, `failed` and `missed` count; `due` is when it is due next, by `time.time()`."""

    def __init__(
        self, submit_in: Callable[[float], Task[Any]], cancel: Callable[[Task[Any]], object], times: Times, name: str
    ) -> None:
        self._submit_in, self._cancel, self._times, self.name = submit_in, cancel, times, name
        self.runs = self.failed = self.missed = 0
        self.due: float | None = None
        self._task: Task[Any] | None = None
        self._paused = self._over = False

    @property
    def state(self) -> str:
        """ "waiting", "running", "paused" or "over"."""
        task = self._task
        if self._over:
            return "over"
        if task is not None and task.running():
            return "running"
        return "paused" if self._paused else "waiting"

    def pause(self) -> None:
        """Let no further run begin; one that runs goes on."""
        self._paused = True
        task = self._task
        if task is not None and not task.running():
            self._cancel(task)

    def resume(self) -> None:
        """Go on with the first time that is still to come; those that passed meanwhile count as missed."""
        if self._paused:
            self._paused = False
            if self._task is None or self._task.done():
                self.go_on()

    def end(self) -> None:
        """Let no further run begin, ever; one that runs goes on."""
        self._over = True
        self.pause()

    def cancel(self) -> None:
        """End it; a run that runs is cancelled, too."""
        self._over = True
        if self._task is not None:
            self._cancel(self._task)

    def go_on(self) -> None:
        """Submit the next run. Never in the supervisor's thread: what names the times may be anybody's code."""
        try:
            seconds, missed = self._times.following()
        except BaseException:
            self._over, self.due = True, None
            raise
        self.missed += missed
        if seconds is None or self._over:
            self._over, self.due = True, None
            return
        try:
            self._task = self._submit_in(seconds)
        except ShutDownError:
            self._over, self.due = True, None
            return
        self.due = time.time() + seconds
        self._task.add_done_callback(self._ended)
        if self._over or self._paused:  # said while the run was being submitted
            self._cancel(self._task)

    def _ended(self, task: Future[Any]) -> None:
        if not task.cancelled():
            self.runs += 1
            error = task.exception()
            if error is not None:
                self.failed += 1
                log.error("run %d of %s failed: %r", self.runs, self.name, error)
        if self._over:
            self.due = None
        elif not self._paused:
            self.go_on()

    def __repr__(self) -> str:
        runs = how_many(self.runs, "runs")
        return f"<Periodic {self.name}: {self.state}, {runs}, {self.failed} failed, {self.missed} missed>"


class PeriodicCalls:
    """The periodic calls of one scheduler. `cancel` has a task cancelled, without waiting for that."""

    def __init__(self, cancel: Callable[[Task[Any]], object], closing: Callable[[], bool]) -> None:
        self._cancel, self._closing = cancel, closing
        self._all: list[Periodic] = []

    def begin(self, submit_in: Callable[[float], Task[Any]], times: Times, name: str) -> Periodic:
        """Begin one: `submit_in` submits a run that is to begin in so many seconds."""
        one = Periodic(submit_in, self._cancel, times, name)
        self._all.append(one)  # in one step, as each removal: other threads begin theirs meanwhile
        for over in [other for other in self._all.copy() if other.state == "over"]:
            with suppress(ValueError):
                self._all.remove(over)
        one.go_on()
        if self._closing():  # said while the first run was being submitted
            one.end()
        return one

    def alive(self) -> tuple[Periodic, ...]:
        """Return those that are not over."""
        return tuple(one for one in self._all.copy() if one.state != "over")

    def end(self) -> None:
        """Let no further run begin, ever."""
        for one in self._all.copy():
            one.end()
