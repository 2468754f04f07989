"""Which tasks there are and what became of them: what `status`, `recent`, `events` and `wait_idle` read.

Idea        One place counts tasks in and out, under one lock that is held for an append or a count, never for a call
            of users' code: that is put into a queue, for a thread of its own.
Invariant   Memory grows with the tasks that have not ended, not with those that have: of these `keep` ends are kept.
When wrong  Of more ends than that, throughput and spreads are about the part that was kept.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_dask.py
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from arion_lib.scheduler.dask.handle import DaskTask
from arion_lib.scheduler.errors import QueueFullError, ShutDownError
from arion_lib.scheduler.monitoring.figures import WINDOW, spread
from arion_lib.scheduler.monitoring.snapshot import LaneStatus, Snapshot, WorkerStatus
from arion_lib.scheduler.options import LANES
from arion_lib.scheduler.states import Event, State

log = logging.getLogger(__name__)

LocalLane = tuple[int, Sequence[WorkerStatus], int]
"""Of one lane in all dask workers: its size, its workers, how often one was replaced."""


class Ledger:
    """The tasks of one scheduler. `keep`: how many ends it looks back on; `most`: how many unfinished ones may be."""

    def __init__(self, name: str, keep: int, most: int | None, refuse: bool) -> None:
        self.name, self._most, self._refuse = name, most, refuse
        self.closing = self.ended = False
        self.retries = 0
        self._opened_at = time.monotonic()
        self._changed = threading.Condition()
        self._alive: set[DaskTask[Any]] = set()
        self._number = 0
        self._counts: Counter[State] = Counter()
        self._recent: deque[tuple[Event, tuple[float, float] | None, float]] = deque(maxlen=keep)
        self._subscribers: list[Callable[[Event], None]] = []
        self._at_end: list[Callable[[], object]] = []
        self._to_tell: queue.SimpleQueue[tuple[Callable[..., object], Any] | None] = queue.SimpleQueue()
        self.teller = threading.Thread(target=self._tell_all, name=f"arion-{name}-teller", daemon=True)

    # --- in and out ---

    def admit(self, make: Callable[[int], DaskTask[Any]]) -> DaskTask[Any]:
        """Return a new task, made with its number; waits for room. Raises `QueueFullError`, `ShutDownError`."""
        with self._changed:
            if self._most is not None:
                self._make_room(self._most)
            if self.closing:
                raise self.refusal()
            self._number += 1
            task = make(self._number)
            self._alive.add(task)
        self.emit(task.history()[0])
        return task

    def _make_room(self, most: int) -> None:
        if len(self._alive) >= most and self._refuse:
            raise QueueFullError(f"as many tasks wait or run as max_pending={most} allows; submit later, or wait")
        if threading.current_thread() is not self.teller:  # a callback that submits would wait for itself
            self._changed.wait_for(lambda: self.closing or len(self._alive) < most)

    def note_end(self, task: DaskTask[Any], event: Event) -> None:
        """Count a task out."""
        self.emit(event)
        with self._changed:
            self._alive.discard(task)
            self._counts[event.state] += 1
            self._recent.append((event, task.ran, task.submitted))
            self._changed.notify_all()

    def alive(self) -> list[DaskTask[Any]]:
        """Return the tasks that have not ended."""
        with self._changed:
            return list(self._alive)

    def refusal(self) -> ShutDownError:
        """Return why no task is taken any more."""
        return ShutDownError("the scheduler is shut down; open a new one")

    def close(self) -> bool:
        """Admit no more; False when that was so already."""
        with self._changed:
            first, self.closing = not self.closing, True
            self._changed.notify_all()
        return first

    def wait_idle(self, timeout: float | None) -> bool:
        """Wait until no task is unfinished, `timeout` seconds at most; return whether that is so."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._alive, timeout)

    # --- who is told: users' code, in a thread of its own ---

    def tell(self, function: Callable[..., object], argument: Any) -> None:
        """Have a function called, after all that were to be called before."""
        self._to_tell.put((function, argument))

    def emit(self, event: Event) -> None:
        """Tell the subscribers."""
        for subscriber in self._subscribers:
            self.tell(subscriber, event)

    def _tell_all(self) -> None:
        while (item := self._to_tell.get()) is not None:
            function, argument = item
            try:
                function(argument)
            except (Exception, SystemExit):  # the Executor's contract: a callback's error is logged and ignored
                log.exception("the callback %r for %r raised", function, argument)
            del item, function, argument  # nothing that has ended is kept until the next end

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Call `callback(event)` for each change from now on; return what ends that."""
        with self._changed:
            self._subscribers = [*self._subscribers, callback]

        def unsubscribe() -> None:
            with self._changed:
                self._subscribers = [one for one in self._subscribers if one is not callback]

        return unsubscribe

    def at_end(self, command: Callable[[], object]) -> Callable[[], object]:
        """Do something when the scheduler has ended, at once when it has; return what takes that back."""
        with self._changed:
            if not self.ended:
                self._at_end.append(command)
                return lambda: self._forget(command)
        command()
        return lambda: None

    def _forget(self, command: Callable[[], object]) -> None:
        with self._changed, suppress(ValueError):
            self._at_end.remove(command)

    def end(self) -> None:
        """Tell the last of what is to be told."""
        with self._changed:
            self.ended = True
            commands, self._at_end = self._at_end, []
        for command in commands:
            self.tell(lambda command: command(), command)
        self._to_tell.put(None)

    # --- looking at it ---

    def recent(self) -> tuple[Event, ...]:
        """Return the last tasks' ends, the oldest first."""
        with self._changed:
            return tuple(event for event, _, _ in self._recent)

    def snapshot(self, there: Mapping[str, LocalLane]) -> Snapshot:
        """Return what the scheduler looks like now, with what its lanes look like in the dask workers."""
        now = time.monotonic()
        with self._changed:
            states = Counter((task.lane, task.options.priority, task.state) for task in self._alive)
            counts, recent = self._counts.copy(), list(self._recent)
        total: Counter[State] = Counter()
        for (_, _, state), count in states.items():
            total[state] += count
        lanes = tuple(_lane(name, there.get(name, (0, (), 0)), states) for name in LANES)
        runs = [(submitted, *run) for _, run, submitted in recent if run is not None and run[1] >= now - WINDOW]
        full = len(runs) == self._recent.maxlen
        window = max(1e-6, min(WINDOW, now - (runs[0][1] if full else self._opened_at)))
        busy = sum(ended - max(began, now - window) for _, began, ended in runs)
        return Snapshot(
            name=self.name,
            uptime=now - self._opened_at,
            lanes=lanes,
            pending=total[State.PENDING] + total[State.RETRYING],
            ready=total[State.READY],
            running=total[State.RUNNING],
            succeeded=counts[State.SUCCEEDED],
            failed=counts[State.FAILED],
            cancelled=counts[State.CANCELLED],
            timed_out=counts[State.TIMED_OUT],
            quarantined=counts[State.QUARANTINED],
            retries=self.retries,
            window=window,
            throughput=len(runs) / window,
            utilisation=min(1.0, busy / window / max(1, lanes[0].size)),
            waiting=spread([began - submitted for submitted, began, _ in runs]),
            running_time=spread([ended - began for _, began, ended in runs]),
        )


def _lane(name: str, there: LocalLane, states: Mapping[Any, int]) -> LaneStatus:
    size, workers, restarts = there
    queued = {priority: n for (lane, priority, state), n in states.items() if (lane, state) == (name, State.READY)}
    running = sum(n for (lane, _, state), n in states.items() if (lane, state) == (name, State.RUNNING))
    return LaneStatus(name, size, tuple(workers), queued, running, restarts)
