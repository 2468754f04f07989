"""SIGTERM while senders send: what was answered 2xx is there, what was not is not, and the queue has it all."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from arion_lib.pipeline.queues.file_queue import FileBroker
from arion_lib.pipeline.store import Store
from arion_lib.web import serve as serve_command
from tests.chaos.kills import SECRET
from tests.chaos.nursery import Nursery
from tests.chaos.senders import Post
from tests.pipeline.databases import Database, database
from tests.web.client import until

__all__ = ["database"]  # the fixture
SENDERS = 8
EACH = 3
"""Events of every second post; the others have one, and are signed."""


@pytest.fixture
def nursery(no_leaks: None) -> Iterator[Nursery]:
    with Nursery() as one:
        yield one


class Load:
    """Senders that post until the server is gone, each one post at a time."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url)
        self.acknowledged: list[str] = []
        self.others: list[int] = []  # statuses that are no 2xx
        self._threads = [threading.Thread(target=self._send, args=(n,)) for n in range(SENDERS)]
        for thread in self._threads:
            thread.start()

    def _send(self, number: int) -> None:
        line = http.client.HTTPConnection(self._address.hostname or "", self._address.port, timeout=30)
        with contextlib.closing(line), contextlib.suppress(OSError, http.client.HTTPException):
            for n in range(1_000_000):
                signed = n % 2 == 0
                events = [f"{number}-{n}-{part}" for part in range(1 if signed else EACH)]
                body = b"".join(b'{"id": "%s"}\n' % event.encode() for event in events)
                one = Post(
                    "/webhook/signed" if signed else "/webhook/events",
                    f"{number}-{n}",
                    body,
                    secret=SECRET if signed else None,
                )
                line.request("POST", one.target, one.body, one.headers())
                answer = line.getresponse()
                answer.read()
                if answer.status == 200:
                    self.acknowledged += events
                else:
                    self.others.append(answer.status)

    def join(self) -> None:
        for thread in self._threads:
            thread.join()


def stored(store: Store) -> Iterator[str]:
    for stream in ("signed", "events"):
        after = 0
        while page := store.rows(stream, after, 10_000):
            yield from (json.loads(row.body)["id"] for row in page)
            after = page[-1].seq


def queued(folder: Path) -> Iterator[str]:
    with FileBroker(folder) as queue:
        while (claim := queue.claim(10_000)) is not None:
            yield from (json.loads(message)["id"] for message in claim.messages)
            queue.ack(claim)


@pytest.mark.posix("Windows has no SIGTERM that a process hears")
def test_sigterm_under_load_leaves_what_was_acknowledged_and_nothing_else(
    nursery: Nursery, database: Database, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "arion.toml").write_text(f"[streams.signed]\nsecret_file = {json.dumps(str(tmp_path / 'secret'))}\n")
    where = ["--data", str(tmp_path), "--store", database.url, "--config", str(tmp_path / "arion.toml")]
    child = nursery.start(serve_command.run, ["--port", "0", *where])
    load = Load(child.said.split()[0])
    try:
        until(lambda: len(load.acknowledged) >= 100)
    finally:
        child.terminate()
        load.join()
    assert set(load.others) <= {503}
    with database.open() as store:
        assert Counter(stored(store)) == Counter(load.acknowledged)
        assert store.status().outbox_entries == 0
    assert set(queued(tmp_path / "queue")) == set(load.acknowledged)
