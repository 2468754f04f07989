"""The benchmark of the durable half runs, small, and its contenders really do the work."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from arion_lib.bench.pipeline import store as pipeline_store
from arion_lib.pipeline.stores.sqlite import SqliteStore


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
