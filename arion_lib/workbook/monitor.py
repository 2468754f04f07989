"""A live figure with knobs: start something, turn a slider, watch what it does. The only importer of ipywidgets.

Idea        A thread of its own opens what is to be watched, reads it a few times a second, and closes it again.
Invariant   Nothing runs before the reader starts it; it stops by itself, and after `stop` no thread of it is left.
When wrong  An error of what is watched ends the run and is shown in the status line; the next start begins anew.
See         notebooks/1_streaming_pipeline.ipynb · tests/workbook/test_monitor.py
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from arion_lib.measure.live import Panel, live_svg
from arion_lib.measure.recorder import Recorder
from arion_lib.workbook.watching import Watching

__all__ = ["Knob", "Monitor", "Panel", "Watched", "in_words"]


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


class Monitor(Watching):
    """Show `title` with a start and a stop button, a slider for each knob and a panel for each series.

    `open_watched()` gives a context manager; it is entered at start and left at stop, both in the monitor's thread.
    The run ends by itself `seconds` after the last touch of a knob. Figures are read and drawn every `every` seconds.
    """

    how = "Press start, or move a slider."

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
        super().__init__(seconds, every)
        self.title, self.panels = title, tuple(panels)
        self._open = open_watched
        self._turned = {knob.name: float(knob.start) for knob in knobs}
        self._view = _View(self, knobs)
        self._view.show(live_svg(self.panels, {}, title=title))
        self.say(self.how)

    def turn(self, name: str, value: float) -> None:
        """Set a knob, as moving its slider does; starts the run when nothing runs. Raises `KeyError` for no knob."""
        if name not in self._turned:
            raise KeyError(f"name must be one of {', '.join(self._turned)}, got {name!r}")
        self._turned[name] = float(value)
        self.start()

    @contextmanager
    def watched(self) -> Iterator[Callable[[], None]]:
        """Open it; a look turns the knobs that were moved, reads, and draws."""
        recorder, done = Recorder(seconds=30), dict[str, float]()
        self._view.show(live_svg(self.panels, recorder, title=self.title))
        with self._open() as watched:

            def look() -> None:
                for name, value in list(self._turned.items()):
                    if done.get(name) != value:
                        watched.turn(name, value)
                        done[name] = value
                for name, value in watched.read().items():
                    recorder.add(name, value)
                self._view.show(live_svg(self.panels, recorder, title=self.title))

            yield look

    def say(self, words: str) -> None:
        self._view.buttons.say(words)

    def show_running(self, on: bool) -> None:
        self._view.buttons.show_running(on)

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


class Buttons:
    """A live figure's start and stop, and the line beside them. Which one can be pressed says whether it runs."""

    def __init__(self, watching: Watching) -> None:
        import ipywidgets as widgets

        self._status = widgets.HTML()
        layout = {"width": "110px", "flex": "0 0 auto"}  # a long line beside them takes nothing of their width
        self.start, self.stop = (widgets.Button(layout=layout) for _ in range(2))
        self.stop.description = self.stop.icon = "stop"
        self.start.on_click(lambda _: watching.start())
        self.stop.on_click(lambda _: watching.stop())
        self.row = [self.start, self.stop, self._status]
        self.show_running(False)

    def show_running(self, on: bool) -> None:
        """Green and "running" while it runs: another press gives it more time. Then stop can be pressed, too."""
        self.start.description, self.start.icon = ("running", "refresh") if on else ("start", "play")
        self.start.button_style, self.start.tooltip = ("success", "go on for longer") if on else ("primary", "start")
        self.stop.disabled, self.stop.button_style = not on, "warning" if on else ""

    def say(self, status: str) -> None:
        self._status.value = f"&nbsp;{html.escape(status)}"

    @property
    def said(self) -> str:
        """What the line says now, as HTML."""
        return str(self._status.value)


class _View:
    """The widgets of one monitor."""

    def __init__(self, monitor: Monitor, knobs: Sequence[Knob]) -> None:
        import ipywidgets as widgets

        self.buttons, self._picture = Buttons(monitor), widgets.HTML()
        controls = [_control(widgets, knob, monitor) for knob in knobs]
        self._box = widgets.VBox([widgets.HBox(self.buttons.row), *controls, self._picture])

    def show(self, svg: str) -> None:
        self._picture.value = svg

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
