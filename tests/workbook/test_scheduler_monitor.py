"""The scheduler's live figure: nothing before start, nothing after stop, and buttons that do what they say."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from arion_lib.measure.recorder import Recorder
from arion_lib.scheduler import Scheduler, WorkerDiedError
from arion_lib.scheduler.monitoring.snapshot import LaneStatus, Snapshot, Spread, WorkerStatus
from arion_lib.scheduler.states import Event, State
from arion_lib.workbook.scheduler_monitor import MOST_EVENTS, SchedulerMonitor, feed, lanes_of

pytest.importorskip("ipywidgets")
pytestmark = [pytest.mark.filterwarnings("ignore::DeprecationWarning:ipywidgets"), pytest.mark.usefixtures("no_leaks")]


class Fake:
    """A scheduler that only says what it is told to say, and notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[object] = []
        self.callbacks: list[Callable[[Any], None]] = []
        self.drawn, self.broken = threading.Semaphore(0), False
        self.size = 2
        self.workers: tuple[WorkerStatus, ...] = (
            WorkerStatus(1, "processes", "running", task="resize", task_number=7, age=3.0),
            WorkerStatus(2, "processes", "running", task="crop", task_number=8, age=1.0),
            WorkerStatus(3, "threads", "running", task="fetch", task_number=9, age=9.0),
        )

    def status(self) -> Snapshot:
        if self.broken:
            raise OSError("the scheduler is out of order")
        self.drawn.release()
        counts = dict.fromkeys(
            ("pending", "running", "succeeded", "failed", "cancelled", "timed_out", "quarantined", "retries"), 0
        )
        lane = LaneStatus("processes", self.size, self.workers, {0: 5}, 2, 0)
        return Snapshot("fake", 1.0, (lane,), ready=5, **counts, window=10.0, throughput=40.0, utilisation=1.0,
                        waiting=Spread(), running_time=Spread())  # fmt: skip

    def subscribe(self, callback: Callable[[Any], None]) -> Callable[[], None]:
        self.callbacks.append(callback)
        return lambda: self.callbacks.remove(callback)

    def scale(self, workers: int) -> None:
        self.asked.append(("scale", workers))
        self.size = workers

    def kill_worker(self, number: int) -> None:
        self.asked.append(("kill", number))

    def cancel(self, task: int) -> bool:
        self.asked.append(("cancel", task))
        return task == 7

    def draws(self) -> None:
        """Wait until what the monitor draws next was begun and ended: two snapshots from now."""
        while self.drawn.acquire(blocking=False):
            pass
        assert self.drawn.acquire(timeout=10)
        assert self.drawn.acquire(timeout=10)


@contextmanager
def watching(fake: Fake, **options: float) -> Iterator[SchedulerMonitor]:
    monitor = SchedulerMonitor(fake, every=0.01, **options)  # type: ignore[arg-type]
    monitor.start()
    try:
        fake.draws()
        yield monitor
    finally:
        monitor.stop()


def test_nothing_runs_before_the_start_and_nothing_after_the_stop() -> None:
    fake = Fake()
    monitor = SchedulerMonitor(fake, every=0.01)
    assert not monitor.running
    assert not fake.callbacks
    assert fake.drawn.acquire(blocking=False), "the one look that sets the controls"
    assert not fake.drawn.acquire(blocking=False)
    with watching(fake) as monitor:
        assert monitor.running
        assert len(fake.callbacks) == 1
    assert not monitor.running
    assert not fake.callbacks


def test_the_controls_show_what_the_scheduler_has_before_the_start() -> None:
    fake = Fake()
    fake.size = 3
    view = SchedulerMonitor(fake)._view
    assert view._size.value == 3
    assert [number for _, number in view._worker.options][1:] == [1, 2]
    assert fake.asked == [], "a slider that is set asks for no workers"


def test_it_stops_by_itself() -> None:
    fake = Fake()
    monitor = SchedulerMonitor(fake, seconds=0.05, every=0.01)
    monitor.start()
    assert monitor._thread is not None
    monitor._thread.join(10)
    assert not monitor.running
    assert not fake.callbacks
    assert monitor._view.buttons.said.endswith("stopped. Press start, or use another control.")


def test_it_draws_queue_throughput_and_a_lane_for_each_worker() -> None:
    with watching(Fake()) as monitor:
        panels, lanes = monitor._view._panels.value, monitor._view._lanes.value
    assert "queue: 5 tasks. throughput: 0 tasks/s." in panels
    label = "What each worker does. worker 1: now resize. worker 2: now crop. worker 3: now fetch."
    assert f'aria-label="{label}"' in lanes


def test_an_error_of_the_scheduler_ends_the_watching_and_is_shown() -> None:
    fake = Fake()
    with watching(fake) as monitor:
        fake.broken = True
        assert monitor._thread is not None
        monitor._thread.join(10)
        assert "OSError: the scheduler is out of order" in monitor._view.buttons.said
    assert not fake.callbacks


def test_the_buttons_act_on_the_worker_busy_the_longest_or_on_the_chosen_one() -> None:
    fake = Fake()
    with watching(fake) as monitor:
        view = monitor._view
        cancel, kill = view._box.children[1].children[1:3]
        cancel.click()
        assert view._answer.value == "&nbsp;cancelled &#x27;resize&#x27; on worker 1"
        kill.click()
        view._worker.value = 2
        cancel.click()
        assert "too late to cancel" in view._answer.value
        kill.click()
        fake.draws()
        assert view._answer.value == "&nbsp;killed worker 2"  # it stays though figures are drawn
    assert fake.asked == [("cancel", 7), ("kill", 1), ("cancel", 8), ("kill", 2)]


def test_what_cannot_be_done_is_told_beside_the_buttons() -> None:
    fake = Fake()
    fake.workers = (WorkerStatus(1, "processes", "idle"),)
    with watching(fake) as monitor:
        monitor.cancel()
        assert "no worker runs one" in monitor._view._answer.value
        fake.workers = ()
        monitor.kill()
        assert "no worker to kill" in monitor._view._answer.value
        fake.broken = True
        monitor.kill()
        assert "OSError: the scheduler is out of order" in monitor._view._answer.value
    assert fake.asked == []


@pytest.mark.parametrize("control", ["start", "submit naps", "slider", "cancel its task", "kill it"])
def test_every_control_starts_the_figure(control: str) -> None:
    fake = Fake()
    monitor = SchedulerMonitor(fake, {"naps": list}, every=0.01)  # type: ignore[arg-type]
    view = monitor._view
    buttons = {
        each.description: each for row in view._box.children[:2] for each in row.children if hasattr(each, "click")
    }
    assert not monitor.running
    try:
        if control == "slider":
            view._size.value = 5
        else:
            buttons[control].click()
        assert monitor.running
        assert view.buttons.start.description == "running"
        fake.draws()
    finally:
        buttons["stop"].click()
    assert not monitor.running
    assert (fake.size == 5) is (control == "slider")


def test_the_slider_scales_and_follows_but_never_scales_by_following() -> None:
    fake = Fake()
    with watching(fake) as monitor:
        slider = monitor._view._size
        assert slider.value == 2
        fake.size = 12  # scaled by somebody else, past the slider's end
        fake.draws()
        fake.draws()
        assert (slider.value, fake.asked) == (12, [])
        slider.value = 6
        fake.draws()
        assert (slider.value, fake.asked) == (6, [("scale", 6)])


def test_a_worker_that_is_gone_can_no_longer_be_chosen() -> None:
    fake = Fake()
    with watching(fake) as monitor:
        monitor._view._worker.value = 2
        fake.workers = fake.workers[:1]
        fake.draws()
        fake.draws()
        assert monitor._view._worker.label == "busy the longest"
        assert [number for _, number in monitor._view._worker.options] == [0, 1]


def event(at: float, task: int, state: State, worker: int | None = 1) -> Event:
    return Event(at, task, "resize", state, attempt=1, worker=worker)


def test_events_become_bars_coloured_by_how_the_task_ended() -> None:
    bars = Recorder(10)
    ends = [State.SUCCEEDED, State.FAILED, State.TIMED_OUT, State.CANCELLED]
    events = deque(
        one
        for task, state in enumerate(ends, 1)
        for one in (event(task, task, State.RUNNING), event(task + 0.5, task, state))
    )
    events.append(event(9.0, 9, State.CANCELLED, worker=None))  # never ran
    feed(bars, events)
    assert not events
    kinds = [(bar.start, bar.end, bar.kind) for bar in bars.lanes(10.0)["worker 1"]]
    assert kinds == [(1, 1.5, "succeeded"), (2, 2.5, "failed"), (3, 3.5, "timed out"), (4, 4.5, "cancelled")]


def test_the_present_task_is_the_snapshots_even_when_its_start_was_not_seen() -> None:
    bars = Recorder(10)
    feed(bars, deque([event(1.0, 5, State.RUNNING)]))  # its end was not seen, and another task runs now
    lanes = lanes_of(Fake().status(), bars, now=10.0)
    assert [(bar.name, bar.start, bar.end) for bar in lanes["worker 1"]] == [("resize", 7.0, None)]


def test_what_comes_faster_than_it_is_drawn_is_bounded() -> None:
    fake = Fake()
    monitor = SchedulerMonitor(fake)
    with monitor.watched():
        (collect,) = fake.callbacks
        events: deque[Any] = collect.__self__  # type: ignore[attr-defined]
        for task in range(MOST_EVENTS):
            fake.callbacks[0](event(time.monotonic(), task, State.RUNNING))
            fake.callbacks[0](event(time.monotonic(), task, State.SUCCEEDED))
        assert len(events) == MOST_EVENTS


def spin() -> None:
    while True:
        pass


def until(monitor: SchedulerMonitor, true: Callable[[], object]) -> None:
    """Look until it is true, as long as the monitor runs; a bound only so that a broken test ends."""
    deadline = time.monotonic() + 20
    while not true():
        assert monitor.running, monitor._view.buttons.said
        assert time.monotonic() < deadline, monitor._view._lanes.value
        time.sleep(0.005)


def test_on_a_real_scheduler_buttons_cancel_kill_and_scale_and_bars_tell_the_ends() -> None:
    with Scheduler(1) as scheduler, watching_real(scheduler) as monitor:
        lanes = monitor._view._lanes
        doomed = scheduler.submit(spin)
        until(monitor, lambda: "now spin" in lanes.value)
        monitor.cancel()
        assert doomed.cancelled()
        until(monitor, lambda: "throughput: 0 tasks/s" not in monitor._view._panels.value)
        until(monitor, lambda: "1 cancelled" in lanes.value)
        lost = scheduler.submit(spin)
        until(monitor, lost.running)
        monitor.kill()
        assert type(lost.exception(20)) is WorkerDiedError
        until(monitor, lambda: "1 failed" in lanes.value)
        assert scheduler.submit(pow, 2, 5).result(20) == 32
        until(monitor, lambda: "1 succeeded" in lanes.value)
        monitor.scale(2)
        until(monitor, lambda: monitor._view._size.value == 2)
        assert sum(worker.lane == "processes" for worker in scheduler.status().workers) == 2


@contextmanager
def watching_real(scheduler: Scheduler) -> Iterator[SchedulerMonitor]:
    monitor = SchedulerMonitor(scheduler, every=0.01)
    monitor.start()
    try:
        yield monitor
    finally:
        monitor.stop()


def test_tasks_of_one_event_loop_overlap_and_get_no_lane() -> None:
    fake, bars = Fake(), Recorder(10)
    fake.workers = (WorkerStatus(1, "processes", "idle"), WorkerStatus(2_000, "loop", "running"))
    events = [event(1.0, 5, State.RUNNING, 2_000), event(1.0, 6, State.RUNNING, 2_000)]
    feed(bars, deque([*events, event(2.0, 5, State.SUCCEEDED, 2_000)]))
    assert lanes_of(fake.status(), bars, now=10.0) == {"worker 1": []}


def test_a_stored_notebook_shows_a_sentence() -> None:
    monitor = SchedulerMonitor(Fake())
    assert monitor._repr_mimebundle_()["text/plain"].startswith("The scheduler's monitor: a live figure")
    with pytest.raises(ValueError, match="seconds and every must be > 0"):
        SchedulerMonitor(Fake(), seconds=0)


def test_a_button_submits_and_what_it_raises_is_a_sentence() -> None:
    asked: list[str] = []
    monitor = SchedulerMonitor(Fake(), {"naps": lambda: asked.append("naps"), "nothing": lambda: 1 / 0})
    buttons = {
        button.description: button for button in monitor._view._box.children[0].children if hasattr(button, "click")
    }
    try:
        buttons["submit naps"].click()
        assert (asked, "submitted naps" in monitor._view._answer.value) == (["naps"], True)
        buttons["submit nothing"].click()
        assert "ZeroDivisionError" in monitor._view._answer.value
    finally:
        monitor.stop()
