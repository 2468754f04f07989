"""Faults of senders and sinks: what is refused, what waits, what comes back."""

from __future__ import annotations

import contextlib
import json
import socket
import sqlite3
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from arion_lib.pipeline.deliveries import Delivery
from arion_lib.pipeline.ingest import Cut
from arion_lib.pipeline.queues.file_queue import FileBroker
from arion_lib.pipeline.stores.sqlite import SqliteStore
from arion_lib.web import serve as serve_command
from arion_lib.web.edge import server
from arion_lib.web.group_commit import GroupCommit
from arion_lib.web.requests import Limits
from arion_lib.web.startup.late_broker import LateBroker
from tests.chaos.nursery import Child, Nursery
from tests.web.client import Wire, accepts, get, ids_in_queue, post, until
from tests.web.conftest import Serve, Served

LINES = {"content-type": "application/x-ndjson"}


def ids(store: Any, stream: str = "orders") -> list[str]:
    return [json.loads(row.body)["id"] for row in store.rows(stream, limit=100_000)]


# -- senders


def test_a_sender_that_stops_half_way_loses_only_what_it_was_never_told_of(serve: Serve) -> None:
    with serve(cut=Cut(bytes=1)) as served:
        body = b"".join(b'{"id": "e%d", "note": "%s"}\n' % (n, b"x" * 1_000) for n in range(1_000))
        with Wire(served.url) as wire:
            head = {"content_length": str(len(body)), "webhook_id": "msg_1"}
            wire.head("/webhook/orders", **head).send(body[: len(body) // 2])
            until(lambda: served.store.done("orders", "msg_1") is not None)
        until(lambda: served.service.webhook.figures.in_flight == 0)
        reached = served.store.done("orders", "msg_1")
        assert reached is not None
        assert 0 < reached.done <= 500
        assert not reached.complete
        again = post(served.orders, body, {**LINES, "webhook-id": "msg_1"}).json
        assert (again["accepted"], again["duplicates"]) == (1_000 - reached.done, reached.done)
        assert ids(served.store) == [f"e{n}" for n in range(1_000)]


def test_a_small_body_that_breaks_off_leaves_nothing(served: Served) -> None:
    with Wire(served.url).head("/webhook/orders", content_length="100") as wire:
        wire.send(b'{"id": "e1"}\n{"id":')
    until(lambda: served.service.webhook.figures.answers[499] == 1)
    assert ids(served.store) == []


def test_a_sender_that_dribbles_is_answered_408_and_hung_up_on(serve: Serve) -> None:
    with serve(limits=Limits(idle=0.2, slowest=1_000)) as served:
        with Wire(served.url).head("/webhook/orders", content_length="100000", webhook_id="msg_1") as wire:
            patience = served.service.patience
            until(lambda: len(patience.waiting) == 1)
            wire.send(b'{"id": "e1"}\n')
            assert wire.answer().status == 408
            assert wire.closed()
        # The control: within the same rules a sender that goes on is served.
        assert post(served.orders, b'{"id": "e2"}').status == 200


def test_a_head_that_does_not_come_is_answered_408(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEAD_PATIENCE", 0.3)
    with serve() as served:
        with Wire(served.url) as silent, Wire(served.url) as slow:
            slow.send(b"POST /webhook/orders HTTP/1.1\r\nhost:")
            assert silent.answer().status == 408
            assert slow.answer().status == 408
            assert silent.closed()
        with Wire(served.url) as quick:
            # Behind a whole request the pause before the next is keep-alive, and no head is awaited.
            quick.head("/webhook/orders", content_length="12").send(b'{"id": "e1"}')
            assert quick.answer().status == 200
            quick.socket.settimeout(1.5)
            with pytest.raises(TimeoutError):
                quick.socket.recv(1)


def test_what_is_no_http_is_refused_and_the_server_goes_on(served: Served) -> None:
    with Wire(served.url).send(b"\x16\x03\x01 hello\r\n\r\n") as wire:
        assert wire.answer().status == 400
    with Wire(served.url).head("/webhook/orders", content_length="twelve") as wire:
        assert wire.answer().status == 400
    assert post(served.orders, b'{"id": "e1"}').status == 200


def test_a_body_shorter_than_it_said_is_not_taken(served: Served) -> None:
    with Wire(served.url).head("/webhook/orders", content_length="13") as wire:
        wire.send(b'{"id": "e1"}')
        wire.socket.shutdown(socket.SHUT_WR)
        assert wire.closed()
    assert ids(served.store) == []


@pytest.mark.parametrize(
    "bad",
    [
        b'{"id": "\xff"}',
        b'{"id": "\\ud800"}',
        b'{"id": NaN}',
        b'{"id": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"x" * (2 << 20),
        b'{"id": "cut',
    ],
    ids=["bad UTF-8", "lone surrogate", "NaN", "100,000 deep", "a line too long", "cut short"],
)
def test_a_bad_record_is_a_dead_letter_and_its_neighbours_are_stored(shared: Served, bad: bytes) -> None:
    stream = f"bad-{zlib.crc32(bad)}"
    answer = post(f"{shared.url}/webhook/{stream}", b'{"id": "a"}\n' + bad + b'\n{"id": "b"}\n', LINES)
    assert (answer.json["accepted"], answer.json["dead"]) == (2, 1)
    assert ids(shared.store, stream) == ["a", "b"]


@pytest.mark.parametrize(
    "line", [b'{"id": "e", "n": 1e400}', b'{"id": "e", "n": 1, "n": 2}', b'{"id": "e", "n": %d}' % 10**40]
)
def test_odd_records_get_an_answer_and_leave_valid_json(shared: Served, line: bytes) -> None:
    answer = post(f"{shared.url}/webhook/odd", line + b'\n{"id": "b"}\n', LINES)
    assert answer.status == 200
    assert answer.json["accepted"] + answer.json["dead"] == 2
    for row in shared.store.rows("odd", limit=1_000):
        json.loads(row.body, parse_constant=pytest.fail)


# -- the database


def test_posts_wait_out_a_lock_on_the_database(serve: Serve, tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "locked.db", busy_timeout=20) as store, serve(store=store) as served:
        other = sqlite3.connect(tmp_path / "locked.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with Wire(served.url) as wire:
            wire.head("/webhook/orders", content_length="12").send(b'{"id": "e1"}')
            wire.socket.settimeout(1.0)
            with pytest.raises(TimeoutError):
                wire.socket.recv(1)  # no answer as long as it is not durable
            assert ids(store) == []
            other.execute("ROLLBACK")
            other.close()
            wire.socket.settimeout(20)
            assert wire.answer().json["accepted"] == 1
        assert ids(store) == ["e1"]


def test_a_lock_that_lasts_too_long_is_answered_503_and_nothing_is_stored(serve: Serve, tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "locked.db", busy_timeout=0.2) as store, serve(store=store) as served:
        with contextlib.closing(sqlite3.connect(tmp_path / "locked.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            refused = post(served.orders, b'{"id": "e1"}')
            assert (refused.status, refused.headers["retry-after"]) == (503, "1")
            assert get(f"{served.url}/health").status == 503
            other.execute("ROLLBACK")
        assert ids(store) == []
        assert post(served.orders, b'{"id": "e1"}').status == 200
        assert get(f"{served.url}/health").json["status"] == "ok"


def test_a_full_database_is_answered_503_and_takes_events_again_when_there_is_room(
    serve: Serve, tmp_path: Path
) -> None:
    body = b'{"id": "%s"}' % (b"x" * 100_000)
    with SqliteStore(tmp_path / "small.db", max_bytes=1 << 20) as store, serve(store=store) as served:
        statuses = [post(served.orders, body).status for _ in range(20)]
        stored = statuses.count(200)
        assert statuses == [200] * stored + [503] * (20 - stored)
        assert 0 < stored < 20
        assert len(ids(store)) == stored
    with SqliteStore(tmp_path / "small.db") as store, serve(store=store) as served:
        assert post(served.orders, body).status == 200


@pytest.fixture
def nursery(no_leaks: None) -> Iterator[Nursery]:
    with Nursery() as one:
        yield one


def start(nursery: Nursery, folder: Path, *options: str) -> tuple[Child, str]:
    child = nursery.start(serve_command.run, ["--port", "0", "--data", str(folder), *options])
    return child, child.said.split()[0]


@pytest.mark.posix("only Linux lets one process limit another's files")
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets one process limit another's files")
def test_a_disk_that_takes_no_more_loses_nothing_that_was_acknowledged(nursery: Nursery, tmp_path: Path) -> None:
    """The operating system itself refuses to let the server's files grow, and later allows it again."""
    import resource

    child, url = start(nursery, tmp_path)
    process = psutil.Process(child.pid)
    acknowledged = []

    def send(n: int) -> int:
        status = post(f"{url}/webhook/orders", b'{"id": "e%d", "note": "%s"}' % (n, b"x" * 50_000)).status
        if status == 200:
            acknowledged.append(f"e{n}")
        return status

    assert send(0) == 200
    process.rlimit(psutil.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
    statuses = {send(n) for n in range(1, 30)}
    assert 503 in statuses <= {200, 503}
    process.rlimit(psutil.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert send(30) == 200
    child.terminate()
    with SqliteStore(tmp_path / "arion.db") as store:
        assert ids(store) == acknowledged
    assert set(ids_in_queue(tmp_path / "queue")) == set(acknowledged)


# -- the queue


def test_events_are_taken_while_the_queue_is_down_and_sent_on_when_it_comes(serve: Serve, tmp_path: Path) -> None:
    """Down from the start: a file lies where the queue's folder should be."""
    (tmp_path / "late").write_text("not a folder")
    with LateBroker(lambda: FileBroker(tmp_path / "late")) as broker, serve(broker=broker) as served:
        assert post(served.orders, b'{"id": "e1"}').status == 200
        until(lambda: served.service.relay is not None and served.service.relay.status().failures > 0)
        health = get(f"{served.url}/health")
        assert (health.status, health.json["status"], health.json["broker"]["ok"]) == (200, "degraded", False)
        (tmp_path / "late").unlink()
        until(lambda: served.store.status().outbox_entries == 0)
        assert get(f"{served.url}/health").json["status"] == "ok"
    assert ids_in_queue(tmp_path / "late") == ["e1"]


def test_a_queue_that_goes_half_way_and_comes_back_gets_everything(serve: Serve, tmp_path: Path) -> None:
    with serve() as served:
        assert post(served.orders, b'{"id": "e1"}').status == 200
        until(lambda: served.store.status().outbox_entries == 0)
        ready, away = tmp_path / "queue" / "new", tmp_path / "away"
        ready.rename(away)
        ready.write_text("no folder any more")
        assert [post(served.orders, b'{"id": "e%d"}' % n).status for n in (2, 3)] == [200, 200]
        until(lambda: served.service.relay is not None and served.service.relay.status().failures > 0)
        ready.unlink()
        away.rename(ready)
        until(lambda: served.store.status().outbox_entries == 0)
    assert sorted(set(ids_in_queue(tmp_path / "queue"))) == ["e1", "e2", "e3"]


# -- the end


def test_sigterm_lets_what_is_in_flight_end_and_sends_it_on(nursery: Nursery, tmp_path: Path) -> None:
    child, url = start(nursery, tmp_path)
    with Wire(url).head("/webhook/orders", content_length="12", expect="100-continue") as wire:
        assert wire.socket.recv(64).startswith(b"HTTP/1.1 100")
        psutil.Process(child.pid).terminate()
        until(lambda: not accepts(url))
        answer = wire.send(b'{"id": "e1"}').answer()
        assert answer.json["accepted"] == 1
    child.gone()
    with SqliteStore(tmp_path / "arion.db") as store:
        assert ids(store) == ["e1"]
        assert store.status().outbox_entries == 0
    assert ids_in_queue(tmp_path / "queue") == ["e1"]


def test_after_kill_nine_a_body_goes_on_where_its_last_batch_ended(nursery: Nursery, tmp_path: Path) -> None:
    body = b"".join(b'{"id": "e%d", "note": "%s"}\n' % (n, b"x" * 5_000) for n in range(400))
    child, url = start(nursery, tmp_path, "--batch", "1", "--relay", "none")
    with Wire(url) as wire:
        wire.head("/webhook/orders", content_length=str(len(body)), webhook_id="msg_1").send(body[:1_500_000])
        with SqliteStore(tmp_path / "arion.db") as store:
            until(lambda: (store.done("orders", "msg_1") or Delivery("", 0, False)).done > 0)
        child.kill()
    child, url = start(nursery, tmp_path, "--batch", "1", "--relay", "none")
    again = post(f"{url}/webhook/orders", body, {**LINES, "webhook-id": "msg_1"}).json
    assert again["duplicates"] > 0
    assert again["accepted"] + again["duplicates"] == 400
    child.kill()
    with SqliteStore(tmp_path / "arion.db") as store:
        assert ids(store) == [f"e{n}" for n in range(400)]


def test_health_sees_a_thread_that_has_ended(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing ends them that is foreseen; where something does, a load balancer hears of it."""
    with serve() as served:
        assert get(f"{served.url}/health").json["status"] == "ok"
        assert served.service.relay is not None
        served.service.relay.stop()
        health = get(f"{served.url}/health")
        assert (health.status, health.json["status"], health.json["relay"]["ok"]) == (200, "degraded", False)
        assert post(served.orders, b'{"id": "e1"}').status == 200, "events are taken all the same"
        monkeypatch.setattr(GroupCommit, "_count", no_memory)
        assert post(served.orders, b'{"id": "e2"}').status == 503
        health = get(f"{served.url}/health")
        assert (health.status, health.json["status"], health.json["store"]["ok"]) == (503, "down", False)
        assert "has ended" in health.json["store"]["detail"]


def no_memory(*_: object) -> None:
    raise MemoryError
