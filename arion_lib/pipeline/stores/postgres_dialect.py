"""The tables of a store in PostgreSQL, and its phrases of SQL.

Idea        Bulk goes in by COPY, what may be there already by one statement over arrays: round trips cost, not rows.
Invariant   Figures are kept as `numeric`, with the kinds of number that they were: as exact as in SQLite.
When wrong  Tables of somebody else, or a database that cannot keep every text, are refused when the store is opened.
See         tests/pipeline/test_store.py
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import count, repeat
from typing import Any

from arion_lib.pipeline.batch import Aggregate, Number
from arion_lib.pipeline.store import StoreBroken
from arion_lib.pipeline.stores.postgres_connections import PostgresSession

_VERSION = 5
_MAKING = 0x4172696F  # the advisory lock under which the tables are made
LEASE = f"SELECT pg_try_advisory_lock(({_MAKING}::bigint << 32) | 'outbox'::regclass::oid::bigint)"
"""Asks for the lock of whoever publishes the outbox of this schema."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS pipeline_version (version integer NOT NULL);
CREATE TABLE IF NOT EXISTS streams (
    number integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text COLLATE "C" NOT NULL UNIQUE,
    rows bigint NOT NULL DEFAULT 0, dead bigint NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS rows (stream integer, seq bigint, body text NOT NULL, meta text, PRIMARY KEY (stream, seq));
CREATE TABLE IF NOT EXISTS dead (
    stream integer, seq bigint, record bigint, "offset" bigint, reason text, raw bytea, piece boolean,
    PRIMARY KEY (stream, seq));
CREATE TABLE IF NOT EXISTS groups (
    stream integer, key text COLLATE "C", count bigint NOT NULL, kinds text NOT NULL,
    total numeric, least numeric, greatest numeric, valued bigint, PRIMARY KEY (stream, key));
CREATE TABLE IF NOT EXISTS deliveries (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, stream integer NOT NULL, id text COLLATE "C" NOT NULL,
    done bigint NOT NULL, complete boolean NOT NULL, at double precision NOT NULL, length bigint, crc bigint,
    UNIQUE (stream, id));
CREATE TABLE IF NOT EXISTS seen (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, stream integer NOT NULL, id text COLLATE "C" NOT NULL,
    at double precision NOT NULL, UNIQUE (stream, id));
CREATE TABLE IF NOT EXISTS outbox (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, stream integer NOT NULL, at double precision NOT NULL,
    first bigint NOT NULL, count bigint NOT NULL, block bytea, metas bytea);
CREATE TABLE IF NOT EXISTS pending (
    seq bigint PRIMARY KEY, count bigint NOT NULL, at double precision NOT NULL);
CREATE TABLE IF NOT EXISTS marks (
    stream integer, at double precision, rows bigint NOT NULL, dead bigint NOT NULL, PRIMARY KEY (stream, at));
CREATE TABLE IF NOT EXISTS pipeline_identity (id text NOT NULL);
INSERT INTO pipeline_identity SELECT substr(md5(random()::text || clock_timestamp()::text), 1, 16)
WHERE NOT EXISTS (SELECT FROM pipeline_identity);
"""
_UPGRADES = {
    1: """
ALTER TABLE groups ADD COLUMN valued bigint;
ALTER TABLE deliveries ADD COLUMN length bigint, ADD COLUMN crc bigint
""",
    2: "UPDATE deliveries SET length = NULL, crc = NULL WHERE length > 65536",  # summed over samples of the body
    3: """
INSERT INTO pending SELECT seq, count, at FROM outbox WHERE NOT published;
ALTER TABLE outbox DROP COLUMN published, ADD COLUMN metas bytea;
ALTER TABLE rows ADD COLUMN meta text
""",
    4: "ALTER TABLE dead ADD COLUMN piece boolean",
}
"""What makes tables of that version those of the next."""
TABLES = ("streams", "rows", "dead", "groups", "deliveries", "seen", "outbox", "pending", "marks")
_TYPES = {
    **dict.fromkeys(("id", "key", "kinds"), "text"),
    **dict.fromkeys(("done", "length", "crc", "count", "valued"), "bigint"),
    **dict.fromkeys(("total", "least", "greatest"), "numeric"),
    "stream": "integer",
    "complete": "boolean",
    "at": "double precision",
}
"""The types of the columns that are upserted."""


class PostgresDialect:
    """PostgreSQL's phrases; see `Dialect`."""

    key = seq = "seq"
    within = "stream = ? AND seq > ? AND seq <= ?"
    body = "body"
    lock = "FOR UPDATE"
    texts = "unnest(?::text[]) AS listed (value)"
    integers = "unnest(?::bigint[]) AS listed (value)"
    figures: tuple[str, ...] = ("count", "kinds", "valued", "total", "least", "greatest")
    identity = "pipeline_identity"
    size = f"(SELECT sum(pg_total_relation_size(to_regclass(name))) FROM unnest(ARRAY{list(TABLES)}) AS tables (name))"
    ping = "SELECT number FROM streams LIMIT 1 FOR UPDATE SKIP LOCKED"

    def base(self, stream: int) -> int:  # noqa: ARG002
        """Return 0: rows are numbered in their stream."""
        return 0

    def span(self, stream: int, after: int, upto: int | None = None) -> tuple[int, ...]:
        """Return the stream and the ends."""
        last = (1 << 63) - 1
        return stream, min(after, last), last if upto is None else upto

    def places(self, stream: int, first: int) -> tuple[Iterable[int], ...]:
        """Return two columns."""
        return repeat(stream), count(first)

    def many(self, values: Iterable[Any]) -> list[Any]:
        """Return an array."""
        return list(values)

    def insert(
        self,
        db: PostgresSession,
        table: str,
        columns: Sequence[str],
        rows: Iterable[Sequence[Any]],
        tail: str = "",
    ) -> None:
        """Copy rows in, or insert them as one array a column where there is a `tail`."""
        names = [part for name in columns for part in (("stream", "seq") if name == "*" else (name,))]
        if not tail:
            db.copy(f"COPY {table} ({', '.join(names)}) FROM STDIN", rows)
            return
        arrays = ", ".join(f"?::{_TYPES[name]}[]" for name in names)
        values = tuple(map(list, zip(*rows, strict=True)))
        db.execute(f"INSERT INTO {table} ({', '.join(names)}) SELECT * FROM unnest({arrays}) {tail}", values)

    def insert_entry(self, db: PostgresSession, sql: str, values: Sequence[Any]) -> int:
        """Have it returned by the same statement."""
        [(seq,)] = db.execute(f"{sql} RETURNING seq", values).fetchall()
        return int(seq)

    def kept(self, figures: Aggregate) -> Sequence[Any]:
        """Return the figures as numerics, and what kinds of number they are."""
        numbers = (figures.sum, figures.min, figures.max)
        return figures.count, "".join(map(_kind, numbers)), figures.values, *map(_numeric, numbers)

    def loaded(self, records: int, kinds: str, valued: int | None, *stored: Decimal | None) -> Aggregate:
        """Return what `kept` kept."""
        total, least, greatest = map(_number_of_kind, kinds, stored)
        return Aggregate(records, total, least, greatest, valued)


def make_tables(db: PostgresSession, where: str) -> None:
    """Make the tables unless they are there, or bring older ones up to date; `where` names the database in errors.

    Raises
    ------
    StoreBroken
        There are tables of somebody else, or of a newer version, or the database cannot keep every text.
    """
    [encoding] = db.execute("SHOW server_encoding").fetchone() or ("",)
    if encoding != "UTF8":
        raise StoreBroken(f"{where} must be a database in UTF8, got {encoding}: CREATE DATABASE ... ENCODING 'UTF8'")
    db.execute("SELECT pg_advisory_xact_lock(?)", (_MAKING,))
    [ours] = db.execute("SELECT to_regclass('pipeline_version') IS NOT NULL").fetchone() or (False,)
    names = [*TABLES, "pipeline_identity"]
    theirs = "SELECT name FROM unnest(?::text[]) AS names (name) WHERE to_regclass(quote_ident(name)) IS NOT NULL"
    if not ours and (found := db.execute(theirs, (names,)).fetchone()):
        raise StoreBroken(f"the schema of {where} has a table {found[0]!r} of somebody else: use another schema")
    if ours and db.execute("SELECT version FROM pipeline_version").fetchone() == (_VERSION,):
        return  # to make what is there takes locks too, and would wait for those who write
    db.execute(SCHEMA)
    version = db.execute("SELECT version FROM pipeline_version").fetchone()
    if version is None:
        db.execute("INSERT INTO pipeline_version VALUES (?)", (_VERSION,))
    else:
        _upgrade(db, version[0], where)


def _upgrade(db: PostgresSession, version: int, where: str) -> None:
    if not min(_UPGRADES) <= version <= _VERSION:
        raise StoreBroken(
            f"{where} must hold a pipeline store of version {min(_UPGRADES)} to {_VERSION}, got version {version}: "
            "open it with the library that made it, or use another schema"
        )
    for older in range(version, _VERSION):
        db.execute(_UPGRADES[older])
        db.execute("UPDATE pipeline_version SET version = ?", (older + 1,))


def _kind(number: Number | None) -> str:
    return "-" if number is None else "d" if isinstance(number, Decimal) else "f" if isinstance(number, float) else "i"


def _numeric(number: Number | None) -> Decimal | None:
    """Return the number as PostgreSQL's `numeric` keeps it; the shortest text of a float gives the same float again."""
    return None if number is None else Decimal(repr(number)) if isinstance(number, float) else Decimal(number)


def _number_of_kind(kind: str, stored: Decimal | None) -> Number | None:
    if stored is None or kind == "d":
        return stored
    return float(stored) if kind == "f" else int(stored)
