"""Workers' lanes as SVG text."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arion_lib.measure.lanes import KINDS, LEFT, MOST_LANES, RIGHT, lanes_svg
from arion_lib.measure.recorder import Bar

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
