"""The tables of a store in SQLite, and its phrases of SQL.

Idea        Few tables, each appended to or upserted once a batch; a row's key keeps streams apart without an index.
Invariant   Numbers that SQLite would round are kept as tagged text; `exact` reads them back digit by digit.
When wrong  A value that SQLite does not take was refused before (`plan`).
See         tests/pipeline/test_sqlite_store.py
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from itertools import count
from typing import Any

from arion_lib.pipeline.batch import Aggregate
from arion_lib.pipeline.numbers.exact import Stored, decode_number, encode_number

IDENTITY = (0x4172696F, 5)
"""SQLite files carry a number of the application that made them ("Ario"), and of its version."""

STREAM_BITS = 40
"""A row's key is its stream's number above 40 bits and its own number in the stream below: one B-tree, in which
each stream is appended to and read in order, without a second index."""

SCHEMA = """
CREATE TABLE streams (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, rows INTEGER NOT NULL, dead INTEGER NOT NULL);
CREATE TABLE rows (id INTEGER PRIMARY KEY, body TEXT NOT NULL, meta TEXT);
CREATE TABLE dead (id INTEGER PRIMARY KEY, record INTEGER, offset INTEGER, reason TEXT, raw BLOB, piece INTEGER);
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
    first INTEGER NOT NULL, count INTEGER NOT NULL, block BLOB, metas BLOB);
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
    3: """
ALTER TABLE rows ADD COLUMN meta TEXT;
ALTER TABLE outbox ADD COLUMN metas BLOB
""",
    4: "ALTER TABLE dead ADD COLUMN piece INTEGER",
}
"""What makes a file of that version one of the next. Columns are added at the end: the order is that of `SCHEMA`."""


class SqliteDialect:
    """SQLite's phrases; see `Dialect`."""

    key = "id"
    seq = f"id & {(1 << STREAM_BITS) - 1}"
    within = "id > ? AND id <= ?"
    body = "CAST(body AS BLOB)"
    lock = ""  # who writes is alone in the whole file
    texts = integers = "json_each(?)"
    figures: tuple[str, ...] = ("count", "total", "least", "greatest", "valued")
    identity = "identity"
    size = "(SELECT page_count FROM pragma_page_count()) * (SELECT page_size FROM pragma_page_size())"
    ping = f"PRAGMA user_version = {IDENTITY[1]}"  # a page is written, and reaches the disk

    def base(self, stream: int) -> int:
        """Return the key before the stream's first."""
        return stream << STREAM_BITS

    def span(self, stream: int, after: int, upto: int | None = None) -> tuple[int, ...]:
        """Return the keys before and at the ends."""
        last = (1 << STREAM_BITS) - 1
        return self.base(stream) + min(after, last), self.base(stream) + (last if upto is None else upto)

    def places(self, stream: int, first: int) -> tuple[Iterable[int], ...]:
        """Return one column."""
        return (count(self.base(stream) + first),)

    def many(self, values: Iterable[Any]) -> str:
        """Return a JSON array."""
        return json.dumps(list(values))

    def insert(
        self,
        db: sqlite3.Connection,
        table: str,
        columns: Sequence[str],
        rows: Iterable[Sequence[Any]],
        tail: str = "",
    ) -> None:
        """Insert rows by one prepared statement."""
        names = ["id" if name == "*" else name for name in columns]
        values = ", ".join("?" * len(names))
        db.executemany(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({values}) {tail}", rows)

    def insert_entry(self, db: sqlite3.Connection, sql: str, values: Sequence[Any]) -> int:
        """Return the row's id. (RETURNING is not in the SQLite 3.34 that some distributions have.)"""
        return int(db.execute(sql, values).lastrowid or 0)

    def kept(self, figures: Aggregate) -> Sequence[Stored]:
        """Return integers of 64 bits and floats as they are, the rest as text."""
        total, least, greatest = map(encode_number, (figures.sum, figures.min, figures.max))
        return figures.count, total, least, greatest, figures.values

    def loaded(self, records: int, total: Stored, least: Stored, greatest: Stored, valued: int | None) -> Aggregate:
        """Return what `kept` kept."""
        return Aggregate(records, decode_number(total), decode_number(least), decode_number(greatest), valued)
