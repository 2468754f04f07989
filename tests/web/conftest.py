"""A webhook server for each test that asks for one: its own folder, its own port, nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from arion_lib.pipeline.batch import Batch
from arion_lib.pipeline.broker import Broker
from arion_lib.pipeline.queues.file_queue import FileBroker
from arion_lib.pipeline.store import Outcome, Store
from arion_lib.pipeline.stores.sqlite import SqliteStore
from arion_lib.web.application import Application, create_app
from arion_lib.web.edge.gate import Doors
from arion_lib.web.edge.server import running
from arion_lib.web.playing.load import new_loop_run
from arion_lib.web.service import PipelineService
from arion_lib.web.signatures import Verifier
from arion_lib.web.streams import Rules, Streams


@dataclass(frozen=True)
class Served:
    """A running server and what is behind it."""

    url: str
    store: Store
    broker: Broker | None
    service: PipelineService
    app: Application

    @property
    def orders(self) -> str:
        """The address that most tests post to."""
        return f"{self.url}/webhook/orders"


Serve = Callable[..., contextlib.AbstractContextManager[Served]]


@pytest.fixture(scope="session", autouse=True)
def first_loop() -> None:
    """Run one event loop first: libuv keeps a pipe for the whole process from its first loop on, which is no leak."""
    new_loop_run(asyncio.sleep(0))


@contextlib.contextmanager
def serving(
    folder: Path, store: Store | None = None, broker: Broker | None = None, doors: Doors | None = None, **options: Any
) -> Iterator[Served]:
    """Run a server whose store and queue lie in `folder` unless they are given."""
    with contextlib.ExitStack() as stack:
        store = store or stack.enter_context(SqliteStore(folder / "arion.db"))
        broker = broker or stack.enter_context(FileBroker(folder / "queue"))
        service = PipelineService(store, broker, **options)
        app = create_app(service, doors=doors or Doors())
        yield Served(stack.enter_context(running(app)), store, broker, service, app)


def only(stream: str, *secrets: str) -> Streams:
    """One stream, to which senders must sign."""
    return Streams({stream: Rules(verifier=Verifier(secrets))}, None)


@pytest.fixture
def serve(no_leaks: None, tmp_path: Path) -> Serve:
    """Run a server: `with serve(limits=...) as served`."""
    return functools.partial(serving, tmp_path)


@pytest.fixture
def served(serve: Serve) -> Iterator[Served]:
    """A server with nothing special."""
    with serve() as one:
        yield one


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for all tests of a module that leave nothing behind in it."""
    with serving(tmp_path_factory.mktemp("shared")) as one:
        yield one


class HeldStore(SqliteStore):
    """A store that commits when it is let, and may be told to fail."""

    gate = threading.Event()
    entered = threading.Event()
    failure: Exception | None = None

    def commit_all(self, batches: Iterable[Batch]) -> dict[int, Outcome]:
        self.entered.set()
        assert self.gate.wait(20)
        if self.failure:
            raise self.failure
        return super().commit_all(batches)


@pytest.fixture
def held(tmp_path: Path) -> Iterator[HeldStore]:
    with HeldStore(tmp_path / "held.db") as store:
        store.gate, store.entered, store.failure = threading.Event(), threading.Event(), None
        yield store
        store.gate.set()
