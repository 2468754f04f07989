"""The supervisor's one way to sleep: in `select`, until something is in the inbox, a pipe is readable, a time has come.

Idea        What is to be heard, or to be done at a time, is put here with what is to be called then. After an error of
            the supervisor's own it listens for a moment to its inbox alone: what fails again must not take a core.
Invariant   No lost wake-ups: `asleep` is set before the inbox is looked at for the last time (test_waiting.py).
When wrong  A pause ends as soon as something is put into the inbox; a sleep is never longer than `LONGEST`.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_waiting.py · tests/scheduler/test_fault_injection.py
"""

from __future__ import annotations

import heapq
import itertools
import selectors
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from arion_lib.scheduler.waiting.inbox import Inbox

LONGEST = 5.0
"""Seconds that the supervisor sleeps at most."""
PAUSE = 0.05
"""Seconds of rest after an error, at most."""


class Sleep:
    """What the supervisor listens to."""

    def __init__(self, inbox: Inbox[Any]) -> None:
        self._inbox = inbox
        self._selector = selectors.DefaultSelector()
        self._alarms: list[tuple[float, int, Callable[[], object]]] = []
        self._alarm_numbers = itertools.count()
        self.pausing = False
        """Whether the next sleep is one for the inbox alone."""
        self.watch(inbox.bell, inbox.hear)

    def watch(self, what: Any, heard: Callable[[], None], events: int = selectors.EVENT_READ) -> None:
        """Call `heard()` when `what` becomes readable (or as `events` say)."""
        self._selector.register(what, events, heard)

    def unwatch(self, what: Any) -> None:
        """End that."""
        with suppress(KeyError, ValueError):
            self._selector.unregister(what)

    def at(self, when: float, command: Callable[[], object]) -> None:
        """Do something at a time of the monotonic clock."""
        heapq.heappush(self._alarms, (when, next(self._alarm_numbers), command))

    def until(self, due: float) -> list[Callable[[], object]]:
        """Sleep until there is something to do, at `due` of the monotonic clock at the latest; return what to call."""
        self._inbox.asleep = True
        try:
            if self.pausing:
                self.pausing = False
                self._inbox.wait(PAUSE)
            due = min(due, self._alarms[0][0]) if self._alarms else due
            timeout = min(max(0.0, due - time.monotonic()), LONGEST)
            if self._inbox:
                timeout = 0.0
            heard = self._selector.select(timeout)
        finally:
            self._inbox.asleep = False
        steps: list[Callable[[], object]] = []
        for key, _ in heard:
            steps.append(key.data)
        now = time.monotonic()
        while self._alarms and self._alarms[0][0] <= now:
            steps.append(heapq.heappop(self._alarms)[2])
        return steps

    def close(self) -> None:
        with suppress(OSError):
            self._selector.close()
