"""Challenge 1's durable half: rows and outbox into SQLite.

Idea        Durable against durable: every contender waits for the disk (`synchronous=FULL`, fsync) as often as ours.
Invariant   A contender returns how many rows it made durable, and all return the same.
When wrong  A target that is missed is printed as missed.
See         tests/bench/test_pipeline_store.py
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

from arion_lib.bench.compare import Comparison, at_least, compare
from arion_lib.bench.ratios import Result
from arion_lib.pipeline.batch import Batch
from arion_lib.pipeline.files.sample import sample_events
from arion_lib.pipeline.stores.sqlite import SqliteStore

SETTINGS = ("journal_mode = WAL", "synchronous = FULL", "cache_size = -4096", "journal_size_limit = 67108864")


def results(chosen: argparse.Namespace) -> Iterator[Result]:
    """Measure all of it."""
    with tempfile.TemporaryDirectory(prefix="arion-bench-") as name:
        for batch in (1_000, 10_000):
            yield rows_and_outbox(Path(name), batch, chosen.rounds)


def rows_and_outbox(folder: Path, batch: int, rounds: int, rows: int = 20_000) -> Comparison:
    """Compare durable batches of rows with an outbox to the plain `executemany` of the same rows without one."""
    events = list(sample_events(rows))
    copies = [event + b" " for event in events]  # messages that are not the rows: the outbox holds their bytes
    with ExitStack() as stack:
        plain = stack.enter_context(closing(sqlite3.connect(folder / f"plain{batch}.db", isolation_level=None)))
        for setting in SETTINGS:
            plain.execute(f"PRAGMA {setting}")
        plain.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, body)")
        stores = {name: SqliteStore(folder / f"{name}{batch}.db") for name in ("rows", "echo", "copy")}
        alone, echoing, copying = map(stack.enter_context, stores.values())
        return compare(
            {
                "executemany, no outbox": partial(_executemany, plain, events, batch),
                "store: rows alone": partial(_commit, alone, events, None, batch),
                "store: rows + outbox": partial(_commit, echoing, events, events, batch),
                "store: rows + other messages": partial(_commit, copying, events, copies, batch),
            },
            baseline="executemany, no outbox",
            rounds=rounds,
            targets={"store: rows + outbox": at_least(0.8)},
            work=rows,
            unit="rows",
            title=f"SQLite, durable, {batch:,} rows of 700 bytes a batch",
        )


def _executemany(db: sqlite3.Connection, events: list[bytes], batch: int) -> int:
    for start in range(0, len(events), batch):
        texts = ((event.decode(),) for event in events[start : start + batch])
        db.execute("BEGIN")
        db.executemany("INSERT INTO rows (body) VALUES (?)", texts)
        db.execute("COMMIT")
    return len(events)


def _commit(store: SqliteStore, events: list[bytes], messages: list[bytes] | None, batch: int) -> int:
    for start in range(0, len(events), batch):
        rows = events[start : start + batch]
        outgoing = rows if messages is events else messages[start : start + batch] if messages else ()
        store.commit(Batch("bench", rows=rows, messages=outgoing))
    if messages:  # empty the outbox as a relay does, so that it is no longer in the last round than in the first
        with store._connections.transaction(durable=False) as db:
            db.execute("DELETE FROM pending")
            db.execute("DELETE FROM outbox")
    return len(events)
