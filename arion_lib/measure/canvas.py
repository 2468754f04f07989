"""How every figure of the workbook looks, and how it reaches the reader. The only file that imports matplotlib.

Idea        One style: white face, Okabe-Ito colours, a line style, marker or hatch of its own for each series.
Invariant   No figure leaves here without its description in words; pyplot and its global state are not touched.
When wrong  A figure without a title, or of nothing, is a `ValueError` before anything is drawn.
See         arion_lib/measure/plots.py (the figures) · tests/measure/test_plots.py

How the words travel, for the test of the notebooks' hygiene: the picture is one `display_data` output with `image/png`,
the description as `text/plain` and again as `metadata["image/png"]["alt"]` (nbconvert's classic template writes it into
the page; JupyterLab ignores it). Right after it stands a second `display_data` with `text/markdown`: the visible
one-sentence caption in italics and the same description inside `<details>`, which a screen reader finds in JupyterLab
too. nbval compares both texts and ignores the PNG: figures of measured data belong into cells tagged
`nbval-ignore-output`; figures of fixed data may be compared.

With `to` the PNG is written there (description in its metadata) instead of being shown.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arion_lib.measure.describe import Point
from arion_lib.units import BYTES, COUNTS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette: readers with any colour vision can tell them apart (jfly.uni-koeln.de/color, 2008)."""
DASHES: tuple[Any, ...] = ("-", "-.", ":", (0, (3, 1, 1, 1, 1, 1)), (0, (1, 2.5)), (0, (6, 2, 1, 2)), (0, (2, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
HATCHES = ("", "///", "...", "xxx", "\\\\\\", "+++", "ooo")
PREDICTED: Any = (0, (7, 4))
"""Long dashes belong to the reader's prediction alone."""

_DPI = 80
_WIDTH = 7.0  # inches
_LOG_FROM = 20  # a range this wide (largest / smallest) is drawn on a logarithmic axis


def new_figure(title: str, data: Iterable[str], heights: tuple[float, ...] = (4.0,)) -> Figure:
    """Make a white figure with its title and a panel for each height (in inches, beside the title and labels)."""
    from matplotlib.figure import Figure

    if not title.strip():
        raise ValueError("title must state what the figure shows, got an empty text")
    if not list(data):
        raise ValueError("data must hold at least one series, got none")
    figure = Figure(figsize=(_WIDTH, sum(heights) + 0.4), dpi=_DPI, facecolor="white", layout="constrained")
    figure.suptitle(title, fontsize=12, fontweight="bold", x=0.02, ha="left", wrap=True)
    figure.subplots(len(heights), 1, sharex=True, gridspec_kw={"height_ratios": heights})
    for axes in figure.axes:
        axes.grid(visible=True, color="#DDDDDD", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def draw_lines(
    axes: Axes, series: Mapping[str, Sequence[Point]], marked: bool = False, kinds: int = 1, legend: bool = True
) -> None:
    """Draw each series in its own style; of `kinds` equal halves, the second has the first's colours, hollow."""
    group = len(series) // kinds
    for i, (name, points) in enumerate(series.items()):
        axes.plot(
            [x for x, _ in points],
            [y for _, y in points],
            color=COLOURS[i % group % 7],
            linestyle=DASHES[i % 7],
            marker=MARKERS[i % 7] if marked else "",
            fillstyle="full" if i < group else "none",
            markersize=6 if i < group else 11,
            linewidth=2,
            label=name,
        )
    if legend:
        axes.legend(frameon=False, handlelength=3)


def draw_prediction(axes: Axes, prediction: float | None, text: Callable[[float], str]) -> None:
    """Draw the reader's prediction, if there is one, as a labelled line of long dashes."""
    if prediction is not None:
        label = f"your prediction: {text(prediction)}"
        axes.axhline(prediction, color="#444444", linestyle=PREDICTED, linewidth=1.5, label=label)
        axes.legend(frameon=False, handlelength=3)


def x_axis(axes: Axes, label: str, units: Mapping[str, float] | None) -> None:
    """Label the axis and write its ticks with their units."""
    axes.set_xlabel(label)
    if units is not None:
        axes.xaxis.set_major_formatter(_ticks(units))


def x_sizes(axes: Axes, sizes: Sequence[float], log: bool) -> None:
    """Space the sizes by ratio if `log` or if they range widely; write each below the axis while there is room."""
    form = axes.xaxis.get_major_formatter()
    if wide(sizes) or (log and min(sizes) > 0):
        axes.set_xscale("log")
    if len(sizes) <= 6:
        axes.set_xticks(sizes)
        axes.set_xticks([], minor=True)
    axes.xaxis.set_major_formatter(form)


def y_axis(axes: Axes, label: str, units: Mapping[str, float] | None, log: bool = False) -> None:
    """Label the axis, begin it at zero (or make it logarithmic) and write its ticks with their units."""
    axes.set_ylabel(label)
    if log:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    if units is not None:
        axes.yaxis.set_major_formatter(_ticks(units))


def units_of(unit: str) -> Mapping[str, float]:
    """Give the scale of a unit: bytes are scaled as bytes, other things as counts."""
    return BYTES if unit == "B" else COUNTS


def _ticks(units: Mapping[str, float]) -> Callable[[float, float], str]:
    falling = sorted(units.items(), key=lambda item: -item[1])

    def text(value: float, _: float) -> str:
        unit, factor = next(((u, f) for u, f in falling if f <= abs(value) * 1.000_001), ("", 1.0))
        return f"{value / factor:.3g} {unit}".rstrip()

    return text


def wide(values: Sequence[float]) -> bool:
    """Tell whether positive values range so widely that a linear axis would hide the small ones."""
    return bool(values) and min(values) > 0 and max(values) / min(values) >= _LOG_FROM


def publish(figure: Figure, words: str, caption: str, to: Path | None) -> None:
    """Show the figure with its words and caption, or write it to a file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Description": words, "Software": None})
    if to is not None:
        to.write_bytes(buffer.getvalue())
        return
    from IPython.display import display

    picture = {"image/png": base64.b64encode(buffer.getvalue()).decode("ascii"), "text/plain": words}
    show: Callable[..., None] = display
    show(picture, metadata={"image/png": {"alt": words}}, raw=True)
    below = f"*{caption}*\n\n<details><summary>The figure in words</summary>{words}</details>"
    show({"text/markdown": below, "text/plain": caption}, raw=True)
