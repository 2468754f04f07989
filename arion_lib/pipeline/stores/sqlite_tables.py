"""The tables of a store in SQLite, and what one transaction writes into them.

Idea        Few tables, each appended to or upserted once a batch; a row's key keeps streams apart without an index.
Invariant   SQL joins figures only where it is provably exact; `exact` does the rest, inside the same statement.
When wrong  Whatever fails, the transaction around it is rolled back by whoever began it.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_sqlite_store.py
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence

from arion_lib.pipeline.batch import Delivery, Number
from arion_lib.pipeline.numbers.exact import Stored, add, decode_number, encode_number, greatest, least
from arion_lib.pipeline.queues import frames
from arion_lib.pipeline.stores.plan import Plan, reached

IDENTITY = (0x4172696F, 3)
"""SQLite files carry a number of the application that made them ("Ario"), and of its version."""

STREAM_BITS = 40
"""A row's key is its stream's number above 40 bits and its own number in the stream below: one B-tree, in which
each stream is appended to and read in order, without a second index."""

SCHEMA = """
CREATE TABLE streams (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, rows INTEGER NOT NULL, dead INTEGER NOT NULL);
CREATE TABLE rows (id INTEGER PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE dead (id INTEGER PRIMARY KEY, record INTEGER, offset INTEGER, reason TEXT, raw BLOB);
CREATE TABLE groups (
    stream INTEGER NOT NULL, key TEXT NOT NULL, count INTEGER NOT NULL CHECK (typeof(count) = 'integer'),
    total, least, greatest, valued INTEGER, PRIMARY KEY (stream, key)) WITHOUT ROWID;
CREATE TABLE deliveries (
    seq INTEGER PRIMARY KEY, stream INTEGER NOT NULL, id TEXT NOT NULL, done INTEGER NOT NULL,
    complete INTEGER NOT NULL, at REAL NOT NULL, length INTEGER, crc INTEGER, UNIQUE (stream, id));
CREATE TABLE seen (
    seq INTEGER PRIMARY KEY, stream INTEGER NOT NULL, id TEXT NOT NULL, at REAL NOT NULL, UNIQUE (stream, id));
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, stream INTEGER NOT NULL, at REAL NOT NULL,
    first INTEGER NOT NULL, count INTEGER NOT NULL, block BLOB);
CREATE TABLE pending (seq INTEGER PRIMARY KEY, count INTEGER NOT NULL, at REAL NOT NULL);
CREATE TABLE marks (
    stream INTEGER NOT NULL, at REAL NOT NULL, rows INTEGER NOT NULL, dead INTEGER NOT NULL,
    PRIMARY KEY (stream, at)) WITHOUT ROWID;
CREATE TABLE identity (id TEXT NOT NULL);
INSERT INTO identity SELECT lower(hex(randomblob(8)))
"""

UPGRADES = {
    1: """
ALTER TABLE groups ADD COLUMN valued INTEGER;
ALTER TABLE deliveries ADD COLUMN length INTEGER;
ALTER TABLE deliveries ADD COLUMN crc INTEGER
""",
    # Checksums of long bodies were taken over samples of them.
    2: """
UPDATE deliveries SET length = NULL, crc = NULL WHERE length > 65536;
CREATE TABLE marks (
    stream INTEGER NOT NULL, at REAL NOT NULL, rows INTEGER NOT NULL, dead INTEGER NOT NULL,
    PRIMARY KEY (stream, at)) WITHOUT ROWID;
CREATE TABLE identity (id TEXT NOT NULL);
INSERT INTO identity SELECT lower(hex(randomblob(8)))
""",
}
"""What makes a file of that version one of the next. Columns are added at the end: the order is that of `SCHEMA`."""

# Both figures are 64-bit integers and so is their sum: SQL is exact. Anything else is joined by `exact.add`.
_UPSERT = """
INSERT INTO groups VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (stream, key) DO UPDATE SET
    count = count + excluded.count,
    valued = CASE WHEN total IS NULL THEN excluded.valued WHEN excluded.total IS NULL THEN valued
                  ELSE valued + excluded.valued END,
    total = CASE WHEN typeof(total) = 'integer' AND typeof(excluded.total) = 'integer'
                      AND typeof(total + excluded.total) = 'integer'
                 THEN total + excluded.total ELSE exact_add(total, excluded.total) END,
    least = CASE WHEN typeof(least) = 'integer' AND typeof(excluded.least) = 'integer'
                 THEN min(least, excluded.least) ELSE exact_least(least, excluded.least) END,
    greatest = CASE WHEN typeof(greatest) = 'integer' AND typeof(excluded.greatest) = 'integer'
                    THEN max(greatest, excluded.greatest) ELSE exact_greatest(greatest, excluded.greatest) END
"""
_ADVANCE = """
INSERT INTO deliveries (stream, id, done, complete, at, length, crc) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (stream, id) DO UPDATE SET done = excluded.done, complete = excluded.complete, at = excluded.at,
    length = excluded.length, crc = excluded.crc
"""
_UNKNOWN = (None, None)


class SqliteWriting:
    """A transaction that has begun: what it reads nobody else can change before it ends."""

    def __init__(self, db: sqlite3.Connection, now: float) -> None:
        self._db = db
        self._now = now

    def done(self, stream: str, delivery_id: str) -> Delivery | None:
        """Return how far a delivery has come."""
        return done(self._db, stream, delivery_id)

    def seen(self, stream: str, ids: Sequence[str]) -> set[str]:
        """Return those of the event ids that the stream has had."""
        found = self._db.execute(
            "SELECT id FROM seen WHERE stream = ? AND id IN (SELECT value FROM json_each(?))",
            (stream_number(self._db, stream), json.dumps(ids)),
        )
        return {name for (name,) in found}

    def write(self, stream: str, plan: Plan) -> None:
        """Write all of the plan."""
        self._db.execute("INSERT INTO streams (name, rows, dead) VALUES (?, 0, 0) ON CONFLICT DO NOTHING", (stream,))
        number, rows, dead = self._db.execute(
            "SELECT number, rows, dead FROM streams WHERE name = ?", (stream,)
        ).fetchone()
        mark(self._db, number, self._now)
        base = number << STREAM_BITS
        if plan.rows:
            self._db.executemany("INSERT INTO rows VALUES (?, CAST(? AS TEXT))", enumerate(plan.rows, base + rows + 1))
        if plan.groups:
            self._db.executemany(_UPSERT, _figures(number, plan))
        if plan.dead:
            letters = (
                (seq, letter.record, letter.offset, letter.reason, letter.raw)
                for seq, letter in enumerate(plan.dead, base + dead + 1)
            )
            self._db.executemany("INSERT INTO dead VALUES (?, ?, ?, ?, ?)", letters)
        if plan.rows or plan.dead:
            counts = (rows + len(plan.rows), dead + len(plan.dead), number)
            self._db.execute("UPDATE streams SET rows = ?, dead = ? WHERE number = ?", counts)
        self._progress(number, plan)
        if plan.messages:
            self._outbox(number, plan, base + rows + 1)

    def _progress(self, number: int, plan: Plan) -> None:
        if plan.deliveries:
            rows = (
                (number, one.id, one.done, one.complete, self._now, *(one.fingerprint or _UNKNOWN))
                for one in plan.deliveries.values()
            )
            self._db.executemany(_ADVANCE, rows)
        if plan.ids:
            fresh = ((number, name, self._now) for name in plan.ids)
            self._db.executemany("INSERT INTO seen (stream, id, at) VALUES (?, ?, ?)", fresh)

    def _outbox(self, number: int, plan: Plan, first: int) -> None:
        block = None if plan.echoes else frames.encode(plan.messages)
        seq = self._db.execute(
            "INSERT INTO outbox (stream, at, first, count, block) VALUES (?, ?, ?, ?, ?)",
            (number, self._now, first, len(plan.messages), block),
        ).lastrowid
        self._db.execute("INSERT INTO pending VALUES (?, ?, ?)", (seq, len(plan.messages), self._now))


def add_functions(db: sqlite3.Connection) -> None:
    """Teach SQL the exact sums; the connection that upserts needs them."""
    for name, join in (("add", add), ("least", least), ("greatest", greatest)):
        db.create_function(f"exact_{name}", 2, _joined(join), deterministic=True)


MARK_EVERY = 60.0
"""Seconds between two marks of a stream."""


def mark(db: sqlite3.Connection, number: int, now: float) -> None:
    """Note how many rows and dead letters a stream has now, once a minute: so their ages are known without one each."""
    db.execute(
        "INSERT INTO marks SELECT number, ?, rows, dead FROM streams WHERE number = ? AND NOT EXISTS "
        "(SELECT 1 FROM marks WHERE stream = number AND at > ?) ON CONFLICT DO NOTHING",
        (now, number, now - MARK_EVERY),
    )


def stream_number(db: sqlite3.Connection, stream: str) -> int:
    """Return the number of a stream; 0, to which nothing belongs, when there is none of that name."""
    found = db.execute("SELECT number FROM streams WHERE name = ?", (stream,)).fetchone()
    return found[0] if found else 0


def done(db: sqlite3.Connection, stream: str, delivery_id: str) -> Delivery | None:
    """Return how far a delivery has come."""
    found = db.execute(
        "SELECT done, complete, length, crc FROM deliveries "
        "WHERE stream = (SELECT number FROM streams WHERE name = ?) AND id = ?",
        (stream, delivery_id),
    ).fetchone()
    return None if found is None else reached(delivery_id, *found)


def echoed(db: sqlite3.Connection, first: int, count: int) -> list[bytes]:
    """Return the rows that an outbox entry without a block of its own stands for."""
    found = db.execute(
        "SELECT CAST(body AS BLOB) FROM rows WHERE id >= ? AND id < ? ORDER BY id", (first, first + count)
    )
    return [body for (body,) in found]


def _figures(number: int, plan: Plan) -> Iterator[tuple[Stored, ...]]:
    for key in sorted(plan.groups):  # neighbours share pages of the B-tree
        figures = plan.groups[key]
        yield (
            number,
            key,
            figures.count,
            encode_number(figures.sum),
            encode_number(figures.min),
            encode_number(figures.max),
            figures.values,
        )


def _joined(join: Callable[[Number, Number], Number]) -> Callable[[Stored, Stored], Stored]:
    def joined(a: Stored, b: Stored) -> Stored:
        x, y = decode_number(a), decode_number(b)
        return encode_number(y if x is None else x if y is None else join(x, y))

    return joined
