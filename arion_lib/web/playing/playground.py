"""A webhook with a sender beside it, on this machine alone: something to watch while it works.

Idea        Everything is real (server thread, SQLite, group commit, a process that posts); only the sink can be slowed.
Invariant   Posts in flight and batches waiting are bounded by the connections, whatever the rate; leaving the block
            ends the server, the sender and their threads.
When wrong  An unknown knob is a `KeyError`; a rate that cannot be kept shows as events that wait at the sender, and
            these are sent when the sink is fast again.
See         notebooks/1_streaming_pipeline.ipynb · tests/web/test_playground.py
"""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from arion_lib.pipeline.batch import Batch
from arion_lib.pipeline.store import Outcome
from arion_lib.pipeline.stores.sqlite import SqliteStore
from arion_lib.web.application import create_app
from arion_lib.web.edge.server import running
from arion_lib.web.playing.load import LoadGenerator
from arion_lib.web.service import PipelineService

CONNECTIONS = 64
"""Connections of the sender, each with one post in flight: so many posts can wait, and no more."""

STEADY, BURSTS = 0, 1
_BURST = 2.0  # seconds at twice the rate, then as long without a post


class SlowStore(SqliteStore):
    """A store whose every transaction takes `delay` seconds longer, as on a tired disk or behind a far network."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.delay = 0.0
        self._waiting = threading.Event()  # never set: a wait that nothing can be mistaken for

    def commit_all(self, batches: Iterable[Batch]) -> dict[int, Outcome]:
        """Wait, then commit; see `Store.commit_all`."""
        if self.delay:
            self._waiting.wait(self.delay)
        return super().commit_all(batches)


class Playground:
    """The knobs and figures of a running webhook.

    Knobs: `rate` (events a second), `pattern` (STEADY or BURSTS), `delay` (milliseconds a transaction). Each post holds
    one event. Figures: `asked` (events a second that become due now), `stored` (events a second that are durable),
    `waiting in the server` (events taken in and not yet durable), `waiting at the sender` (events due and not sent).
    """

    def __init__(
        self,
        service: PipelineService,
        store: SlowStore,
        load: LoadGenerator,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._service, self._store, self._load, self._clock = service, store, load, clock
        self._rate, self._pattern = 0.0, STEADY
        self._began, self._last = clock(), (clock(), load.counts())

    def turn(self, name: str, value: float) -> None:
        """Set a knob. Raises `KeyError` for an unknown one."""
        if name == "rate":
            self._rate = value
        elif name == "pattern":
            self._pattern, self._began = int(value), self._clock()
        elif name == "delay":
            self._store.delay = value / 1e3
        else:
            raise KeyError(f"name must be rate, pattern or delay, got {name!r}")
        self._load.rate = self._rate_now()

    def read(self) -> Mapping[str, float]:
        """Return the figures; rates are averages since the last call. Keeps the bursts going: call it often."""
        self._load.rate = self._rate_now()
        (before, old), now, counts = self._last, self._clock(), self._load.counts()
        self._last, seconds = (now, counts), max(now - before, 1e-9)
        return {
            "asked": self._load.rate,
            "stored": (counts["accepted"] - old["accepted"]) / seconds,
            "waiting in the server": self._service.webhook.figures.in_flight,
            "waiting at the sender": counts["waiting"],
        }

    def counts(self) -> Mapping[str, int]:
        """Return what became of the events so far (see `LoadGenerator.counts`), and the `stored` ones."""
        return {**self._load.counts(), "stored": self._store.status().rows}

    def _rate_now(self) -> float:
        if self._pattern == BURSTS:
            resting = (self._clock() - self._began) % (2 * _BURST) >= _BURST
            return 0.0 if resting else 2 * self._rate
        return self._rate


@contextlib.contextmanager
def playground() -> Iterator[Playground]:
    """Serve a webhook from a thread, and post to it from a process, while the block runs; its store goes with it."""
    with contextlib.ExitStack() as open_things:
        folder = open_things.enter_context(tempfile.TemporaryDirectory(prefix="arion-", ignore_cleanup_errors=True))
        store = open_things.enter_context(SlowStore(Path(folder) / "playground.db"))
        service = PipelineService(store)
        url = open_things.enter_context(running(create_app(service)))
        yield Playground(service, store, open_things.enter_context(_sender(f"{url}/webhook/play")))


@contextlib.contextmanager
def _sender(url: str) -> Iterator[LoadGenerator]:
    with LoadGenerator(url, connections=CONNECTIONS) as load:
        yield load
        load.rate = 0.0
