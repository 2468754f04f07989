"""The scheduler on a Dask cluster: what holds on one machine holds there, and what dask alone does not do."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
import psutil
import pytest
from distributed import Client, LocalCluster

from arion_lib.scheduler import (
    DependencyFailedError,
    NotTransferableError,
    QueueFullError,
    SchedulerError,
    ShutDownError,
    State,
    TaskTimeoutError,
    WorkerDiedError,
)
from arion_lib.scheduler.dask import DaskScheduler
from arion_lib.scheduler.dask.handle import DaskTask
from tests.leaks import Snapshot
from tests.scheduler import script_runs
from tests.scheduler.dask_jobs import (
    PATIENCE,
    add,
    backtrack,
    double_in_loop,
    fail_until,
    hold,
    leave,
    leave_or_spin_once,
    note,
    pid_to_the_end,
    pid_when_open,
    spin,
    square,
    until,
)
from tests.scheduler.gates import KILL

BEAT = 5.0
"""Seconds between two signs of life that a client gives dask's scheduler."""


def running(task: DaskTask[Any]) -> DaskTask[Any]:
    until(lambda: task.status() is State.RUNNING)
    return task


# --- fixtures ---


@pytest.fixture(scope="module", autouse=True)
def patient() -> Iterator[None]:
    """Have clusters wait long for a dask worker that is being restarted; after 15 s they would give it up."""
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "10 minutes"}):
        yield


@pytest.fixture(scope="module")
def cluster(patient: None) -> Iterator[LocalCluster]:
    before = Snapshot.take()
    with LocalCluster(processes=True, n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster:
        yield cluster
    left = before.leaked_children()
    left += [f"thread {name}" for name in _threads_of_ours()]
    assert not left, "left behind:\n  " + "\n  ".join(left)


def _threads_of_ours() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("arion")]


@pytest.fixture(scope="module")
def scheduler(cluster: LocalCluster) -> Iterator[DaskScheduler]:
    with DaskScheduler(cluster) as scheduler:
        yield scheduler


@pytest.fixture
def fresh(cluster: LocalCluster) -> Iterator[DaskScheduler]:
    """Give a scheduler that no other test has used."""
    before = _threads_of_ours()
    with DaskScheduler(cluster) as scheduler:
        yield scheduler
    assert _threads_of_ours() == before


@pytest.fixture
def client(cluster: LocalCluster) -> Iterator[Client]:
    with Client(cluster, set_as_default=False) as client:
        yield client


def dask_workers(client: Client) -> dict[str, int]:
    """Return the process of each dask worker, by address."""
    found: dict[str, int] = client.run(os.getpid)
    return found


def states_in_dask(client: Client, name: str) -> list[str]:
    """Return the states, in dask's scheduler, of the tasks of a name."""

    def look(dask_scheduler: Any) -> list[str]:
        return [task.state for key, task in dask_scheduler.tasks.items() if str(key[0]).startswith(f"{name}-arion")]

    found: list[str] = client.run_on_scheduler(look)
    return found


def states_at_workers(client: Client, name: str) -> list[str]:
    """Return the same as dask's workers have them: they hear of a cancellation a moment after their scheduler."""

    def look(dask_worker: Any) -> list[str]:
        tasks = dask_worker.state.tasks.items()
        return [task.state for key, task in tasks if str(key[0]).startswith(f"{name}-arion")]

    return [state for states in client.run(look).values() for state in states]


# --- results ---


def test_results_come_back_from_several_dask_workers(scheduler: DaskScheduler) -> None:
    tasks = [scheduler.submit(square, number) for number in range(200)]
    assert [task.result() for task in tasks] == [number * number for number in range(200)]
    assert len({task.history()[-1].worker for task in tasks}) == 2
    assert all(task.status() is State.SUCCEEDED for task in tasks)


def test_an_argument_for_a_thread_there_that_cannot_travel_fails_its_own_task_only(scheduler: DaskScheduler) -> None:
    good = scheduler.submit(square, 3)
    with pytest.raises(NotTransferableError):
        scheduler.with_options(lane="threads").submit(square, threading.Lock()).result()
    assert good.result() == 9


def test_all_three_lanes_run_on_the_cluster(scheduler: DaskScheduler, client: Client) -> None:
    hosts = set(dask_workers(client).values())
    assert scheduler.submit(os.getpid).result() not in hosts
    assert scheduler.with_options(lane="threads").submit(os.getpid).result() in hosts
    assert scheduler.submit(double_in_loop, 21).result() == 42


# --- dependencies ---


def test_a_chain_and_a_fan_are_run_in_order(scheduler: DaskScheduler) -> None:
    link = scheduler.submit(add, 0)
    for _ in range(30):
        link = scheduler.submit(add, link, 1)
    assert link.result() == 30
    assert scheduler.submit(add, *[scheduler.submit(square, number) for number in range(100)]).result() == 328_350


# --- priorities, retries, deadlines ---


def test_high_runs_before_low(scheduler: DaskScheduler, client: Client, tmp_path: Path) -> None:
    gates = [running(scheduler.submit(hold, tmp_path / f"gate{number}")) for number in range(2)]
    low = [scheduler.submit(note, tmp_path / "log", "low") for _ in range(50)]
    high = scheduler.with_options(priority=5, name="high").submit(note, tmp_path / "log", "high")
    until(lambda: states_in_dask(client, "high"))
    (tmp_path / "gate0").touch()  # one of two: beside it the other could do many while "high" has its turn
    wait([high])
    (tmp_path / "gate1").touch()
    wait([*gates, *low])
    assert "high" in (tmp_path / "log").read_text().splitlines()[:5]


def test_a_failing_task_is_tried_again_and_tells_its_history(scheduler: DaskScheduler, tmp_path: Path) -> None:
    task = scheduler.with_options(retries=3, backoff=0.1).submit(fail_until, tmp_path / "log", 3)
    assert task.result() == 3
    history = [event for event in task.history() if event.state in (State.RETRYING, State.RUNNING)]
    assert [event.state for event in history] == [State.RUNNING, State.RETRYING] * 2 + [State.RUNNING]
    assert history[2].time - history[1].time > 0.09  # the dask worker's clock was put on ours
    with pytest.raises(ConnectionError, match="attempt 2"):
        scheduler.with_options(retries=1).submit(fail_until, tmp_path / "other", 3).result()


@pytest.mark.parametrize("stuck", [spin, backtrack])
def test_a_timeout_ends_python_and_c_code_and_costs_no_dask_worker(
    scheduler: DaskScheduler, client: Client, stuck: Callable[[], None]
) -> None:
    before = dask_workers(client)
    tasks = [scheduler.with_options(timeout=0.2).submit(stuck) for _ in range(2)]
    for task in tasks:
        with pytest.raises(TaskTimeoutError):
            task.result(PATIENCE)
    assert scheduler.submit(square, 3).result(PATIENCE) == 9
    assert dask_workers(client) == before


def test_a_delayed_task_waits_in_no_worker_until_its_time(scheduler: DaskScheduler) -> None:
    task = scheduler.with_options(delay=0.3).submit(square, 3)
    assert task.status() is State.PENDING
    assert task.result(PATIENCE) == 9
    submitted, ready, *_ = task.history()
    assert ready.time - submitted.time >= 0.3


def test_a_periodic_call_runs_on_the_cluster_one_run_at_a_time_until_it_is_cancelled(
    fresh: DaskScheduler, tmp_path: Path
) -> None:
    every = fresh.with_options(name="tidy").every(0.001, note, tmp_path / "log", "ran")
    until(lambda: every.runs >= 3)
    assert fresh.periodic == (every,)
    assert (every.name, every.failed) == ("tidy", 0)
    every.cancel()
    until(lambda: every.state == "over" and fresh.wait_idle(PATIENCE))
    assert fresh.periodic == ()
    ran = (tmp_path / "log").read_text().split()
    assert len(ran) - every.runs in (0, 1)  # the run that was cancelled may have been past its line


def test_a_periodic_call_that_waits_is_no_dask_task_and_ends_with_the_scheduler(
    cluster: LocalCluster, client: Client
) -> None:
    with DaskScheduler(cluster) as scheduler:
        every = scheduler.with_options(name="waits").every("0 0 1 1 *", square, 1)
        assert scheduler.submit(square, 3).result() == 9
        assert states_in_dask(client, "waits") == []
        assert every.state == "waiting"
    assert (every.state, every.runs) == ("over", 0)
    with pytest.raises(ShutDownError):
        scheduler.every(1, square, 1)


# --- cancelling ---


@pytest.mark.parametrize("stuck", [spin, backtrack])
def test_a_cancelled_running_task_really_stops(
    scheduler: DaskScheduler, client: Client, stuck: Callable[[], None]
) -> None:
    before = dask_workers(client)
    tasks = [running(scheduler.submit(stuck)) for _ in range(2)]
    dependent = scheduler.submit(add, tasks[0])
    assert all(task.cancel() for task in tasks)
    assert all(task.cancelled() for task in tasks)
    with pytest.raises(CancelledError):
        tasks[0].result(0)
    with pytest.raises(DependencyFailedError):
        dependent.result(PATIENCE)
    assert list(scheduler.map(square, range(4))) == [0, 1, 4, 9]  # both slots are free again
    assert dask_workers(client) == before


def test_dask_alone_lets_a_cancelled_task_run_on(client: Client, tmp_path: Path) -> None:
    def work() -> None:
        note(tmp_path / "log", "begun")
        hold(tmp_path / "gate")
        note(tmp_path / "log", "went on")

    future = client.submit(work)
    until((tmp_path / "log").exists)
    future.cancel()
    assert future.cancelled()
    (tmp_path / "gate").touch()
    until(lambda: "went on" in (tmp_path / "log").read_text())


def test_a_cancelled_waiting_task_never_runs(scheduler: DaskScheduler, client: Client, tmp_path: Path) -> None:
    gates = [running(scheduler.submit(hold, tmp_path / "gate")) for _ in range(2)]
    task = scheduler.with_options(name="waits").submit(note, tmp_path / "log", "ran")
    until(lambda: states_in_dask(client, "waits"))
    assert task.cancel()
    until(lambda: not states_in_dask(client, "waits") and not states_at_workers(client, "waits"))
    (tmp_path / "gate").touch()
    wait([*gates, scheduler.submit(square, 1)])
    assert not (tmp_path / "log").exists()


def test_nothing_is_left_in_the_cluster_of_tasks_that_are_cancelled_as_they_are_handed_over(
    scheduler: DaskScheduler, client: Client, tmp_path: Path, without_the_collector: None
) -> None:
    """What waits for the collector of cycles would be there still."""
    gates = [running(scheduler.submit(hold, tmp_path / "gate")) for _ in range(2)]
    tasks = [scheduler.with_options(name="fleeting").submit(note, tmp_path / "log", "ran") for _ in range(20)]
    assert all([task.cancel() for task in tasks])  # noqa: C419  (every one)
    behind = scheduler.with_options(name="behind").submit(square, 1)
    until(lambda: states_in_dask(client, "behind"))  # so dask has read what was sent before
    until(lambda: not states_in_dask(client, "fleeting") and not states_at_workers(client, "fleeting"))
    (tmp_path / "gate").touch()
    wait([*gates, behind])
    assert not (tmp_path / "log").exists()


# --- what dask sees ---


def test_dask_sees_each_call_as_a_task_of_its_own(scheduler: DaskScheduler, client: Client, tmp_path: Path) -> None:
    gates = [running(scheduler.with_options(name="seen").submit(hold, tmp_path / "gate")) for _ in range(2)]
    waiting = [scheduler.with_options(name="seen").submit(square, number) for number in range(8)]
    until(lambda: len(states_in_dask(client, "seen")) == 10)
    assert states_in_dask(client, "seen").count("processing") >= 2
    (tmp_path / "gate").touch()
    wait([*gates, *waiting])
    until(lambda: not states_in_dask(client, "seen"))  # nothing is kept there of small results


def test_a_bundle_is_one_dask_task(scheduler: DaskScheduler, client: Client, tmp_path: Path) -> None:
    results = scheduler.with_options(name="bundle").map(hold, [tmp_path / "gate"] * 40, range(40), chunksize=20)
    until(lambda: len(states_in_dask(client, "bundle")) == 2)
    (tmp_path / "gate").touch()
    assert list(results) == list(range(40))


def test_in_a_bundle_a_death_and_a_time_limit_cost_their_own_call_alone(
    scheduler: DaskScheduler, client: Client, tmp_path: Path
) -> None:
    before = dask_workers(client)
    again = scheduler.with_options(retries=1, timeout=1.0)
    results = again.map(leave_or_spin_once, [tmp_path] * 30, range(30), chunksize=30)
    assert list(results) == list(range(30))
    assert sorted(one.name for one in tmp_path.iterdir()) == ["left 7", "spun 11"]
    assert dask_workers(client) == before


def test_a_large_result_stays_in_the_cluster_and_goes_with_its_handle(scheduler: DaskScheduler, client: Client) -> None:
    numpy = pytest.importorskip("numpy")
    made = scheduler.with_options(name="large").submit(numpy.ones, 100_000)
    assert scheduler.submit(numpy.sum, made).result(PATIENCE) == 100_000
    assert not made.local
    assert states_in_dask(client, "large") == ["memory"]
    assert made.result().sum() == 100_000
    del made
    until(lambda: not states_in_dask(client, "large"))


@pytest.mark.thorough
def test_dask_moves_the_results_of_a_dask_worker_that_is_retired() -> None:
    numpy = pytest.importorskip("numpy")
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=50) as small,
        Client(small, set_as_default=False) as client,
        DaskScheduler(client) as scheduler,
    ):
        made = [scheduler.submit(numpy.full, 100_000, number) for number in range(4)]
        wait(made)
        client.retire_workers([min(client.nthreads())])
        until(lambda: len(client.nthreads()) == 1)
        assert [task.result()[0] for task in made] == [0, 1, 2, 3]
        assert scheduler.submit(square, 3).result(PATIENCE) == 9


@pytest.mark.thorough
def test_an_adaptive_cluster_starts_dask_workers_for_what_waits(tmp_path: Path) -> None:
    with (
        LocalCluster(n_workers=0, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=50) as small,
        DaskScheduler(small) as scheduler,
    ):
        scheduler.adapt(0, 1)
        assert scheduler.submit(square, 3).result(PATIENCE) == 9
        assert len(small.scheduler.workers) == 1


# --- deaths ---


def test_a_death_costs_its_own_task_alone_and_no_dask_worker(scheduler: DaskScheduler, client: Client) -> None:
    before = dask_workers(client)
    innocent = [scheduler.submit(square, number) for number in range(100)]
    with pytest.raises(WorkerDiedError) as caught:
        scheduler.with_options(name="leaver").submit(leave, 3).result(PATIENCE)
    assert (caught.value.task, caught.value.exit_code) == ("leaver", 3)
    assert [task.result() for task in innocent] == [number * number for number in range(100)]
    assert dask_workers(client) == before


def test_with_dask_alone_a_death_costs_the_dask_worker(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    before = dask_workers(client)
    future = client.submit(os._exit, 3, workers=[min(before)], allow_other_workers=True)
    until(lambda: set(client.nthreads()) - set(before) or None)
    future.cancel()
    until(lambda: len(client.nthreads()) == 2)
    assert dask_workers(client) != before


def host_of(process: int) -> psutil.Process:
    """Return the dask worker above a process of its scheduler."""
    return next(one for one in psutil.Process(process).parents() if "spawn_main" in " ".join(one.cmdline()))


def test_what_ran_on_a_lost_dask_worker_is_begun_again_elsewhere(tmp_path: Path) -> None:
    gate, logs = tmp_path / "gate", [tmp_path / "first", tmp_path / "second"]
    with (
        LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address="127.0.0.1:0", silence_logs=50) as small,
        DaskScheduler(small) as scheduler,
    ):
        try:
            held = [running(scheduler.submit(pid_when_open, gate, log)) for log in logs]
            waiting = [scheduler.submit(square, number) for number in range(20)]
            until(lambda: all(log.exists() and log.read_text() for log in logs))
            before = [int(log.read_text()) for log in logs]
            host_of(before[0]).send_signal(KILL)
            until(lambda: all(len(log.read_text().splitlines()) == 2 for log in logs))
        finally:
            gate.touch()
        assert not {task.result(PATIENCE) for task in held} & {*before}
        assert [task.result(PATIENCE) for task in waiting] == [number * number for number in range(20)]


# --- the submitter ---

SUBMITTER = """
    from arion_lib.scheduler.dask import DaskScheduler
    from tests.scheduler.dask_jobs import pid_to_the_end
    from pathlib import Path
    with DaskScheduler({address!r}) as scheduler:
        task = scheduler.submit(pid_to_the_end, Path({gate!r}), Path({log!r}))
        tell(os.getpid(), scheduler._link.client.id)
        tell(task.result())
"""


@contextmanager
def submitting(tmp_path: Path, cluster: LocalCluster) -> Iterator[tuple[subprocess.Popen[str], int, str]]:
    """Run a program that waits for a task, which runs; give its process, the task's, and its name in dask."""
    gate, log = tmp_path / "gate", tmp_path / "log"
    with script_runs.running(
        tmp_path, SUBMITTER.format(address=cluster.scheduler_address, gate=str(gate), log=str(log))
    ) as process:
        try:
            pid, name = script_runs.line(process)
            assert int(pid) == process.pid
            yield process, int(until(lambda: log.exists() and log.read_text())), name
        finally:
            gate.touch()


@pytest.mark.posix("Windows cannot stop a process so")
@pytest.mark.parametrize("beats", [1, pytest.param(13, marks=pytest.mark.thorough)])  # 13: longer than 65 s
def test_a_submitter_that_stands_still_does_not_lose_its_running_task(
    cluster: LocalCluster, client: Client, tmp_path: Path, beats: int
) -> None:
    def silent(dask_scheduler: Any, name: str) -> float:
        return time.time() - dask_scheduler.clients[name].last_seen

    with submitting(tmp_path, cluster) as (process, worker, name):
        process.send_signal(signal.SIGSTOP)
        try:
            until(lambda: client.run_on_scheduler(silent, name=name) > 1 + BEAT * beats)
        finally:
            process.send_signal(signal.SIGCONT)
        (tmp_path / "gate").touch()
        assert script_runs.line(process) == [str(worker)]
    assert (tmp_path / "log").read_text().split() == [str(worker), "over"]  # it ran once


def test_the_running_task_of_a_submitter_that_is_gone_is_stopped(cluster: LocalCluster, tmp_path: Path) -> None:
    with submitting(tmp_path, cluster) as (process, worker, _):
        process.kill()
        until(lambda: (tmp_path / "log").read_text().split() == [str(worker), "over"])


async def cut_line(dask_scheduler: Any, name: str) -> None:
    dask_scheduler.client_comms[name].comm.abort()


def test_what_a_submitter_had_in_the_cluster_is_begun_again_when_its_line_was_cut(
    fresh: DaskScheduler, client: Client, tmp_path: Path
) -> None:
    def bundle() -> Iterator[int]:
        return fresh.with_options(name="bundle").map(hold, [tmp_path / "cut"] * 20, range(20), chunksize=10)

    held = running(fresh.submit(pid_to_the_end, tmp_path / "gate", tmp_path / "log"))
    until(lambda: (tmp_path / "log").exists() and (tmp_path / "log").read_text())
    needs = fresh.with_options(retries=1).submit(add, held, 0)
    waiting, bundles = [fresh.submit(square, number) for number in range(20)], bundle()
    client.run_on_scheduler(cut_line, name=fresh._link.client.id)
    (tmp_path / "cut").touch()  # in whatever order they are begun again, the bundles keep no worker
    until(lambda: (tmp_path / "log").read_text().count("\n") == 3)  # begun, over, begun
    (tmp_path / "gate").touch()
    assert held.result(PATIENCE) == needs.result(PATIENCE)
    assert [task.result(PATIENCE) for task in waiting] == [number * number for number in range(20)]
    assert list(bundles) == list(range(20))
    assert fresh.submit(square, 3).result(PATIENCE) == 9


def test_a_call_is_not_begun_again_for_ever_when_the_line_is_cut_each_time(
    fresh: DaskScheduler, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arion_lib.scheduler.dask.attempts.MOST_CUTS", 2)
    log = tmp_path / "log"
    held = fresh.submit(pid_to_the_end, tmp_path / "gate", log)
    for begun in (1, 3, 5):  # each time but the first, the one before is over
        until(lambda begun=begun: log.exists() and log.read_text().count("\n") == begun)
        client.run_on_scheduler(cut_line, name=fresh._link.client.id)
    with pytest.raises(SchedulerError, match="cut again and again"):
        held.result(PATIENCE)
    until(lambda: log.read_text().count("over") == 3)
    assert fresh.submit(square, 3).result(PATIENCE) == 9


async def cut_line_amid_events(dask_scheduler: Any, name: str, topic: str) -> None:
    async def tell() -> None:
        for _ in range(3_000):
            dask_scheduler.log_event(topic, {"started": [], "at": ""})
            await asyncio.sleep(0)

    dask_scheduler._telling = asyncio.create_task(tell())
    await cut_line(dask_scheduler, name)


def subscribers(dask_scheduler: Any, topic: str) -> list[str]:
    return list(dask_scheduler._broker._topics[topic].subscribers)


def test_what_is_told_while_the_line_comes_back_does_not_silence_it(fresh: DaskScheduler, client: Client) -> None:
    assert fresh.submit(square, 3).result(PATIENCE) == 9
    old = fresh._link.client.id
    client.run_on_scheduler(cut_line_amid_events, name=old, topic=fresh._link.name)
    until(lambda: fresh._link.client.id != old)
    assert fresh.submit(square, 4).result(PATIENCE) == 16
    assert client.run_on_scheduler(subscribers, topic=fresh._link.name) == [fresh._link.client.id]


def test_with_dask_alone_a_line_that_was_cut_costs_what_runs(cluster: LocalCluster, tmp_path: Path) -> None:
    with Client(cluster, set_as_default=False) as client, Client(cluster, set_as_default=False) as other:
        future = client.submit(hold, tmp_path / "gate", pure=False)
        other.run_on_scheduler(cut_line, name=client.id)
        until(future.cancelled)
        (tmp_path / "gate").touch()


@pytest.mark.parametrize("size", [10, 2 << 20])
def test_a_call_that_cannot_be_handed_over_fails_alone(
    fresh: DaskScheduler, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError("no line")

    for name in ("map", "submit", "scatter"):
        monkeypatch.setattr(fresh._link.client, name, broken)
    error = fresh.submit(len, b"x" * size).exception(PATIENCE)
    assert isinstance(error, SchedulerError)
    assert "no line" in str(error)
    monkeypatch.undo()
    assert fresh.submit(len, b"x" * size).result(PATIENCE) == size


# --- the whole ---


def test_the_snapshot_shows_the_workers_of_the_whole_cluster(fresh: DaskScheduler, tmp_path: Path) -> None:
    tasks = [running(fresh.with_options(name=f"t{n}").submit(hold, tmp_path / "gate")) for n in range(2)]
    queued = [fresh.with_options(priority=4).submit(square, 1) for _ in range(3)]
    seen = until(lambda: (found := fresh.status()).ready == 3 and found)
    assert sorted(worker.task or "" for worker in seen.workers) == ["t0", "t1"]
    assert {worker.task_number for worker in seen.workers} == {task.number for task in tasks}
    assert seen.lanes[0].queued == {4: 3}
    assert (seen.running, seen.lanes[0].size) == (2, 2)
    (tmp_path / "gate").touch()
    wait([*tasks, *queued])
    assert fresh.status().succeeded == 5


def test_what_waits_behind_a_long_task_is_taken_back_for_an_idle_worker(
    scheduler: DaskScheduler, tmp_path: Path
) -> None:
    assert list(scheduler.map(hold, [tmp_path] * 20)) == [None] * 20  # it is known to be short
    blocked = [scheduler.submit(hold, tmp_path / "gate")]
    others = [scheduler.submit(hold, tmp_path, number) for number in range(20)]
    assert [task.result(PATIENCE) for task in others] == list(range(20))
    (tmp_path / "gate").touch()
    wait(blocked)


def test_the_number_of_waiting_tasks_can_be_bounded(cluster: LocalCluster, tmp_path: Path) -> None:
    with DaskScheduler(cluster, max_pending=2, when_full="refuse") as scheduler:
        tasks = [scheduler.submit(hold, tmp_path / "gate") for _ in range(2)]
        with pytest.raises(QueueFullError):
            scheduler.submit(square, 1)
        (tmp_path / "gate").touch()
        wait(tasks)


def test_it_leaves_a_cluster_as_it_was(cluster: LocalCluster, client: Client) -> None:
    def inside(dask_worker: Any) -> list[str]:
        return [name for name in dask_worker.extensions if name.startswith("arion")]

    def children() -> set[psutil.Process]:
        return {
            child for pid in dask_workers(client).values() for child in psutil.Process(pid).children(recursive=True)
        }

    hosts, processes = client.run(inside), children()
    with DaskScheduler(client) as scheduler:
        assert scheduler.submit(square, 2).result() == 4
        assert client.run(inside) != hosts
        assert children() > processes
        assert scheduler.wait_idle(PATIENCE)
    assert client.run(inside) == hosts
    assert children() <= processes
    with pytest.raises(ShutDownError):
        scheduler.submit(square, 2)


def test_shutdown_with_a_deadline_cancels_what_does_not_end(cluster: LocalCluster) -> None:
    scheduler = DaskScheduler(cluster.scheduler_address)
    stuck = running(scheduler.submit(spin))
    scheduler.shutdown(deadline=0.1)
    assert stuck.cancelled()


def test_an_address_cannot_be_scaled(cluster: LocalCluster) -> None:
    with DaskScheduler(cluster.scheduler_address) as scheduler:
        assert scheduler.submit(square, 2).result() == 4
        with pytest.raises(SchedulerError, match="cluster"):
            scheduler.scale(3)
        with pytest.raises(ValueError, match="lane"):
            scheduler.scale(3, "threads")


def test_a_wrong_argument_is_refused(cluster: LocalCluster) -> None:
    with pytest.raises(ValueError, match="workers"):
        DaskScheduler(cluster, workers=2)
    with pytest.raises(ValueError, match="threads"):
        DaskScheduler(threads=0)


def test_what_takes_too_long_in_the_links_thread_may_be_running_there(scheduler: DaskScheduler) -> None:
    leave = threading.Event()

    async def busy() -> int:
        leave.wait()
        return 1

    try:
        assert scheduler._link.do(busy(), timeout=0.2) is None
    finally:
        leave.set()
    assert scheduler.submit(square, 3).result() == 9


def test_a_cluster_of_its_own_scales_and_leaves_nothing(tmp_path: Path) -> None:
    before = Snapshot.take()
    with DaskScheduler(workers=1) as scheduler:
        scheduler.scale(2)
        tasks = [scheduler.submit(hold, tmp_path / "gate") for _ in range(2)]
        try:
            for task in tasks:
                running(task)  # both at once: there are two workers now
            scheduler.scale(1)
            until(lambda: scheduler.status().lanes[0].size == 1)
        finally:
            (tmp_path / "gate").touch()
        wait(tasks)
        assert all(task.status() is State.SUCCEEDED for task in tasks)  # the one that lost its place was begun again
        assert list(scheduler.map(square, range(10))) == [number * number for number in range(10)]
    until(lambda: not before.leaked())  # the other cluster here reads /proc now and then
