"""The lane of worker processes: what happens to the pool."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, wait
from multiprocessing import get_context
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from arion_lib.scheduler import (
    DependencyFailedError,
    MemoryLimitError,
    QuarantinedError,
    Scheduler,
    SchedulerError,
    State,
    TaskTimeoutError,
    WorkerDiedError,
)
from arion_lib.scheduler.processes import worker_handle
from arion_lib.scheduler.processes.deaths import Deaths
from arion_lib.scheduler.processes.giving import FIRST_WINDOW, Giving
from arion_lib.scheduler.processes.note import REVOKED_TO, STARTED, Note
from arion_lib.scheduler.processes.worker_handle import INTERRUPTION, WorkerHandle
from arion_lib.scheduler.ready import ReadyQueue
from arion_lib.scheduler.starting.launch import Child
from tests.scheduler import jobs
from tests.scheduler.gates import KILL, PATIENCE, Gate, until

pytestmark = pytest.mark.usefixtures("no_leaks")


def opened(workers: int = 1, **options: Any) -> Scheduler:
    return Scheduler(workers, preload=[jobs.__name__], **options)


def workers(scheduler: Scheduler) -> list[Any]:
    return [one for one in scheduler.status().workers if one.lane == "processes"]


# --- what is sent ahead ---


@pytest.mark.parametrize(("mean", "sent"), [(None, 1), (0.0, 50), (1e-6, 50), (1.0, 1)])
def test_short_tasks_are_sent_by_the_hundred_though_a_coarse_clock_says_they_take_no_time(
    mean: float | None, sent: int
) -> None:
    """The clock of Windows moves every 1/64 s: the mean of short calls is exactly 0.0 there."""
    lane: Any = SimpleNamespace(_ready=ReadyQueue(), _window=FIRST_WINDOW, _pool=SimpleNamespace(recycle_after=None))
    for _ in range(100):
        lane._ready.push(SimpleNamespace(_function=SimpleNamespace(mean=mean), options=SimpleNamespace(priority=0)), 0)
    worker: Any = SimpleNamespace(load=0.0, outstanding={})
    share: list[Any] = []
    Giving._share(lane, worker, 1, share)
    assert len(share) == sent


# --- deaths ---


def test_deaths_before_any_worker_ever_answered_do_not_close_the_lane() -> None:
    with opened() as scheduler:
        dying = [scheduler.submit(jobs.die, 3) for _ in range(8)]
        innocents = [scheduler.submit(jobs.add, n) for n in range(20)]
        assert {type(task.exception(PATIENCE)) for task in dying} == {WorkerDiedError}
        assert [task.result(PATIENCE) for task in innocents] == list(range(20))


def test_workers_that_cannot_begin_are_not_started_for_ever(capfd: pytest.CaptureFixture[str]) -> None:
    with Scheduler(1, start_method="spawn") as scheduler:
        starter: Any = scheduler._processes.pool._starter
        start = starter.start

        def stillborn(number: int) -> Any:
            child = start(number)
            child.kill()
            return child

        starter.start = stillborn
        scheduler.kill_worker(workers(scheduler)[0].number)
        until(lambda: scheduler.status().restarts >= 3, "the deaths")
        error = scheduler.submit(jobs.add, 1).exception(PATIENCE)
        assert isinstance(error, (SchedulerError, WorkerDiedError))
        starter.start = start
    capfd.readouterr()


def test_a_poison_task_kills_exactly_as_many_workers_as_it_may() -> None:
    with opened(2, poison_after=2) as scheduler:
        poison = scheduler.with_options(retries=9).submit(jobs.die)
        innocents = [scheduler.submit(jobs.add, n) for n in range(100)]
        assert isinstance(poison.exception(PATIENCE), QuarantinedError)
        assert [task.result(PATIENCE) for task in innocents] == list(range(100))
        assert scheduler.status().restarts == 2
        assert scheduler.status().quarantined == 1


def test_deaths_leave_the_pool_at_its_size(gate: Gate) -> None:
    with opened(3) as scheduler:
        for _ in range(3):
            tasks = [scheduler.submit(jobs.hold, gate.place) for _ in range(3)]
            for pid in gate.arrived(3):
                os.kill(pid, KILL)
            assert {type(task.exception(PATIENCE)) for task in tasks} == {WorkerDiedError}
        tasks = [scheduler.submit(jobs.hold, gate.place) for _ in range(3)]
        assert len(set(gate.arrived(3))) == 3
        gate.open(3)
        assert scheduler.status().restarts == 9


def test_a_call_that_ran_and_whose_answer_died_with_the_worker_is_not_run_again() -> None:
    """What a killed process wrote stays in a pipe. On Windows its sockets are reset, and forget what was not read."""
    ends: list[tuple[str, str]] = []
    life: Any = SimpleNamespace(
        lose=lambda task, *_: ends.append((task, "lost")), put_back=lambda task: ends.append((task, "queued"))
    )
    core = SimpleNamespace(life=life, unwatch=lambda _: None, for_task=lambda task, do, *rest: do(*rest))
    usage = SimpleNamespace(forget=lambda _: None)
    pool: Any = SimpleNamespace(core=core, usage=usage, restarts=0, fill_up=lambda: None)
    child: Any = SimpleNamespace(number=1, pid=7, exit_code=-9, refused=None, watch=None, close=lambda: None)
    child.inbox = child.outbox = SimpleNamespace(fileno=lambda: 99)
    child.note, _ = note = Note.create()
    worker: Any = WorkerHandle(child)
    worker.receive = list
    worker.outstanding = {3: "answered, unread", 4: "running", 5: "behind"}
    child.note.words[STARTED] = 4
    pool.workers = {1: worker}
    Deaths(pool, ReadyQueue(), prepared=False).told(child)
    assert sorted(ends) == [("answered, unread", "lost"), ("behind", "queued"), ("running", "lost")]
    note[0].close()
    if isinstance(note[1], int):
        os.close(note[1])


def zygote(scheduler: Scheduler) -> psutil.Process:
    (child,) = [one for one in psutil.Process().children() if "zygote_main" in " ".join(one.cmdline())]
    return child


@pytest.mark.posix("Windows has no process that forks the workers")
def test_the_pool_recovers_when_the_process_that_forks_the_workers_is_killed(
    gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(2) as scheduler:
        patient = scheduler.with_options(retries=1)
        tasks = [patient.submit(jobs.hold, gate.place, n) for n in range(2)]
        lost = scheduler.submit(jobs.add, 7)
        gate.arrived(2)
        zygote(scheduler).kill()
        gate.arrived(2)  # they are run again
        gate.open(2)
        assert [task.result(PATIENCE) for task in tasks] == [0, 1]
        assert lost.result(PATIENCE) == 7
        assert list(scheduler.map(jobs.identity, range(50))) == list(range(50))
    assert "another one is started" in caplog.text


def test_a_stopped_worker_is_killed_when_its_time_is_over(gate: Gate) -> None:
    with opened(1, grace=0.05) as scheduler:
        task = scheduler.with_options(timeout=0.3).submit(jobs.spin, gate.place)
        (pid,) = gate.arrived()
        os.kill(pid, signal.SIGSTOP)
        assert isinstance(task.exception(PATIENCE), TaskTimeoutError)
        assert scheduler.submit(jobs.add, 1).result(PATIENCE) == 1
        until(lambda: not psutil.pid_exists(pid), "the death of the stopped one")


def test_where_no_signal_interrupts_a_call_its_worker_is_killed_at_once(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows has none: there is nothing to wait for in the grace time, which never ends here."""
    monkeypatch.setattr(worker_handle, "INTERRUPTION", None)
    with opened(1, grace=1e9) as scheduler:
        for stuck in (scheduler.submit(jobs.spin, gate.place), scheduler.submit(jobs.swallow, gate.place)):
            (pid,) = gate.arrived()
            assert stuck.cancel()
            until(lambda pid=pid: not psutil.pid_exists(pid), "the end of the worker")  # type: ignore[misc]
        timed = scheduler.with_options(timeout=0.1).submit(jobs.spin, gate.place)
        (pid,) = gate.arrived()
        assert isinstance(timed.exception(PATIENCE), TaskTimeoutError)
        until(lambda: not psutil.pid_exists(pid), "the end of the worker")


@pytest.mark.skipif(INTERRUPTION is None, reason="no signal interrupts a call")
def test_an_interruption_that_was_not_heard_is_sent_again_and_none_comes_into_the_clean_up(
    gate: Gate, notes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stand-in: the first signal is not sent, as a Python is seen to miss one now and then."""
    tried, send = list[int](), Child.signal

    def lose_the_first(child: Child, number: int) -> None:
        tried.append(number)
        if len(tried) > 1:
            send(child, number)

    monkeypatch.setattr(Child, "signal", lose_the_first)
    monkeypatch.setattr(worker_handle, "AGAIN", 0.0)
    with opened(2, grace=PATIENCE) as scheduler:
        task = scheduler.submit(jobs.spin_and_clean_slowly, gate.place, notes)
        gate.arrived()
        assert task.cancel()
        gate.arrived()
        for number in range(20):  # with each of them the supervisor looks at the worker again
            assert scheduler.submit(jobs.add, number).result(PATIENCE) == number
        gate.open()
        until(lambda: jobs.noted(notes) == ["cleaned"], "the clean-up")
    assert tried[:2] == [INTERRUPTION] * 2


@pytest.mark.parametrize("grace", [0.0, 0.05])
def test_who_waits_behind_a_killed_task_is_untouched(gate: Gate, grace: float) -> None:
    """Without retries, too: what was sent ahead and not begun is not lost with the worker."""
    with opened(1, grace=grace) as scheduler:
        list(scheduler.map(jobs.pass_and_note, [gate.place] * 50, [os.devnull] * 50, [""] * 50, [0] * 50))
        for _ in range(3):
            stuck = scheduler.submit(jobs.swallow, gate.place)
            behind = [scheduler.submit(jobs.pass_and_note, gate.place, os.devnull, "", 0) for _ in range(50)]
            gate.arrived()
            assert stuck.cancel()
            assert {task.exception(PATIENCE) for task in behind} == {None}


def quick(place: str, stop: int) -> int:
    if stop:
        jobs.hold(place)
    return 1


def endless(_: int, place: str) -> None:
    jobs.spin(place)


def test_a_follower_that_has_begun_is_stopped_when_its_dependency_is_cancelled(make_gate: Callable[[], Gate]) -> None:
    """It was sent along, and begins before anybody has heard that its dependency ended well."""
    first, then, blocker = make_gate(), make_gate(), make_gate()
    with opened() as scheduler:
        for _ in scheduler.map(quick, [first.place] * 60, [0] * 60):
            pass
        held = scheduler.submit(jobs.hold, blocker.place)
        blocker.arrived()
        needed = scheduler.submit(quick, first.place, 1)
        follower = scheduler.submit(endless, needed, then.place)
        until(lambda: follower in scheduler._core.life.waiting, "the admission")
        blocker.open()
        first.arrived()

        def cancel_late() -> None:  # in the supervisor's thread, which hears of no result meanwhile
            first.open()
            then.arrived()
            scheduler._core.supervisor.cancelling.each([needed])

        scheduler._core.ask(cancel_late)
        assert needed.cancelled()
        assert isinstance(follower.exception(PATIENCE), DependencyFailedError)
        assert scheduler.submit(jobs.add, 1).result(PATIENCE) == 1
        held.result(PATIENCE)


def quick_or_not(place: str, how: str) -> int:
    if how:
        jobs.hold(place)
    if how == "fails":
        jobs.fail()
    return 1


@pytest.mark.parametrize("how", ["ends well", "fails"])
def test_a_follower_is_told_to_run_when_it_runs_and_its_dependency_has_ended(
    make_gate: Callable[[], Gate], how: str
) -> None:
    """The worker comes to it before anybody has heard how its dependency ended: it skips it, or is at it already."""
    first, then, blocker = make_gate(), make_gate(), make_gate()
    with opened() as scheduler:
        for _ in scheduler.map(quick_or_not, [first.place] * 60, [""] * 60):
            pass
        held = scheduler.submit(jobs.hold, blocker.place)
        blocker.arrived()
        needed = scheduler.submit(quick_or_not, first.place, how)
        follower = scheduler.submit(jobs.hold, then.place, needed)
        until(lambda: follower in scheduler._core.life.waiting, "the admission")
        with scheduler.events() as events:
            blocker.open()
            first.arrived()

            def look_late() -> None:  # in the supervisor's thread, which hears of no result meanwhile
                worker, number = follower._place.worker, follower._place.call
                first.open()
                if how == "fails":
                    assert select.select([worker.child.outbox.fileno()], [], [], PATIENCE)[0]  # its answer
                else:
                    until(lambda: worker.child.note.words[STARTED] == number, "the follower's turn")
                scheduler._core.supervisor._tell_running()

            scheduler._core.ask(look_late)
            then.open()
            follower.exception(PATIENCE)
            assert scheduler.wait_idle(PATIENCE)
            scheduler.shutdown()
            seen = [event for event in events if event.task == follower.number]
        assert seen == list(follower.history())[1:]
        assert (State.RUNNING in {event.state for event in seen}) == (how == "ends well")
        assert held.done()


def test_a_call_that_was_revoked_as_it_began_is_not_told_to_run(gate: Gate) -> None:
    with opened() as scheduler:
        task = scheduler.submit(jobs.hold, gate.place)
        gate.arrived()
        (worker,) = scheduler._processes.pool.workers.values()
        assert scheduler._processes.running() == [task]
        words = worker.child.note.words
        words[REVOKED_TO] = words[STARTED]  # as it may be read when both sides write at the same moment
        assert scheduler._processes.running() == []
        gate.open()
        task.result(PATIENCE)


# --- the size of the pool ---


def test_no_workers_is_a_size_too() -> None:
    with opened(0) as scheduler:
        task = scheduler.submit(jobs.add, 1)
        assert scheduler.with_options(lane="threads").submit(jobs.add, 2).result(PATIENCE) == 2
        until(lambda: task.status() is State.READY, "the admission")
        scheduler.scale(1)
        assert task.result(PATIENCE) == 1


def test_scaling_down_takes_back_what_was_sent_ahead(gate: Gate) -> None:
    with opened(2) as scheduler:
        list(scheduler.map(jobs.identity, range(100)))
        held = [scheduler.submit(jobs.hold, gate.place) for _ in range(2)]
        gate.arrived(2)
        tasks = [scheduler.submit(jobs.identity, n) for n in range(500)]
        scheduler.scale(1)
        gate.open(2)
        assert [task.result(PATIENCE) for task in (*held, *tasks)] == [None, None, *range(500)]
        until(lambda: len(workers(scheduler)) == 1, "the drained worker's end")


def test_it_adapts_to_what_is_queued(gate: Gate) -> None:
    with opened(1) as scheduler:
        scheduler.adapt(1, 4, target=0.1)
        tasks = [scheduler.submit(jobs.hold, gate.place, n) for n in range(6)]
        assert len(set(gate.arrived(4))) == 4  # unknown work: one worker for each, four at most
        gate.open(6)
        assert [task.result(PATIENCE) for task in tasks] == list(range(6))
        until(lambda: len(workers(scheduler)) == 1, "the way back")
        scheduler.scale(2)
        until(lambda: len(workers(scheduler)) == 2, "the size that scale says")
        for wrong in ((-1, 2, 1.0), (3, 2, 1.0), (1, 2, 0.0)):
            with pytest.raises(ValueError, match="must be"):
                scheduler.adapt(*wrong)


def test_a_worker_is_replaced_after_so_many_tasks() -> None:
    with opened(1, recycle_after=5) as scheduler:
        pids = [scheduler.submit(jobs.pid).result(PATIENCE) for _ in range(20)]
        assert len(set(pids)) >= 4
        assert max(map(pids.count, pids)) <= 5
        assert list(scheduler.map(jobs.identity, range(300))) == list(range(300))
        assert scheduler.status().failed == 0


def grow(size: int) -> int:
    """Keep some memory as long as the worker lives; where the function stands, a closure would let it go."""
    jobs.__dict__.setdefault("hoard", []).append(b"x" * size)
    return os.getpid()


def test_a_worker_that_has_grown_too_large_is_replaced() -> None:
    with opened(1) as scheduler:
        scheduler.submit(jobs.add).result(PATIENCE)
        rss = workers(scheduler)[0].rss
    with opened(1, memory_limit=rss + 60_000_000) as scheduler:
        first = scheduler.submit(jobs.pid).result(PATIENCE)
        error = scheduler.submit(grow, 150_000_000).exception(PATIENCE)
        until(lambda: scheduler.submit(jobs.pid).result(PATIENCE) != first, "the replacement")
        assert error is None or isinstance(error, MemoryLimitError)  # if its worker was looked at before it had ended
        assert scheduler.status().failed == (error is not None)


# --- back-pressure ---


def test_a_full_scheduler_refuses_when_told_to(gate: Gate) -> None:
    from arion_lib.scheduler import QueueFullError

    with opened(1, max_pending=3, when_full="refuse") as scheduler:
        tasks = [scheduler.submit(jobs.hold, gate.place, n) for n in range(3)]
        with pytest.raises(QueueFullError, match="max_pending=3"):
            scheduler.submit(jobs.add, 1)
        gate.open(3)
        wait(tasks, PATIENCE)
        assert scheduler.wait_idle(PATIENCE)
        assert scheduler.submit(jobs.add, 1).result(PATIENCE) == 1


def test_a_full_scheduler_lets_submit_wait_for_the_first_free_place(gate: Gate) -> None:
    import threading

    with opened(2, max_pending=2) as scheduler:
        held = scheduler.submit(jobs.hold, gate.place, "held")
        gate.arrived()
        for number in range(20):  # one place stays taken: each waits for the one before
            scheduler.submit(jobs.identity, number)
        assert not held.done()
        second = scheduler.submit(jobs.hold, gate.place)
        gate.arrived()
        submitted = threading.Event()

        def submit() -> None:
            scheduler.submit(jobs.add, 1)
            submitted.set()

        thread = threading.Thread(target=submit)
        thread.start()
        assert not submitted.wait(0.05)
        gate.open(2)
        assert submitted.wait(PATIENCE)
        thread.join()
        wait([held, second], PATIENCE)


def test_the_control_a_process_pool_takes_everything(gate: Gate) -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(jobs.add, n) for n in range(1_000)]
        assert len(futures) == 1_000


# --- figures ---


def test_the_snapshot_tells_memory_and_cpu_of_each_worker() -> None:
    with opened(2) as scheduler:
        list(scheduler.map(jobs.identity, range(10)))
        until(lambda: all(one.pid for one in workers(scheduler)), "the workers")
        for worker in workers(scheduler):
            assert worker.rss is not None
            assert worker.rss > 1_000_000
            assert worker.cpu is not None
            assert psutil.pid_exists(worker.pid)
        assert sum(one.done for one in workers(scheduler)) == 10


def test_memory_stays_bounded_however_many_tasks_end() -> None:
    with opened(2, keep=100) as scheduler:
        list(scheduler.map(jobs.identity, range(3_000)))
        assert len(scheduler.recent()) == 100
        assert scheduler.status().succeeded == 3_000
        core: Any = scheduler._core
        assert not core.life.waiting
        assert not core.life.timers
