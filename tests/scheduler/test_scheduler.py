"""The scheduler as a whole: what it refuses, ageing, events, and many schedulers at once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest

from arion_lib.scheduler import Event, Scheduler, State
from arion_lib.scheduler.starting.launch import START_METHODS
from tests.scheduler import jobs
from tests.scheduler.gates import PATIENCE, Gate, until

pytestmark = pytest.mark.usefixtures("no_leaks")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("workers", -1),
        ("workers", 1.5),
        ("threads", 0),
        ("max_pending", 0),
        ("poison_after", 0),
        ("recycle_after", 0),
        ("memory_limit", 0),
        ("keep", 0),
        ("grace", -1.0),
        ("when_full", "drop"),
        ("start_method", "thread"),
        ("ageing", 0.0),
    ],
)
def test_a_wrong_argument_is_refused_by_its_name_and_leaves_nothing(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        Scheduler(**{name: value})


def test_without_a_number_there_is_a_worker_for_each_core() -> None:
    from arion_lib.scheduler.scheduler import cores

    with Scheduler() as scheduler:
        assert scheduler.status().lanes[0].size == cores() >= 1


@pytest.mark.skipif("forkserver" not in START_METHODS, reason="a fresh interpreter preloads nothing")
def test_a_preload_that_cannot_be_imported_fails_the_tasks_with_the_reason(capfd: pytest.CaptureFixture[str]) -> None:
    with Scheduler(1, preload=["no_such_module_at_all"]) as scheduler:
        assert scheduler.submit(jobs.add, 1).exception(PATIENCE) is not None
    assert "no_such_module_at_all" in capfd.readouterr().err


def test_a_call_whose_time_in_a_map_is_over_keeps_no_worker(gate: Gate) -> None:
    with Scheduler(1, grace=0.05) as scheduler:
        with pytest.raises(TimeoutError):
            next(scheduler.map(jobs.hold, [gate.place], timeout=0.1))
        assert scheduler.submit(jobs.identity, 1).result(PATIENCE) == 1


def run_order(gate: Gate, notes: str, ageing: float | None) -> list[str]:
    """Let one unimportant task and a stream of urgent ones compete for one worker; return who ran when."""
    with Scheduler(1, ageing=ageing, preload=[jobs.__name__]) as scheduler:
        urgent = scheduler.with_options(priority=2)
        first = urgent.submit(jobs.hold, gate.place)
        gate.arrived()
        low = scheduler.submit(jobs.note, notes, "low")
        until(lambda: low.status() is State.READY, "the admission")
        for _ in range(30):  # each lets the next one in just before it ends: the worker is never without an urgent one
            following = urgent.submit(jobs.hold, gate.place)
            until(lambda: following.status() is State.READY or low.done(), "the admission")  # noqa: B023
            gate.open()
            if not _began(gate, low):
                break
            jobs.note(notes, "urgent")
        gate.open(40)
        low.result(PATIENCE)
        assert scheduler.wait_idle(PATIENCE)
        assert first.done()
    return jobs.noted(notes)


def _began(gate: Gate, low: Any) -> bool:
    """Wait for the next urgent task; False when the unimportant one came first."""
    gate.arrived()
    return not low.done()


def test_with_ageing_an_unimportant_task_gets_its_turn(gate: Gate, notes: str) -> None:
    order = run_order(gate, notes, ageing=1e-4)
    assert order.index("low") < 30
    assert order.count("low") == 1


def test_the_control_without_ageing_it_comes_last(gate: Gate, notes: str) -> None:
    assert run_order(gate, notes, ageing=None)[-1] == "low"


def test_two_schedulers_do_not_know_one_another(gate: Gate) -> None:
    with Scheduler(1, name="one") as one, Scheduler(1, name="two", start_method="fork") as two:
        held = one.submit(jobs.hold, gate.place)
        gate.arrived()
        assert two.submit(jobs.add, 1).result(PATIENCE) == 1
        assert "one" in repr(one)
        two.shutdown()
        gate.open()
        held.result(PATIENCE)


def test_a_scheduler_opened_in_a_task_of_another_works() -> None:
    def inner() -> int:
        with Scheduler(1) as scheduler:
            result: int = scheduler.submit(lambda: 21).result(PATIENCE)
            return result * 2

    with Scheduler(1) as scheduler:
        assert scheduler.submit(inner).result(PATIENCE) == 42


def test_a_map_that_is_left_cancels_what_it_has_not_needed(gate: Gate) -> None:
    with Scheduler(1) as scheduler:
        results = scheduler.map(jobs.hold, [gate.place] * 10, range(10))
        gate.open()
        assert next(results) == 0
        results.close()  # type: ignore[attr-defined]
        assert scheduler.wait_idle(PATIENCE)
        assert scheduler.status().cancelled == 9


@pytest.mark.parametrize("pool", [Scheduler, ThreadPoolExecutor])
@pytest.mark.parametrize("leave", ["close", "drop"])
def test_a_map_of_which_no_result_was_asked_runs_all_its_calls(pool: Any, leave: str, tmp_path: Path) -> None:
    with pool(1) as opened:
        results = opened.map(jobs.note, [str(tmp_path / "notes")] * 5, "abcde")
        if leave == "close":
            results.close()
        del results
    assert jobs.noted(str(tmp_path / "notes")) == [*"abcde"]


def test_map_shows_its_progress(capsys: pytest.CaptureFixture[str]) -> None:
    with Scheduler(1) as scheduler:
        assert list(scheduler.map(jobs.identity, range(20), progress=True)) == list(range(20))
    assert "20/20" in capsys.readouterr().err


def test_a_finished_map_shows_a_full_bar_though_its_last_end_has_not_been_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = threading.Event()

    def slow(event: Event) -> None:
        if event.state is State.SUCCEEDED:
            told.wait(PATIENCE)

    with Scheduler(1) as scheduler:
        scheduler.subscribe(slow)
        try:
            assert list(scheduler.map(jobs.identity, range(1), progress=True)) == [0]
            assert "1/1" in capsys.readouterr().err
        finally:
            told.set()


def test_a_stream_of_events_drops_the_oldest_and_says_so() -> None:
    with Scheduler(1) as scheduler, scheduler.events(most=3) as events:
        tasks = [scheduler.submit(jobs.add, n) for n in range(10)]
        for task in tasks:
            task.result(PATIENCE)
        assert scheduler.wait_idle(PATIENCE)
        until(lambda: events.dropped >= 20, "the dropped ones")
    kept = list(events)
    assert len(kept) <= 3
    assert kept[-1].task == tasks[-1].number


def test_a_subscriber_that_raises_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def bad(_: object) -> None:
        raise ValueError("a bad subscriber")

    def worse(_: object) -> None:
        raise SystemExit

    called = threading.Event()
    with Scheduler(1) as scheduler:
        for callback in (bad, worse, lambda _: called.set()):
            scheduler.subscribe(callback)
        assert scheduler.submit(jobs.add, 1).result(PATIENCE) == 1
        assert called.wait(PATIENCE)
        assert scheduler.submit(jobs.add, 2).result(PATIENCE) == 2
    assert "a bad subscriber" in caplog.text


def test_asyncio_of_newer_pythons_gets_a_snapshot_in_one_look() -> None:
    with Scheduler(0, threads=1) as scheduler:
        threads = scheduler.with_options(lane="threads")
        good, bad = threads.submit(jobs.add, 1, 2), threads.submit(jobs.fail, "no")
        late = threads.with_options(delay=3_600.0).submit(jobs.add, 1)
        wait([good, bad], PATIENCE)
        waiting = late._get_snapshot()
        late.cancel()  # before anything can fail: the end of the block would wait for it
        assert good._get_snapshot() == (True, False, 3, None)
        done, cancelled, value, error = bad._get_snapshot()
        assert (done, cancelled, value, str(error)) == (True, False, None, "no")
        assert waiting == (False, False, None, None)
        assert late._get_snapshot() == (True, True, None, None)
