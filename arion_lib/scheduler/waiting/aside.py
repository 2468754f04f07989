"""Users' code on behalf of one task, made aside: writing what it printed, packing what it needs.

Idea        Each kind has a serial thread of its own; the task waits meanwhile in a place that says so, and goes on when
            the thread has posted that it is done.
Invariant   Neither a stream nor a value's pickling code runs in the supervisor's thread (test_users_code.py).
When wrong  What cannot be packed fails the task that needs it.
See         tests/scheduler/test_users_code.py · tests/scheduler/test_outputs.py
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from arion_lib.scheduler.calls.values import encode
from arion_lib.scheduler.lifecycle import Lifecycle
from arion_lib.scheduler.task import Task
from arion_lib.scheduler.waiting.serial import SerialThread


class Aside:
    """The threads of one scheduler for this; `post` has something called in the supervisor's thread."""

    def __init__(self, name: str, life: Lifecycle, post: Callable[[Callable[[], object]], None]) -> None:
        self._life, self._post = life, post
        self.output = SerialThread(f"arion-{name}-output")
        self.packing = SerialThread(f"arion-{name}-packing")

    def write(self, write: Callable[[], object]) -> None:
        """Write something that a task has printed, behind what is being written."""
        self.output.put(write)

    def after_output(self, task: Task[Any], worker: int, began: float, finish: Callable[[], object]) -> None:
        """Finish a task that has printed when all of that has been written."""
        self._life.finish_later(task, worker, began)
        self.output.put(lambda: self._post(finish))

    def pack_first(self, task: Task[Any], needs: Sequence[Task[Any]]) -> None:
        """Have results that a queued task needs packed, and queue the task again then."""
        self._life.hold(task)

        def pack() -> None:
            try:
                carried = {needed.number: encode(needed._value, "result") for needed in needs}
            except BaseException as raised:  # noqa: BLE001  (a value's own pickling code may raise anything)
                error = raised
                self._post(lambda: self._life.reject(task, error, time.monotonic()))
            else:
                self._post(lambda: self._life.release(task, carried))

        self.packing.put(pack)

    def close(self) -> None:
        for thread in (self.output, self.packing):
            thread.close(1.0)
