"""Periodic tasks: one run at a time, missed times are skipped and counted, and no run outlives the scheduler."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from arion_lib.scheduler import Scheduler, ShutDownError
from arion_lib.scheduler.submitting.periodic import PeriodicCalls
from arion_lib.scheduler.submitting.times import EqualDistances
from tests.scheduler import jobs
from tests.scheduler.gates import PATIENCE, until

pytestmark = pytest.mark.usefixtures("no_leaks")


class Runs:
    """Counts its runs, one after the other or not."""

    def __init__(self) -> None:
        self.count = self.most = self._now = 0
        self.go, self.reached = threading.Event(), threading.Event()
        self.go.set()

    def run(self) -> None:
        self._now += 1
        self.most = max(self.most, self._now)
        self.reached.set()
        assert self.go.wait(PATIENCE)
        self.count += 1
        self._now -= 1


def test_a_call_runs_again_and_again_until_it_is_cancelled() -> None:
    runs = Runs()
    with Scheduler(0) as scheduler:
        one = scheduler.with_options(lane="threads", name="tidy").every(0.001, runs.run)
        until(lambda: runs.count >= 3, "three runs")
        assert scheduler.periodic == (one,)
        assert (one.name, one.failed, runs.most) == ("tidy", 0, 1)
        one.cancel()
        until(lambda: scheduler.wait_idle(PATIENCE) and one.state == "over", "the end")
        assert scheduler.periodic == ()


def test_times_that_pass_while_a_run_runs_are_skipped_and_counted_and_runs_do_not_overlap() -> None:
    runs = Runs()
    runs.go.clear()
    with Scheduler(0, threads=4) as scheduler:
        one = scheduler.with_options(lane="threads").every(0.001, runs.run)
        assert runs.reached.wait(PATIENCE)
        assert one.state == "running"
        threading.Event().wait(0.01)  # time that a coarse clock shows, too
        runs.go.set()
        until(lambda: runs.count >= 2, "the next run")
        assert one.missed >= 1
        assert runs.most == 1


def test_a_run_that_fails_is_counted_and_logged_and_the_next_one_comes(caplog: pytest.LogCaptureFixture) -> None:
    with Scheduler(1) as scheduler:
        one = scheduler.every(0.001, jobs.fail)
        until(lambda: one.failed >= 2, "two failures")
    assert "run 1 of fail failed" in caplog.text


def test_a_paused_call_does_not_run_until_it_is_resumed() -> None:
    runs = Runs()
    with Scheduler(0) as scheduler:
        one = scheduler.with_options(lane="threads").every(0.001, runs.run)
        until(lambda: runs.count >= 1, "a run")
        one.pause()
        assert scheduler.wait_idle(PATIENCE)
        assert one.state == "paused"
        count = runs.count
        one.resume()
        until(lambda: runs.count > count, "a run after the pause")


def test_the_end_of_the_scheduler_waits_for_no_further_run() -> None:
    with Scheduler(0) as scheduler:
        one = scheduler.with_options(lane="threads").every(3_600, jobs.add)
    assert one.state == "over"
    assert one.runs == 0
    with pytest.raises(ShutDownError):
        scheduler.every(1, jobs.add)


def test_a_scheduler_that_is_dropped_ends_though_a_call_waits_for_its_time() -> None:
    scheduler = Scheduler(0)
    core = scheduler._core
    one = scheduler.with_options(lane="threads").every(3_600, jobs.add)
    core.request_close()
    core.join()
    assert one.state == "over"


def test_named_times_are_kept_and_a_list_that_ends_ends_it() -> None:
    runs = Runs()
    now = datetime.now(UTC)
    with Scheduler(0) as scheduler:
        times = [now - timedelta(hours=1), now + timedelta(milliseconds=50), now + timedelta(milliseconds=60)]
        one = scheduler.with_options(lane="threads").every(times, runs.run)
        until(lambda: one.state == "over", "the last time")
        assert scheduler.wait_idle(PATIENCE)
        assert one.missed + runs.count == 3


def test_what_is_no_time_is_refused_where_it_is_written() -> None:
    with Scheduler(0) as scheduler:
        for wrong in (0, -1, float("inf")):
            with pytest.raises(ValueError, match="seconds must be > 0"):
                scheduler.every(wrong, jobs.add)
        with pytest.raises(TypeError, match="datetimes with a time zone"):
            scheduler.every([datetime(2026, 1, 1)], jobs.add)
        assert scheduler.periodic == ()


def test_a_cron_expression_is_refused_where_it_is_written_and_runs_at_its_times() -> None:
    runs = Runs()
    with Scheduler(0) as scheduler:
        with pytest.raises(ValueError, match="a cron expression of five fields"):
            scheduler.every("every minute", runs.run)
        one = scheduler.with_options(lane="threads").every("* * * * * *", runs.run)
        until(lambda: runs.count >= 1, "a run")
        one.cancel()
    assert one.state == "over"


class Waits:
    """A run's handle; while somebody asks whether it runs, once, something happens in another thread."""

    def __init__(self) -> None:
        self.meanwhile: Callable[[], object] | None = None

    def running(self) -> bool:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            thread = threading.Thread(target=meanwhile)
            thread.start()
            thread.join()
        return False

    def add_done_callback(self, fn: object) -> None: ...


def test_of_calls_that_two_threads_begin_at_once_none_is_forgotten() -> None:
    """One that is forgotten would be waited for at the scheduler's end until its next time has come."""
    cancelled: list[object] = []
    calls, handles = PeriodicCalls(cancelled.append, lambda: False), [Waits(), Waits(), Waits()]

    def begin(number: int) -> None:
        calls.begin(lambda _: handles[number], EqualDistances(3_600.0), f"{number}")  # type: ignore[arg-type, return-value]

    begin(0)
    handles[0].meanwhile = lambda: begin(1)
    begin(2)
    assert {one.name for one in calls.alive()} == {"0", "1", "2"}
    calls.end()
    assert {id(one) for one in cancelled} == {id(handle) for handle in handles}
