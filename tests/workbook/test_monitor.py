"""A live figure: nothing before start, everything closed after stop."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from arion_lib.measure.live import Panel
from arion_lib.workbook.monitor import Knob, Monitor

pytest.importorskip("ipywidgets")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:ipywidgets")


class Engine:
    """What is watched: it tells what happened, and when it was read."""

    def __init__(self, fails: bool = False) -> None:
        self.told: list[object] = []
        self.was_read = threading.Event()
        self.fails = fails

    @contextmanager
    def __call__(self) -> Iterator[Engine]:
        self.told.append("open")
        try:
            yield self
        finally:
            self.told.append("closed")

    def turn(self, name: str, value: float) -> None:
        self.told.append((name, value))

    def read(self) -> Mapping[str, float]:
        if self.fails:
            raise OSError("the engine is out of oil")
        self.was_read.set()
        return {"speed": 7.0}


def monitor(engine: Engine, **options: float) -> Monitor:
    knobs = [Knob("rate", "rate (events/s)", 0, 100, 10, 20), Knob("pattern", "pattern", words=("steady", "bursts"))]
    return Monitor("Test", engine, knobs, [Panel("speed", "events/s")], every=0.01, **options)


@pytest.mark.usefixtures("no_leaks")
def test_nothing_runs_before_the_start_and_nothing_after_the_stop() -> None:
    engine = Engine()
    live = monitor(engine)
    assert not live.running
    assert engine.told == []
    live.start()
    assert engine.was_read.wait(10)
    live.stop()
    assert not live.running
    assert engine.told == ["open", ("rate", 20.0), ("pattern", 0.0), "closed"]
    assert "speed: 7 events/s" in live._view._picture.value


@pytest.mark.usefixtures("no_leaks")
def test_moving_a_slider_starts_it_and_reaches_what_is_watched() -> None:
    engine = Engine()
    live = monitor(engine)
    slider = live._view._box.children[1]
    slider.value = 50
    assert engine.was_read.wait(10)
    live.stop()
    assert ("rate", 50.0) in engine.told


@pytest.mark.usefixtures("no_leaks")
def test_it_stops_by_itself() -> None:
    engine = Engine()
    live = monitor(engine, seconds=0.05)
    live.start()
    assert live._thread is not None
    live._thread.join(10)
    assert not live.running
    assert engine.told[-1] == "closed"
    assert live._view.buttons.said.endswith("stopped. Press start, or move a slider.")


@pytest.mark.usefixtures("no_leaks")
def test_the_buttons_say_whether_it_runs() -> None:
    engine = Engine()
    live = monitor(engine)
    start, stop = live._view.buttons.start, live._view.buttons.stop
    still = ("start", "primary", True)

    def looks() -> tuple[str, str, bool]:
        return start.description, start.button_style, stop.disabled

    assert looks() == still
    start.click()
    assert engine.was_read.wait(10)
    assert looks() == ("running", "success", False)
    stop.click()
    assert looks() == still
    engine.fails = True
    start.click()
    assert live._thread is not None
    live._thread.join(10)
    assert looks() == still, "also when an error ended it"
    live.stop()


@pytest.mark.usefixtures("no_leaks")
def test_a_start_while_it_ends_by_itself_begins_anew() -> None:
    engine = Engine()
    closing, go_on = threading.Event(), threading.Event()

    class Slow(Engine):
        @contextmanager
        def __call__(self) -> Iterator[Engine]:
            with engine() as opened:
                yield opened
                closing.set()
                assert go_on.wait(10)

    live = monitor(Slow(), seconds=0.05)
    live.start()
    assert closing.wait(10)  # its time is up, and it has not closed yet
    live._seconds = 60.0
    again = threading.Thread(target=live.start)
    again.start()
    go_on.set()
    again.join(10)
    engine.was_read.clear()
    assert engine.was_read.wait(10)
    assert live._view.buttons.start.description == "running"
    live.stop()
    assert engine.told.count("closed") == 2


@pytest.mark.usefixtures("no_leaks")
def test_an_error_ends_the_run_is_shown_and_the_next_start_begins_anew() -> None:
    engine = Engine(fails=True)
    live = monitor(engine)
    live.start()
    assert live._thread is not None
    live._thread.join(10)
    assert "OSError: the engine is out of oil" in live._view.buttons.said
    engine.fails = False
    live.start()
    assert engine.was_read.wait(10)
    live.stop()
    assert engine.told.count("closed") == 2


def test_a_stored_notebook_shows_a_sentence_and_an_unknown_knob_is_refused() -> None:
    live = monitor(Engine())
    words = live._repr_mimebundle_()["text/plain"]
    assert words.startswith("Test: a live figure. Run this cell in JupyterLab")
    assert "pip install ipywidgets" in words  # what to do where the extension is missing
    with pytest.raises(KeyError, match="rate, pattern"):
        live.turn("volume", 11)
    with pytest.raises(ValueError, match="seconds and every must be > 0"):
        monitor(Engine(), seconds=0)
