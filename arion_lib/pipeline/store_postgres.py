"""The pipeline's results in PostgreSQL: the same transaction a batch, for several servers at once.

Idea        The row of a stream is its lock: whoever holds it sees all that was committed to the stream, and goes on.
Invariant   The same as in SQLite; sums are joined by the same code and kept as `numeric`, so they are as exact.
When wrong  Lock, disk and connection troubles become the same `StoreError`s; a lost connection is opened anew.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_store.py
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from arion_lib.pipeline import frames
from arion_lib.pipeline.addresses import masked
from arion_lib.pipeline.batch import Aggregate, Batch, DeadLetter, Delivery, Key, Number
from arion_lib.pipeline.exact import decode_key, encode_key, merge
from arion_lib.pipeline.plan import Plan, Refused, admit, by_stream, check_all, checked_limit
from arion_lib.pipeline.stored import (
    BatchesRefused,
    OutboxEntry,
    Pruned,
    Result,
    StoreBroken,
    StoreBusy,
    StoredLetter,
    StoreDown,
    StoredRow,
    StoreError,
    StoreFull,
    StoreStatus,
)

if TYPE_CHECKING:
    import psycopg

_VERSION = 1
_MAKING = 0x4172696F  # the advisory lock under which the tables are made

_SCHEMA = """
CREATE TABLE IF NOT EXISTS pipeline_version (version integer NOT NULL);
CREATE TABLE IF NOT EXISTS streams (
    number integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text COLLATE "C" NOT NULL UNIQUE,
    rows bigint NOT NULL DEFAULT 0, dead bigint NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS rows (stream integer, seq bigint, body text NOT NULL, PRIMARY KEY (stream, seq));
CREATE TABLE IF NOT EXISTS dead (
    stream integer, seq bigint, record bigint, "offset" bigint, reason text, raw bytea, PRIMARY KEY (stream, seq));
CREATE TABLE IF NOT EXISTS groups (
    stream integer, key text COLLATE "C", count bigint NOT NULL, kinds text NOT NULL,
    total numeric, least numeric, greatest numeric, PRIMARY KEY (stream, key));
CREATE TABLE IF NOT EXISTS deliveries (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, stream integer NOT NULL, id text COLLATE "C" NOT NULL,
    done bigint NOT NULL, complete boolean NOT NULL, at double precision NOT NULL, UNIQUE (stream, id));
CREATE TABLE IF NOT EXISTS seen (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, stream integer NOT NULL, id text COLLATE "C" NOT NULL,
    at double precision NOT NULL, UNIQUE (stream, id));
CREATE TABLE IF NOT EXISTS outbox (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, stream integer NOT NULL, at double precision NOT NULL,
    first bigint NOT NULL, count bigint NOT NULL, block bytea, published boolean NOT NULL DEFAULT false);
CREATE INDEX IF NOT EXISTS outbox_waiting ON outbox (seq) WHERE NOT published;
"""
_TABLES = ("streams", "rows", "dead", "groups", "deliveries", "seen", "outbox")
_UPSERT = """
INSERT INTO groups
SELECT %s, * FROM unnest(%s::text[], %s::bigint[], %s::text[], %s::numeric[], %s::numeric[], %s::numeric[])
ON CONFLICT (stream, key) DO UPDATE SET count = excluded.count, kinds = excluded.kinds,
    total = excluded.total, least = excluded.least, greatest = excluded.greatest
"""
_ADVANCE = """
INSERT INTO deliveries (stream, id, done, complete, at)
SELECT %s, id, done, complete, %s FROM unnest(%s::text[], %s::bigint[], %s::boolean[]) AS new (id, done, complete)
ON CONFLICT (stream, id) DO UPDATE SET done = excluded.done, complete = excluded.complete, at = excluded.at
"""
_WAITING = """
SELECT outbox.seq, name, stream, first, count, block FROM outbox JOIN streams ON number = stream
WHERE NOT published ORDER BY outbox.seq LIMIT %s
"""
_STATUS = """
SELECT (SELECT count(*) FROM streams), (SELECT coalesce(sum(rows), 0) FROM streams),
       (SELECT coalesce(sum(dead), 0) FROM streams), (SELECT count(*) FROM outbox WHERE NOT published),
       (SELECT coalesce(sum(count), 0) FROM outbox WHERE NOT published),
       (SELECT at FROM outbox WHERE NOT published ORDER BY seq LIMIT 1),
       (SELECT sum(pg_total_relation_size(to_regclass(name))) FROM unnest(%s::text[]) AS tables (name))
"""
_PRUNE_SLICE = 1_000


class PostgresStore:
    """A `Store` in the first schema of the connection's search path of a PostgreSQL 14+ database.

    One connection writes, guarded by a lock; others read. Several servers may use one database.

    Parameters
    ----------
    url
        `postgresql://user:password@host/database`; the tables are made when missing.
    busy_timeout
        Seconds to wait for a lock before `StoreBusy`, and for a connection before `StoreDown`.
    clock
        Seconds since 1970, for the ages that `prune` and `status` look at.
    """

    def __init__(self, url: str, *, busy_timeout: float = 5.0, clock: Callable[[], float] = time.time) -> None:
        if busy_timeout <= 0:
            raise ValueError(f"busy_timeout must be > 0 seconds, got {busy_timeout}")
        self._url = url
        self._busy_timeout = busy_timeout
        self._clock = clock
        self._listeners: list[Callable[[], None]] = []
        self._writing = threading.Lock()
        self._writer: psycopg.Connection[Any] | None = None
        self._idle: list[psycopg.Connection[Any]] = []
        self._closed = False
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"PostgresStore({masked(self._url)!r})"

    # -- writing

    def commit(self, batch: Batch) -> None:
        """Make all of `batch` durable, or raise and leave nothing of it (see `Store.commit`).

        When the connection is lost during the commit itself, nobody can say whether it took place: `StoreDown` is
        raised, and committing the batch again raises `StaleDelivery` if it did and carries a delivery.
        """
        try:
            self.commit_all((batch,))
        except BatchesRefused as refused:
            raise refused.refused[0] from None

    def commit_all(self, batches: Iterable[Batch]) -> None:
        """Make several batches durable in one transaction; see `Store.commit_all` for what is refused."""
        refused: Refused = {}
        checked = check_all(batches, refused)
        total = len(checked) + len(refused)
        left_messages = False
        if checked:
            with self._transaction() as db:
                numbers = _lock(db, sorted({one.batch.stream for one in checked.values()}))
                admitted = admit(checked, lambda stream, name: _done(db, numbers[stream], name), refused)
                plans = by_stream(admitted, lambda stream, ids: _seen(db, numbers[stream], ids))
                for stream, plan in plans.items():
                    self._write(db, numbers[stream], plan)
                left_messages = any(plan.messages for plan in plans.values())
        if left_messages:
            for committed in tuple(self._listeners):
                committed()
        if refused:
            raise BatchesRefused(refused, total)

    def mark_published(self, seqs: Iterable[int]) -> None:
        """Note that the queue has these entries; written without waiting for the disk (see `Store.mark_published`)."""
        with self._transaction() as db:
            db.execute("SET LOCAL synchronous_commit = off")
            db.execute("UPDATE outbox SET published = true WHERE seq = ANY(%s)", (list(seqs),))

    def prune(
        self, *, deliveries: float | None = None, ids: float | None = None, published: float | None = None
    ) -> Pruned:
        """Forget what is older than so many seconds, oldest first, in small transactions (see `Store.prune`)."""
        return Pruned(
            0 if deliveries is None else self._prune("deliveries", "true", deliveries),
            0 if ids is None else self._prune("seen", "true", ids),
            0 if published is None else self._prune("outbox", "published", published),
        )

    def listen(self, committed: Callable[[], None]) -> Callable[[], None]:
        """Call `committed` after each commit that left messages; the returned function ends that."""
        self._listeners.append(committed)
        return lambda: self._listeners.remove(committed)

    # -- reading

    def done(self, stream: str, delivery_id: str) -> Delivery | None:
        """Return how far a delivery has come, or None when nothing of it is stored."""
        with self._reading() as db:
            return _done(db, _number(db, stream), delivery_id)

    def results(self, stream: str, after: Key | None = None, limit: int = 100) -> list[Result]:
        """Return up to `limit` groups in the order of their keys' JSON text, those past `after`."""
        with self._reading() as db:
            found = db.execute(
                "SELECT key, count, kinds, total, least, greatest FROM groups"
                " WHERE stream = %s AND key > %s ORDER BY key LIMIT %s",
                (_number(db, stream), "" if after is None else encode_key(after), checked_limit(limit)),
            ).fetchall()
        results = []
        for key, *stored in found:
            known = _loaded(*stored)
            results.append(Result(decode_key(key), known.count, known.sum, known.min, known.max))
        return results

    def rows(self, stream: str, after: int = 0, limit: int = 100) -> list[StoredRow]:
        """Return up to `limit` rows with a number greater than `after`, in order."""
        with self._reading() as db:
            found = db.execute(
                "SELECT seq, body FROM rows WHERE stream = %s AND seq > %s ORDER BY seq LIMIT %s",
                (_number(db, stream), after, checked_limit(limit)),
            )
            return [StoredRow(seq, body.encode()) for seq, body in found]

    def dead_letters(self, stream: str, after: int = 0, limit: int = 100) -> list[StoredLetter]:
        """Return up to `limit` dead letters with a number greater than `after`, in order."""
        with self._reading() as db:
            found = db.execute(
                'SELECT seq, record, "offset", reason, raw FROM dead'
                " WHERE stream = %s AND seq > %s ORDER BY seq LIMIT %s",
                (_number(db, stream), after, checked_limit(limit)),
            )
            return [StoredLetter(seq, DeadLetter(*letter)) for seq, *letter in found]

    def outbox(self, limit: int = 64, size: int = 1 << 20) -> list[OutboxEntry]:
        """Return the oldest unpublished entries, bounded in number and bytes (see `Store.outbox`)."""
        entries: list[OutboxEntry] = []
        with self._reading() as db, db.transaction(), db.cursor(name="waiting") as cursor:
            cursor.itersize = 1  # a server-side cursor: what is past `size` stays there
            for seq, name, stream, first, count, block in cursor.execute(_WAITING, (checked_limit(limit),)):
                messages = frames.decode(block) if block is not None else _echoed(db, stream, first, count)
                entries.append(OutboxEntry(seq, name, messages))
                size -= sum(map(len, messages))
                if size <= 0:
                    break
        return entries

    def status(self) -> StoreStatus:
        """Return the figures of a health page."""
        with self._reading() as db:
            found = db.execute(_STATUS, (list(_TABLES),)).fetchone()
        assert found is not None  # noqa: S101 - a SELECT of scalars has one row
        *figures, oldest, size = found
        streams, rows, dead, entries, messages = map(int, figures)
        age = 0.0 if oldest is None else max(0.0, self._clock() - oldest)
        return StoreStatus(streams, rows, dead, entries, messages, age, int(size))

    def ping(self) -> None:
        """Raise a `StoreError` unless the database answers and may be written."""
        with self._transaction() as db:
            db.execute("SELECT number FROM streams LIMIT 1 FOR UPDATE SKIP LOCKED")

    # -- life cycle

    def close(self) -> None:
        """Close the connections; a second call does nothing."""
        self._closed = True
        with self._writing:
            while self._idle:
                self._idle.pop().close()
            if self._writer is not None:
                self._writer.close()
                self._writer = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- how

    def _prepare(self) -> None:
        with self._transaction() as db:
            db.execute("SELECT pg_advisory_xact_lock(%s)", (_MAKING,))
            if db.execute(
                "SELECT to_regclass('pipeline_version') IS NULL AND to_regclass('rows') IS NOT NULL"
            ).fetchone() == (True,):
                raise StoreBroken(
                    f"the schema of {masked(self._url)} has a table 'rows' of somebody else: use another schema"
                )
            db.execute(_SCHEMA)
            version = db.execute("SELECT version FROM pipeline_version").fetchone()
            if version is None:
                db.execute("INSERT INTO pipeline_version VALUES (%s)", (_VERSION,))
            elif version != (_VERSION,):
                raise StoreBroken(f"{masked(self._url)} holds a pipeline store of version {version[0]}, not {_VERSION}")

    def _connect(self) -> psycopg.Connection[Any]:
        db: psycopg.Connection[Any] = _client().connect(
            self._url, autocommit=True, connect_timeout=max(2, round(self._busy_timeout))
        )
        db.execute("SELECT set_config('lock_timeout', %s, false)", (f"{max(1, round(self._busy_timeout * 1_000))}ms",))
        db.execute("SET synchronous_commit = on")
        return db

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[psycopg.Connection[Any]]:
        if not self._writing.acquire(timeout=self._busy_timeout):
            raise StoreBusy(f"{self!r} was written by other threads for {self._busy_timeout} s: try again later")
        try:
            self._must_be_open()
            with self._translated():
                if self._writer is None or self._writer.closed:
                    self._writer = self._connect()
                with self._writer.transaction():
                    yield self._writer
        finally:
            self._writing.release()

    @contextlib.contextmanager
    def _reading(self) -> Iterator[psycopg.Connection[Any]]:
        self._must_be_open()
        with self._translated():
            try:
                db = self._idle.pop()
            except IndexError:
                db = self._connect()
            try:
                yield db
            finally:
                if self._closed or db.closed or len(self._idle) >= 4:
                    db.close()
                else:
                    self._idle.append(db)

    def _must_be_open(self) -> None:
        if self._closed:
            raise StoreError("the store is closed; open a new one")

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        client = _client()
        try:
            yield
        except (client.errors.LockNotAvailable, client.errors.DeadlockDetected) as error:
            raise StoreBusy(f"{self!r} was locked for {self._busy_timeout} s: try again later") from error
        except client.errors.InsufficientResources as error:
            raise StoreFull(f"no room for {self!r}: nothing was written; make room and commit again") from error
        except (client.OperationalError, client.InterfaceError) as error:
            raise StoreDown(f"{self!r} does not answer: {masked(str(error))}") from error
        except client.Error as error:
            raise StoreError(f"{self!r}: {masked(str(error))}") from error

    def _write(self, db: psycopg.Connection[Any], number: int, plan: Plan) -> None:
        now = self._clock()
        numbered = db.execute(
            "UPDATE streams SET rows = rows + %s, dead = dead + %s WHERE number = %s RETURNING rows, dead",
            (len(plan.rows), len(plan.dead), number),
        ).fetchone()
        assert numbered is not None  # noqa: S101 - the row is locked
        first, first_dead = numbered[0] - len(plan.rows) + 1, numbered[1] - len(plan.dead) + 1
        _copy(db, "rows", ((number, seq, row) for seq, row in enumerate(plan.rows, first)), plan.rows)
        _copy(
            db,
            "dead",
            (
                (number, seq, letter.record, letter.offset, letter.reason, letter.raw)
                for seq, letter in enumerate(plan.dead, first_dead)
            ),
            plan.dead,
        )
        if plan.groups:
            _upsert(db, number, plan.groups)
        if plan.deliveries:
            reached = plan.deliveries.values()
            columns = [one.id for one in reached], [one.done for one in reached], [one.complete for one in reached]
            db.execute(_ADVANCE, (number, now, *columns))
        _copy(db, "seen (stream, id, at)", ((number, name, now) for name in plan.ids), plan.ids)
        if plan.messages:
            block = None if plan.echoes else frames.encode(plan.messages)
            db.execute(
                "INSERT INTO outbox (stream, at, first, count, block) VALUES (%s, %s, %s, %s, %s)",
                (number, now, first, len(plan.messages), block),
            )

    def _prune(self, table: str, where: str, age: float) -> int:
        before = self._clock() - age
        gone = 0
        while True:
            with self._transaction() as db:
                deleted = db.execute(
                    f"DELETE FROM {table} WHERE at <= %s AND seq IN "
                    f"(SELECT seq FROM {table} WHERE {where} ORDER BY seq LIMIT {_PRUNE_SLICE})",
                    (before,),
                ).rowcount
            gone += deleted
            if deleted < _PRUNE_SLICE:
                return gone


def _client() -> Any:
    """Return psycopg: imported when a store is opened, not when the pipeline is."""
    try:
        import psycopg
    except ImportError as error:
        raise StoreError("PostgreSQL needs psycopg: pip install 'arion-workbook[servers]'") from error
    return psycopg


def _lock(db: psycopg.Connection[Any], streams: Sequence[str]) -> dict[str, int]:
    """Lock the rows of the streams, in one order for everybody, and return their numbers; new ones are made."""
    db.execute("INSERT INTO streams (name) SELECT unnest(%s::text[]) ON CONFLICT DO NOTHING", (streams,))
    found = db.execute(
        "SELECT name, number FROM streams WHERE name = ANY(%s) ORDER BY name FOR UPDATE", (streams,)
    ).fetchall()
    return dict(found)


def _number(db: psycopg.Connection[Any], stream: str) -> int:
    found = db.execute("SELECT number FROM streams WHERE name = %s", (stream,)).fetchone()
    return found[0] if found else 0


def _done(db: psycopg.Connection[Any], number: int, name: str) -> Delivery | None:
    found = db.execute("SELECT done, complete FROM deliveries WHERE stream = %s AND id = %s", (number, name)).fetchone()
    return None if found is None else Delivery(name, *found)


def _seen(db: psycopg.Connection[Any], number: int, ids: Sequence[str]) -> set[str]:
    found = db.execute("SELECT id FROM seen WHERE stream = %s AND id = ANY(%s)", (number, ids))
    return {name for (name,) in found}


def _echoed(db: psycopg.Connection[Any], number: int, first: int, count: int) -> list[bytes]:
    found = db.execute(
        "SELECT body FROM rows WHERE stream = %s AND seq >= %s AND seq < %s ORDER BY seq",
        (number, first, first + count),
    )
    return [body.encode() for (body,) in found]


def _copy(db: psycopg.Connection[Any], table: str, rows: Iterable[tuple[Any, ...]], content: Sequence[object]) -> None:
    if content:
        with db.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)


def _upsert(db: psycopg.Connection[Any], number: int, groups: Mapping[str, Aggregate]) -> None:
    """Join the groups with what is stored and write the sums; the stream's lock keeps everybody else out meanwhile."""
    found = db.execute(
        "SELECT key, count, kinds, total, least, greatest FROM groups WHERE stream = %s AND key = ANY(%s)",
        (number, list(groups)),
    )
    joined = dict(groups)
    for key, *stored in found:
        joined[key] = merge(_loaded(*stored), joined[key])
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
        ),
    )


def _loaded(count: int, kinds: str, *figures: Decimal | None) -> Aggregate:
    return Aggregate(count, *map(_number_of_kind, kinds, figures))


def _kind(number: Number | None) -> str:
    return "-" if number is None else "d" if isinstance(number, Decimal) else "f" if isinstance(number, float) else "i"


def _numeric(number: Number | None) -> Decimal | None:
    """Return the number as PostgreSQL's `numeric` keeps it; the shortest text of a float gives the same float again."""
    return None if number is None else Decimal(repr(number)) if isinstance(number, float) else Decimal(number)


def _number_of_kind(kind: str, stored: Decimal | None) -> Number | None:
    if stored is None or kind == "d":
        return stored
    return float(stored) if kind == "f" else int(stored)
