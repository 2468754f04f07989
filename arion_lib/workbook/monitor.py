"""A live figure with knobs: start something, turn a slider, watch what it does. The only importer of ipywidgets.

Idea        A thread of its own opens what is to be watched, reads it a few times a second, and closes it again.
Invariant   Nothing runs before the reader starts it; it stops by itself, and after `stop` no thread of it is left.
When wrong  An error of what is watched ends the run and is shown in the status line; the next start begins anew.
See         notebooks/1_streaming_pipeline.ipynb · tests/workbook/test_monitor.py
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from arion_lib.measure.live import Panel, Recorder, live_svg

HOW = "Press start, or move a slider."


class Watched(Protocol):
    """What a monitor opens: knobs to turn and figures to read. Both are called by the monitor's thread alone."""

    def turn(self, name: str, value: float) -> None:
        """Set the knob `name`."""

    def read(self) -> Mapping[str, float]:
        """Return the present value of each panel's series."""


@dataclass(frozen=True, slots=True)
class Knob:
    """A slider from `low` to `high` in steps; with `words`, a choice among them whose value is the word's place."""

    name: str
    label: str
    low: float = 0
    high: float = 1
    step: float = 1
    start: float = 0
    words: tuple[str, ...] = ()


class Monitor:
    """Show `title` with a start and a stop button, a slider for each knob and a panel for each series.

    `open_watched()` gives a context manager; it is entered at start and left at stop, both in the monitor's thread.
    The run ends by itself `seconds` after the last touch of a knob. Figures are read and drawn every `every` seconds.
    """

    def __init__(
        self,
        title: str,
        open_watched: Callable[[], AbstractContextManager[Watched]],
        knobs: Sequence[Knob],
        panels: Sequence[Panel],
        *,
        seconds: float = 60.0,
        every: float = 0.2,
    ) -> None:
        if not (seconds > 0 and every > 0):
            raise ValueError(f"seconds and every must be > 0, got {seconds} and {every}")
        self.title, self.panels = title, tuple(panels)
        self._open, self._seconds, self._every = open_watched, seconds, every
        self._turned = {knob.name: float(knob.start) for knob in knobs}
        self._touched = 0.0
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._view = _View(self, knobs)
        self._view.show(live_svg(self.panels, {}, title=title), HOW)

    @property
    def running(self) -> bool:
        """Whether something is being watched now."""
        return self._thread is not None and self._thread.is_alive()

    def turn(self, name: str, value: float) -> None:
        """Set a knob, as moving its slider does; starts the run when nothing runs. Raises `KeyError` for no knob."""
        if name not in self._turned:
            raise KeyError(f"name must be one of {', '.join(self._turned)}, got {name!r}")
        self._turned[name] = float(value)
        self.start()

    def start(self) -> None:
        """Begin to watch, or go on for another `seconds`."""
        self._touched = time.monotonic()
        if not self.running:
            self._stopping.clear()
            self._thread = threading.Thread(target=self._run, name="live-monitor", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the run and wait until everything it opened is closed."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        recorder = Recorder(seconds=30)
        self._view.show(live_svg(self.panels, recorder, title=self.title), "starting ...")
        try:
            with self._open() as watched:
                self._watch(watched, recorder)
                self._view.say("stopping ...")
        except Exception as error:  # noqa: BLE001 - the thread's boundary: an error becomes the status line
            self._view.say(f"ended by {type(error).__name__}: {error}")
        else:
            self._view.say(f"stopped. {HOW}")

    def _watch(self, watched: Watched, recorder: Recorder) -> None:
        done: dict[str, float] = {}
        while not self._stopping.wait(self._every):
            left = self._touched + self._seconds - time.monotonic()
            if left <= 0:
                return
            for name, value in list(self._turned.items()):
                if done.get(name) != value:
                    watched.turn(name, value)
                    done[name] = value
            for name, value in watched.read().items():
                recorder.add(name, value)
            self._view.show(live_svg(self.panels, recorder, title=self.title), f"running, {left:.0f} s left")

    def _repr_mimebundle_(self, **_: Any) -> Mapping[str, Any]:
        """What a notebook shows: the widget, and a sentence where widgets do not live (a stored notebook, say)."""
        return {**self._view.mimebundle(), "text/plain": in_words(self.title)}


def in_words(title: str) -> str:
    """Return what stands in a widget's place where it cannot live: a stored notebook, a page without its extension."""
    return (
        f"{title}: a live figure. Run this cell in JupyterLab to play with it. If this line stays although the cell "
        "ran, JupyterLab lacks the widgets' extension: `pip install ipywidgets` where JupyterLab runs, restart it, "
        "and reload the page."
    )


class _View:
    """The widgets of one monitor."""

    def __init__(self, monitor: Monitor, knobs: Sequence[Knob]) -> None:
        import ipywidgets as widgets

        self._status, self._picture = widgets.HTML(), widgets.HTML()
        start = widgets.Button(description="start", icon="play", button_style="success")
        stop = widgets.Button(description="stop", icon="stop")
        start.on_click(lambda _: monitor.start())
        stop.on_click(lambda _: monitor.stop())
        buttons = widgets.HBox([start, stop, self._status])
        self._box = widgets.VBox([buttons, *(_control(widgets, knob, monitor) for knob in knobs), self._picture])

    def show(self, svg: str, status: str) -> None:
        self._picture.value = svg
        self.say(status)

    def say(self, status: str) -> None:
        self._status.value = f"&nbsp;{status}"

    def mimebundle(self) -> Mapping[str, Any]:
        return dict(self._box._repr_mimebundle_())


def _control(widgets: Any, knob: Knob, monitor: Monitor) -> Any:
    style, layout = {"description_width": "180px"}, {"width": "640px"}
    if knob.words:
        options = [(word, place) for place, word in enumerate(knob.words)]
        control = widgets.Dropdown(
            options=options, value=int(knob.start), description=knob.label, style=style, layout=layout
        )
    else:
        control = widgets.FloatSlider(
            min=knob.low,
            max=knob.high,
            step=knob.step,
            value=knob.start,
            description=knob.label,
            readout_format=",.0f" if float(knob.step).is_integer() else ",.2f",
            style=style,
            layout=layout,
        )
    control.observe(lambda change: monitor.turn(knob.name, change["new"]), names="value")
    return control
