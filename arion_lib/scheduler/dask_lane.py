"""The lanes of a Dask cluster: which dask worker gets which task, and what its words about it mean.

Idea        To the supervisor a cluster is a lane like any other. A dask worker is sent ahead what keeps its processes
            busy until the next mail, measured in seconds; what waits there while another is idle is taken back.
Invariant   A call is with one dask worker at a time, and its slot is free again only when that one says so.
When wrong  A dask worker that is lost (a machine, not a task's process) ends what it had: begun calls have lost an
            attempt, and of those that may have begun only the ones with retries run again.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_dask.py
"""

from __future__ import annotations

import functools
import itertools
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from arion_lib.scheduler import dask_worker
from arion_lib.scheduler.dask_link import Link, Sent, Site
from arion_lib.scheduler.dask_worker import Call, Mail, Parcel, Word
from arion_lib.scheduler.ready import ReadyQueue
from arion_lib.scheduler.snapshot import LaneStatus, WorkerState, WorkerStatus
from arion_lib.scheduler.values import Packed, encode

if TYPE_CHECKING:
    from arion_lib.scheduler.core import Core
    from arion_lib.scheduler.task import Task

AHEAD = 0.03
"""Seconds of work for each process that a dask worker is sent ahead."""
LONG = 0.05
"""Seconds from which a task is worth waiting for: no other is sent behind it."""
STUCK = 0.02
"""Seconds that calls may wait in one dask worker while another has nothing to do."""
MOST_AHEAD = 2_000
"""Calls that a dask worker has at most for each of its processes."""
SAMPLE = 200
"""Tasks that are looked at to tell how long a queue will take."""
IN_LOOP = 1_000
"""Asynchronous calls that one dask worker runs at a time."""


class Crew:
    """The dask workers of a cluster, shared by its lanes. All under the core's lock, but for what a listener has."""

    def __init__(self, where: Any, workers: int | None, settings: dict[str, Any]) -> None:
        self.link = Link(where, workers, settings, self)
        self.sites: list[Site] = []
        self.restarts = 0
        """How many dask workers were lost."""
        self._threads: int = settings["threads"]
        self._tickets, self._numbers = itertools.count(1), itertools.count(1)
        self._processes: dict[int, Process] = {}
        self._wanted: int | None = None
        self._leaving = False
        self._core: Core

    def open(self, core: Core) -> None:
        """Connect to the cluster; once for all lanes."""
        if not self.link.thread.is_alive():
            self._core = core
            self.link.open()

    def capacity(self, site: Site, lane: str) -> int:
        """Return how many calls of a lane a site runs at a time."""
        return {"processes": site.slots, "threads": self._threads, "loop": IN_LOOP}[lane]

    def able(self, lane: str) -> list[Site]:
        """Return the sites that may be sent calls, those with the least to do first."""
        staying = [site for site in self.sites if not site.draining]
        return sorted(staying, key=lambda site: site.count(lane) / self.capacity(site, lane))

    def sent(self, lane: str) -> Iterator[Sent]:
        """Yield the calls of a lane that sites have."""
        return (sent for site in self.sites for sent in site.calls.values() if sent.task.lane == lane)

    # --- to the sites ---

    def send(self, site: Site, tasks: list[Task[Any]]) -> None:
        """Send tasks to a site, with the functions that it does not know yet."""
        calls = [self._call(site, task) for task in tasks]
        fresh = {task._function.number: task._function for task in tasks if task._function.number not in site.functions}
        site.functions |= fresh.keys()
        functions = [(function.number, function.data or b"", function.context_data) for function in fresh.values()]

        def write(mail: Mail) -> None:
            mail.functions += functions
            mail.calls += calls

        self._write(site, write)

    def _call(self, site: Site, task: Task[Any]) -> Call:
        sent = Sent(site, next(self._tickets), task, expected(task))
        task._run = (sent, sent.ticket)
        site.add(sent)
        arguments = task._call[1:] if type(task._call) is tuple else Parcel.of(task._call)
        needs = [_parcel(need._value) for need in (task._more.needs if task._more is not None else ())]
        lane: Any = task.lane
        options = task.options
        return Call(
            sent.ticket, task._function.number, arguments, needs, lane, options.priority, options.timeout, task.name
        )

    def stop(self, sent: Sent) -> None:
        """Have a call ended where it is. Its slot stays taken until it has."""
        if sent.ticket in sent.site.calls:
            self._write(sent.site, lambda mail: mail.stop.append(sent.ticket))

    def recall(self, site: Site, calls: Iterable[Sent]) -> None:
        """Ask for those of the calls that have not begun."""
        asked = [sent for sent in calls if sent.began is None and not sent.wanted_back]
        for sent in asked:
            sent.wanted_back = True
        if asked:
            self._write(site, lambda mail: mail.recall.extend(sent.ticket for sent in asked))

    def _write(self, site: Site, write: Callable[[Mail], object]) -> None:
        site.write(write)
        self.link.post(site)

    # --- from the sites: the first three in the link's thread ---

    def joined(self, site: Site) -> None:
        self._tell(functools.partial(self._join, site))

    def heard(self, site: Site, words: list[Word]) -> None:
        self._tell(functools.partial(self._hear, site, words))

    def lost(self, site: Site, unsent: Mail) -> None:
        self._tell(functools.partial(self._lose, site, {call.ticket for call in unsent.calls}))

    def _tell(self, command: Callable[[], None]) -> None:
        if not self._leaving:  # the supervisor waits for the link's end, and holds the lock
            self._core.post(command)

    def _join(self, site: Site) -> None:
        self.sites.append(site)
        self._let_go_of_surplus()

    def _hear(self, site: Site, words: list[Word]) -> None:
        for word in words:
            if word[1] == dask_worker.STARTED:
                self._note_start(site, word)
            elif (sent := site.remove(word[0])) is not None:
                self._take(sent, word)
        self._retire_if_done(site)

    def _note_start(self, site: Site, word: Word) -> None:
        ticket, _, _, started, _, worker = word
        if (sent := site.calls.get(ticket)) is not None and sent.began is None:
            sent.number, sent.began = self.number(site, worker), self._here(started, sent)

    def ask(self, task: Task[Any]) -> None:
        """Learn whether a task that was sent has begun. Any thread, without the lock."""
        sent = task._run[0] if type(task._run) is tuple else None
        if not isinstance(sent, Sent) or sent.began is not None or threading.current_thread() is self._core.thread:
            return
        words = self.link.starts(sent.site)
        with self._core.lock:
            for word in words:
                self._note_start(sent.site, word)

    def _take(self, sent: Sent, word: Word) -> None:
        """Do with a task what the last word about its attempt means."""
        _, kind, value, started, ended, worker = word
        core, task = self._core, sent.task
        if started:
            task._function.observe(ended - started)
        if task._state_now.final:
            return
        began = self._here(started, sent) if sent.began is None else sent.began  # as it was told
        run = (self.number(sent.site, worker), began, max(began, self._here(ended, sent)))
        if kind == dask_worker.RETURNED:
            core.succeed(task, value.packed() if type(value) is Parcel else value, run)
        elif kind == dask_worker.FAILED:
            core.fail(task, value, run if started else None)
        elif kind == dask_worker.TIMED_OUT:
            core.time_out(task, run)
        elif kind == dask_worker.DIED:
            core.lose(task, value, run)
        else:  # given back; or the host is ending, for a reason of its own
            core.put_back(task)

    def _here(self, moment: float, sent: Sent) -> float:
        """Return a moment of a site's clock on ours: after the call was sent, and not after now. 0.0 is now."""
        now = time.monotonic()
        return min(max(moment - sent.site.ahead, sent.at), now) if moment else now

    def _lose(self, site: Site, unsent: set[int]) -> None:
        """End or put back what a lost dask worker had."""
        self.sites.remove(site)
        self.restarts += not site.retired
        now = time.monotonic()
        for ticket, sent in reversed(site.calls.items()):
            task = sent.task
            if task._state_now.final:
                continue
            if ticket in unsent or (sent.began is None and task.options.retries):
                self._core.put_back(task)
            else:
                self._core.lose(task, None, (sent.number or 0, sent.began or now, now))
        self._processes = {number: process for number, process in self._processes.items() if process.site is not site}
        self._core.again()

    # --- workers ---

    def number(self, site: Site, local: int) -> int:
        """Return the number, in the whole cluster, of a worker of a site; 0 where no worker is known."""
        if not local:
            return 0
        number = site.numbers.get(local)
        if number is None:
            number = site.numbers[local] = next(self._numbers)
            self._processes[number] = Process(self, site, local)
        return number

    def process(self, number: int) -> Process | None:
        """Return a worker by its number."""
        return self._processes.get(number)

    def end(self, process: Process) -> None:
        """End a worker process at once."""
        self._write(process.site, lambda mail: mail.kill.append(process.local))

    def workers(self, lane: str) -> Iterator[WorkerStatus]:
        """Describe the workers of a lane as the last look found them."""
        for site in self.sites:
            seen = site.lane(lane)
            for worker in seen.workers if seen is not None else ():
                sent = site.calls.get(worker.task_number or 0)
                state: WorkerState = (
                    "draining" if site.draining and worker.state in ("idle", "running") else worker.state
                )
                yield replace(
                    worker,
                    number=self.number(site, worker.number),
                    task_number=sent.task.number if sent is not None else None,
                    state=state,
                )

    def restarts_of(self, lane: str) -> int:
        """Return how often a worker of a lane was replaced; dask workers that were lost count as processes."""
        ours = sum(seen.restarts for site in self.sites if (seen := site.lane(lane)) is not None)
        return ours + (self.restarts if lane == "processes" else 0)

    @property
    def size(self) -> int:
        """How many worker processes there are, or are to be."""
        now = sum(site.slots for site in self.sites if not site.draining)
        return now if self._wanted is None else self._wanted * self._slots()

    def scale(self, processes: int) -> None:
        """Have so many worker processes: more as the cluster brings them, fewer as they have done what they run."""
        self._wanted = math.ceil(processes / self._slots())
        draining = sum(site.draining for site in self.sites)
        if self._wanted > len(self.sites) - draining:
            self.link.scale(self._wanted + draining)
        self._let_go_of_surplus()

    def _slots(self) -> int:
        return max((site.slots for site in self.sites), default=1)

    def _let_go_of_surplus(self) -> None:
        staying = sorted((site for site in self.sites if not site.draining), key=lambda site: len(site.calls))
        surplus = 0 if self._wanted is None else max(0, len(staying) - self._wanted)
        for site in staying[:surplus]:
            site.draining = True
            self.recall(site, site.calls.values())
            self._retire_if_done(site)

    def _retire_if_done(self, site: Site) -> None:
        if site.draining and not site.calls and not site.retired:
            site.retired = True
            self.link.retire(site)

    # --- the end ---

    def close(self) -> bool:
        """Begin to leave; True when that is done."""
        self._leaving = True
        self.link.close()
        return not self.link.thread.is_alive()


@dataclass(frozen=True, slots=True)
class Process:
    """A worker process of a site's scheduler: `local` is its number there."""

    crew: Crew
    site: Site
    local: int

    def abandon(self) -> None:
        """Nothing of it is in a forked process."""

    def kill(self) -> None:
        """End it at once."""
        self.crew.end(self)


def _parcel(value: Any) -> Any:
    """Return a result, as a handle keeps it, fit to travel."""
    return Parcel.of(value if type(value) is Packed else encode(value, "result"))


def expected(task: Task[Any]) -> float:
    """Return the seconds that a task will take a worker process; `LONG` where nobody knows."""
    mean = task._function.mean
    if task.lane != "processes":
        return 0.0
    return LONG if mean is None else min(mean, LONG)


class DaskLane:
    """One lane of a cluster, as the supervisor knows lanes."""

    def __init__(self, name: str, crew: Crew, ageing: float | None) -> None:
        self.name, self._crew = name, crew
        self.ready: ReadyQueue[Task[Any]] = ReadyQueue(ageing)
        self._uneven_since: float | None = None

    def open(self, core: Core) -> None:
        self._crew.open(core)

    def dispatch(self, now: float) -> None:  # noqa: ARG002  (every lane is told the time)
        able = self._crew.able(self.name)
        given: dict[Site, list[Task[Any]]] = {site: [] for site in able}
        for site in able:  # first what can begin at once, so that nobody waits behind the first while another is idle
            self._fill(site, given[site], self._crew.capacity(site, self.name) - site.count(self.name))
        for place, site in enumerate(able):
            self._fill(site, given[site], math.ceil(len(self.ready) / (len(able) - place)))
        for site, tasks in given.items():
            if tasks:
                self._crew.send(site, tasks)

    def _fill(self, site: Site, tasks: list[Task[Any]], most: int) -> None:
        """Take from the queue what a site has room for beyond `tasks`, `most` at most."""
        slots, most = self._crew.capacity(site, self.name), most + len(tasks)
        count, load = site.count(self.name) + len(tasks), site.load + sum(map(expected, tasks))
        while self.ready and len(tasks) < most:
            ahead = self.name == "processes" and load < AHEAD * slots and count < MOST_AHEAD * slots
            if count >= slots and not ahead:
                return
            tasks.append(self.ready.pop())
            count, load = count + 1, load + expected(tasks[-1])

    def check(self, now: float) -> float:
        """Take back calls that wait in one site while another is idle; return when to look again."""
        idle, waiting = self._idle_and_waiting()
        if self.ready or not idle or not waiting:
            self._uneven_since = None
            return math.inf
        if self._uneven_since is None:
            self._uneven_since = now
        elif now >= self._uneven_since + STUCK:
            self._crew.recall(waiting[0].site, waiting[-idle:])
            self._uneven_since = None
            return math.inf
        return self._uneven_since + STUCK

    def _idle_and_waiting(self) -> tuple[int, list[Sent]]:
        """Return how many slots are idle, and the calls that cannot have begun in the site that has most of them."""
        idle = 0
        most: list[Sent] = []
        for site in self._crew.able(self.name):
            surplus = site.count(self.name) - self._crew.capacity(site, self.name)
            if surplus < 0:
                idle -= surplus
            elif surplus > len(most):
                calls = [sent for sent in site.calls.values() if sent.task.lane == self.name and not sent.wanted_back]
                most = calls[-surplus:]
        return idle, most

    def started(self, task: Task[Any]) -> float | None:
        sent: Sent = task._run[0]
        return sent.began

    def assigned(self) -> list[Task[Any]]:
        return [sent.task for sent in self._crew.sent(self.name)]

    def running(self) -> list[Task[Any]]:
        return [sent.task for sent in self._crew.sent(self.name) if sent.began is not None]

    def stop(self, place: tuple[Sent, int]) -> None:
        self._crew.stop(place[0])

    @property
    def size(self) -> int:
        """How many tasks run at once at most."""
        if self.name == "processes":
            return self._crew.size
        return sum(self._crew.capacity(site, self.name) for site in self._crew.able(self.name))

    def scale(self, size: int) -> None:
        """Change the number of worker processes."""
        self._crew.scale(size)

    def worker(self, number: int) -> Process | None:
        """Return a worker process by its number."""
        return self._crew.process(number)

    def queued_seconds(self) -> float:
        """Return how many seconds of one worker the queue should take; `inf` when nobody knows."""
        sent = (sent.task for sent in self._crew.sent(self.name))
        tasks = [*itertools.islice(self.ready, SAMPLE), *itertools.islice(sent, SAMPLE)]
        means = [task._function.mean for task in tasks]
        if not tasks or None in means:
            return math.inf if tasks else 0.0
        return self.unfinished() * sum(mean or 0.0 for mean in means) / len(means)

    def unfinished(self) -> int:
        """Return how many tasks wait or run here."""
        return len(self.ready) + sum(not task._state_now.final for task in self.assigned())

    def status(self, now: float) -> LaneStatus:  # noqa: ARG002
        calls = [sent for sent in self._crew.sent(self.name) if not sent.task._state_now.final]
        queued = Counter(self.ready.counts())
        queued.update(sent.task.options.priority for sent in calls if sent.began is None)
        running = sum(sent.began is not None for sent in calls)
        workers = tuple(self._crew.workers(self.name))
        return LaneStatus(self.name, self.size, workers, dict(queued), running, self._crew.restarts_of(self.name))

    def close(self, now: float) -> bool:  # noqa: ARG002
        return self._crew.close()

    def abandon(self) -> None:
        """Nothing of it is in a forked process."""

    def kill(self) -> None:
        self._crew.close()
        self._crew.link.thread.join()
