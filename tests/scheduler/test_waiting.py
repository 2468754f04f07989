"""No wake-up is lost: a task's end and a thread that begins to wait for it may meet between any two steps."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from arion_lib.scheduler import Scheduler
from arion_lib.scheduler.waiting.signals import Signal
from tests.scheduler import jobs
from tests.scheduler.gates import PATIENCE, Gate


class Meeting(dict[Any, list[Signal]]):
    """A scheduler's signals: something happens between the two steps by which a thread adds its own."""

    def __init__(self, between: Callable[[], None]) -> None:
        super().__init__()
        self._between = between

    def setdefault(self, key: Any, default: Any = None) -> Any:
        found = super().setdefault(key, default)
        self._between()
        return found


def test_a_task_that_ends_while_a_thread_begins_to_wait_for_it_is_not_waited_for_for_ever(gate: Gate) -> None:
    """Its end takes the list of signals, and finds it empty, before the thread has appended its own."""
    with Scheduler(1, preload=[jobs.__name__]) as scheduler:
        task = scheduler.submit(jobs.hold, gate.place, 5)
        gate.arrived()

        def end() -> None:
            gate.open()
            assert scheduler.wait_idle(PATIENCE)

        scheduler._core.audience.signals = Meeting(end)
        found: list[int] = []
        thread = threading.Thread(target=lambda: found.append(task.result()), daemon=True)
        thread.start()
        thread.join(PATIENCE)
        assert found == [5]
