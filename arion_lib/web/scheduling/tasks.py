"""Tasks that were asked for over the web: their ids, what became of them, and for how long that is kept.

Idea        The scheduler begins with the first task: a service that nobody gives one costs no process and no thread. An
            id is drawn at random: nobody guesses another's, and after a restart none is given again.
Invariant   Of tasks that ended the last `keep` are kept, of the others `max_pending` and those that run, `MAX_BYTES` of
            arguments at most: all bounded.
When wrong  An id that was never given or is forgotten is `UnknownTaskError`; after `close` a submit is refused.
See         arion_lib/web/scheduling/pages.py · tests/web/test_scheduler_pages.py
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

from arion_lib.scheduler import QueueFullError, Scheduler, ShutDownError, Snapshot, State, Task
from arion_lib.scheduler.monitoring.snapshot import Spread
from arion_lib.web.scheduling.functions import RegisteredFunctions

KEEP = 1_000
MAX_PENDING = 10_000
MAX_BYTES = 256 << 20
"""Bytes of JSON that the arguments of all tasks which have not ended may be."""

PATIENCE = 5.0
"""Seconds that running tasks get to end once the service stops."""

NAME = "web"


class UnknownTaskError(KeyError):
    """No task has this id, or it was forgotten: with the service's end all are."""


class KeyTakenError(ValueError):
    """The idempotency key belongs to another call."""


class UnfinishedError(RuntimeError):
    """The task has not ended: only what has can be forgotten."""


class EndedError(RuntimeError):
    """The task has ended: it cannot be cancelled."""


@dataclass(frozen=True, slots=True)
class Record:
    """One task that was asked for; `submitted` is seconds since the epoch, `call` what was asked for with `key`."""

    id: str
    function: str
    submitted: float
    task: Task[Any]
    key: str | None = None
    call: str = ""


def local_scheduler(workers: int | None = None) -> Scheduler:
    """Open what the service runs its tasks on: refuses, rather than waits, when `MAX_PENDING` tasks wait already."""
    return Scheduler(workers, max_pending=MAX_PENDING, when_full="refuse", name=NAME)


class ScheduledTasks:
    """The tasks of one service. `open_scheduler` is called by the first thread that needs it; `close` shuts it down."""

    def __init__(
        self,
        functions: Mapping[str, Callable[..., Any]],
        open_scheduler: Callable[[], Scheduler] = local_scheduler,
        *,
        keep: int = KEEP,
        most_workers: int = 64,
        most_bytes: int = MAX_BYTES,
    ) -> None:
        self.functions = RegisteredFunctions(functions)
        self._open, self._keep = open_scheduler, keep
        self._opening, self._lock = threading.Lock(), threading.Lock()
        self._scheduler: Scheduler | None = None
        self.most_workers, self._most_bytes = most_workers, most_bytes
        self._held = 0  # bytes of the arguments of tasks that have not ended
        self._closed = False
        self._records: dict[str, Record] = {}
        self._ended: deque[str] = deque()
        self._keys: dict[str, str] = {}
        """The ids of tasks that have an idempotency key, for as long as they are kept."""
        self._asking = threading.Lock()
        """Held while a call with a key is looked for and submitted: of two at once, one is first."""

    def scheduler(self) -> Scheduler:
        """The scheduler, opened now if it is not. Raises `ShutDownError` after `close`."""
        with self._opening:
            if self._closed:
                raise ShutDownError("the service must be running, got a submit while it stops: ask another")
            if self._scheduler is None:
                self._scheduler = self._open()
            return self._scheduler

    def close(self) -> None:
        """Cancel what waits, give what runs `PATIENCE` seconds, then end it; nothing of the scheduler is left."""
        with self._opening:
            self._closed = True
            if self._scheduler is not None:
                self._scheduler.shutdown(cancel_futures=True, deadline=PATIENCE)

    def submit(
        self, function: str, arguments: Mapping[str, Any], options: Mapping[str, Any], key: str | None = None
    ) -> Record:
        """Check the call, submit it, keep its record; a call whose `key` is that of a kept task is that task.

        `options` are those of `Options`; tasks in `after` are given by their ids. Raises `UnknownFunctionError`,
        `ArgumentsError`, `UnknownTaskError` for an `after`, `KeyTakenError`, and what the scheduler's `submit` raises.
        """
        if key is None:
            return self._submit(function, arguments, options)
        call = json.dumps([function, dict(arguments), dict(options)], sort_keys=True, default=str)
        with self._asking:
            with self._lock:
                known = self._records.get(self._keys.get(key, ""))
            if known is None:
                return self._submit(function, arguments, options, key, call)
        if known.call != call:
            raise KeyTakenError(f"idempotency-key must be one of the same call, got {key}")
        return known

    def _submit(
        self,
        function: str,
        arguments: Mapping[str, Any],
        options: Mapping[str, Any],
        key: str | None = None,
        call: str = "",
    ) -> Record:
        registered = self.functions.find(function)
        checked = registered.check(arguments)
        size = len(json.dumps(arguments))
        with self._lock:
            if self._held + size > self._most_bytes:
                raise QueueFullError(f"arguments of waiting tasks must be <= {self._most_bytes} bytes, got more")
        after = [self.find(one).task for one in options.get("after", ())]
        submitter = self.scheduler().with_options(**{"name": function, **options, "after": after})
        task = submitter.submit(registered.call, **checked)
        record = Record(secrets.token_urlsafe(12), function, time.time(), task, key, call)
        with self._lock:
            self._records[record.id] = record
            if key is not None:
                self._keys[key] = record.id
            self._held += size
        task.add_done_callback(partial(self._ends, record.id, size))
        return record

    def _ends(self, identity: str, size: int, _: object) -> None:
        with self._lock:
            self._held -= size
            self._ended.append(identity)
            while len(self._ended) > self._keep:
                self._let_go(self._ended.popleft())

    def _let_go(self, identity: str) -> bool:
        record = self._records.pop(identity, None)
        if record is not None and record.key is not None:
            self._keys.pop(record.key, None)
        return record is not None

    def find(self, identity: str) -> Record:
        """The record of that id. Raises `UnknownTaskError`."""
        with self._lock:
            try:
                return self._records[identity]
            except KeyError:
                raise UnknownTaskError(f"task must be one that is kept, got {identity}") from None

    def page(self, after: int, limit: int, states: Collection[State] = ()) -> list[Record]:
        """The records past a number, the oldest first; with `states`, those that are in one of them now."""
        past = (one for one in self._all() if one.task.number > after)
        return list(islice((one for one in past if not states or one.task.status() in states), limit))

    def _all(self) -> list[Record]:
        with self._lock:
            records = list(self._records.values())
        return sorted(records, key=lambda one: one.task.number)

    def cancel(self, identity: str) -> Record:
        """Cancel a task, running or not. Raises `EndedError` for one that has ended."""
        record = self.find(identity)
        if not record.task.cancel():
            raise EndedError(f"only a task that has not ended can be cancelled, got {record.task.status()}")
        return record

    def forget(self, identity: str) -> None:
        """Drop the record and the result of a task that ended. Raises `UnfinishedError` for one that has not."""
        task = self.find(identity).task
        if not task.done():
            raise UnfinishedError(f"only a task that has ended can be forgotten, got {task.status()}: cancel it first")
        self._drop({identity})

    def forget_all(self, states: Collection[State] = ()) -> int:
        """Drop all tasks that ended, or those that ended in one of the states; return how many."""
        ended = [one for one in self._all() if one.task.done()]
        return self._drop({one.id for one in ended if not states or one.task.status() in states})

    def _drop(self, ids: set[str]) -> int:
        with self._lock:
            gone = [self._let_go(identity) for identity in ids]
            self._ended = deque(identity for identity in self._ended if identity not in ids)
        return sum(gone)

    def status(self) -> Snapshot:
        """A snapshot of the scheduler; of one that was not needed yet, an empty one: looking opens nothing."""
        scheduler = self._scheduler
        return NOTHING if scheduler is None else scheduler.status()

    def progress(self, number: int) -> tuple[float, float | None] | None:
        """What a running task has reported; None where it has not."""
        return next((one.progress for one in self.status().workers if one.task_number == number), None)

    @property
    def state(self) -> str:
        """ "unused" before the first task, then "open", in the end "closed"."""
        if self._closed:
            return "closed"
        return "unused" if self._scheduler is None else "open"


NOTHING = Snapshot(
    name=NAME,
    uptime=0.0,
    lanes=(),
    pending=0,
    ready=0,
    running=0,
    succeeded=0,
    failed=0,
    cancelled=0,
    timed_out=0,
    quarantined=0,
    retries=0,
    window=0.0,
    throughput=0.0,
    utilisation=0.0,
    waiting=Spread(),
    running_time=Spread(),
)
"""What a scheduler looks like that nobody needed yet."""
