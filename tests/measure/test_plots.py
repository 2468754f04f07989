"""Figures: one call each, described in words, stable under a strict comparison of the notebook."""

from __future__ import annotations

import base64
import io
import os
import subprocess
import sys
import threading

import nbformat
import pytest
from matplotlib.colors import to_hex

from arion_lib.measure import canvas, plots
from arion_lib.measure.results import Measurement, Memory, Throughput
from arion_lib.measure.tables import Growth, Stopped, Table

LUMPY = tuple((i / 100, i * 1_000_000) for i in range(1, 60))
NAIVE = Measurement(Memory(59_000_000, 20_000_000, 0.6, LUMPY, exact=True), Throughput(0.6, 60_000, "records", LUMPY))
FLAT = Measurement(
    Memory(4_096, 20_000_000, 0.6, tuple((at, 4_096) for at, _ in LUMPY), exact=True),
    Throughput(0.6, 60_000, "records", LUMPY),
)
TABLE = Table((("naive", NAIVE), ("streaming", FLAT), ("worse", Stopped("too long"))))


def growth(*sizes: int) -> Growth:
    rows = [(name, size, m(size)) for size in sizes for name, m in (("naive", grown), ("streaming", same))]
    return Growth("B", tuple(rows))


def grown(size: int) -> Memory:
    return Memory(size, 0, 1.0, (), exact=True)


def same(size: int) -> Memory:
    return Memory(0, 0, 1.0, (), exact=True)


FIGURES = {
    "time": lambda **more: plots.memory_and_throughput(TABLE, "Naive holds it all", prediction=3e7, **more),
    "size": lambda **more: plots.peak_by_size(growth(10**6, 10**7, 10**8), "Naive grows", prediction=5e6, **more),
    "both": lambda **more: plots.peak_by_input_and_output(growth(10**6, 10**7), growth(10**6, 10**8), "Flat", **more),
    "bars": lambda **more: plots.ratio_bars({"ours": 0.9, "loop": 1.0}, "loop", "Ours keeps up", prediction=2, **more),
    "lines": lambda **more: plots.lines({"queue": [(0, 1), (1, 5)]}, "Bounded", x="time (s)", y="batches", **more),
    "timeline": lambda **more: plots.timeline({"db": [(0, 1, "acquire"), (1, 3, "hold")]}, "In order", **more),
}


@pytest.fixture
def shown(monkeypatch):
    """Collect what is displayed."""
    found = []
    monkeypatch.setattr("IPython.display.display", lambda data, **more: found.append((data, more)))
    return found


def drawn(monkeypatch, draw):
    """Return the `Figure` that a call drew."""
    kept = []
    monkeypatch.setattr(plots, "publish", lambda figure, *_: kept.append(figure))
    draw()
    return kept[0]


@pytest.mark.parametrize("name", FIGURES)
def test_each_figure_is_a_white_png_with_its_words_beside_it(name, shown):
    from PIL import Image

    assert FIGURES[name]() is None
    (picture, more), (below, _) = shown
    assert set(picture) == {"image/png", "text/plain"}
    words = more["metadata"]["image/png"]["alt"]
    assert words == picture["text/plain"]
    assert len(words) > 40
    assert set(below) == {"text/markdown", "text/plain"}
    assert words in below["text/markdown"]
    assert f"*{below['text/plain']}*" in below["text/markdown"]
    with Image.open(io.BytesIO(base64.b64decode(picture["image/png"]))) as image:
        assert image.width == 560
        assert image.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
        assert image.info["Description"] == words


@pytest.mark.parametrize("name", FIGURES)
def test_each_figure_has_a_title_labelled_axes_and_fits_the_notebooks_budget(name, monkeypatch, tmp_path):
    figure = drawn(monkeypatch, FIGURES[name])
    assert figure.get_suptitle()
    assert figure.axes[-1].get_xlabel()
    assert all(axes.get_ylabel() or axes.get_yticklabels() for axes in figure.axes)
    monkeypatch.undo()
    FIGURES[name](to=tmp_path / "figure.png")
    assert 2_000 < (tmp_path / "figure.png").stat().st_size < 60_000


@pytest.mark.parametrize("name", ["time", "size", "both", "lines"])
def test_series_differ_by_line_style_and_not_by_colour_alone(name, monkeypatch):
    axes = drawn(monkeypatch, FIGURES[name]).axes[0]
    styles = [(line.get_linestyle(), line.get_marker(), str(line._dash_pattern)) for line in axes.lines]
    assert len(set(styles)) == len(styles)


def test_no_series_looks_like_the_prediction(monkeypatch):
    figure = drawn(monkeypatch, FIGURES["size"])
    *series, guess = figure.axes[0].lines
    assert guess.get_label() == "your prediction: 5.00 MB"
    assert guess._dash_pattern not in [line._dash_pattern for line in series]
    assert canvas.PREDICTED not in canvas.DASHES


def test_a_figure_without_a_prediction_has_no_dashed_line(monkeypatch):
    figure = drawn(monkeypatch, lambda: plots.peak_by_size(growth(1, 2), "Naive grows"))
    assert [line.get_label() for line in figure.axes[0].lines] == ["naive", "streaming"]


def test_time_is_shared_by_memory_and_throughput(monkeypatch):
    top, bottom = drawn(monkeypatch, FIGURES["time"]).axes
    assert top.get_shared_x_axes().joined(top, bottom)
    assert [line.get_label() for line in bottom.lines] == ["naive", "streaming"]  # the stopped one has no line


def test_axes_are_logarithmic_where_the_range_is_wide_and_linear_elsewhere(monkeypatch):
    wide = drawn(monkeypatch, lambda: plots.peak_by_size(growth(10**6, 10**8), "Wide")).axes[0]
    assert (wide.get_xscale(), wide.get_yscale()) == ("log", "log")
    rows = tuple(("naive", size, grown(size)) for size in (10**6, 3 * 10**6))
    narrow = drawn(monkeypatch, lambda: plots.peak_by_size(Growth("B", rows), "Narrow")).axes[0]
    assert (narrow.get_xscale(), narrow.get_yscale()) == ("linear", "linear")
    assert narrow.get_ylim()[0] == 0


def test_throughput_is_the_slope_of_the_count():
    points = plots._speed_points(tuple((i / 100, i * 50) for i in range(1, 101)))
    assert all(rate == pytest.approx(5_000) for _, rate in points)


def test_one_style_belongs_to_one_version_on_the_axes_of_input_and_output(monkeypatch):
    axes = drawn(monkeypatch, FIGURES["both"]).axes[0]
    colours = {line.get_label(): line.get_color() for line in axes.lines}
    assert colours["naive, input grows"] == colours["naive, output grows"]
    assert colours["naive, input grows"] != colours["streaming, input grows"]


def test_a_reader_gets_own_words_where_given(shown):
    plots.lines({"a": [(0, 0)]}, "Flat", x="s", y="n", alt="A dot.", caption="One point.")
    assert shown[0][0]["text/plain"] == "A dot."
    assert shown[1][0]["text/plain"] == "One point."


@pytest.mark.parametrize("order", [("failed", "ended well"), ("ended well", "failed")])
def test_what_failed_has_its_colour_wherever_it_stands(order: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[object] = []
    monkeypatch.setattr(plots, "publish", lambda figure, *_: drawn.append(figure))
    plots.timeline({"a": [(at, at + 1, kind) for at, kind in enumerate(order)]}, "One of two failed")
    (figure,) = drawn
    bars = dict(zip(order, figure.axes[0].patches, strict=True))  # type: ignore[attr-defined]
    assert canvas.COLOURS[0].lower() == to_hex(bars["failed"].get_facecolor())
    assert canvas.COLOURS[2].lower() == to_hex(bars["ended well"].get_facecolor())


@pytest.mark.parametrize("title", ["", "  "])
def test_a_figure_without_a_finding_is_refused(title):
    with pytest.raises(ValueError, match="title must state"):
        plots.lines({"a": [(0, 0)]}, title, x="s", y="n")


def test_a_figure_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one series"):
        plots.lines({}, "Nothing", x="s", y="n")


def test_threads_may_draw_at_once(tmp_path):
    threads = [threading.Thread(target=lambda i=i: FIGURES["size"](to=tmp_path / f"{i}.png")) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pictures = {(tmp_path / f"{i}.png").read_bytes() for i in range(4)}
    assert len(pictures) == 1  # whole and the same: nobody drew into another's figure


def test_pyplot_and_its_global_state_are_not_touched():
    code = (
        "import sys; from pathlib import Path; from arion_lib.measure import plots\n"
        "assert 'matplotlib' not in sys.modules\n"
        "plots.lines({'a': [(0, 1)]}, 'Flat', x='s', y='n', to=Path(sys.argv[1]))\n"
        "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, os.devnull], check=True)


IMPORTS = "import random\nfrom arion_lib.measure import plots\n"
CELL = "plots.lines({{'a': [(0, {y})]}}, 'Flat', x='s', y='n')"


def stored(source: str, number: int, shown: list) -> nbformat.NotebookNode:
    """Make a cell with the outputs that running it here displays."""
    shown.clear()
    exec(IMPORTS + source, {})  # noqa: S102
    outputs = [nbformat.v4.new_output("display_data", data, metadata=more.get("metadata", {})) for data, more in shown]
    return nbformat.v4.new_code_cell(IMPORTS + source, outputs=outputs, execution_count=number)


def test_a_figure_of_fixed_data_survives_a_strict_comparison_and_one_of_changing_data_does_not(tmp_path, shown):
    cells = [stored(CELL.format(y=y), i, shown) for i, y in enumerate(["1", "random.random()"], start=1)]
    cells[0].outputs[0].data["image/png"] = "iVBORw0KGgo="  # another machine's fonts give other bytes
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "figures.ipynb")
    own = ["--nbval", "--nbval-current-env", "-c", os.devnull, "-p", "no:cacheprovider", "-rA", "--tb=no"]
    command = [sys.executable, "-m", "pytest", *own, tmp_path / "figures.ipynb"]
    report = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout
    assert "PASSED figures.ipynb::Cell 0" in report
    assert "FAILED figures.ipynb::Cell 1" in report  # control: measured data need a cell whose output is ignored
