"""Live figures as SVG text."""

from __future__ import annotations

import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arion_lib.measure.live import Panel, _ceiling, live_svg
from arion_lib.measure.recorder import Recorder

SVG = "{http://www.w3.org/2000/svg}"
values = st.floats(0, 1e12) | st.sampled_from([float("nan"), float("inf"), -1.0])
points = st.lists(st.tuples(st.floats(-60, 0), values), max_size=400).map(lambda row: sorted(row, key=lambda p: p[0]))


def polylines(svg: str) -> list[list[tuple[float, float]]]:
    root = ElementTree.fromstring(svg)
    texts = [line.get("points").split() for line in root.iter(f"{SVG}polyline")]
    return [[(float(x), float(y)) for x, y in (pair.split(",") for pair in line)] for line in texts]


@given(points, points)
def test_whatever_the_points_it_is_one_svg_element_that_stays_inside_its_box(queue, memory):
    panels = [Panel("queue", "batches", limit=64), Panel("memory", "B")]
    svg = live_svg(panels, {"queue": queue, "memory": memory}, title="Load <&> more")
    root = ElementTree.fromstring(svg)
    width, height = float(root.get("width")), float(root.get("height"))
    for line in polylines(svg):
        assert all(0 <= x <= width and 0 <= y <= height for x, y in line)
        assert len(line) <= 301


def test_a_screen_reader_hears_the_latest_values():
    panels = [Panel("queue", "batches"), Panel("memory", "B"), Panel("rate", "B/s"), Panel("errors")]
    series = {"queue": [(-2, 9), (0, 4)], "memory": [(0, 28e6)], "rate": [(0, 3e8)]}
    root = ElementTree.fromstring(live_svg(panels, series, title="Under load"))
    assert root.get("role") == "img"
    label = "Under load. queue: 4 batches. memory: 28.0 MB. rate: 300 MB/s. errors: no data yet."
    assert root.get("aria-label") == label


def test_the_newest_point_is_at_the_right_edge_and_older_ones_further_left():
    (line,) = polylines(live_svg([Panel("a")], {"a": [(-30, 1), (-15, 1), (0, 1)]}, title="T", width=640))
    left, middle, right = (x for x, _ in line)
    assert left < middle < right == 640 - 12
    assert middle - left == pytest.approx(right - middle)


def test_a_larger_value_is_higher():
    (line,) = polylines(live_svg([Panel("a")], {"a": [(-1, 1), (0, 2)]}, title="T"))
    assert line[0][1] > line[1][1]


def test_the_limit_is_on_the_axis_even_when_the_values_are_far_below():
    svg = live_svg([Panel("queue", "batches", limit=64)], {"queue": [(0, 1)]}, title="T")
    assert "limit 64 batches" in svg
    assert "stroke-dasharray" in svg
    assert "stroke-dasharray" not in live_svg([Panel("queue", "batches")], {"queue": [(0, 1)]}, title="T")


def test_thinning_keeps_the_spike():
    row = [(-30 + i / 100, 1.0) for i in range(3_000)]
    row[1_234] = (row[1_234][0], 100.0)
    (line,) = polylines(live_svg([Panel("a")], {"a": row}, title="T"))
    top = min(y for _, y in line)
    assert sum(y == top for _, y in line) == 1


@given(st.floats(0, 1e15))
def test_the_axis_ends_at_or_above_the_value_and_wastes_at_most_three_fifths(value):
    ceiling = _ceiling([value])
    assert ceiling >= value
    assert ceiling == 1.0 or ceiling <= value * 2.5 * 1.000_001


def test_it_needs_neither_widgets_nor_matplotlib():
    code = (
        "import sys; from arion_lib.measure.live import Panel, live_svg\n"
        "live_svg([Panel('a')], {}, title='T')\n"
        "assert not {'matplotlib', 'ipywidgets', 'IPython', 'psutil'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_time_axis_names_the_recorders_window():
    assert re.search(r">5 s ago<", live_svg([Panel("a")], Recorder(5), title="T"))
