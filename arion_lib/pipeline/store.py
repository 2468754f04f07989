"""The pipeline's results in SQLite: one transaction a batch, durable when `commit` returns.

Idea        Rows, aggregates, outgoing messages, progress and seen ids are written in one transaction, or not at all.
Invariant   A reader sees all of a batch or nothing; a committed batch survives kill -9 and a power cut.
When wrong  Locked too long, disk full, damaged file: a `StoreError` says which, and nothing was changed.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_store.py
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Self

from arion_lib.pipeline import frames
from arion_lib.pipeline.addresses import local_path, masked, scheme
from arion_lib.pipeline.batch import Batch, DeadLetter, Delivery, Key, Number
from arion_lib.pipeline.exact import (
    Stored,
    add,
    decode_key,
    decode_number,
    encode_key,
    encode_number,
    greatest,
    least,
)
from arion_lib.pipeline.plan import Plan, Refused, admit, by_stream, check_all, checked_limit
from arion_lib.pipeline.stored import (
    BatchesRefused,
    OutboxEntry,
    Pruned,
    Result,
    StaleDelivery,
    Store,
    StoreBroken,
    StoreBusy,
    StoredLetter,
    StoreDown,
    StoredRow,
    StoreError,
    StoreFull,
    StoreStatus,
)

__all__ = [
    "BatchesRefused",
    "OutboxEntry",
    "Pruned",
    "Result",
    "SqliteStore",
    "StaleDelivery",
    "Store",
    "StoreBroken",
    "StoreBusy",
    "StoreDown",
    "StoreError",
    "StoreFull",
    "StoreStatus",
    "StoredLetter",
    "StoredRow",
    "open_store",
]

_APPLICATION = 0x4172696F  # "Ario": SQLite files carry the number of the application that made them
_VERSION = 1
_STREAM_BITS = 40
"""A row's key is its stream's number above 40 bits and its own number in the stream below: one B-tree, in which
each stream is appended to and read in order, without a second index."""

_SCHEMA = """
CREATE TABLE streams (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, rows INTEGER NOT NULL, dead INTEGER NOT NULL);
CREATE TABLE rows (id INTEGER PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE dead (id INTEGER PRIMARY KEY, record INTEGER, offset INTEGER, reason TEXT, raw BLOB);
CREATE TABLE groups (
    stream INTEGER NOT NULL, key TEXT NOT NULL, count INTEGER NOT NULL CHECK (typeof(count) = 'integer'),
    total, least, greatest, PRIMARY KEY (stream, key)) WITHOUT ROWID;
CREATE TABLE deliveries (
    seq INTEGER PRIMARY KEY, stream INTEGER NOT NULL, id TEXT NOT NULL, done INTEGER NOT NULL,
    complete INTEGER NOT NULL, at REAL NOT NULL, UNIQUE (stream, id));
CREATE TABLE seen (
    seq INTEGER PRIMARY KEY, stream INTEGER NOT NULL, id TEXT NOT NULL, at REAL NOT NULL, UNIQUE (stream, id));
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, stream INTEGER NOT NULL, at REAL NOT NULL,
    first INTEGER NOT NULL, count INTEGER NOT NULL, block BLOB);
CREATE TABLE pending (seq INTEGER PRIMARY KEY, count INTEGER NOT NULL, at REAL NOT NULL);
"""

# Both figures are 64-bit integers and so is their sum: SQL is exact. Anything else is joined by `exact.add`.
_UPSERT = """
INSERT INTO groups VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (stream, key) DO UPDATE SET
    count = count + excluded.count,
    total = CASE WHEN typeof(total) = 'integer' AND typeof(excluded.total) = 'integer'
                      AND typeof(total + excluded.total) = 'integer'
                 THEN total + excluded.total ELSE exact_add(total, excluded.total) END,
    least = CASE WHEN typeof(least) = 'integer' AND typeof(excluded.least) = 'integer'
                 THEN min(least, excluded.least) ELSE exact_least(least, excluded.least) END,
    greatest = CASE WHEN typeof(greatest) = 'integer' AND typeof(excluded.greatest) = 'integer'
                    THEN max(greatest, excluded.greatest) ELSE exact_greatest(greatest, excluded.greatest) END
"""
_ADVANCE = """
INSERT INTO deliveries (stream, id, done, complete, at) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (stream, id) DO UPDATE SET done = excluded.done, complete = excluded.complete, at = excluded.at
"""
_WAITING = """
SELECT outbox.seq, streams.name, first, outbox.count, block FROM pending
JOIN outbox ON outbox.seq = pending.seq JOIN streams ON streams.number = outbox.stream ORDER BY pending.seq LIMIT ?
"""
_STATUS = """
SELECT (SELECT count(*) FROM streams), (SELECT coalesce(sum(rows), 0) FROM streams),
       (SELECT coalesce(sum(dead), 0) FROM streams), (SELECT count(*) FROM pending),
       (SELECT coalesce(sum(count), 0) FROM pending), (SELECT at FROM pending ORDER BY seq LIMIT 1),
       (SELECT page_count FROM pragma_page_count()) * (SELECT page_size FROM pragma_page_size())
"""
_PRUNE_SLICE = 1_000  # rows a transaction of `prune`: a commit never waits for more than that


def open_store(url: str | os.PathLike[str]) -> Store:
    """Open the store that `url` names: `sqlite:///relative.db`, `sqlite:////absolute.db`, a plain path, `postgresql://...`.

    A fresh process opens the same store by the same text. Raises `ValueError` for another scheme.
    """
    kind = scheme(url)
    if kind in ("", "sqlite"):
        return SqliteStore(url)
    if kind in ("postgresql", "postgres"):
        from arion_lib.pipeline.store_postgres import PostgresStore

        return PostgresStore(os.fspath(url))
    raise ValueError(
        f"a store's URL must be sqlite:///path or postgresql://host/database, got {masked(os.fspath(url))}"
    )


class SqliteStore:
    """A `Store` in one SQLite file (and its two WAL companions), which several processes may open.

    One connection writes, guarded by a lock; others read, so that a page of results never waits for a commit.
    Live memory is the batch and twice SQLite's cache of 4 MiB, however large the database is.

    Parameters
    ----------
    path
        A path or a `sqlite:` URL; the file is made when missing, its folder must exist.
    busy_timeout
        Seconds to wait for another writer before `StoreBusy`.
    max_bytes
        Size that the file must not pass (`StoreFull`); None leaves it to the disk.
    clock
        Seconds since 1970, for the ages that `prune` and `status` look at.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        busy_timeout: float = 5.0,
        max_bytes: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if busy_timeout < 0:
            raise ValueError(f"busy_timeout must be >= 0 seconds, got {busy_timeout}")
        self.path = local_path(path)
        self._busy_timeout = busy_timeout
        self._clock = clock
        self._listeners: list[Callable[[], None]] = []
        self._writing = threading.Lock()
        self._idle: list[sqlite3.Connection] = []  # read connections that nobody uses
        self._closed = False
        with self._translated():
            self._writer = self._connect()
            try:
                self._prepare(max_bytes)
            except BaseException:
                self._writer.close()
                raise

    def __repr__(self) -> str:
        return f"SqliteStore({str(self.path)!r})"

    # -- writing

    def commit(self, batch: Batch) -> None:
        """Make all of `batch` durable, or raise and leave nothing of it (see `Store.commit`)."""
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
                admitted = admit(checked, lambda stream, name: self._done(db, stream, name), refused)
                plans = by_stream(admitted, lambda stream, ids: self._seen(db, stream, ids))
                for stream, plan in plans.items():
                    self._write(db, stream, plan)
                left_messages = any(plan.messages for plan in plans.values())
        if left_messages:
            for committed in tuple(self._listeners):
                committed()
        if refused:
            raise BatchesRefused(refused, total)

    def mark_published(self, seqs: Iterable[int]) -> None:
        """Note that the queue has these entries; written without waiting for the disk (see `Store.mark_published`)."""
        with self._transaction(durable=False) as db:
            db.executemany("DELETE FROM pending WHERE seq = ?", ((seq,) for seq in seqs))

    def prune(
        self, *, deliveries: float | None = None, ids: float | None = None, published: float | None = None
    ) -> Pruned:
        """Forget what is older than so many seconds, oldest first, in small transactions (see `Store.prune`)."""
        return Pruned(
            0 if deliveries is None else self._prune("deliveries", "true", deliveries),
            0 if ids is None else self._prune("seen", "true", ids),
            0 if published is None else self._prune("outbox", "seq NOT IN (SELECT seq FROM pending)", published),
        )

    def listen(self, committed: Callable[[], None]) -> Callable[[], None]:
        """Call `committed` after each commit that left messages; the returned function ends that."""
        self._listeners.append(committed)
        return lambda: self._listeners.remove(committed)

    # -- reading

    def done(self, stream: str, delivery_id: str) -> Delivery | None:
        """Return how far a delivery has come, or None when nothing of it is stored."""
        with self._reading() as db:
            return self._done(db, stream, delivery_id)

    def results(self, stream: str, after: Key | None = None, limit: int = 100) -> list[Result]:
        """Return up to `limit` groups in the order of their keys' JSON text, those past `after`."""
        with self._reading() as db:
            found = db.execute(
                "SELECT key, count, total, least, greatest FROM groups"
                " WHERE stream = (SELECT number FROM streams WHERE name = ?) AND key > ? ORDER BY key LIMIT ?",
                (stream, "" if after is None else encode_key(after), checked_limit(limit)),
            ).fetchall()
        return [Result(decode_key(key), count, *map(decode_number, figures)) for key, count, *figures in found]

    def rows(self, stream: str, after: int = 0, limit: int = 100) -> list[StoredRow]:
        """Return up to `limit` rows with a number greater than `after`, in order."""
        with self._reading() as db:
            first = self._first(db, stream)
            found = db.execute(
                "SELECT id - ?, CAST(body AS BLOB) FROM rows WHERE id > ? AND id < ? ORDER BY id LIMIT ?",
                (first, first + after, first + (1 << _STREAM_BITS), checked_limit(limit)),
            )
            return [StoredRow(seq, body) for seq, body in found]

    def dead_letters(self, stream: str, after: int = 0, limit: int = 100) -> list[StoredLetter]:
        """Return up to `limit` dead letters with a number greater than `after`, in order."""
        with self._reading() as db:
            first = self._first(db, stream)
            found = db.execute(
                "SELECT id - ?, record, offset, reason, raw FROM dead WHERE id > ? AND id < ? ORDER BY id LIMIT ?",
                (first, first + after, first + (1 << _STREAM_BITS), checked_limit(limit)),
            )
            return [StoredLetter(seq, DeadLetter(*letter)) for seq, *letter in found]

    def outbox(self, limit: int = 64, size: int = 1 << 20) -> list[OutboxEntry]:
        """Return the oldest unpublished entries, bounded in number and bytes (see `Store.outbox`)."""
        entries: list[OutboxEntry] = []
        with self._reading() as db:
            for seq, stream, first, count, block in db.execute(_WAITING, (checked_limit(limit),)):
                messages = frames.decode(block) if block is not None else self._echoed(db, first, count)
                entries.append(OutboxEntry(seq, stream, messages))
                size -= sum(map(len, messages))
                if size <= 0:
                    break
        return entries

    def status(self) -> StoreStatus:
        """Return the figures of a health page."""
        with self._reading() as db:
            streams, rows, dead, entries, messages, oldest, size = db.execute(_STATUS).fetchone()
        age = 0.0 if oldest is None else max(0.0, self._clock() - oldest)
        return StoreStatus(streams, rows, dead, entries, messages, age, size)

    def ping(self) -> None:
        """Raise a `StoreError` unless the database can be read and a write lock can be had."""
        with self._reading() as db:
            db.execute("SELECT count(*) FROM streams").fetchone()
        with self._transaction():
            pass

    # -- life cycle

    def close(self) -> None:
        """Fold the WAL into the database and close the files; a second call does nothing."""
        with self._writing:
            if self._closed:
                return
            self._closed = True
            while self._idle:
                self._idle.pop().close()
            with contextlib.suppress(sqlite3.Error):  # somebody else reads: they will do it
                self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- how

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=self._busy_timeout, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA cache_size = -4096")  # KiB; the default of 2 MB a connection grows with nothing else
        return db

    def _prepare(self, max_bytes: int | None) -> None:
        db = self._writer
        application, version = (
            db.execute("PRAGMA application_id").fetchone()[0],
            db.execute("PRAGMA user_version").fetchone()[0],
        )
        empty = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
        if not empty and (application, version) != (_APPLICATION, _VERSION):
            raise StoreBroken(f"{self.path} is a SQLite database, but not a pipeline store of version {_VERSION}")
        if db.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise StoreError(
                f"{self.path} lies on a file system without shared memory for SQLite's WAL: use a local disk"
            )
        for setting in (
            "synchronous = FULL",
            "fullfsync = ON",
            "checkpoint_fullfsync = ON",
            "journal_size_limit = 67108864",
        ):
            db.execute(f"PRAGMA {setting}")
        if max_bytes is not None:
            page = db.execute("PRAGMA page_size").fetchone()[0]
            db.execute(f"PRAGMA max_page_count = {max(1, max_bytes // page)}")
        for name, join in (("add", add), ("least", least), ("greatest", greatest)):
            db.create_function(f"exact_{name}", 2, _joined(join), deterministic=True)
        with self._transaction():
            if db.execute("PRAGMA user_version").fetchone()[0] == 0:  # asked again: nobody else can be making it now
                for statement in _SCHEMA.split(";"):
                    db.execute(statement)
                db.execute(f"PRAGMA application_id = {_APPLICATION}")
                db.execute(f"PRAGMA user_version = {_VERSION}")

    @contextlib.contextmanager
    def _transaction(self, durable: bool = True) -> Iterator[sqlite3.Connection]:
        if not self._writing.acquire(timeout=max(self._busy_timeout, 0.001)):
            raise StoreBusy(f"{self.path} was written by other threads for {self._busy_timeout} s: try again later")
        try:
            self._must_be_open()
            with self._translated():
                db = self._writer
                if not durable:
                    db.execute("PRAGMA synchronous = NORMAL")
                try:
                    db.execute("BEGIN IMMEDIATE")
                    try:
                        yield db
                        db.execute("COMMIT")
                    except BaseException:
                        if db.in_transaction:  # SQLite ends it by itself when the disk is full
                            db.execute("ROLLBACK")
                        raise
                finally:
                    if not durable:
                        db.execute("PRAGMA synchronous = FULL")
        finally:
            self._writing.release()

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        self._must_be_open()
        with self._translated():
            try:
                db = self._idle.pop()
            except IndexError:
                db = self._connect()
            try:
                db.execute("BEGIN")  # one snapshot for all that is read
                yield db
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                if self._closed or len(self._idle) >= 4:
                    db.close()
                else:
                    self._idle.append(db)

    def _must_be_open(self) -> None:
        if self._closed:
            raise StoreError("the store is closed; open a new one")

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._explained(error) from error

    def _explained(self, error: sqlite3.Error) -> StoreError:
        code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return StoreBusy(f"{self.path} was locked by another process for {self._busy_timeout} s: try again later")
        if code == sqlite3.SQLITE_FULL:
            return StoreFull(f"no room for {self.path}: nothing was written; make room and commit again ({error})")
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            return StoreBroken(f"{self.path} is not a whole SQLite database ({error}): restore it from a copy")
        return StoreError(f"{self.path}: {error}")

    def _number(self, db: sqlite3.Connection, stream: str) -> int:
        found = db.execute("SELECT number FROM streams WHERE name = ?", (stream,)).fetchone()
        return found[0] if found else 0  # SQLite numbers from 1: nothing belongs to stream 0

    def _first(self, db: sqlite3.Connection, stream: str) -> int:
        return self._number(db, stream) << _STREAM_BITS

    def _done(self, db: sqlite3.Connection, stream: str, name: str) -> Delivery | None:
        found = db.execute(
            "SELECT done, complete FROM deliveries"
            " WHERE stream = (SELECT number FROM streams WHERE name = ?) AND id = ?",
            (stream, name),
        ).fetchone()
        return None if found is None else Delivery(name, found[0], bool(found[1]))

    def _seen(self, db: sqlite3.Connection, stream: str, ids: Sequence[str]) -> set[str]:
        found = db.execute(
            "SELECT id FROM seen WHERE stream = ? AND id IN (SELECT value FROM json_each(?))",
            (self._number(db, stream), json.dumps(ids)),
        )
        return {name for (name,) in found}

    def _echoed(self, db: sqlite3.Connection, first: int, count: int) -> list[bytes]:
        found = db.execute(
            "SELECT CAST(body AS BLOB) FROM rows WHERE id >= ? AND id < ? ORDER BY id", (first, first + count)
        )
        return [body for (body,) in found]

    def _write(self, db: sqlite3.Connection, stream: str, plan: Plan) -> None:
        now = self._clock()
        db.execute("INSERT INTO streams (name, rows, dead) VALUES (?, 0, 0) ON CONFLICT DO NOTHING", (stream,))
        number, rows, dead = db.execute("SELECT number, rows, dead FROM streams WHERE name = ?", (stream,)).fetchone()
        first = (number << _STREAM_BITS) + rows + 1
        db.executemany("INSERT INTO rows VALUES (?, ?)", enumerate(plan.rows, first))
        db.executemany(_UPSERT, _figures(number, plan))
        db.executemany(
            "INSERT INTO dead VALUES (?, ?, ?, ?, ?)",
            (
                (seq, letter.record, letter.offset, letter.reason, letter.raw)
                for seq, letter in enumerate(plan.dead, (number << _STREAM_BITS) + dead + 1)
            ),
        )
        if plan.rows or plan.dead:
            db.execute(
                "UPDATE streams SET rows = rows + ?, dead = dead + ? WHERE number = ?",
                (len(plan.rows), len(plan.dead), number),
            )
        db.executemany(_ADVANCE, ((number, one.id, one.done, one.complete, now) for one in plan.deliveries.values()))
        db.executemany("INSERT INTO seen (stream, id, at) VALUES (?, ?, ?)", ((number, name, now) for name in plan.ids))
        if plan.messages:
            block = None if plan.echoes else frames.encode(plan.messages)
            seq = db.execute(
                "INSERT INTO outbox (stream, at, first, count, block) VALUES (?, ?, ?, ?, ?)",
                (number, now, first, len(plan.messages), block),
            ).lastrowid
            db.execute("INSERT INTO pending VALUES (?, ?, ?)", (seq, len(plan.messages), now))

    def _prune(self, table: str, where: str, age: float) -> int:
        before = self._clock() - age
        gone = 0
        while True:
            with self._transaction() as db:
                oldest = db.execute(
                    f"SELECT seq, at FROM {table} WHERE {where} ORDER BY seq LIMIT {_PRUNE_SLICE}"
                ).fetchall()
                old = [(seq,) for seq, at in oldest if at <= before]
                db.executemany(f"DELETE FROM {table} WHERE seq = ?", old)
            gone += len(old)
            if len(old) < _PRUNE_SLICE:
                return gone


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
        )


def _joined(join: Callable[[Number, Number], Number]) -> Callable[[Stored, Stored], Stored]:
    def joined(a: Stored, b: Stored) -> Stored:
        x, y = decode_number(a), decode_number(b)
        return encode_number(y if x is None else x if y is None else join(x, y))

    return joined
