"""The benchmark of the durable half runs, small, and its contenders really do the work."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from arion_lib.bench.pipeline import store as pipeline_store
from arion_lib.pipeline.stores.sqlite import SqliteStore


@pytest.fixture(autouse=True)
def _no_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline_store, "REDIS", "redis://127.0.0.1:1/0")
    monkeypatch.setattr(pipeline_store, "RABBITMQ", "amqp://guest:guest@127.0.0.1:1/%2F")


def test_every_row_is_stored_by_everybody(tmp_path: Path) -> None:
    result = pipeline_store.rows_and_outbox(tmp_path, 100, rounds=1, rows=400)
    assert {row.name for row in result.rows} == {
        "executemany, no outbox",
        "store: rows alone",
        "store: rows + outbox",
        "store: rows + other messages",
    }
    with closing(sqlite3.connect(tmp_path / "plain100.db")) as db:
        plain = db.execute("SELECT count(*), count(DISTINCT body) FROM rows").fetchone()
        assert plain[0] > plain[1] == 400
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    with SqliteStore(tmp_path / "echo100.db") as store:
        assert store.status().rows % 400 == 0
        assert store.status().rows >= 800


def test_every_group_is_upserted(tmp_path: Path) -> None:
    result = pipeline_store.upserts(tmp_path, rounds=1, groups=500, batch=50, calls=2)
    assert "store: 500 groups" in result
    with SqliteStore(tmp_path / "groups.db") as store:
        counts = [one.count for one in store.results("s", limit=1_000)]
    assert len(counts) == 500
    assert sum(counts) > 500


def test_the_memory_of_many_groups_is_measured_on_many_groups(tmp_path: Path) -> None:
    result = pipeline_store.memory(tmp_path, groups=6_000)
    assert list(result.figures["peaks"]) == ["store: 10 groups", "store: 6,000 groups"]
    with SqliteStore(tmp_path / "memory6000.db") as store:
        assert len(store.results("s", limit=10_000)) == 6_000


def test_queues_deliver_all_and_servers_that_are_away_are_named(tmp_path: Path) -> None:
    result = pipeline_store.queues(tmp_path, rounds=1, messages=3_000)
    assert {row.name for row in result.rows} == {"file queue", "SQLite table"}
    assert len(result.absent) == 3


@pytest.mark.redis
@pytest.mark.rabbitmq
def test_queues_on_servers_deliver_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, redis_url: str, rabbitmq_url: str
) -> None:
    monkeypatch.setattr(pipeline_store, "REDIS", redis_url)
    monkeypatch.setattr(pipeline_store, "RABBITMQ", rabbitmq_url)
    result = pipeline_store.queues(tmp_path, rounds=1, messages=3_000)
    assert len(result.rows) == 5
    assert not result.absent
