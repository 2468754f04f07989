"""The pipeline's results in SQLite: one transaction a batch, durable when `commit` returns.

Idea        Rows, aggregates, outgoing messages, progress and seen ids are written in one transaction, or not at all.
Invariant   A reader sees all of a batch or nothing; a committed batch survives kill -9 and a power cut.
When wrong  Locked too long, disk full, damaged file: a `StoreError` says which, and nothing was changed.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_store.py
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from arion_lib.pipeline.batch import DeadLetter, Delivery, Key
from arion_lib.pipeline.commit import GroupCommit
from arion_lib.pipeline.numbers.exact import Stored, decode_key, decode_number, encode_key
from arion_lib.pipeline.queues.frames import whole
from arion_lib.pipeline.store import (
    Lease,
    OutboxEntry,
    Pruned,
    Result,
    StoredLetter,
    StoredRow,
    StoreStatus,
)
from arion_lib.pipeline.stores.addresses import local_path
from arion_lib.pipeline.stores.plan import checked_limit
from arion_lib.pipeline.stores.sqlite_connections import SqliteConnections
from arion_lib.pipeline.stores.sqlite_tables import (
    IDENTITY,
    SCHEMA,
    STREAM_BITS,
    UPGRADES,
    SqliteWriting,
    add_functions,
    done,
    echoed,
    mark,
    stream_number,
)

_ROWS = "SELECT id - ?, CAST(body AS BLOB) FROM rows WHERE id > ? AND id < ? ORDER BY id LIMIT ?"
_LETTERS = "SELECT id - ?, record, offset, reason, raw FROM dead WHERE id > ? AND id < ? ORDER BY id LIMIT ?"
_GROUPS = """
SELECT key, count, total, least, greatest, valued FROM groups
WHERE stream = (SELECT number FROM streams WHERE name = ?) AND key > ? ORDER BY key LIMIT ?
"""
_WAITING = """
SELECT outbox.seq, streams.name, first, outbox.count, block, (SELECT id FROM identity) FROM pending
JOIN outbox ON outbox.seq = pending.seq JOIN streams ON streams.number = outbox.stream ORDER BY pending.seq LIMIT ?
"""
_STATUS = """
SELECT (SELECT count(*) FROM streams), (SELECT coalesce(sum(rows), 0) FROM streams),
       (SELECT coalesce(sum(dead), 0) FROM streams), (SELECT count(*) FROM pending),
       (SELECT coalesce(sum(count), 0) FROM pending), (SELECT at FROM pending ORDER BY seq LIMIT 1),
       (SELECT page_count FROM pragma_page_count()) * (SELECT page_size FROM pragma_page_size())
"""
# The last number of each stream that is old, and that the outbox does not need any more for its messages.
_OLD = """
SELECT stream, min(max({table}), ifnull((
    SELECT min(first) - 1 - (marks.stream << 40) FROM outbox JOIN pending USING (seq)
    WHERE '{table}' = 'rows' AND outbox.stream = marks.stream AND block IS NULL), max({table})))
FROM marks WHERE at <= ? GROUP BY stream
"""
_DELETE = "DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE id > ? AND id <= ? ORDER BY id LIMIT ?)"
_FORGET_MARKS = "DELETE FROM marks WHERE at < ?"
_MARKS_KEPT = 366 * 86_400.0  # seconds; a stream has at most one a minute
_PRUNE_SLICE = 1_000  # rows a transaction of `prune`: a commit never waits for more than that


def _result(key: str, count: int, total: Stored, low: Stored, high: Stored, valued: int | None) -> Result:
    return Result(decode_key(key), count, decode_number(total), decode_number(low), decode_number(high), valued)


class SqliteStore(GroupCommit):
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
        super().__init__()
        self.path = local_path(path)
        self._clock = clock
        self._connections = SqliteConnections(self.path, busy_timeout, IDENTITY, SCHEMA, UPGRADES, max_bytes)
        add_functions(self._connections.writer)

    def __repr__(self) -> str:
        return f"SqliteStore({str(self.path)!r})"

    def mark_published(self, seqs: Iterable[int]) -> None:
        """Note that the queue has these entries; written without waiting for the disk (see `Store.mark_published`)."""
        with self._connections.transaction(durable=False) as db:
            db.executemany("DELETE FROM pending WHERE seq = ?", ((seq,) for seq in seqs))

    def lease(self) -> Lease | None:
        """Take the right to publish the outbox (see `Store.lease`): a lock on the file `<path>-relay`."""
        return self._connections.lock()

    def prune(
        self,
        *,
        deliveries: float | None = None,
        ids: float | None = None,
        published: float | None = None,
        rows: float | None = None,
        dead: float | None = None,
    ) -> Pruned:
        """Forget what is older than so many seconds, oldest first, in small transactions (see `Store.prune`)."""
        return Pruned(
            0 if deliveries is None else self._prune("deliveries", "true", deliveries),
            0 if ids is None else self._prune("seen", "true", ids),
            0 if published is None else self._prune("outbox", "seq NOT IN (SELECT seq FROM pending)", published),
            0 if rows is None else self._prune_numbered("rows", rows),
            0 if dead is None else self._prune_numbered("dead", dead),
        )

    # -- reading

    def done(self, stream: str, delivery_id: str) -> Delivery | None:
        """Return how far a delivery has come, or None when nothing of it is stored."""
        with self._connections.reading() as db:
            return done(db, stream, delivery_id)

    def results(self, stream: str, after: Key | None = None, limit: int = 100) -> list[Result]:
        """Return up to `limit` groups in the order of their keys' JSON text, those past `after`."""
        with self._connections.reading() as db:
            page = (stream, "" if after is None else encode_key(after), checked_limit(limit))
            found = db.execute(_GROUPS, page).fetchall()
        return [_result(*row) for row in found]

    def rows(self, stream: str, after: int = 0, limit: int = 100) -> list[StoredRow]:
        """Return up to `limit` rows with a number greater than `after`, in order."""
        return [StoredRow(*found) for found in self._numbered(stream, _ROWS, after, limit)]

    def dead_letters(self, stream: str, after: int = 0, limit: int = 100) -> list[StoredLetter]:
        """Return up to `limit` dead letters with a number greater than `after`, in order."""
        found = self._numbered(stream, _LETTERS, after, limit)
        return [StoredLetter(seq, DeadLetter(*letter)) for seq, *letter in found]

    def outbox(self, limit: int = 64, size: int = 1 << 20) -> list[OutboxEntry]:
        """Return the oldest unpublished entries, bounded in number and bytes (see `Store.outbox`)."""
        entries: list[OutboxEntry] = []
        with self._connections.reading() as db:
            for seq, stream, first, count, block, store in db.execute(_WAITING, (checked_limit(limit),)):
                messages = whole(block) if block is not None else echoed(db, first, count)
                entries.append(OutboxEntry(seq, stream, messages, f"{store}-{seq}", count - len(messages)))
                size -= sum(map(len, messages))
                if size <= 0:
                    break
        return entries

    def status(self) -> StoreStatus:
        """Return the figures of a health page."""
        with self._connections.reading() as db:
            streams, rows, dead, entries, messages, oldest, size = db.execute(_STATUS).fetchone()
        age = 0.0 if oldest is None else max(0.0, self._clock() - oldest)
        return StoreStatus(streams, rows, dead, entries, messages, age, size)

    def ping(self) -> None:
        """Raise a `StoreError` unless the database can be read and written: a page is, and reaches the disk."""
        with self._connections.reading() as db:
            db.execute("SELECT count(*) FROM streams").fetchone()
        with self._connections.transaction() as db:
            db.execute(f"PRAGMA user_version = {IDENTITY[1]}")

    def close(self) -> None:
        """Fold the write-ahead log into the database and close the files; a second call does nothing."""
        self._connections.close()

    @contextmanager
    def _begin(self, streams: Sequence[str]) -> Iterator[SqliteWriting]:  # noqa: ARG002 - a writer is alone in all
        with self._connections.transaction() as db:
            yield SqliteWriting(db, self._clock())

    def _numbered(self, stream: str, query: str, after: int, limit: int) -> list[tuple[Any, ...]]:
        """Read a page of a table whose keys are of the form stream, number."""
        with self._connections.reading() as db:
            base = stream_number(db, stream) << STREAM_BITS
            page = (base, base + after, base + (1 << STREAM_BITS), checked_limit(limit))
            return db.execute(query, page).fetchall()

    def _prune_numbered(self, table: str, age: float) -> int:
        """Delete what each stream's marks say to be that old."""
        with self._connections.transaction(durable=False) as db:
            now = self._clock()
            for (number,) in db.execute("SELECT number FROM streams").fetchall():
                mark(db, number, now)
            upto = db.execute(_OLD.format(table=table), (now - age,)).fetchall()
        gone = 0
        for number, last in upto:
            first = number << STREAM_BITS
            while True:
                with self._connections.transaction(durable=False) as db:
                    deleted = db.execute(_DELETE.format(table=table), (first, first + last, _PRUNE_SLICE)).rowcount
                gone += deleted
                if deleted < _PRUNE_SLICE:
                    break
        with self._connections.transaction(durable=False) as db:
            db.execute(_FORGET_MARKS, (now - _MARKS_KEPT,))
        return gone

    def _prune(self, table: str, where: str, age: float) -> int:
        before = self._clock() - age
        gone = 0
        while True:
            with self._connections.transaction(durable=False) as db:  # a lost pruning is done again
                oldest = db.execute(
                    f"SELECT seq, at FROM {table} WHERE {where} ORDER BY seq LIMIT {_PRUNE_SLICE}"
                ).fetchall()
                old = [(seq,) for seq, at in oldest if at <= before]
                db.executemany(f"DELETE FROM {table} WHERE seq = ?", old)
            gone += len(old)
            if len(old) < _PRUNE_SLICE:
                return gone
