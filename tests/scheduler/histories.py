"""Random histories of a lifecycle, and an oracle that knows no more than the promises, by full scans.

A `World` plays workers and the clock: it draws events from a seed, carries out the lifecycle's instructions, and after
each event compares every task with what the `Oracle` says. No process, no thread, no real time.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from arion_lib.scheduler import DependencyFailedError, QuarantinedError, TaskTimeoutError, WorkerDiedError
from arion_lib.scheduler.bounds.limits import Limits
from arion_lib.scheduler.calls.failures import Raised
from arion_lib.scheduler.deciding.instructions import Over, Queue, QueueFirst, Stop, Tell, Withdraw
from arion_lib.scheduler.lifecycle import Lifecycle
from arion_lib.scheduler.monitoring.history import history
from arion_lib.scheduler.options import Options
from arion_lib.scheduler.ready import ReadyQueue
from arion_lib.scheduler.states import HELD, QUEUED, Ahead, At, Event, Finishing, Ready, State, Waiting
from arion_lib.scheduler.submitting.more import More
from arion_lib.scheduler.task import Task

MOST = {"db": 1, "net": 2}
POISON = 2
FUNCTION = cast("Any", SimpleNamespace(name="f", lane="processes"))


@dataclass
class Fact:
    """What the oracle knows of a task."""

    task: Task[Any]
    needs: list[Fact]
    after: list[Fact]
    submitted: float
    end: State | None = None
    error: type[BaseException] | None = None
    attempts: int = 0
    deaths: int = 0
    not_before: float = 0.0
    given: bool = False
    finishing: bool = False
    held: bool = False

    @property
    def options(self) -> Options:
        return self.task.options


@dataclass
class Oracle:
    """Every promise once, by looking at everything."""

    facts: list[Fact] = field(default_factory=list)
    now: float = 1.0

    def finish(self, fact: Fact, end: State, error: type[BaseException] | None) -> None:
        if fact.end is None:
            fact.end, fact.error, fact.given, fact.finishing, fact.held = end, error, False, False, False
        self.spread()

    def spread(self) -> None:
        """What needs something that has not ended well has failed; again and again until nothing changes."""
        changed = True
        while changed:
            changed = False
            for fact in self.facts:
                bad = [one for one in fact.needs if one.end not in (None, State.SUCCEEDED)]
                if fact.options.if_dependency_fails == "fail":
                    bad += [one for one in fact.after if one.end not in (None, State.SUCCEEDED)]
                if bad and fact.end is None:
                    fact.end, fact.error = State.FAILED, DependencyFailedError
                    fact.given = fact.finishing = fact.held = False
                    changed = True

    def attempt_failed(self, fact: Fact, end: State, error: type[BaseException], worth: bool) -> None:
        if fact.end is not None:
            return
        if not worth or fact.attempts >= fact.options.retries:
            self.finish(fact, end, error)
            return
        fact.attempts += 1
        fact.given = fact.finishing = False
        if fact.options.backoff:
            fact.not_before = self.now + fact.options.backoff * 2 ** (fact.attempts - 1)

    def died(self, fact: Fact) -> None:
        fact.deaths += 1
        if fact.deaths >= POISON and fact.options.retries:
            self.finish(fact, State.QUARANTINED, QuarantinedError)
        else:
            self.attempt_failed(fact, State.FAILED, WorkerDiedError, True)

    def advance(self, now: float) -> None:
        self.now = now
        due = [fact for fact in self.facts if fact.options.deadline is not None]
        for fact in sorted(due, key=lambda fact: fact.submitted + (fact.options.deadline or 0)):
            if fact.submitted + (fact.options.deadline or 0) <= now:
                self.finish(fact, State.TIMED_OUT, TaskTimeoutError)

    def may_run(self, fact: Fact) -> bool:
        """Whether nothing but its turn and a worker is missing."""
        needed = [*fact.needs, *fact.after]
        return fact.end is None and all(one.end for one in needed) and fact.not_before <= self.now

    def limited(self, fact: Fact) -> set[str]:
        return set(MOST) & fact.options.tags


class FakeWorker:
    """Runs calls in its list, the first first."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.calls: dict[int, Fact] = {}
        self.times: dict[int, float] = {}

    def began(self, call: int, /) -> float | None:
        return self.times.get(call)


class World:
    """One lifecycle, its workers, its oracle. Raises `AssertionError` where they differ."""

    def __init__(self, seed: int, life: type[Lifecycle] = Lifecycle) -> None:
        self.draw = random.Random(seed)
        self.life = life(poison_after=POISON, limits=Limits(MOST))
        self.life.telling.want(True)
        self.oracle = Oracle()
        self.queue: ReadyQueue[Task[Any]] = ReadyQueue()
        self.workers = [FakeWorker(number) for number in (1, 2)]
        self.over: Counter[Task[Any]] = Counter()
        self.told: dict[int, list[Event]] = {}
        self.calls = 0
        self.now = 1.0
        self.log: list[str] = []

    # --- events ---

    def step(self) -> None:
        """Draw one event, apply it to both, compare."""
        events = [self.submit] * 4 + [self.give] * 3 + [self.begin] * 3 + [self.return_] * 3
        events += [
            self.fail,
            self.time_out,
            self.die,
            self.cancel,
            self.print_,
            self.pass_back,
            self.look,
            self.hold,
            self.release,
        ]
        events += [self.wait, self.wait, self.hold, self.release]
        event = self.draw.choice(events)
        self.log.append(event.__name__)
        event()
        self.carry_out()
        self.compare()

    def submit(self) -> None:
        draw, facts = self.draw, self.oracle.facts
        needs = draw.sample(facts, min(len(facts), draw.choice([0, 0, 1, 1, 2])))
        after = draw.sample(facts, min(len(facts), draw.choice([0, 0, 0, 1])))
        options = Options(
            priority=draw.choice([0, 0, 1]),
            retries=draw.choice([0, 0, 1, 2]),
            retry_on=draw.choice([(Exception,), (OSError,)]),
            backoff=draw.choice([0.0, 0.0, 1.0]),
            delay=draw.choice([0.0, 0.0, 0.0, 2.0]),
            deadline=draw.choice([None, None, None, 5.0]),
            tags=frozenset(draw.choice([(), (), ("db",), ("db", "net"), ("net", "free")])),
            if_dependency_fails=draw.choice(["fail", "run"]),
            after=tuple(one.task for one in after),
        )
        more = More()
        more.needs = [one.task for one in needs]
        more.not_before = options.not_before(self.now, 0.0) or 0.0
        number = len(facts) + 1
        task: Task[Any] = Task(cast("Any", None), number, FUNCTION, None, options, more)
        task._submitted = self.now
        fact = Fact(task, needs, after, self.now, not_before=self.now + options.delay)
        facts.append(fact)
        self.life.admit(task, self.now)
        self.oracle.spread()

    def give(self) -> None:
        if not self.queue:
            return
        worker, task = self.draw.choice(self.workers), self.queue.pop()
        fact = self.fact(task)
        self.calls += 1
        self.life.give(task, worker, self.calls)
        worker.calls[self.calls], fact.given = fact, True
        while self.draw.random() < 0.7 and (following := self.follower(fact)) is not None:
            self.calls += 1
            self.life.send_ahead(following.task, worker, self.calls)
            worker.calls[self.calls], following.given = following, True
            fact = following

    def follower(self, fact: Fact) -> Fact | None:
        """Return what waits for this one alone, as an argument, and can be sent along."""
        for other in self.oracle.facts:
            waits = [one for one in {id(one): one for one in [*other.needs, *other.after]}.values() if one.end is None]
            if fact in other.needs and waits == [fact] and not self.oracle.limited(other):
                early = other.not_before <= self.oracle.now
                if other.end is None and early and not other.given and isinstance(other.task._place, Waiting):
                    return other
        return None

    def begin(self) -> None:
        """A worker begins its next call; one that needs a call which is not over is behind that one."""
        worker = self.draw.choice(self.workers)
        if worker.calls and not worker.times:
            worker.times[next(iter(worker.calls))] = self.now

    def running(self) -> tuple[FakeWorker, int, Fact, float] | None:
        worker = self.draw.choice(self.workers)
        for call, began in worker.times.items():
            worker.times = {}
            return worker, call, worker.calls.pop(call), began
        return None

    def return_(self) -> None:
        if (found := self.running()) is not None:
            worker, _, fact, began = found
            if fact.end is None:
                self.oracle.finish(fact, State.SUCCEEDED, None)
            self.life.succeed(fact.task, fact.task.number, worker.number, began, self.now)

    def fail(self) -> None:
        if (found := self.running()) is not None:
            worker, _, fact, began = found
            self.oracle.attempt_failed(
                fact,
                State.FAILED,
                ValueError,
                ValueError not in fact.options.retry_on and Exception in fact.options.retry_on,
            )
            self.life.fail(fact.task, Raised(ValueError("no"), "ValueError: no"), worker.number, began, self.now)
            self.skip_behind(worker)

    def time_out(self) -> None:
        if (found := self.running()) is not None:
            worker, call, fact, began = found
            worker.times = {call: began}
            self.life.overrun(fact.task, self.now)
            self.oracle.attempt_failed(fact, State.TIMED_OUT, TaskTimeoutError, True)
            worker.times = {}
            self.life.time_out(fact.task, worker.number, began, self.now)
            self.skip_behind(worker)

    def die(self) -> None:
        if (found := self.running()) is not None:
            worker, _, fact, began = found
            if fact.end is None:
                self.oracle.died(fact)
            for other in reversed(worker.calls.values()):
                self.put_back(other)
            worker.calls.clear()
            self.life.lose(fact.task, -9, worker.number, began, self.now)

    def skip_behind(self, worker: FakeWorker) -> None:
        """A worker does not run what needs a call that has failed."""
        ahead = [call for call, fact in worker.calls.items() if isinstance(fact.task._place, Ahead)]
        for call in reversed(ahead):
            self.put_back(worker.calls.pop(call))

    def pass_back(self) -> None:
        """What a worker was sent too early is taken back."""
        worker = self.draw.choice(self.workers)
        for call in reversed([call for call in worker.calls if call not in worker.times]):
            self.put_back(worker.calls.pop(call))

    def put_back(self, fact: Fact) -> None:
        fact.given = False
        self.life.put_back(fact.task)

    def print_(self) -> None:
        """A call has come back; its output is written later, or at once."""
        if (found := self.running()) is not None and found[2].end is None:
            worker, _, fact, began = found
            fact.given, fact.finishing = False, True
            self.life.finish_later(fact.task, worker.number, began)
            self.carry_out()
            self.compare()
            if self.draw.random() < 0.3:
                self.cancel()
                self.carry_out()
            if fact.end is None:
                self.oracle.finish(fact, State.SUCCEEDED, None)
            self.life.succeed(fact.task, 1, worker.number, began, self.now)

    def hold(self) -> None:
        """What the next task needs has to be packed first."""
        if self.queue:
            task = self.queue.pop()
            self.fact(task).held = True
            self.life.hold(task)

    def release(self) -> None:
        """What was to be packed is; of a task, too, that has ended meanwhile."""
        held = [fact for fact in self.oracle.facts if fact.held]
        for fact in held or self.oracle.facts[:1]:
            fact.held = False
            self.life.release(fact.task, {})

    def cancel(self) -> None:
        if self.oracle.facts:
            fact = self.draw.choice(self.oracle.facts)
            self.oracle.finish(fact, State.CANCELLED, None)
            self.life.cancel(fact.task, self.now)

    def look(self) -> None:
        for worker in self.workers:
            for call in worker.times:
                self.life.telling.runs(worker.calls[call].task)

    def wait(self) -> None:
        self.now += self.draw.choice([0.25, 1.0, 3.0])
        self.life.advance(self.now)
        self.oracle.advance(self.now)

    # --- instructions ---

    def carry_out(self) -> None:
        out, self.life.out[:] = list(self.life.out), []
        for instruction in out:
            match instruction:
                case Over(tasks):
                    self.over.update(tasks)
                case Queue(tasks):
                    self.queue.extend(tasks, tasks[0].options.priority)
                case QueueFirst(task):
                    self.queue.push_front(task, task.options.priority)
                case Withdraw(task):
                    self.queue.discard(task, task.options.priority)
                case Tell(event):
                    self.told.setdefault(event.task, []).append(event)
                case Stop(task, at):
                    assert task._place.final
                    worker = self.workers[at.worker.number - 1]
                    if at.call not in worker.times:  # not begun: it is skipped; else its answer comes late
                        worker.calls.pop(at.call, None)

    # --- comparison ---

    def fact(self, task: Task[Any]) -> Fact:
        return self.oracle.facts[task.number - 1]

    def compare(self) -> None:
        queued, facts = list(self.queue), self.oracle.facts
        assert len(queued) == len({id(task) for task in queued}), "queued twice"
        for fact in facts:
            self.compare_one(fact, fact.task in queued)
        assert dict(self.over) == {fact.task: 1 for fact in facts if fact.end is not None}
        held = [fact for fact in facts if isinstance(fact.task._place, (Ready, At, Finishing))]
        count = Counter(tag for fact in held for tag in self.oracle.limited(fact))
        assert all(count[tag] <= most for tag, most in MOST.items()), f"over the limit: {count}"
        for fact in facts:
            if self.oracle.may_run(fact) and isinstance(fact.task._place, Waiting):
                assert any(count[tag] == MOST[tag] for tag in self.oracle.limited(fact)), "waits for nothing"
        waiting = {
            fact.task
            for fact in facts
            if isinstance(fact.task._place, (Waiting, Ahead, Finishing)) or fact.task._place is HELD
        }
        assert self.life.waiting == waiting
        assert self.life.finished == sum(fact.end is not None for fact in facts)
        times = [fact.submitted + fact.options.deadline for fact in facts if fact.options.deadline and not fact.end]
        times += [fact.not_before for fact in facts if fact.not_before > self.now and not fact.end]
        assert self.life.timers.next() <= min(times, default=math.inf)

    def compare_one(self, fact: Fact, queued: bool) -> None:
        place = fact.task._place
        assert place.final == (fact.end is not None), (place, fact)
        if fact.end is not None:
            error = fact.task._more.error if fact.task._more else None
            kind = type(error.error) if isinstance(error, Raised) else None if error is None else type(error)
            assert (place.state, kind) == (fact.end, fact.error)
            assert not queued
        else:
            assert isinstance(place, At) == fact.given, (place, fact)
            assert isinstance(place, Finishing) == fact.finishing
            assert (place is QUEUED) == queued
            assert (place is HELD) == fact.held
            if place is QUEUED or (isinstance(place, At) and not isinstance(place, Ahead)):
                assert self.oracle.may_run(fact), "it runs too early"
            if not (fact.given or fact.finishing or fact.held or self.oracle.limited(fact)):
                assert queued == self.oracle.may_run(fact), (place, fact)

    def run_out(self) -> None:
        """Let everything end well that can: nothing is left over."""
        for _ in range(20 + 10 * len(self.oracle.facts)):
            if all(fact.end is not None for fact in self.oracle.facts):
                break
            for event in (self.release, self.give, self.begin, self.return_, self.begin, self.return_, self.wait):
                event()
                self.carry_out()
                self.compare()
        assert all(fact.end is not None for fact in self.oracle.facts), "something never ended"
        for fact in self.oracle.facts:
            assert self.told[fact.task.number] == list(history(fact.task, fact.task._place, None)), "told otherwise"


def play(seed: int, length: int, life: type[Lifecycle] = Lifecycle) -> None:
    """Play one history; its first events are the same for all lengths."""
    world = World(seed, life)
    try:
        for _ in range(length):
            world.step()
        world.run_out()
    except AssertionError as error:
        error.add_note(f"seed {seed}: {', '.join(world.log)}")
        raise
