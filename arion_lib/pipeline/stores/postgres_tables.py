"""The tables of a store in PostgreSQL, and what one transaction writes into them.

Idea        The row of a stream is its lock: whoever holds it sees all that was committed to the stream, and goes on.
Invariant   Figures are joined by `exact.merge` while the lock is held and kept as `numeric`: as exact as in SQLite.
When wrong  Whatever fails, the transaction around it is rolled back by whoever began it.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_store.py
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from arion_lib.pipeline.batch import Aggregate, Delivery, Number
from arion_lib.pipeline.numbers.exact import merge
from arion_lib.pipeline.queues import frames
from arion_lib.pipeline.store import StoreBroken
from arion_lib.pipeline.stores.plan import Plan, reached

if TYPE_CHECKING:
    import psycopg

_VERSION = 3
_MAKING = 0x4172696F  # the advisory lock under which the tables are made
LEASE = f"SELECT pg_try_advisory_lock(({_MAKING}::bigint << 32) | 'outbox'::regclass::oid::bigint)"
"""Asks for the lock of whoever publishes the outbox of this schema."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS pipeline_version (version integer NOT NULL);
CREATE TABLE IF NOT EXISTS streams (
    number integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text COLLATE "C" NOT NULL UNIQUE,
    rows bigint NOT NULL DEFAULT 0, dead bigint NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS rows (stream integer, seq bigint, body text NOT NULL, PRIMARY KEY (stream, seq));
CREATE TABLE IF NOT EXISTS dead (
    stream integer, seq bigint, record bigint, "offset" bigint, reason text, raw bytea, PRIMARY KEY (stream, seq));
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
    first bigint NOT NULL, count bigint NOT NULL, block bytea, published boolean NOT NULL DEFAULT false);
CREATE INDEX IF NOT EXISTS outbox_waiting ON outbox (seq) WHERE NOT published;
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
}
"""What makes tables of that version those of the next."""
TABLES = ("streams", "rows", "dead", "groups", "deliveries", "seen", "outbox", "marks")
_UPSERT = """
INSERT INTO groups
SELECT %s, * FROM unnest(%s::text[], %s::bigint[], %s::text[], %s::numeric[], %s::numeric[], %s::numeric[],
    %s::bigint[])
ON CONFLICT (stream, key) DO UPDATE SET count = excluded.count, kinds = excluded.kinds, total = excluded.total,
    least = excluded.least, greatest = excluded.greatest, valued = excluded.valued
"""
_ADVANCE = """
INSERT INTO deliveries (stream, id, done, complete, at, length, crc)
SELECT %s, id, done, complete, %s, length, crc
FROM unnest(%s::text[], %s::bigint[], %s::boolean[], %s::bigint[], %s::bigint[])
     AS new (id, done, complete, length, crc)
ON CONFLICT (stream, id) DO UPDATE SET done = excluded.done, complete = excluded.complete, at = excluded.at,
    length = excluded.length, crc = excluded.crc
"""


class PostgresWriting:
    """A transaction that has begun and holds the locks of its streams, which are made when they are new."""

    def __init__(self, db: psycopg.Connection[Any], streams: Sequence[str], now: float) -> None:
        self._db = db
        self._now = now
        db.execute("INSERT INTO streams (name) SELECT unnest(%s::text[]) ON CONFLICT DO NOTHING", (list(streams),))
        # Everybody locks in the order of the names: two group commits never wait for one another in a circle.
        locked = "SELECT name, number FROM streams WHERE name = ANY(%s) ORDER BY name FOR UPDATE"
        self._numbers = dict(db.execute(locked, (list(streams),)).fetchall())

    def done(self, stream: str, delivery_id: str) -> Delivery | None:
        """Return how far a delivery has come."""
        return done(self._db, self._numbers[stream], delivery_id)

    def seen(self, stream: str, ids: Sequence[str]) -> set[str]:
        """Return those of the event ids that the stream has had."""
        found = self._db.execute(
            "SELECT id FROM seen WHERE stream = %s AND id = ANY(%s)", (self._numbers[stream], list(ids))
        )
        return {name for (name,) in found}

    def write(self, stream: str, plan: Plan) -> None:
        """Write all of the plan."""
        number = self._numbers[stream]
        mark(self._db, number, self._now)
        first, first_dead = self._number_rows(number, plan)
        if plan.rows:
            self._copy("rows", ((number, seq, row.decode()) for seq, row in enumerate(plan.rows, first)))
        if plan.dead:
            letters = (
                (number, seq, letter.record, letter.offset, letter.reason, letter.raw)
                for seq, letter in enumerate(plan.dead, first_dead)
            )
            self._copy("dead", letters)
        if plan.groups:
            _upsert(self._db, number, plan.groups)
        if plan.deliveries:
            rows = [
                (one.id, one.done, one.complete, *(one.fingerprint or (None, None))) for one in plan.deliveries.values()
            ]
            self._db.execute(_ADVANCE, (number, self._now, *map(list, zip(*rows, strict=True))))
        if plan.ids:
            self._copy("seen (stream, id, at)", ((number, name, self._now) for name in plan.ids))
        if plan.messages:
            block = None if plan.echoes else frames.encode(plan.messages)
            self._db.execute(
                "INSERT INTO outbox (stream, at, first, count, block) VALUES (%s, %s, %s, %s, %s)",
                (number, self._now, first, len(plan.messages), block),
            )

    def _number_rows(self, number: int, plan: Plan) -> tuple[int, int]:
        counts = (len(plan.rows), len(plan.dead), number)
        counted = "UPDATE streams SET rows = rows + %s, dead = dead + %s WHERE number = %s RETURNING rows, dead"
        [(rows, dead)] = self._db.execute(counted, counts).fetchall()
        return rows - len(plan.rows) + 1, dead - len(plan.dead) + 1

    def _copy(self, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
        with self._db.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)


def make_tables(db: psycopg.Connection[Any], where: str) -> None:
    """Make the tables unless they are there, or bring older ones up to date; `where` names the database in errors.

    Raises
    ------
    StoreBroken
        There are tables of somebody else, or of a newer version, or the database cannot keep every text.
    """
    [encoding] = db.execute("SHOW server_encoding").fetchone() or ("",)
    if encoding != "UTF8":
        raise StoreBroken(f"{where} must be a database in UTF8, got {encoding}: CREATE DATABASE ... ENCODING 'UTF8'")
    db.execute("SELECT pg_advisory_xact_lock(%s)", (_MAKING,))
    [ours] = db.execute("SELECT to_regclass('pipeline_version') IS NOT NULL").fetchone() or (False,)
    names = [*TABLES, "pipeline_identity", "outbox_waiting"]
    theirs = "SELECT name FROM unnest(%s::text[]) AS names (name) WHERE to_regclass(quote_ident(name)) IS NOT NULL"
    if not ours and (found := db.execute(theirs, (names,)).fetchone()):
        raise StoreBroken(f"the schema of {where} has a table {found[0]!r} of somebody else: use another schema")
    if ours and db.execute("SELECT version FROM pipeline_version").fetchone() == (_VERSION,):
        return  # to make what is there takes locks too, and would wait for those who write
    db.execute(SCHEMA)
    version = db.execute("SELECT version FROM pipeline_version").fetchone()
    if version is None:
        db.execute("INSERT INTO pipeline_version VALUES (%s)", (_VERSION,))
    else:
        _upgrade(db, version[0], where)


def _upgrade(db: psycopg.Connection[Any], version: int, where: str) -> None:
    if not min(_UPGRADES) <= version <= _VERSION:
        raise StoreBroken(
            f"{where} must hold a pipeline store of version {min(_UPGRADES)} to {_VERSION}, got version {version}: "
            "open it with the library that made it, or use another schema"
        )
    for older in range(version, _VERSION):
        db.execute(_UPGRADES[older])
        db.execute("UPDATE pipeline_version SET version = %s", (older + 1,))


MARK_EVERY = 60.0
"""Seconds between two marks of a stream."""


def mark(db: psycopg.Connection[Any], number: int | None, now: float) -> None:
    """Note how many rows and dead letters a stream (None: each) has now, once a minute: so their ages are known."""
    db.execute(
        "INSERT INTO marks SELECT number, %s::double precision, rows, dead FROM streams "
        "WHERE (%s::integer IS NULL OR number = %s) AND NOT EXISTS "
        "(SELECT FROM marks WHERE stream = number AND at > %s) ON CONFLICT DO NOTHING",
        (now, number, number, now - MARK_EVERY),
    )


def stream_number(db: psycopg.Connection[Any], stream: str) -> int:
    """Return the number of a stream; 0, to which nothing belongs, when there is none of that name."""
    found = db.execute("SELECT number FROM streams WHERE name = %s", (stream,)).fetchone()
    return found[0] if found else 0


def done(db: psycopg.Connection[Any], number: int, delivery_id: str) -> Delivery | None:
    """Return how far a delivery has come."""
    asked = "SELECT done, complete, length, crc FROM deliveries WHERE stream = %s AND id = %s"
    found = db.execute(asked, (number, delivery_id)).fetchone()
    return None if found is None else reached(delivery_id, *found)


def echoed(db: psycopg.Connection[Any], number: int, first: int, count: int) -> list[bytes]:
    """Return the rows that an outbox entry without a block of its own stands for."""
    rows = "SELECT body FROM rows WHERE stream = %s AND seq >= %s AND seq < %s ORDER BY seq"
    return [body.encode() for (body,) in db.execute(rows, (number, first, first + count))]


def loaded(count: int, kinds: str, valued: int | None, *figures: Decimal | None) -> Aggregate:
    """Return what a row of `groups` holds."""
    total, least, greatest = map(_number_of_kind, kinds, figures)
    return Aggregate(count, total, least, greatest, valued)


def _upsert(db: psycopg.Connection[Any], number: int, groups: Mapping[str, Aggregate]) -> None:
    """Join the groups with what is stored and write the sums; the stream's lock keeps everybody else out meanwhile."""
    found = db.execute(
        "SELECT key, count, kinds, valued, total, least, greatest FROM groups WHERE stream = %s AND key = ANY(%s)",
        (number, list(groups)),
    )
    joined = dict(groups)
    for key, *stored in found:
        joined[key] = merge(loaded(*stored), joined[key])
    figures = joined.values()
    db.execute(
        _UPSERT,
        (
            number,
            list(joined),
            [one.count for one in figures],
            [_kind(one.sum) + _kind(one.min) + _kind(one.max) for one in figures],
            [_numeric(one.sum) for one in figures],
            [_numeric(one.min) for one in figures],
            [_numeric(one.max) for one in figures],
            [one.values for one in figures],
        ),
    )


def _kind(number: Number | None) -> str:
    return "-" if number is None else "d" if isinstance(number, Decimal) else "f" if isinstance(number, float) else "i"


def _numeric(number: Number | None) -> Decimal | None:
    """Return the number as PostgreSQL's `numeric` keeps it; the shortest text of a float gives the same float again."""
    return None if number is None else Decimal(repr(number)) if isinstance(number, float) else Decimal(number)


def _number_of_kind(kind: str, stored: Decimal | None) -> Number | None:
    if stored is None or kind == "d":
        return stored
    return float(stored) if kind == "f" else int(stored)
