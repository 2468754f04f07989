"""Live figures as text: the last seconds of some series, drawn as SVG many times a second.

Idea        A widget that shows HTML can show our own SVG: no plotting library, no state, under a millisecond a frame.
Invariant   A pure function of the points: the newest is at the right edge, older ones move left and off.
When wrong  A panel without points is an empty panel that says so; the axes never divide by zero.
See         tests/measure/test_live.py · notebooks/1_streaming_pipeline.ipynb · notebooks/5_task_scheduler.ipynb

    from arion_lib.measure.live import Panel, live_svg
    from arion_lib.measure.recorder import Recorder

    recorder = Recorder(seconds=30)                       # keeps the last 30 s of each series; any thread may add
    recorder.add("queue depth", 12); recorder.add("memory", rss)
    view = ipywidgets.HTML(); display(view)
    panels = [Panel("queue depth", "batches", limit=64), Panel("memory", "B"), Panel("throughput", "B/s")]
    view.value = live_svg(panels, recorder, title="Webhook under load")   # on a timer of yours, 5 to 20 times a second
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from arion_lib.measure.describe import Point
from arion_lib.measure.recorder import Recorder
from arion_lib.units import amount_text, bytes_text, rate_text

_LEFT, _RIGHT, _TOP, _GAP = 92, 12, 26, 26  # pixels around the panels
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MOST_POINTS = 300


@dataclass(frozen=True, slots=True)
class Panel:
    """One of the stacked diagrams: its series' name, its unit ("B", "B/s", "tasks/s", "batches"), perhaps a limit."""

    name: str
    unit: str = ""
    limit: float | None = None  # drawn as a dashed line


def live_svg(
    panels: Sequence[Panel],
    series: Recorder | Mapping[str, Sequence[Point]],
    *,
    title: str,
    seconds: float = 30.0,
    width: int = 640,
    height: int = 96,
) -> str:
    """Draw stacked panels over the last `seconds` (a `Recorder` has its own) as one SVG element.

    `series` maps a panel's name to points (seconds before now as negative numbers, value). `height` is one panel's,
    in pixels. The element carries role and aria-label with each panel's latest value.

    >>> live_svg([Panel("queue", "batches")], {"queue": [(-1, 3), (0, 4)]}, title="Load")[:77]
    '<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="Load. queue: 4'
    """
    span = series.seconds if isinstance(series, Recorder) else seconds
    found = {p.name: _finite(series, p.name) for p in panels}
    total = _TOP + len(panels) * (height + _GAP) + 14
    label = " ".join([f"{title}.", *(f"{p.name}: {_latest(p, found[p.name])}." for p in panels)])
    parts = [_panel(p, found[p.name], i, span, width, height) for i, p in enumerate(panels)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{html.escape(label)}" '
        f'viewBox="0 0 {width} {total}" width="{width}" height="{total}" font-family="sans-serif" font-size="11">'
        f'<rect width="100%" height="100%" fill="white"/>'
        f'<text x="6" y="17" font-size="13" font-weight="bold">{html.escape(title)}</text>'
        f"{''.join(parts)}{_time_axis(span, width, total)}</svg>"
    )


def _finite(series: Recorder | Mapping[str, Sequence[Point]], name: str) -> list[Point]:
    points = series.points(name) if isinstance(series, Recorder) else series.get(name, ())
    return [(at, value) for at, value in points if math.isfinite(value)]  # the others have no place on an axis


def _panel(panel: Panel, points: Sequence[Point], place: int, span: float, width: int, height: int) -> str:
    top = _TOP + place * (height + _GAP) + 16
    ceiling = _ceiling([*(value for _, value in points), panel.limit or 0])
    right = width - _RIGHT
    colour = _COLOURS[place % len(_COLOURS)]

    def xy(point: Point) -> str:
        at, value = point
        x = right + max(-span, at) / span * (right - _LEFT)
        return f"{x:.1f},{top + height - max(0.0, value) / ceiling * height:.1f}"

    heading = f"{panel.name}: {_latest(panel, points)}"
    parts = [
        f'<text x="{_LEFT}" y="{top - 4}" fill="#222" font-weight="bold">{html.escape(heading)}</text>',
        *(_grid(share, ceiling, panel.unit, top, height, right) for share in (0.0, 0.5, 1.0)),
    ]
    if panel.limit is not None:
        y = top + height - panel.limit / ceiling * height
        parts.append(f'<path d="M{_LEFT} {y:.1f}H{right}" stroke="#444" stroke-dasharray="7 4"/>')
        text = html.escape(f"limit {_value_text(panel.limit, panel.unit)}")
        parts.append(f'<text x="{_LEFT + 4}" y="{y - 3:.1f}" fill="#444">{text}</text>')
    if points:
        line = " ".join(xy(point) for point in _thin(points))
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
    return "".join(parts)


def _grid(share: float, ceiling: float, unit: str, top: int, height: int, right: int) -> str:
    y = top + height - share * height
    text = html.escape(_value_text(share * ceiling, unit if unit.startswith("B") else ""))  # others: in the heading
    return (
        f'<path d="M{_LEFT} {y:.1f}H{right}" stroke="#ddd"/>'
        f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>'
    )


def _time_axis(span: float, width: int, total: int) -> str:
    right = width - _RIGHT
    return (
        f'<text x="{_LEFT}" y="{total - 6}">{span:g} s ago</text>'
        f'<text x="{right}" y="{total - 6}" text-anchor="end">now</text>'
    )


def _latest(panel: Panel, points: Sequence[Point]) -> str:
    return _value_text(points[-1][1], panel.unit) if points else "no data yet"


def _value_text(value: float, unit: str) -> str:
    if unit == "B":
        return bytes_text(round(value))
    return rate_text(round(value, 2), unit[:-2]) if unit.endswith("/s") else amount_text(round(value, 2), unit)


def _ceiling(values: Sequence[float]) -> float:
    """Give the next of 1, 2, 5, 10, ... at or above all values, so that the axis does not tremble with every point.

    >>> [_ceiling([x]) for x in (0, 0.3, 7, 12, 2_000_001)]
    [1.0, 0.5, 10.0, 20.0, 5000000.0]
    """
    most = max(values, default=0.0)
    if most < 1e-9:  # nothing, as far as an axis can show
        return 1.0
    power = 10.0 ** math.floor(math.log10(most))
    return next(step * power for step in (1.0, 2.0, 5.0, 10.0) if step * power >= most)


def _thin(points: Sequence[Point]) -> list[Point]:
    """Keep the largest point of each run of neighbours, at most 300, and the newest."""
    step = -(-len(points) // _MOST_POINTS)
    kept = [max(points[i : i + step], key=lambda point: point[1]) for i in range(0, len(points), step)]
    return [*kept[:-1], points[-1]]
