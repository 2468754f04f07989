"""The lane of worker processes: who gets which task, how much in advance, and what happens when a worker dies.

Idea        A worker is sent ahead what it will need for a few milliseconds, measured in time and not in tasks: short
            tasks travel by the hundred, long ones one by one, and what was sent too early is taken back.
Invariant   A worker's death costs the call that it was running and no other; the pool is back to size at once.
When wrong  Workers that die before they ever answered are not started for ever: the lane's tasks fail with the reason.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_processes.py
"""

from __future__ import annotations

import functools
import itertools
import math
import selectors
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from arion_lib.scheduler.calls import Linked
from arion_lib.scheduler.errors import NotTransferableError, SchedulerError
from arion_lib.scheduler.failures import Failure
from arion_lib.scheduler.launch import Starter, StartMethod, starter
from arion_lib.scheduler.messages import (
    BEGUN,
    FAILED,
    LOGGED,
    NO_CALL,
    PRINTED,
    RETURNED,
    RETURNED_PACKED,
    SKIPPED,
)
from arion_lib.scheduler.note import STARTED
from arion_lib.scheduler.outputs import relay_record, relay_text
from arion_lib.scheduler.ready import ReadyQueue
from arion_lib.scheduler.snapshot import LaneStatus, WorkerState, WorkerStatus
from arion_lib.scheduler.states import State
from arion_lib.scheduler.usage import Usage
from arion_lib.scheduler.values import Packed, encode
from arion_lib.scheduler.worker_handle import MOST_KNOWN, WorkerHandle

if TYPE_CHECKING:
    from arion_lib.scheduler.core import Core
    from arion_lib.scheduler.frames import Buffer, Message
    from arion_lib.scheduler.task import Task

READY, SUCCEEDED = State.READY, State.SUCCEEDED
FIRST_WINDOW = 0.004
"""Seconds of work sent ahead to a worker, at first."""
WIDEST_WINDOW = 0.016
"""Seconds of work sent ahead at most, however often a worker ran out of it."""
PER_CALL = 5e-6
"""Seconds that a call takes on top of its function: unpacking it, writing its answer."""
MOST_AHEAD = 2_000
"""Calls sent ahead at most."""
LONG = 0.05
"""Seconds from which a task is worth waiting for: the next one is sent when it has ended."""
PLENTY = 0.0015
"""Seconds of work that a worker must have for its results to be let lie a moment."""
TRUST = 0.0005
"""Seconds from a revocation until the note is believed: a store of the worker reaches us in far less."""
STUCK = 0.002
"""Seconds that calls may wait behind a running one while another worker is idle."""
SAMPLE = 1_000
"""Waiting tasks looked at to tell how long the queue takes."""
STILLBORN = 5
"""Workers in a row that may end without a word before the lane gives up."""


class ProcessLane:
    """The lane "processes"."""

    name = "processes"

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
    ) -> None:
        self.ready: ReadyQueue[Task[Any]] = ReadyQueue(ageing)
        self.size, self.method = size, method
        self.restarts = 0
        self._preload, self._grace = tuple(preload), grace
        self._recycle_after, self._memory_limit = recycle_after, memory_limit
        self._workers: dict[int, WorkerHandle] = {}
        self._numbers = 0
        self._stillborn = 0
        self._window = FIRST_WINDOW
        self._usage = Usage()
        self._memory_check = 0.0
        self._starter: Starter
        self._core: Core
        self._watched: int | None = None

    def open(self, core: Core) -> None:
        self._core = core
        self._starter = starter(self.method, self._preload)
        self._watch_starter()
        self._fill_up()

    # --- the pool ---

    def scale(self, size: int) -> None:
        """Change the number of workers: more at once, fewer as their running tasks end."""
        self.size = size
        live = [worker for worker in self._workers.values() if not worker.draining]
        surplus = sorted(live, key=lambda worker: len(worker.outstanding))[: max(0, len(live) - size)]
        for worker in surplus:
            self._drain(worker)
        self._fill_up()

    def _fill_up(self) -> None:
        while sum(not worker.draining for worker in self._workers.values()) < self.size:
            self._start()

    def _start(self) -> None:
        self._numbers += 1
        worker = WorkerHandle(self._starter.start(self._numbers))
        self._workers[worker.number] = worker
        self._core.watch(worker.child.outbox.fileno(), functools.partial(self._hear, worker))
        if worker.child.watch is not None:
            self._core.watch(worker.child.watch, self._look_for_ends)

    def _drain(self, worker: WorkerHandle) -> None:
        """Let a worker finish what it runs and nothing else."""
        worker.draining = True
        if worker.unstarted():
            worker.revoke(time.monotonic(), TRUST)
        elif not worker.outstanding:
            worker.close_inbox(time.monotonic())

    def _watch_starter(self) -> None:
        watched = self._starter.watched()
        if watched != self._watched:
            if self._watched is not None:
                self._core.unwatch(self._watched)
            if watched is not None:
                self._core.watch(watched, self._look_for_ends)
            self._watched = watched

    def _look_for_ends(self) -> None:
        children = [worker.child for worker in self._workers.values()]
        before = self._starter.watched()
        ended = self._starter.ended(children)
        if self._starter.watched() != before and self._watched is not None:
            self._core.unwatch(self._watched)
            self._watched = None
        for child in ended:
            self._bury(self._workers[child.number])

    def _bury(self, worker: WorkerHandle) -> None:
        """Read a dead worker's last answers, blame its death on the call that it was running, put back the others."""
        while messages := worker.receive():
            self._take(worker, messages)
            if worker.at_end:
                break
        del self._workers[worker.number]
        self._core.unwatch(worker.child.outbox.fileno())
        if worker.choked:
            self._core.unwatch(worker.child.inbox.fileno())
        if worker.child.watch is not None:
            self._core.unwatch(worker.child.watch)
        number = worker.child.note.words[STARTED]
        victim = worker.outstanding.pop(number, None)
        began = worker.began(number) or 0.0
        for task in reversed(worker.outstanding.values()):
            self._core.put_back(task)
        worker.outstanding.clear()
        if victim is not None and not victim._state_now.final:
            self._blame(worker, victim, began)
        worker.child.close()
        if not worker.draining:
            self.restarts += 1
            self._stillborn = 0 if worker.heard else self._stillborn + 1
            if self._stillborn >= STILLBORN:
                self._give_up(worker)
            else:
                self._fill_up()
                self._watch_starter()

    def _blame(self, worker: WorkerHandle, victim: Task[Any], began: float) -> None:
        run = (worker.number, began, time.monotonic())
        if worker.interrupting is not None and worker.interrupting[0] == worker.child.note.words[STARTED]:
            self._core.time_out(victim, run)
        else:
            self._core.lose(victim, worker.child.exit_code, run)

    def _give_up(self, worker: WorkerHandle) -> None:
        code = worker.child.exit_code
        error = SchedulerError(
            f"worker processes cannot be started: {STILLBORN} in a row ended (the last with exit code {code}) before "
            "they answered; see the standard error for their reason, often a module named in preload"
        )
        for task in self.ready.drain():
            self._core.fail(task, error, None)

    # --- giving out work ---

    def dispatch(self, _now: float) -> None:
        if self._stillborn >= STILLBORN:
            self._stillborn = 0
            self._fill_up()
            self._watch_starter()
        if self._overtaken():
            return
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
        if worker.draining or worker.revoking or worker.at_end or worker.choked:
            return False
        count = len(worker.outstanding)
        if not count:
            return True
        return count < MOST_AHEAD and worker.load < self._window and not self._long(worker)

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

    def _give(self, worker: WorkerHandle, sharers: int) -> None:
        """Send one worker its share of the ready tasks, as many as fit its window."""
        ready, window, outstanding = self.ready, self._window, worker.outstanding
        fair = max(1, len(ready) // (2 * sharers))
        most = min(fair, MOST_AHEAD - len(outstanding))
        first = number = worker.last + 1
        load, lowest = worker.load, worker.lowest
        parcel, known = _Parcel(worker), worker.known
        tasks = ready.take(1)
        mean = tasks[0]._function.mean
        if mean and mean < LONG:
            tasks += ready.take(min(most, int((window - load) / (mean + PER_CALL)) + 1) - 1)
        for place, task in enumerate(tasks):
            mean = task._function.mean
            if place and (mean is None or load >= window):  # these are longer than the first one led to expect
                for early in reversed(tasks[place:]):
                    ready.push_front(early, early.options.priority)
                break
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
            load += LONG if mean is None else mean + PER_CALL
            if task._more is not None and task._more.dependents:
                number = self._follow(worker, parcel, task, number)
        worker.load, worker.lowest, worker.last = load, lowest, number - 1
        if parcel.calls and not worker.send(first, parcel.functions, parcel.forget, parcel.calls, parcel.buffers):
            self._wait_to_write(worker)

    def _pack(self, parcel: _Parcel, task: Task[Any]) -> bool:
        try:
            parcel.add(task)
        except NotTransferableError as error:  # a thread's result that it needs cannot travel
            self._core.fail(task, error, None)
            return False
        return True

    def _follow(self, worker: WorkerHandle, parcel: _Parcel, task: Task[Any], number: int) -> int:
        """Send along the tasks of a chain: each needs only the one before it, so it need not come back in between."""
        while not self.ready and len(parcel.calls) < MOST_AHEAD:
            more = task._more
            if more is None or len(more.dependents) != 1:
                break
            following = more.dependents[0]
            own = following._more
            if own is None or own.blocked != 1 or following._run is not None or following.lane != self.name:
                break
            if task not in own.needs:  # only a missing argument keeps a worker from running it after a failure
                break
            if following._state_now is not State.PENDING or task._function.mean is None or task._function.mean > LONG:
                break
            if not self._pack(parcel, following):
                break
            following._run = (worker, number)
            worker.outstanding[number] = following
            task, number = following, number + 1
        return number

    def _wait_to_write(self, worker: WorkerHandle) -> None:
        inbox = worker.child.inbox.fileno()

        def write() -> None:
            if worker.flush():
                self._core.unwatch(inbox)

        self._core.watch(inbox, write, selectors.EVENT_WRITE)

    # --- taking in results ---

    def _hear(self, worker: WorkerHandle) -> None:
        messages = worker.receive()
        if messages:
            self._take(worker, messages)
        if worker.at_end and worker.number in self._workers:
            self._core.unwatch(worker.child.outbox.fileno())
            worker.kill()  # whatever closed its pipe, it cannot answer any more
            if worker.child.process is not None:
                worker.child.process.wait()
            self._look_for_ends()

    def _take(self, worker: WorkerHandle, messages: list[Message]) -> None:
        core, outstanding = self._core, worker.outstanding
        load, done, place = worker.load, 0, worker.number
        plain: list[Task[Any]] = []
        told = bool(core.subscribers)
        for message in messages:
            number, kind = message[0], message[1]
            if number == NO_CALL:
                self._relay(worker, message)
                continue
            task = outstanding.pop(number, None)
            if task is None:
                continue  # revoked: it is somewhere else by now
            if kind == SKIPPED:
                core.put_back(task)
                continue
            started, ended = message[3] / 1e9, message[4] / 1e9
            function = task._function
            mean = function.mean
            if mean is None:
                function.mean = ended - started
            else:
                load -= mean + PER_CALL
                function.mean = mean + (ended - started - mean) * 0.1
            done += 1
            if kind == RETURNED and task._more is None and task._state_now is READY and not told:
                task._value, task._run, task._call = message[2], (place, started, ended), None
                task._state_now = SUCCEEDED
                plain.append(task)
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
        else:  # INTERRUPTED, by a signal that was not ours
            self._core.put_back(task)

    def _relay(self, worker: WorkerHandle, message: Message) -> None:
        if message[1] == BEGUN:
            worker.heard = True
        elif message[1] == PRINTED:
            self._core.later(relay_text, message[2], message[3])
        elif message[1] == LOGGED:
            self._core.later(relay_record, message[2])

    def _after_results(self, worker: WorkerHandle) -> None:
        if self._recycle_after is not None and worker.done >= self._recycle_after and not worker.draining:
            self._recycle(worker)
        elif worker.draining and not worker.outstanding:
            worker.close_inbox(time.monotonic())

    def _recycle(self, worker: WorkerHandle) -> None:
        self._drain(worker)
        self.restarts += 1
        self._fill_up()

    # --- what the core asks ---

    def started(self, task: Task[Any]) -> float | None:
        worker, number = task._run
        began: float | None = worker.began(number)
        return began

    def assigned(self) -> list[Task[Any]]:
        return [task for worker in self._workers.values() for task in worker.outstanding.values()]

    def running(self) -> list[Task[Any]]:
        current = [worker.current() for worker in self._workers.values()]
        return [task for task in current if task is not None]

    def busy(self) -> bool:
        live = [worker for worker in self._workers.values() if not worker.draining]
        return bool(live) and all(worker.load > PLENTY and len(worker.outstanding) > 1 for worker in live)

    def stop(self, place: tuple[Any, ...]) -> None:
        worker, number = place
        if number not in worker.outstanding:
            return
        now = time.monotonic()
        if worker.began(number) is not None:
            worker.interrupt(number, now + self._grace)
        else:
            worker.revoke(now, TRUST)

    def check(self, now: float) -> float:
        soonest = math.inf
        for worker in list(self._workers.values()):
            soonest = min(soonest, self._check_one(worker, now))
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
                worker.kill()
            else:
                soonest = kill_at
        elif worker.outstanding:
            soonest = self._check_time(worker, now)
        return soonest

    def _take_back(self, worker: WorkerHandle) -> None:
        for task in reversed(worker.taken_back()):
            self._core.put_back(task)
        for number, task in worker.outstanding.items():  # cancelled just as it began
            if task._state_now.final and worker.interrupting is None and worker.began(number) is not None:
                worker.interrupt(number, time.monotonic() + self._grace)
        if worker.draining and not worker.outstanding:
            worker.close_inbox(time.monotonic())
        self._core.again()

    def _check_time(self, worker: WorkerHandle, now: float) -> float:
        """Look whether the running call has had its time; return when to look again."""
        number = worker.child.note.words[STARTED]
        task = worker.outstanding.get(number)
        soonest = math.inf
        if task is not None:
            limit = task.options.timeout
            if limit is not None and not task._state_now.final:
                due = (worker.began(number) or now) + limit
                if now >= due:
                    self._core.overrun(task)
                    worker.interrupt(number, now + self._grace)
                    return now + self._grace
                soonest = due
            if len(worker.outstanding) > 1 and self._parallel(worker, task):
                soonest = min(soonest, self._check_stuck(worker, now, worker.began(number) or now))
        limits = [other.options.timeout for other in worker.outstanding.values() if other.options.timeout is not None]
        if limits:
            soonest = min(soonest, now + min(limits))
        return soonest

    def _parallel(self, worker: WorkerHandle, running: Task[Any]) -> bool:
        """Whether something waits here that could run elsewhere: the links of a chain could not."""
        few = itertools.islice(worker.outstanding.values(), 4)
        return any(task._state_now is READY and task is not running for task in few)

    def _check_stuck(self, worker: WorkerHandle, now: float, began: float) -> float:
        """Take back calls that wait behind a long one while another worker has nothing to do."""
        idle = any(not other.outstanding and not other.draining for other in self._workers.values())
        if not idle or self.ready:
            return math.inf if self.ready else now + STUCK * 5
        if now - began >= STUCK:
            worker.revoke(now, TRUST)
            return now + TRUST
        return began + STUCK

    def _check_memory(self, now: float) -> float:
        if now >= self._memory_check:
            self._memory_check = now + 0.5
            for worker in list(self._workers.values()):
                rss = self._usage.rss(worker.child.pid)
                if rss is not None and rss > (self._memory_limit or 0) and not worker.draining:
                    self._recycle(worker)
        return self._memory_check

    def status(self, now: float) -> LaneStatus:
        workers = tuple(self._describe(worker, now) for worker in self._workers.values())
        running = sum(worker.state == "running" for worker in workers)
        queued = self.ready.counts()
        for worker in self._workers.values():
            for number, task in worker.outstanding.items():
                if worker.began(number) is None and not task._state_now.final:
                    queued[task.options.priority] = queued.get(task.options.priority, 0) + 1
        return LaneStatus(self.name, self.size, workers, queued, running, self.restarts)

    def _describe(self, worker: WorkerHandle, now: float) -> WorkerStatus:
        task, pid = worker.current(), worker.child.pid
        state: WorkerState = "running" if task is not None else "idle" if worker.heard else "starting"
        if worker.draining:
            state = "draining" if worker.outstanding else "stopping"
        began = worker.began(worker.child.note.words[STARTED]) if task is not None else None
        return WorkerStatus(
            worker.number,
            self.name,
            state,
            pid,
            task.name if task is not None else None,
            task.number if task is not None else None,
            max(0.0, now - began) if began else None,
            worker.done,
            worker.failed,
            self._usage.cpu(pid),
            self._usage.rss(pid),
        )

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

    def worker(self, number: int) -> WorkerHandle | None:
        """Return a worker by its number."""
        return self._workers.get(number)

    # --- the end ---

    def close(self, now: float) -> bool:
        for worker in self._workers.values():
            worker.draining = True
            worker.close_inbox(now)
            if worker.closing_since is not None and now - worker.closing_since > max(self._grace, 0.5):
                worker.kill()
        self._look_for_ends()
        if self._workers:
            return False
        self._finish()
        return True

    def kill(self) -> None:
        for worker in list(self._workers.values()):
            worker.draining = True
            worker.kill()
        deadline = time.monotonic() + 2.0
        while self._workers and time.monotonic() < deadline:
            self._look_for_ends()
            time.sleep(0.001)
        self._finish()

    def _finish(self) -> None:
        if self._watched is not None:
            self._core.unwatch(self._watched)
            self._watched = None
        self._starter.close()
        self._usage.forget()


class _Parcel:
    """Calls on their way to one worker: with the functions that it does not know yet, and the buffers."""

    __slots__ = ("buffers", "calls", "forget", "functions", "worker")

    def __init__(self, worker: WorkerHandle) -> None:
        self.worker, self.forget = worker, len(worker.known) > MOST_KNOWN
        self.calls: list[tuple[Any, ...]] = []
        self.functions: list[tuple[int, bytes | None, bytes | None]] = []
        self.buffers: list[Buffer] = []
        if self.forget:
            worker.known.clear()

    def add(self, task: Task[Any]) -> None:
        function = task._function
        if function.number not in self.worker.known:
            self.worker.known.add(function.number)
            self.functions.append((function.number, function.data, function.context_data))
        call = task._call
        self.calls.append(call if type(call) is tuple else self._packed(task, call))

    def _packed(self, task: Task[Any], call: Packed | Linked) -> tuple[Any, ...]:
        needs = task._more.needs if task._more is not None else ()
        dependencies = tuple(self._dependency(needed) for needed in needs)
        if isinstance(call, Linked):
            return (-task._function.number, call.args, call.places, dependencies)
        self.buffers += call.buffers
        return (-task._function.number, call.data, len(call.buffers), dependencies)

    def _dependency(self, needed: Task[Any]) -> tuple[Any, ...]:
        if not needed._state_now.final:
            return (2, needed._run[1])
        value = encode(needed._value, "result") if type(needed._value) is not Packed else needed._value
        if type(value) is not Packed:
            return (0, value)
        self.buffers += value.buffers
        return (1, value.data, len(value.buffers))
