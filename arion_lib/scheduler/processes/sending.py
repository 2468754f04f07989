"""Calls on their way to a worker: packed, framed, written as far as its pipe takes them.

Idea        A message holds as many calls as there are to send; one that cannot travel fails its task and is left out.
Invariant   Nothing of a call is in a message before all of it can travel (test_parcel.py).
When wrong  A message that is too large for a frame is sent call by call; only the tasks that are too large fail.
See         tests/scheduler/test_parcel.py · tests/scheduler/test_frames.py
"""

from __future__ import annotations

import time
from typing import Any

from arion_lib.scheduler.errors import NotTransferableError
from arion_lib.scheduler.processes.parcel import Parcel
from arion_lib.scheduler.processes.pool import Pool
from arion_lib.scheduler.processes.wire import buffers_of
from arion_lib.scheduler.processes.worker_handle import WorkerHandle
from arion_lib.scheduler.task import Task


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

    def post(self, worker: WorkerHandle, parcel: Parcel, first: int) -> None:
        """Send a message. One that is too large for a frame fails the tasks that are too large, and only these."""
        if not parcel.calls:
            return
        worker.moved_at = time.monotonic()
        try:
            sent = worker.send(parcel.message(first), parcel.buffers)
        except ValueError:
            sent = self._post_one_by_one(worker, parcel, first)
        if not sent:
            self._pool.wait_to_write(worker)

    def _post_one_by_one(self, worker: WorkerHandle, parcel: Parcel, first: int) -> bool:
        """Send each call alone, with all that came along before it; a call that cannot be framed is not sent."""
        sent, forget, functions, used = True, parcel.forget, parcel.functions, 0
        for number, call in enumerate(parcel.calls, first):
            buffers = parcel.buffers[used : used + buffers_of(call)] if call[0] < 0 else []
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
