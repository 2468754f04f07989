"""The lane of worker processes: who gets which task, how much in advance, and what is stopped when.

Idea        A worker is sent ahead what it will need for a few milliseconds, measured in time and not in tasks: short
            tasks travel by the hundred, long ones one by one, and what was sent too early is taken back.
Invariant   At most one running call per worker is ahead of a more urgent task, whatever was sent before that.
When wrong  A call that has had its time is interrupted, and its worker killed if it has not stopped in the grace time.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_processes.py
"""

from __future__ import annotations

import functools
import itertools
import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from arion_lib.scheduler.calls.failures import Failure
from arion_lib.scheduler.calls.values import Packed, buffers_of
from arion_lib.scheduler.errors import NotTransferableError, SchedulerError
from arion_lib.scheduler.processes.messages import (
    BEGUN,
    FAILED,
    LOGGED,
    NO_CALL,
    PRINTED,
    RETURNED,
    RETURNED_PACKED,
    SKIPPED,
)
from arion_lib.scheduler.processes.note import STARTED
from arion_lib.scheduler.processes.outputs import relay_record, relay_text
from arion_lib.scheduler.processes.parcel import Parcel
from arion_lib.scheduler.processes.pool import FIRST_PAUSE, STILLBORN, TRUST, Pool
from arion_lib.scheduler.processes.worker_handle import WorkerHandle
from arion_lib.scheduler.ready import ReadyQueue
from arion_lib.scheduler.starting.launch import StartMethod
from arion_lib.scheduler.states import State

if TYPE_CHECKING:
    from arion_lib.scheduler.processes.frames import Message
    from arion_lib.scheduler.task import Task

READY, SUCCEEDED = State.READY, State.SUCCEEDED
FIRST_WINDOW = 0.01
"""Seconds of work sent ahead to a worker, at first."""
WIDEST_WINDOW = 0.02
"""Seconds of work sent ahead at most, however often a worker ran out of it."""
PER_CALL = 5e-6
"""Seconds that a call takes on top of its function: unpacking it, writing its answer."""
FEWEST_AHEAD = 2
"""Calls that a worker has, the running one included, however long a window they fill: it need not wait for the next."""
MOST_AHEAD = 2_000
"""Calls sent ahead at most."""
MOST_FOLLOWING = 200
"""Links of a chain in one message: the worker begins with the first of a longer one while the others are packed."""
LONG = 0.05
"""Seconds from which a task is worth waiting for: the next one is sent when it has ended."""
STUCK = 0.002
"""Seconds that calls may wait behind a running one while another worker is idle."""
STILL = 0.25
"""Seconds after which a worker that has not begun what it was sent is taken for one that stands still."""
LEAD = 0.03
"""Seconds before the end of an interrupted call's grace time at which its worker's successor is started."""
SAMPLE = 1_000
"""Waiting tasks looked at to tell how long the queue takes."""


class ProcessLane(Pool):
    """The lane "processes"."""

    def __init__(
        self,
        size: int,
        method: StartMethod,
        *,
        preload: Sequence[str],
        ageing: float | None,
        grace: float,
        recycle_after: int | None,
        memory_limit: int | None,
        initializer: bytes | None = None,
    ) -> None:
        super().__init__(
            size,
            method,
            preload=preload,
            grace=grace,
            recycle_after=recycle_after,
            memory_limit=memory_limit,
            initializer=initializer,
        )
        self.ready: ReadyQueue[Task[Any]] = ReadyQueue(ageing)
        self._window = FIRST_WINDOW

    # --- giving out work ---

    def dispatch(self, _now: float) -> None:
        if self._stillborn >= STILLBORN:
            self._stillborn = 0
            self._fill_up()
            self._watch_starter()
        if self._overtaken():
            self._give_urgent()
            return
        if self._core.extended:
            self._extend_chains()
        able = [worker for worker in self._workers.values() if self._has_room(worker)]
        able.sort(key=lambda worker: worker.load)
        for place, worker in enumerate(able):
            if not self.ready:
                return
            if (
                not worker.outstanding
                and worker.heard
                and self._window < WIDEST_WINDOW
                and len(self.ready) > MOST_AHEAD
            ):
                self._window *= 1.5  # it ran out of work although there was plenty: send further ahead
            self._give(worker, len(able) - place)

    def _has_room(self, worker: WorkerHandle) -> bool:
        if worker.draining or worker.revoking or worker.at_end or worker.choked or worker.still:
            return False
        count = len(worker.outstanding)
        if not count:
            return True
        if self._recycle_after is not None and worker.done + count >= self._recycle_after:
            return False
        return (count < FEWEST_AHEAD or (count < MOST_AHEAD and worker.load < self._window)) and not self._long(worker)

    def _long(self, worker: WorkerHandle) -> bool:
        """Whether what it has takes so long, or nobody knows how long, that nothing should wait behind it."""
        return any(
            task._function.mean is None or task._function.mean > LONG for task in list(worker.outstanding.values())[:2]
        )

    def _overtaken(self) -> bool:
        """Take back what was sent ahead of a task that now goes first; True while that is under way."""
        highest = self.ready.highest()
        under_way = False
        for worker in self._workers.values():
            if worker.lowest is not None and highest is not None and worker.lowest < highest:
                if worker.unstarted():
                    worker.revoke(time.monotonic(), TRUST)
                    self._window = FIRST_WINDOW
                elif not worker.revoking:
                    worker.lowest = None
            under_way = under_way or worker.revoking is not None
        return under_way and all(worker.revoking or worker.outstanding for worker in self._workers.values())

    def _give_urgent(self) -> None:
        """Send what goes first behind what is being taken back: the worker passes over that and comes to it at once.

        To a worker that is about to be free, only; behind a longer call it would wait, while another might take it.
        """
        for worker in self._workers.values():
            highest, current = self.ready.highest(), worker.current()
            if highest is None or worker.lowest is None or highest <= worker.lowest or current is None:
                continue
            blocked = worker.choked or worker.draining or worker.still
            if worker.revoking and worker.last == worker.revoking[0] and not blocked:
                mean = current._function.mean
                if mean is not None and mean < STUCK:
                    self._send(worker, self.ready.take(1))

    def _give(self, worker: WorkerHandle, sharers: int) -> None:
        """Send one worker its share of the ready tasks, as many as fit its window."""
        fair = max(1, len(self.ready) // (2 * sharers))
        most = min(fair, MOST_AHEAD - len(worker.outstanding))
        if self._recycle_after is not None:
            most = min(most, self._recycle_after - worker.done - len(worker.outstanding))
        self._send(worker, self._fitting(worker, most))

    def _fitting(self, worker: WorkerHandle, most: int) -> list[Task[Any]]:
        """Take from the queue what fits a worker's window, at least one task; count it into the worker's load."""
        ready, window, load = self.ready, self._window, worker.load
        tasks = ready.take(1)
        mean = tasks[0]._function.mean
        if mean is not None and mean < LONG:  # a coarse clock may say 0.0
            tasks += ready.take(min(most, int((window - load) / (mean + PER_CALL)) + 1) - 1)
        for place, task in enumerate(tasks):
            mean = task._function.mean
            if place and (mean is None or load >= window):  # these are longer than the first one led to expect
                for early in reversed(tasks[place:]):
                    ready.push_front(early, early.options.priority)
                del tasks[place:]
                break
            load += LONG if mean is None else mean + PER_CALL
        worker.load = load
        return tasks

    def _send(self, worker: WorkerHandle, tasks: list[Task[Any]]) -> None:
        parcel, known, outstanding = Parcel(worker), worker.known, worker.outstanding
        first = number = worker.last + 1
        lowest = worker.lowest
        for task in tasks:
            if type(task._call) is tuple and task._function.number in known:
                parcel.calls.append(task._call)
            elif not self._pack(parcel, task):
                continue
            task._run = (worker, number)
            outstanding[number] = task
            priority = task.options.priority
            if lowest is None or priority < lowest:
                lowest = priority
            number += 1
            if task._more is not None and task._more.dependents:
                number = self._follow(worker, parcel, task, number)
        worker.lowest, worker.last = lowest, number - 1
        self._post(worker, parcel, first)
        if number - first >= MOST_FOLLOWING:
            self._extend_chain(worker)

    def _post(self, worker: WorkerHandle, parcel: Parcel, first: int) -> None:
        """Send a message. One that is too large for a frame fails the tasks that are too large, and only these."""
        if not parcel.calls:
            return
        worker.moved_at = time.monotonic()
        try:
            sent = worker.send(parcel.message(first), parcel.buffers)
        except ValueError:
            sent = self._post_one_by_one(worker, parcel, first)
        if not sent:
            self._wait_to_write(worker)

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
                self._core.fail(task, NotTransferableError(text), None)
        return sent

    def _extend_chains(self) -> None:
        for worker in self._workers.values():
            if not (worker.draining or worker.revoking or worker.interrupting or worker.at_end or worker.choked):
                self._extend_chain(worker)

    def _extend_chain(self, worker: WorkerHandle) -> None:
        """Send what needs only the last call that the worker was sent: it keeps that one's result for the next."""
        while not worker.choked:
            task = worker.outstanding.get(worker.last)
            if task is None or task._more is None or not task._more.dependents:
                return
            first, parcel = worker.last + 1, Parcel(worker)
            worker.last = self._follow(worker, parcel, task, first) - 1
            if worker.last < first:
                return
            self._post(worker, parcel, first)

    def _pack(self, parcel: Parcel, task: Task[Any]) -> bool:
        try:
            parcel.add(task)
        except NotTransferableError as error:  # a thread's result that it needs cannot travel
            self._core.fail(task, error, None)
            return False
        return True

    def _follow(self, worker: WorkerHandle, parcel: Parcel, task: Task[Any], number: int) -> int:
        """Send along the tasks of a chain: each needs only the one before it, so it need not come back in between."""
        outstanding = worker.outstanding
        most = min(MOST_FOLLOWING, MOST_AHEAD - len(outstanding)) + len(parcel.calls)
        while not self.ready and len(parcel.calls) < most and self._recycle_after is None:
            more = task._more
            if more is None or len(more.dependents) != 1:
                break
            following = more.dependents[0]
            own = following._more
            if own is None or own.blocked != 1 or following._run is not None or following.lane != self.name:
                break
            if following.options.priority != task.options.priority:  # it would overtake, or be overtaken, unseen
                break
            if task not in own.needs:  # only a missing argument keeps a worker from running it after a failure
                break
            if following._state_now is not State.PENDING or task._function.mean is None or task._function.mean > LONG:
                break
            if not (parcel.add_link(following, number - 1) or self._pack(parcel, following)):
                break
            following._run = (worker, number)
            outstanding[number] = following
            task, number = following, number + 1
        return number

    # --- taking in results ---

    def _take(self, worker: WorkerHandle, messages: list[Message]) -> None:  # noqa: C901  (once for each task)
        core, outstanding = self._core, worker.outstanding
        worker.still, worker.moved_at = False, time.monotonic()
        load, done, place = worker.load, 0, worker.number
        plain: list[Task[Any]] = []
        told = bool(core.subscribers)
        for message in messages:
            number, kind = message[0], message[1]
            if number == NO_CALL:
                self._relay(worker, message)
                continue
            if kind == SKIPPED:
                self._put_back(worker, range(number, (message[2] or number) + 1))
                continue
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
            more = task._more
            if worker.printed and not task._state_now.final:
                worker.printed = False
                finish = functools.partial(self._end_otherwise, worker, task, message, (place, started, ended))
                core.after_output(task, finish)
            elif kind == RETURNED and task._state_now is READY and not told and worker.interrupting is None:
                task._value, task._run, task._call = message[2], (place, started, ended), None
                task._state_now = SUCCEEDED
                if more is None or core.met_plainly(task, more):
                    plain.append(task)
                else:
                    core.succeed(task, message[2], task._run)
            elif not task._state_now.final:
                self._end_otherwise(worker, task, message, (place, started, ended))
        core.ended_plainly(plain)
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
            task = worker.outstanding.pop(number, None)
            if task is not None:
                self._core.put_back(task)

    def _end_otherwise(
        self, worker: WorkerHandle, task: Task[Any], message: Message, run: tuple[int, float, float]
    ) -> None:
        kind, value = message[1], message[2]
        if kind == RETURNED and worker.interrupting is None:
            self._core.succeed(task, value, run)
        elif worker.interrupting is not None and worker.interrupting[0] == message[0]:
            self._core.time_out(task, run)
        elif kind == RETURNED_PACKED:
            self._core.succeed(task, Packed(value, tuple(message[5]) if len(message) > 5 else ()), run)
        elif kind == RETURNED:
            self._core.succeed(task, value, run)
        elif kind == FAILED:
            worker.failed += 1
            self._core.fail(task, Failure(*value), run)
        else:  # INTERRUPTED, but not by us: it may have run in part, so it is not simply put back
            error = SchedulerError(f"task {task.name!r} raised TaskInterrupted without having been interrupted")
            self._core.fail(task, error, run)

    def _relay(self, worker: WorkerHandle, message: Message) -> None:
        if message[1] == BEGUN:
            worker.heard = True
        elif message[1] == PRINTED:
            worker.printed = True
            self._core.output.put(functools.partial(relay_text, message[2], message[3]))
        elif message[1] == LOGGED:
            worker.printed = True
            self._core.output.put(functools.partial(relay_record, message[2]))

    def _after_results(self, worker: WorkerHandle) -> None:
        if self._recycle_after is not None and worker.done >= self._recycle_after and not worker.draining:
            self._recycle(worker)
        elif worker.draining and not worker.outstanding:
            self._close_inbox(worker, time.monotonic())

    # --- what the core asks ---

    def started(self, task: Task[Any]) -> float | None:
        worker, number = task._run
        began: float | None = worker.began(number)
        return began

    def assigned(self) -> list[Task[Any]]:
        return [task for worker in self._workers.values() for task in worker.outstanding.values()]

    def running(self) -> list[Task[Any]]:
        current = [worker.current() for worker in self._workers.values() if not worker.in_doubt()]
        return [task for task in current if task is not None]

    def stop(self, place: tuple[Any, ...]) -> None:
        worker, number = place
        if number not in worker.outstanding:
            return
        now, started = time.monotonic(), worker.child.note.words[STARTED]
        if started == number:
            worker.interrupt(number, now + self._grace)
        elif started < number:  # else it is over, and only its answer has not been heard
            worker.revoke(now, TRUST)

    def check(self, now: float) -> float:
        soonest = self._check_size(now)
        for worker in list(self._workers.values()):
            soonest = min(soonest, self._check_one(worker, now))
            if worker.unwatched:
                worker.unwatched = not worker.flush()
                soonest = min(soonest, now + FIRST_PAUSE)
        if self._memory_limit is not None:
            soonest = min(soonest, self._check_memory(now))
        return soonest

    def _check_one(self, worker: WorkerHandle, now: float) -> float:
        soonest = math.inf
        if worker.revoking is not None:
            if now < worker.revoking[1]:
                return worker.revoking[1]
            self._take_back(worker)
        if worker.interrupting is not None:
            _, kill_at = worker.interrupting
            if now >= kill_at:
                self._replace(worker)
            elif now >= kill_at - LEAD:  # it will hardly stop by itself: have the next one up when this one is killed
                if not worker.draining:
                    self._recycle(worker)
                soonest = kill_at
            else:
                soonest = kill_at - LEAD
        elif worker.outstanding:
            soonest = self._check_time(worker, now)
        elif worker.passing and not worker.choked:
            self._forget_dropped(worker)
        return soonest

    def _forget_dropped(self, worker: WorkerHandle) -> None:
        """Tell an idle worker to forget the functions whose tasks nobody holds any more, and what they captured."""
        gone = worker.forgettable()
        if gone and not worker.send((worker.last + 1, gone, False, [], []), []):
            self._wait_to_write(worker)

    def _take_back(self, worker: WorkerHandle) -> None:
        for task in reversed(worker.taken_back()):
            self._core.put_back(task)
        current = worker.current()
        if current is not None and current._state_now.final and worker.interrupting is None:  # ended just as it began
            worker.interrupt(worker.child.note.words[STARTED], time.monotonic() + self._grace)
        if worker.draining and not worker.outstanding:
            self._close_inbox(worker, time.monotonic())
        self._core.again()

    def _check_time(self, worker: WorkerHandle, now: float) -> float:
        """Look whether the running call has had its time; return when to look again."""
        number = worker.child.note.words[STARTED]
        task = worker.outstanding.get(number)
        soonest = math.inf
        if task is None:
            soonest = self._check_still(worker, now)
        else:
            limit = task.options.timeout
            if limit is not None and not task._state_now.final:
                due = (worker.began(number) or now) + limit
                if now >= due:
                    self._core.overrun(task)
                    worker.interrupt(number, now + self._grace)
                    return now + self._grace
                soonest = due
            waiting = self._waiting(worker, task) if len(worker.outstanding) > 1 else None
            if waiting is not None:
                soonest = min(soonest, self._check_stuck(worker, now, worker.began(number) or now, waiting))
        limits = [other.options.timeout for other in worker.outstanding.values() if other.options.timeout is not None]
        if limits:
            soonest = min(soonest, now + min(limits))
        return soonest

    def _waiting(self, worker: WorkerHandle, running: Task[Any]) -> Task[Any] | None:
        """Return what waits first here and could run elsewhere: the links of a chain could not."""
        few = itertools.islice(worker.outstanding.values(), 4)
        return next((task for task in few if task._state_now is READY and task is not running), None)

    def _check_stuck(self, worker: WorkerHandle, now: float, began: float, waiting: Task[Any]) -> float:
        """Take back calls that wait behind a long one while another worker has nothing to do, or nothing as urgent."""
        highest = self.ready.highest()
        if highest is not None and waiting.options.priority <= highest:
            return math.inf
        if not (self._idle() if highest is None else self._moving(now)):
            return now + STUCK * 5
        if now - began >= STUCK:
            worker.still = True
            worker.revoke(now, TRUST)
            return now + TRUST
        return began + STUCK

    def _moving(self, now: float) -> bool:
        """Whether a worker is between two calls, or at one that has just begun."""
        return any(
            worker.current() is None or now - (worker.began(worker.child.note.words[STARTED]) or now) < STUCK
            for worker in self._workers.values()
            if worker.heard and not (worker.draining or worker.still)
        )

    def _idle(self) -> bool:
        """Whether another worker, that is there and answers, has nothing to do."""
        return any(
            not other.outstanding and other.heard and not (other.draining or other.still)
            for other in self._workers.values()
        )

    def _check_still(self, worker: WorkerHandle, now: float) -> float:
        """Take back what a worker does not begin, stopped or swapped out as it may be, while another is idle."""
        if now < worker.moved_at + STILL:
            return worker.moved_at + STILL
        if not self._idle():
            return now + STILL
        worker.still = True
        worker.revoke(now, TRUST)
        return now + TRUST

    def queued_seconds(self) -> float:
        """Return how long one worker would take for what waits and runs here; `inf` when that is not known."""
        tasks = [*itertools.islice(self.ready, SAMPLE), *itertools.islice(self.assigned(), SAMPLE)]
        means = [task._function.mean for task in tasks]
        known = [mean for mean in means if mean is not None]
        if not tasks:
            return 0.0
        return self.unfinished() * sum(known) / len(known) if len(known) == len(means) else math.inf

    def unfinished(self) -> int:
        """Return how many tasks wait or run here."""
        return len(self.ready) + sum(len(worker.outstanding) for worker in self._workers.values())
