"""Workers' lanes as SVG text."""

from __future__ import annotations

import threading
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arion_lib.measure.lanes import KINDS, LEFT, MOST_BARS, MOST_LANES, RIGHT, Bar, LaneRecorder, lanes_svg

SVG = "{http://www.w3.org/2000/svg}"
WIDTH = 640
NOW = 100.0
ends = st.none() | st.floats(0, 120)
bars = st.builds(Bar, st.integers(1, 9), st.text(max_size=40), st.floats(0, 120), ends, st.sampled_from(sorted(KINDS)))


def rects(svg: str) -> list[tuple[float, float, str, str]]:
    """Left edge, right edge, colour and words of each bar."""
    found = [one for one in ElementTree.fromstring(svg).iter(f"{SVG}rect") if one.find(f"{SVG}title") is not None]
    lefts = [float(one.get("x", "nan")) for one in found]
    rights = [left + float(one.get("width", "nan")) for left, one in zip(lefts, found, strict=True)]
    words = [one.findtext(f"{SVG}title") or "" for one in found]
    return list(zip(lefts, rights, [one.get("fill", "") for one in found], words, strict=True))


def draw(*drawn: Bar, seconds: float = 10.0) -> str:
    return lanes_svg({"worker 1": drawn}, now=NOW, title="Workers", seconds=seconds)


@given(st.dictionaries(st.text(st.characters(categories=["L", "P"]), max_size=12), st.lists(bars, max_size=60)))
def test_whatever_the_bars_it_is_one_svg_element_and_every_bar_stays_inside(lanes: dict[str, list[Bar]]) -> None:
    printable = {
        name: [Bar(b.task, "".join(filter(str.isprintable, b.name)), b.start, b.end, b.kind) for b in found]
        for name, found in lanes.items()
    }
    svg = lanes_svg(printable, now=NOW, title="Workers <&> more")
    for left, right, *_ in rects(svg):
        assert LEFT <= left <= right <= WIDTH - RIGHT + 1.06  # a pixel's bar begins in it; one digit is written


def test_a_screen_reader_hears_what_each_worker_did() -> None:
    svg = lanes_svg(
        {
            "worker 1": [Bar(1, "a", 90, 91, "succeeded"), Bar(2, "a", 91, 92, "failed"), Bar(3, "b", 92)],
            "worker 2": [],
        },
        now=NOW,
        title="Workers",
    )
    root = ElementTree.fromstring(svg)
    assert root.get("role") == "img"
    assert root.get("aria-label") == "Workers. worker 1: 1 succeeded, 1 failed, now b. worker 2: nothing."


def test_a_bar_lies_where_its_task_ran_and_a_running_one_reaches_to_now() -> None:
    middle = (LEFT + WIDTH - RIGHT) / 2
    (first, second) = rects(draw(Bar(1, "a", 92.5, 95, "succeeded"), Bar(2, "b", 95)))
    assert first[1] == pytest.approx(middle, abs=0.1)
    assert second[:2] == pytest.approx((middle, WIDTH - RIGHT), abs=0.1)
    assert (first[2], second[2]) == (KINDS["succeeded"], KINDS["running"])
    assert second[3] == "b: running, 5 s"


def test_what_ended_before_the_window_is_neither_drawn_nor_told() -> None:
    svg = draw(Bar(1, "a", 80, 89.9, "failed"), Bar(2, "b", 80, 90.1, "succeeded"))
    assert [colour for *_, colour, _ in rects(svg)] == [KINDS["succeeded"]]
    assert "failed" not in svg


def test_a_failure_among_thousands_of_short_tasks_is_seen() -> None:
    short = [Bar(n, "a", 90 + n / 1_000, 90 + (n + 1) / 1_000, "succeeded") for n in range(9_000)]
    assert [colour for *_, colour, _ in rects(draw(*short))] == [KINDS["succeeded"]]
    short[4_321] = Bar(4_321, "a", 94.321, 94.322, "failed")
    found = rects(draw(*short))
    assert [colour for *_, colour, _ in found] == [KINDS["succeeded"], KINDS["failed"], KINDS["succeeded"]]


def test_a_short_failure_does_not_hide_the_long_task_that_began_in_the_same_pixel() -> None:
    found = rects(draw(Bar(1, "a", 95.0001, 95.0002, "failed"), Bar(2, "long", 95.0003)))
    assert {words.partition(":")[0] for *_, words in found} == {"long", "short tasks"}


def test_more_lanes_than_fit_are_counted() -> None:
    svg = lanes_svg({f"worker {n}": [Bar(1, "a", 99)] for n in range(MOST_LANES + 5)}, now=NOW, title="Workers")
    assert len(rects(svg)) == MOST_LANES
    assert "and 5 more" in svg
    assert "more" not in lanes_svg({"worker 1": []}, now=NOW, title="Workers")


def test_a_recorder_gives_what_each_lane_did_and_does() -> None:
    recorder = LaneRecorder(10)
    recorder.begin("worker 1", 7, "a", 95.0)
    recorder.end("worker 1", 7, "failed", 96.0)
    recorder.begin("worker 1", 8, "b", 96.5)
    assert recorder.lanes(NOW, ["worker 2", "worker 1"]) == {
        "worker 2": [],
        "worker 1": [Bar(7, "a", 95.0, 96.0, "failed"), Bar(8, "b", 96.5)],
    }


def test_an_end_that_was_not_seen_is_never_drawn_as_a_success() -> None:
    recorder = LaneRecorder(10)
    recorder.begin("worker 1", 7, "a", 95.0)
    recorder.end("worker 1", 6, "succeeded", 95.5)  # another's: its bar is not open here
    recorder.begin("worker 1", 8, "b", 96.0)
    assert [bar.kind for bar in recorder.lanes(NOW)["worker 1"]] == ["unseen", "running"]


def test_a_recorder_forgets_what_ended_before_its_window_and_the_lanes_of_workers_that_are_gone() -> None:
    recorder = LaneRecorder(10)
    for worker, end in ((1, 89.0), (2, 91.0)):
        recorder.begin(f"worker {worker}", worker, "a", 80.0)
        recorder.end(f"worker {worker}", worker, "succeeded", end)
    assert list(recorder.lanes(NOW)) == ["worker 2"]


def test_a_recorder_is_bounded_when_tasks_are_faster_than_time() -> None:
    recorder = LaneRecorder(10)
    for task in range(MOST_BARS + 500):
        recorder.begin("worker 1", task, "a", NOW)
        recorder.end("worker 1", task, "succeeded", NOW)
    assert len(recorder.lanes(NOW)["worker 1"]) == MOST_BARS


def test_threads_may_add_while_another_draws() -> None:
    recorder = LaneRecorder(10)

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


def test_a_window_must_have_a_length() -> None:
    with pytest.raises(ValueError, match="seconds must be > 0, got 0"):
        LaneRecorder(0)
