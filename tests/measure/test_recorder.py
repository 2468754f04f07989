"""What live figures remember, whoever adds it."""

from __future__ import annotations

import threading
from xml.etree import ElementTree

import pytest

from arion_lib.measure.lanes import lanes_svg
from arion_lib.measure.live import Panel, live_svg
from arion_lib.measure.recorder import MOST_BARS, Bar, Recorder

NOW = 100.0


def test_it_forgets_what_is_older_than_its_window() -> None:
    now = [0.0]
    recorder = Recorder(10, clock=lambda: now[0])
    for second in range(30):
        now[0] = float(second)
        recorder.add("a", second)
    assert recorder.points("a") == [(float(age), 29 + age) for age in range(-10, 1)]
    now[0] = 35.0
    assert [value for _, value in recorder.points("a")] == [25, 26, 27, 28, 29]
    assert recorder.points("never added") == []


def test_it_is_bounded_when_points_come_faster_than_time() -> None:
    recorder = Recorder(10, clock=lambda: 0.0)
    for i in range(20_000):
        recorder.add("a", i)
    assert len(recorder.points("a")) == 10_000


def test_threads_may_add_points_while_another_draws() -> None:
    recorder = Recorder(10)

    def add() -> None:
        for i in range(2_000):
            recorder.add("a", i)

    threads = [threading.Thread(target=add) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        ElementTree.fromstring(live_svg([Panel("a")], recorder, title="T"))
    for thread in threads:
        thread.join()
    assert len(recorder.points("a")) == 6_000


def test_a_window_must_have_a_length() -> None:
    with pytest.raises(ValueError, match="seconds must be > 0, got 0"):
        Recorder(0)


def test_it_gives_what_each_lane_did_and_does() -> None:
    recorder = Recorder(10)
    recorder.begin("worker 1", 7, "a", 95.0)
    recorder.end("worker 1", 7, "failed", 96.0)
    recorder.begin("worker 1", 8, "b", 96.5)
    assert recorder.lanes(NOW, ["worker 2", "worker 1"]) == {
        "worker 2": [],
        "worker 1": [Bar(7, "a", 95.0, 96.0, "failed"), Bar(8, "b", 96.5)],
    }


def test_an_end_that_was_not_seen_is_never_drawn_as_a_success() -> None:
    recorder = Recorder(10)
    recorder.begin("worker 1", 7, "a", 95.0)
    recorder.end("worker 1", 6, "succeeded", 95.5)  # another's: its bar is not open here
    recorder.begin("worker 1", 8, "b", 96.0)
    assert [bar.kind for bar in recorder.lanes(NOW)["worker 1"]] == ["unseen", "running"]


def test_it_forgets_what_ended_before_its_window_and_the_lanes_of_workers_that_are_gone() -> None:
    recorder = Recorder(10)
    for worker, end in ((1, 89.0), (2, 91.0)):
        recorder.begin(f"worker {worker}", worker, "a", 80.0)
        recorder.end(f"worker {worker}", worker, "succeeded", end)
    assert list(recorder.lanes(NOW)) == ["worker 2"]


def test_it_is_bounded_when_tasks_are_faster_than_time() -> None:
    recorder = Recorder(10)
    for task in range(MOST_BARS + 500):
        recorder.begin("worker 1", task, "a", NOW)
        recorder.end("worker 1", task, "succeeded", NOW)
    assert len(recorder.lanes(NOW)["worker 1"]) == MOST_BARS


def test_threads_may_add_bars_while_another_draws() -> None:
    recorder = Recorder(10)

    def add(lane: str) -> None:
        for task in range(1_000):
            recorder.begin(lane, task, "a", NOW)
            recorder.end(lane, task, "succeeded", NOW)

    threads = [threading.Thread(target=add, args=(f"worker {n}",)) for n in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        lanes_svg(recorder.lanes(NOW), now=NOW, title="Workers")
    for thread in threads:
        thread.join()
    assert [len(found) for found in recorder.lanes(NOW).values()] == [1_000] * 3
