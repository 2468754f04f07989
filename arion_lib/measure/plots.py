"""Measurements as figures, one call each.

Idea        The title states the finding, axes have units, series are told apart by line style as well as by colour.
Invariant   A figure is drawn on its own `Figure` object (never on pyplot's state, so any thread may draw) and is shown
            together with its description in words.
When wrong  A chart without a title, or of nothing, is a `ValueError` before anything is drawn.
See         arion_lib/measure/canvas.py (style) · tests/measure/test_plots.py · notebooks/1_streaming_pipeline.ipynb

    from arion_lib.measure import plots

    plots.memory_and_throughput(table, "The naive version holds it all", prediction=120e6)  # of measure_each
    plots.peak_by_size(growth, "Streaming needs the same memory at every size")             # of measure_growth
    plots.peak_by_input_and_output(growth_in, growth_out, "Memory follows neither input nor output")
    plots.ratio_bars(comparison.ratios, "loop", "Ours keeps up with the loop")              # of bench.compare
    plots.lines({"queue depth": [(0, 0), (1, 40)]}, "The queue is bounded", x="time (s)", y="batches")
    plots.timeline({"db": [(0, 0.1, "acquire"), (0.1, 2, "hold")]}, "Released in reverse order")

Predictions of memory are in bytes: a reader's MB times 1e6. Each call returns None.

With `to=path` the PNG is written there instead of being shown. How the words travel: arion_lib/measure/canvas.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import cycle, pairwise
from pathlib import Path

from arion_lib.measure.canvas import (
    COLOURS,
    HATCHES,
    PREDICTED,
    draw_lines,
    draw_prediction,
    new_figure,
    publish,
    units_of,
    wide,
    x_axis,
    x_sizes,
    y_axis,
)
from arion_lib.measure.describe import Point, bars_text, lines_text, spans_text
from arion_lib.measure.results import Measurement, Sample, max_sample, thinned
from arion_lib.measure.tables import Growth, Table
from arion_lib.units import BYTES, SECONDS, amount_text, bytes_text, rate_text, seconds_text

_MOST_POINTS = 400
_PAGE = 4_096  # bytes: the least that memory grows by, where a logarithmic axis begins
_NOISE = 1_000_000


def memory_and_throughput(
    results: Table | Mapping[str, Measurement],
    title: str,
    *,
    prediction: float | None = None,
    alt: str = "",
    caption: str = "",
    to: Path | None = None,
) -> None:
    """Draw memory over the baseline and throughput on one time axis, a line for each version.

    `prediction` is the reader's guess of the peak in bytes. Versions that were stopped have no line.
    """
    found = results.measurements() if isinstance(results, Table) else dict(results)
    memory = {name: _memory_points(m) for name, m in found.items()}
    speed = {name: _speed_points(m.throughput.samples) for name, m in found.items()}
    unit = next((m.throughput.unit for m in found.values()), "")
    figure = new_figure(title, found, heights=(3, 2))
    top, bottom = figure.axes
    draw_lines(top, memory)
    draw_prediction(top, prediction, bytes_text)
    y_axis(top, "memory over\nthe baseline", BYTES)
    draw_lines(bottom, speed, legend=False)  # the panel above has it
    y_axis(bottom, "throughput\n(per second)" if unit == "B" else f"{unit or 'ticks'}\nper second", units_of(unit))
    x_axis(bottom, "time since the start", SECONDS)
    words = lines_text(title, "time", "memory over the baseline", memory, seconds_text, bytes_text)
    rates = ", ".join(f"{name} {rate_text(m.rate, unit or 'ticks')}" for name, m in found.items())
    words += f" Below it throughput on the same time axis, on average: {rates}."
    caption = caption or "Memory and throughput of fresh processes, from separate runs, sampled every 10 ms."
    publish(figure, alt or words + _guess(prediction, bytes_text), caption, to)


def peak_by_size(
    growth: Growth,
    title: str,
    *,
    prediction: float | None = None,
    alt: str = "",
    caption: str = "",
    to: Path | None = None,
) -> None:
    """Draw peak memory against input size, a line for each version; logarithmic where the range is wide.

    `prediction` is the reader's guess of a peak in bytes. A peak of less than a page of memory is drawn as a page.
    """
    series = {name: [(size, max(peak, _PAGE)) for size, peak in growth.series(name)] for name in growth.versions}
    caption = caption or "Peak memory over the baseline; each point is one run in a fresh process."
    _peaks(series, title, "input size", growth.unit, prediction, alt, caption, to)


def peak_by_input_and_output(
    by_input: Growth,
    by_output: Growth,
    title: str,
    *,
    prediction: float | None = None,
    alt: str = "",
    caption: str = "",
    to: Path | None = None,
) -> None:
    """Draw peak memory against the size of the input and, on the same axes, against the size of the output.

    `by_input` was measured with growing input and the same output, `by_output` the other way round; same unit. A peak
    of less than a megabyte is drawn as one: below it a process's own noise is all there is.
    """
    series = {
        f"{name}, {what} grows": [(size, max(peak, _NOISE)) for size, peak in growth.series(name)]
        for what, growth in (("input", by_input), ("output", by_output))
        for name in growth.versions
    }
    caption = caption or "Peak memory over the baseline while either input or output grows; a fresh process a point."
    _peaks(series, title, "size of what grows", by_input.unit, prediction, alt, caption, to, kinds=2)


def ratio_bars(
    ratios: Mapping[str, float],
    baseline: str,
    title: str,
    *,
    what: str = "time",
    prediction: float | None = None,
    alt: str = "",
    caption: str = "",
    to: Path | None = None,
) -> None:
    """Draw a bar for each contender's ratio to `baseline`, and a line at 1; `what` is compared ("time", "speed")."""
    figure = new_figure(title, ratios, heights=(0.55 * len(ratios) + 0.6,))
    (axes,) = figure.axes
    ordered = sorted(ratios.items(), key=lambda item: item[1], reverse=True)
    for i, (name, ratio) in enumerate(ordered):
        place = list(ratios).index(name)
        bar = axes.barh(i, ratio, color=COLOURS[place % 7], hatch=HATCHES[place % 7], edgecolor="white", height=0.7)
        (label,) = axes.bar_label(bar, labels=[f"{ratio:.3g}x"], padding=5)
        label.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1})  # over the lines, not crossed by them
    axes.axvline(1, color="black", linewidth=1)
    axes.set_yticks(range(len(ordered)), [name for name, _ in ordered])
    axes.set_xlabel(f"{what}, as a multiple of {baseline} (line at 1x)")
    axes.set_xlim(0, max([*ratios.values(), prediction or 0, 1]) * 1.15)
    axes.grid(visible=False, axis="y")
    if prediction is not None:
        axes.axvline(prediction, color="#444444", linestyle=PREDICTED, label=f"your prediction: {prediction:g}x")
        figure.legend(loc="outside lower center", frameon=False, handlelength=3)
    words = bars_text(title, f"{what} ratio", ratios, baseline) + _guess(prediction, "{:g}x".format)
    publish(figure, alt or words, caption or "Medians of interleaved rounds.", to)


def lines(
    series: Mapping[str, Sequence[Point] | Sequence[float]],
    title: str,
    *,
    x: str,
    y: str,
    prediction: float | None = None,
    alt: str = "",
    caption: str = "",
    to: Path | None = None,
) -> None:
    """Draw any series of points; `x` and `y` name the axes with their units, as in "time (s)".

    Of a series of plain numbers, the first stands at 0, the next at 1, and so on.
    """
    points = {name: _numbered(row) for name, row in series.items()}
    figure = new_figure(title, points)
    (axes,) = figure.axes
    draw_lines(axes, points, marked=max(map(len, points.values())) <= 20)
    draw_prediction(axes, prediction, "{:g}".format)
    y_axis(axes, y, None)
    x_axis(axes, x, None)
    words = lines_text(title, x, y, points, "{:g}".format, "{:.3g}".format) + _guess(prediction, "{:g}".format)
    publish(figure, alt or words, caption or f"{y} against {x}.", to)


def text_bars(values: Mapping[str, float], unit: str, each: float) -> str:
    """Return a line for each value with a bar of blocks, one for each `each`: for a figure that follows a slider.

    >>> print(text_bars({"behind maps": 40, "behind a filter": 100}, "pulled", 20))
    behind maps         40 pulled  ██
    behind a filter    100 pulled  █████
    """
    width = max(map(len, values))
    return "\n".join(f"{name:{width}} {n:6g} {unit}  {'█' * round(n / each)}" for name, n in values.items())


def timeline(
    spans: Mapping[str, Sequence[tuple[float, float, str]]],
    title: str,
    *,
    alt: str = "",
    caption: str = "",
    to: Path | None = None,
) -> None:
    """Draw a row for each name with a bar for each (start, end, kind) in seconds; kinds differ by colour and hatch.

    What ended well, and what failed or was killed, has the same colour in every figure.
    """
    figure = new_figure(title, spans, heights=(0.45 * len(spans) + 0.8,))
    (axes,) = figure.axes
    kinds = list(dict.fromkeys(kind for row in spans.values() for _, _, kind in row))
    others = cycle(range(4, 7))
    for kind in kinds:
        i = _MEANINGS[kind] if kind in _MEANINGS else next(others)
        bars = [(y, start, end) for y, row in enumerate(spans.values()) for start, end, k in row if k == kind]
        axes.barh(
            [y for y, _, _ in bars],
            [end - start for _, start, end in bars],
            left=[start for _, start, _ in bars],
            color=COLOURS[i],
            hatch=HATCHES[i],
            edgecolor="white",
            height=0.6,
            label=kind,
        )
    axes.set_yticks(range(len(spans)), list(spans))
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    x_axis(axes, "time", SECONDS)
    figure.legend(loc="outside lower center", ncols=max(1, len(kinds)), frameon=False)
    publish(figure, alt or spans_text(title, spans, seconds_text), caption or "One row a resource, first on top.", to)


_MEANINGS = {"failed": 0, "killed": 0, "acquire": 1, "hold": 2, "ended well": 2, "release": 3}


def _peaks(
    series: Mapping[str, Sequence[Point]],
    title: str,
    x_label: str,
    unit: str,
    prediction: float | None,
    alt: str,
    caption: str,
    to: Path | None,
    kinds: int = 1,
) -> None:
    figure = new_figure(title, series)
    (axes,) = figure.axes
    draw_lines(axes, series, marked=True, kinds=kinds)
    draw_prediction(axes, prediction, bytes_text)
    points = [point for row in series.values() for point in row]
    x_axis(axes, x_label if unit == "B" else f"{x_label} ({unit or 'items'})", units_of(unit))
    log = wide([y for _, y in points])  # then the sizes as well: growth with the input is a straight line
    x_sizes(axes, sorted({x for x, _ in points}), log)
    y_axis(axes, "peak memory over the baseline", BYTES, log)
    words = lines_text(title, "input size", "peak memory", series, lambda x: amount_text(x, unit), bytes_text)
    publish(figure, alt or words + _guess(prediction, bytes_text), caption, to)


def _numbered(row: Sequence[Point] | Sequence[float]) -> list[Point]:
    """
    >>> _numbered([5, 7]), _numbered([(2, 5)])
    ([(0, 5), (1, 7)], [(2, 5)])
    """
    return [value if isinstance(value, tuple) else (at, value) for at, value in enumerate(row)]


def _memory_points(measured: Measurement) -> list[Point]:
    return [(0.0, 0.0), *thinned(measured.memory.samples, _MOST_POINTS, max_sample)]


def _speed_points(samples: Sequence[Sample]) -> list[Point]:
    """Turn a growing count into rates: over about a hundredth of the run each, at least five samples."""
    step = max(5, len(samples) // 100)
    seen = [(0.0, 0), *samples[step - 1 :: step]]
    return [((t0 + t1) / 2, (n1 - n0) / (t1 - t0)) for (t0, n0), (t1, n1) in pairwise(seen) if t1 > t0]


def _guess(prediction: float | None, text: Callable[[float], str]) -> str:
    return "" if prediction is None else f" A dashed line marks the reader's prediction, {text(prediction)}."
