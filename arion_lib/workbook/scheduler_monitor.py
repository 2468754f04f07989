"""A scheduler as a live figure: what waits, what each worker does, and buttons that interfere.

Idea        Events become bars, a snapshot becomes points, both are drawn as our own SVG a few times a second.
Invariant   Nothing runs before the reader uses a control (one snapshot sets them); it stops by itself, and after
            `stop` nothing of it is subscribed and no thread is left. What it remembers is bounded, however fast the
            tasks are.
When wrong  What a button asked for and did not get is one sentence beside it; the figure goes on.
See         notebooks/5_task_scheduler.ipynb · tests/workbook/test_scheduler_monitor.py

    monitor = SchedulerMonitor(scheduler)      # shown by a notebook as the value of a cell
    monitor.start(); monitor.kill(); monitor.scale(6); monitor.stop()      # what its buttons do
"""

from __future__ import annotations

import html
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol

from arion_lib.measure.lanes import lanes_svg
from arion_lib.measure.live import Panel, live_svg
from arion_lib.measure.recorder import Bar, Recorder
from arion_lib.units import progress_text
from arion_lib.workbook.monitor import Buttons, in_words
from arion_lib.workbook.watching import Watching

PANELS = (Panel("queue", "tasks"), Panel("throughput", "tasks/s"))
SECONDS = 10.0
"""How far back the figures reach."""
MOST_EVENTS = 20_000
"""Events between two drawings; of more, the oldest are not drawn."""


class Scheduling(Protocol):
    """What the monitor needs of a scheduler; `arion_lib.scheduler.Scheduler` has it."""

    def status(self) -> Any:
        """Take a snapshot."""

    def subscribe(self, callback: Callable[[Any], None], /) -> Callable[[], None]:
        """Call back for each event; return what ends that."""

    def scale(self, workers: int, /) -> None:
        """Have so many worker processes."""

    def kill_worker(self, number: int, /) -> None:
        """End a worker with SIGKILL."""

    def cancel(self, task: int, /) -> bool:
        """Cancel the task of this number that a worker runs; say whether there was one."""


class SchedulerMonitor(Watching):
    """Show a scheduler's queue, throughput and workers, with buttons to cancel, to kill and to scale.

    `submitting` adds a button for each entry ("200 naps": a function that submits them). Every control but stop starts
    the figure. The run ends by itself `seconds` after the last touch of a control. Drawn every `every` seconds.
    """

    how = "Press start, or use another control."

    def __init__(
        self,
        scheduler: Scheduling,
        submitting: Mapping[str, Callable[[], object]] | None = None,
        *,
        seconds: float = 60.0,
        every: float = 0.2,
        most: int = 8,
    ) -> None:
        super().__init__(seconds, every)
        self._scheduler = scheduler
        self._view = _View(self, most, submitting or {})
        self._view.offer(scheduler.status())
        self._view.show(*_pictures(Recorder(SECONDS), {}, 0.0))
        self.say(self.how)

    def cancel(self, worker: int | None = None) -> None:
        """Cancel the task that a worker runs: of this number, or of the worker that is busy the longest."""
        self._do(lambda: self._cancel(worker))

    def kill(self, worker: int | None = None) -> None:
        """Kill a worker: the one of this number, or the one that is busy the longest."""
        self._do(lambda: self._kill(worker))

    def scale(self, workers: int) -> None:
        """Have so many worker processes."""
        self._do(lambda: self._scale(workers))

    def submit(self, word: str, submit: Callable[[], object]) -> None:
        """Do what a button of `submitting` does."""
        self._do(lambda: _submitted(word, submit))

    def _do(self, act: Callable[[], str]) -> None:
        self.start()  # before it acts: the figure shows what comes of it
        try:
            self._view.answer(act())
        except Exception as error:  # noqa: BLE001  a button's boundary: an error becomes the answer beside it
            self._view.answer(f"{type(error).__name__}: {error}")

    def _cancel(self, number: int | None) -> str:
        worker = self._chosen(number)
        if worker is None or worker.task_number is None:
            return "no task to cancel: no worker runs one"
        done = self._scheduler.cancel(worker.task_number)
        return f"{'cancelled' if done else 'too late to cancel'} {worker.task!r} on {_label(worker)}"

    def _kill(self, number: int | None) -> str:
        worker = self._chosen(number)
        if worker is None:
            return "no worker to kill: none runs"
        self._scheduler.kill_worker(worker.number)
        return f"killed {_label(worker)}"

    def _scale(self, workers: int) -> str:
        self._scheduler.scale(workers)
        return f"worker processes wanted: {workers}"

    def _chosen(self, number: int | None) -> Any:
        """The worker process of that number, or the one busy the longest; None when there is none."""
        workers = [worker for worker in self._scheduler.status().workers if worker.lane == "processes"]
        if number is not None:
            return next((worker for worker in workers if worker.number == number), None)
        return max(workers, key=lambda worker: worker.age or 0.0, default=None)

    @contextmanager
    def watched(self) -> Iterator[Callable[[], None]]:
        """Collect events while the block runs: an append is all that an event costs the scheduler's thread."""
        events: deque[Any] = deque(maxlen=MOST_EVENTS)
        seen, pace = Recorder(SECONDS), Pace()

        def look() -> None:
            feed(seen, events)
            shown, now = self._scheduler.status(), time.monotonic()
            seen.add("queue", shown.ready)
            seen.add("throughput", pace.read(now, _ended(shown)))
            self._view.offer(shown)
            self._view.show(*_pictures(seen, lanes_of(shown, seen, now), now))

        unsubscribe = self._scheduler.subscribe(events.append)
        try:
            yield look
        finally:
            unsubscribe()

    def say(self, words: str) -> None:
        self._view.buttons.say(words)

    def show_running(self, on: bool) -> None:
        self._view.buttons.show_running(on)

    def _repr_mimebundle_(self, **_: Any) -> Mapping[str, Any]:
        """What a notebook shows: the widget, and a sentence where widgets do not live (a stored notebook, say)."""
        return {**self._view.mimebundle(), "text/plain": in_words("The scheduler's monitor")}


class Pace:
    """Tasks a second over about the last one: a snapshot's own throughput is over a window too long to watch."""

    def __init__(self, over: float = 1.0) -> None:
        self._over = over
        self._seen: deque[tuple[float, int]] = deque()

    def read(self, now: float, count: int) -> float:
        """Take a new total; return how fast it has grown.

        >>> pace = Pace()
        >>> [pace.read(*reading) for reading in [(0.0, 5), (0.5, 15), (1.0, 25), (1.5, 25)]]
        [0.0, 20.0, 20.0, 10.0]
        """
        self._seen.append((now, count))
        while len(self._seen) > 2 and self._seen[1][0] <= now - self._over:
            self._seen.popleft()
        since, before = self._seen[0]
        return (count - before) / (now - since) if now > since else 0.0


def _ended(shown: Any) -> int:
    return sum((shown.succeeded, shown.failed, shown.cancelled, shown.timed_out, shown.quarantined))


def feed(bars: Recorder, events: deque[Any]) -> None:
    """Turn the events collected so far into bars, while more may be coming in."""
    while events:
        event = events.popleft()
        if event.worker is None:
            continue
        lane, state = f"worker {event.worker}", str(event.state)
        if state == "running":
            bars.begin(lane, event.task, event.name, event.time)
        else:
            bars.end(lane, event.task, state, event.time)


def lanes_of(shown: Any, bars: Recorder, now: float) -> dict[str, list[Bar]]:
    """Give each worker process its lane, and each thread that did something; present tasks are the snapshot's."""
    lanes = bars.lanes(now, [_label(worker) for worker in shown.workers if worker.lane == "processes"])
    for worker in shown.workers:
        if worker.lane == "loop":  # its tasks overlap: one lane cannot show them
            lanes.pop(_label(worker), None)
    for worker in shown.workers:
        ended = [bar for bar in lanes.get(_label(worker), []) if bar.end is not None]
        if worker.task is not None and worker.age is not None:
            lanes[_label(worker)] = [*ended, Bar(worker.task_number or 0, _said(worker), now - worker.age)]
    return lanes


def _said(worker: Any) -> str:
    """Return a running task's name, and how far it says that it is."""
    return f"{worker.task} {progress_text(worker.progress)}".rstrip()


def _label(worker: Any) -> str:
    return f"worker {worker.number}"


def _pictures(points: Recorder, lanes: Mapping[str, list[Bar]], now: float) -> tuple[str, str]:
    panels = live_svg(PANELS, points, title="The scheduler")
    return panels, lanes_svg(lanes, now=now, title="What each worker does", seconds=SECONDS)


LONGEST = ("busy the longest", 0)
"""The first choice. No worker has this number; a value of None would be shown as an empty box."""


class _View:
    """The widgets of one monitor."""

    def __init__(self, monitor: SchedulerMonitor, most: int, submitting: Mapping[str, Callable[[], object]]) -> None:
        import ipywidgets as widgets

        self.buttons, self._answer = Buttons(monitor), widgets.HTML()
        self._panels, self._lanes = widgets.HTML(), widgets.HTML()
        self._worker = widgets.Dropdown(options=[LONGEST], description="worker")
        self._size = widgets.IntSlider(min=1, max=most, description="worker processes", continuous_update=False)
        self._size.style.description_width = "120px"
        self._shown_size = self._size.value
        actions: dict[str, Callable[[], None]] = {
            "cancel its task": lambda: monitor.cancel(self._worker.value or None),
            "kill it": lambda: monitor.kill(self._worker.value or None),
        }
        cancel, kill = (_button(widgets, word, act) for word, act in actions.items())
        self._size.observe(lambda change: self._moved(monitor, change["new"]), names="value")
        more = [
            _button(widgets, f"submit {word}", partial(monitor.submit, word, act)) for word, act in submitting.items()
        ]
        start, stop, status = self.buttons.row
        rows = ([start, stop, *more, status], [self._worker, cancel, kill, self._answer], [self._size])
        self._box = widgets.VBox([*(widgets.HBox(row) for row in rows), self._panels, self._lanes])

    def _moved(self, monitor: SchedulerMonitor, workers: int) -> None:
        if workers != self._shown_size:  # the reader moved it; otherwise it follows what the scheduler has
            monitor.scale(workers)

    def offer(self, shown: Any) -> None:
        """Offer the workers that there are, keeping the choice if it still is one of them; show how many there are."""
        there = [(_label(worker), worker.number) for worker in shown.workers if worker.lane == "processes"]
        if (LONGEST, *there) != tuple(self._worker.options):
            chosen = self._worker.value
            self._worker.options = [LONGEST, *there]
            self._worker.value = chosen if chosen in dict(there).values() else LONGEST[1]
        size = next((lane.size for lane in shown.lanes if lane.name == "processes"), self._shown_size)
        self._shown_size = max(1, size)  # first: it tells `_moved` that no reader moved the slider
        self._size.max = max(self._size.max, size)
        self._size.value = self._shown_size

    def show(self, panels: str, lanes: str) -> None:
        self._panels.value, self._lanes.value = panels, lanes

    def answer(self, words: str) -> None:
        self._answer.value = f"&nbsp;{html.escape(words)}"

    def mimebundle(self) -> Mapping[str, Any]:
        return dict(self._box._repr_mimebundle_())


def _submitted(word: str, submit: Callable[[], object]) -> str:
    submit()
    return f"submitted {word}"


def _button(widgets: Any, word: str, act: Callable[[], None]) -> Any:
    icons = {"cancel its task": "times", "kill it": "bolt"}
    button = widgets.Button(
        description=word, icon=icons.get(word, "plus"), layout={"width": "auto", "flex": "0 0 auto"}
    )
    button.on_click(lambda _: act())
    return button
