"""Calls on their way to one worker: packed in the order in which they are to be run, framed, written.

Idea        A worker is told of a function once; a call that needs an earlier one's result says so by that one's number.
Invariant   Buffers are in the order in which the worker will want them: those of what a call needs, then its own.
            Nothing of a call is in a message before all of it can travel (test_parcel.py).
When wrong  A call that needs a result which cannot travel fails, and is left out. A message that is too large for a
            frame is sent call by call; only the tasks that are too large fail.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_parcel.py · tests/scheduler/test_frames.py
"""

from __future__ import annotations

import time
import weakref
from typing import Any

from arion_lib.scheduler.calls.arguments import Linked
from arion_lib.scheduler.calls.values import ATOMS, Packed, encode
from arion_lib.scheduler.errors import NotTransferableError
from arion_lib.scheduler.processes import wire
from arion_lib.scheduler.processes.frames import Buffer
from arion_lib.scheduler.processes.pool import Pool
from arion_lib.scheduler.processes.worker_handle import WorkerHandle
from arion_lib.scheduler.states import At
from arion_lib.scheduler.task import Task


class Parcel:
    """Calls on their way to one worker: with the functions that it does not know yet, and the buffers."""

    __slots__ = ("buffers", "calls", "forget", "functions", "linked", "worker")

    def __init__(self, worker: WorkerHandle) -> None:
        self.worker, self.forget = worker, worker.forgettable()
        self.calls: list[tuple[Any, ...]] = []
        self.functions: list[tuple[int, bytes | None, bytes | None]] = []
        self.buffers: list[Buffer] = []
        self.linked = False
        """Whether a call needs the result of one that was sent to the same worker just before it."""

    def add(self, task: Task[Any]) -> None:
        """Add a task's call. Raises `NotTransferableError` when a result that it needs cannot travel."""
        call, buffers = task._call, list[Buffer]()
        packed = call if type(call) is tuple else self._packed(task, call, buffers)
        # Nothing of a call is in the message before all of it can travel: the worker counts buffers call by call.
        function = task._function
        if function.number not in self.worker.known:
            self.worker.known.add(function.number)
            if function.passing:
                self.worker.passing[function.number] = weakref.ref(function)
            self.functions.append((function.number, function.data, function.context_data))
        self.calls.append(packed)
        self.buffers += buffers

    def not_sent(self) -> None:
        """Say that the functions did not reach the worker: whatever calls them next brings them along."""
        for number, *_ in self.functions:
            self.worker.known.discard(number)
            self.worker.passing.pop(number, None)

    def add_link(self, task: Task[Any], needed: int) -> bool:
        """Add a call that needs the result of the call `needed` and no other; False when it is not that simple."""
        call, function = task._call, task._function
        if type(call) is not Linked or len(call.places) != 1 or function.number not in self.worker.known:
            return False
        self.calls.append(wire.link(function.number, call.args, call.places[0], needed))
        self.linked = True
        return True

    def _packed(self, task: Task[Any], call: Packed | Linked, buffers: list[Buffer]) -> tuple[Any, ...]:
        """Return a call that needs unpacking; add what it needs beside the message to `buffers`."""
        needs = task._more.needs if task._more is not None else ()
        dependencies = tuple(self._dependency(task, needed, buffers) for needed in needs)
        if isinstance(call, Linked):
            return wire.filled(task._function.number, call.args, call.places, dependencies)
        buffers += call.buffers
        return wire.pickled(task._function.number, call, dependencies)

    def _dependency(self, task: Task[Any], needed: Task[Any], buffers: list[Buffer]) -> tuple[Any, ...]:
        if isinstance(needed._place, At):
            self.linked = True
            return wire.need_call(needed._place.call)
        value = task.more().carried.get(needed.number, needed._value)
        if type(value) is not Packed:
            value = encode(value, "result")  # an atom, where `to_be_packed` has been asked before
        if type(value) is Packed:
            buffers += value.buffers
        return wire.need_value(value)


class Sending:
    """What sends to the workers of a pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def pack(self, parcel: Parcel, task: Task[Any]) -> bool:
        """Add a task's call to a message; False when that cannot travel: then the task has failed."""
        try:
            parcel.add(task)
        except NotTransferableError as error:  # a thread's result that it needs cannot travel
            self._pool.core.life.reject(task, error, time.monotonic())
            return False
        return True

    def fail(self, parcel: Parcel, tasks: list[Task[Any]], before: int, error: BaseException) -> None:
        """Fail tasks that a defect kept from a worker: those, and what it was to have behind the call `before`.

        They are in no queue: nobody would ever come to them.
        """
        parcel.not_sent()
        worker = parcel.worker
        lost = [number for number in worker.outstanding if number > before]
        for task in [*tasks, *(worker.outstanding.pop(number) for number in lost)]:
            self._pool.core.life.reject(task, error, time.monotonic())
        worker.last = max([before, *lost])
        worker.unwatched = worker.unwatched or bool(worker.unsent)  # what lies there is written some time: see `check`

    def post(self, worker: WorkerHandle, parcel: Parcel, first: int) -> None:
        """Send a message. One that is too large for a frame fails the tasks that are too large, and only these."""
        if not parcel.calls:
            return
        worker.moved_at = time.monotonic()
        try:
            message = (first, parcel.forget, parcel.linked, parcel.functions, parcel.calls)
            sent = worker.send(message, parcel.buffers)
        except ValueError:
            sent = self._post_one_by_one(worker, parcel, first)
        if not sent:
            self._pool.wait_to_write(worker)

    def _post_one_by_one(self, worker: WorkerHandle, parcel: Parcel, first: int) -> bool:
        """Send each call alone, with all that came along before it; a call that cannot be framed is not sent."""
        sent, forget, functions, used = True, parcel.forget, parcel.functions, 0
        for number, call in enumerate(parcel.calls, first):
            buffers = parcel.buffers[used : used + wire.buffers_of(call)] if call[0] < 0 else []
            used += len(buffers)
            try:
                sent = worker.send((number, forget, parcel.linked, functions, [call]), buffers)
                forget, functions = (), []
            except ValueError as error:
                task = worker.outstanding.pop(number)
                text = f"the arguments of {task.name!r} must be less than 2 GiB apart from arrays: {error}"
                self._pool.core.life.reject(task, NotTransferableError(text), time.monotonic())
        if functions:
            parcel.not_sent()
        return sent


def to_be_packed(task: Task[Any]) -> list[Task[Any]]:
    """Return the tasks that a task needs whose results are objects of this process: to pack one runs users' code."""
    more = task._more
    if more is None or not more.needs:
        return []
    ended = [one for one in more.needs if one._place.final and one.number not in more.carried]
    return [one for one in ended if type(one._value) is not Packed and type(one._value) not in ATOMS]
