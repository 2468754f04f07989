"""What workers have answered: how each call ended, what it printed, what was not begun.

Idea        One message for each call that was begun, in order; the lifecycle is told what it came to.
Invariant   An answer for a call that was taken back meanwhile changes nothing.
When wrong  A task that raises `TaskInterrupted` without having been interrupted has failed: it may have run in part.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_processes.py · tests/scheduler/test_outputs.py
"""

from __future__ import annotations

import functools
import time
from typing import Any

from arion_lib.scheduler.calls.failures import Failure
from arion_lib.scheduler.calls.values import Packed
from arion_lib.scheduler.errors import SchedulerError
from arion_lib.scheduler.processes import wire
from arion_lib.scheduler.processes.frames import Message
from arion_lib.scheduler.processes.outputs import relay_record, relay_text
from arion_lib.scheduler.processes.pool import Pool
from arion_lib.scheduler.processes.wire import RETURNED, RETURNED_PACKED, Answer
from arion_lib.scheduler.processes.worker_handle import PER_CALL, WorkerHandle
from arion_lib.scheduler.task import Task


class Answers:
    """What takes in the answers of a pool's workers."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def take(self, worker: WorkerHandle, messages: list[Message]) -> None:  # noqa: C901  (once for each task)
        """Deal with what a worker has answered."""
        core, life, outstanding = self._pool.core, self._pool.core.life, worker.outstanding
        worker.still, worker.moved_at = False, time.monotonic()
        load, done, place = worker.load, 0, worker.number
        for message in messages:
            number, kind = message[0], message[1]  # an `Answer`, read as a tuple: naming each costs half a microsecond
            if number == wire.NO_CALL:
                self._relay(worker, message)
                continue
            if kind == wire.SKIPPED:
                self._put_back(worker, wire.passed_over(message))
                continue
            task = None
            try:
                task = outstanding.pop(number, None)
                if task is None:
                    continue  # taken back: it is somewhere else by now
                started, ended = message[3], message[4]
                function = task._function
                mean = function.mean
                if mean is None:
                    function.mean = ended - started
                else:
                    load -= mean + PER_CALL
                    function.mean = mean + (ended - started - mean) * 0.1
                done += 1
                interrupted = worker.interrupting is not None and worker.interrupting[0] == number
                if worker.printed and not task._place.final:
                    worker.printed = False
                    finish = functools.partial(self._end_otherwise, worker, task, Answer(*message), interrupted)
                    core.aside.after_output(task, place, started, finish)
                elif kind == RETURNED and not interrupted:
                    life.succeed(task, message[2], place, started, ended)
                elif not task._place.final:
                    self._end_otherwise(worker, task, Answer(*message), interrupted)
            except BaseException as error:  # a defect: it is this task's, not that of those behind it
                if task is None:
                    raise
                core.report(error)
                life.reject(task, error, time.monotonic())
        worker.done += done
        worker.load = max(0.0, load)
        if worker.interrupting is not None and worker.interrupting[0] not in outstanding:
            worker.interrupting = None
        if not outstanding:
            worker.load, worker.lowest = 0.0, None
        self._after_results(worker)

    def _put_back(self, worker: WorkerHandle, numbers: range) -> None:
        """Queue again what the worker has passed over, unless it has been taken back already."""
        for number in reversed(numbers):
            task = worker.outstanding.get(number)
            if task is not None:
                self._pool.core.life.put_back(task)
                del worker.outstanding[number]

    def _end_otherwise(self, worker: WorkerHandle, task: Task[Any], answer: Answer, interrupted: bool) -> None:
        life, value = self._pool.core.life, answer.value
        run = (worker.number, answer.started, answer.ended)
        if interrupted:
            life.time_out(task, *run)
        elif answer.kind == RETURNED_PACKED:
            life.succeed(task, Packed(value, tuple(answer.buffers)), *run)
        elif answer.kind == RETURNED:
            life.succeed(task, value, *run)
        elif answer.kind == wire.FAILED:
            worker.failed += 1
            life.fail(task, Failure(*value), *run)
        else:  # INTERRUPTED, but not by us: it may have run in part, so it is not simply put back
            error = SchedulerError(f"task {task.name!r} raised TaskInterrupted without having been interrupted")
            life.fail(task, error, *run)

    def _relay(self, worker: WorkerHandle, message: Message) -> None:
        if message[1] == wire.BEGUN:
            worker.heard = True
        elif message[1] == wire.PRINTED:
            worker.printed = True
            self._pool.core.aside.write(functools.partial(relay_text, message[2], message[3]))
        elif message[1] == wire.LOGGED:
            worker.printed = True
            self._pool.core.aside.write(functools.partial(relay_record, message[2]))

    def _after_results(self, worker: WorkerHandle) -> None:
        if self._pool.recycle_after is not None and worker.done >= self._pool.recycle_after and not worker.draining:
            self._pool.recycle(worker)
        elif worker.draining and not worker.outstanding:
            self._pool.close_inbox(worker, time.monotonic())
