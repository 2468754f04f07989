"""The pipeline's results in PostgreSQL: the same transaction a batch, for several servers at once.

Idea        The row of a stream is its lock: whoever holds it sees all that was committed to the stream, and goes on.
Invariant   The same as in SQLite; sums are joined by the same code and kept as `numeric`, so they are as exact.
When wrong  Lock, disk and connection troubles become the same `StoreError`s; a lost connection is opened anew.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_store.py
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from arion_lib.masking import masked
from arion_lib.pipeline.batch import DeadLetter, Delivery, Key
from arion_lib.pipeline.commit import GroupCommit
from arion_lib.pipeline.numbers.exact import decode_key, encode_key
from arion_lib.pipeline.queues.frames import whole
from arion_lib.pipeline.store import Lease, OutboxEntry, Pruned, Result, StoredLetter, StoredRow, StoreStatus
from arion_lib.pipeline.stores.plan import checked_limit
from arion_lib.pipeline.stores.postgres_connections import PostgresConnections
from arion_lib.pipeline.stores.postgres_tables import (
    LEASE,
    TABLES,
    PostgresWriting,
    done,
    echoed,
    loaded,
    make_tables,
    mark,
    stream_number,
)

_ROWS = "SELECT seq, body FROM rows WHERE stream = %s AND seq > %s ORDER BY seq LIMIT %s"
_LETTERS = """
SELECT seq, record, "offset", reason, raw FROM dead WHERE stream = %s AND seq > %s ORDER BY seq LIMIT %s
"""
_GROUPS = """
SELECT key, count, kinds, valued, total, least, greatest FROM groups
WHERE stream = %s AND key > %s ORDER BY key LIMIT %s
"""
_WAITING = """
SELECT outbox.seq, name, stream, first, count, block, (SELECT id FROM pipeline_identity)
FROM outbox JOIN streams ON number = stream WHERE NOT published ORDER BY outbox.seq LIMIT %s
"""
_STATUS = """
SELECT (SELECT count(*) FROM streams), (SELECT coalesce(sum(rows), 0) FROM streams),
       (SELECT coalesce(sum(dead), 0) FROM streams), (SELECT count(*) FROM outbox WHERE NOT published),
       (SELECT coalesce(sum(count), 0) FROM outbox WHERE NOT published),
       (SELECT at FROM outbox WHERE NOT published ORDER BY seq LIMIT 1),
       (SELECT sum(pg_total_relation_size(to_regclass(name))) FROM unnest(%s::text[]) AS tables (name))
"""
# The last number of each stream that is old, and that the outbox does not need any more for its messages.
_OLD = """
SELECT marks.stream, least(max({table}), (
    SELECT min(first) - 1 FROM outbox
    WHERE '{table}' = 'rows' AND outbox.stream = marks.stream AND block IS NULL AND NOT published))
FROM marks WHERE at <= %s GROUP BY marks.stream
"""
_DELETE = """
DELETE FROM {table} WHERE stream = %s AND seq IN
    (SELECT seq FROM {table} WHERE stream = %s AND seq <= %s ORDER BY seq LIMIT %s)
"""
_FORGET_MARKS = "DELETE FROM marks WHERE at < %s"
_MARKS_KEPT = 366 * 86_400.0  # seconds; a stream has at most one a minute
_PRUNE_SLICE = 1_000


class PostgresStore(GroupCommit):
    """A `Store` in the first schema of the connection's search path of a PostgreSQL 14+ database.

    One connection writes, guarded by a lock; others read. Several servers may use one database. When the connection is
    lost during a commit itself, nobody can say whether it took place: `StoreDown` is raised, and committing the batch
    again raises `StaleDelivery` if it did and carries a delivery.

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
        super().__init__()
        self._url = url
        self._clock = clock
        self._connections = PostgresConnections(url, busy_timeout)
        try:
            with self._connections.transaction() as db:
                make_tables(db, masked(url))
        except BaseException:
            self._connections.close()
            raise

    def __repr__(self) -> str:
        return f"PostgresStore({masked(self._url)!r})"

    def mark_published(self, seqs: Iterable[int]) -> None:
        """Note that the queue has these entries; written without waiting for the disk (see `Store.mark_published`)."""
        with self._connections.transaction() as db:
            db.execute("SET LOCAL synchronous_commit = off")
            db.execute("UPDATE outbox SET published = true WHERE seq = ANY(%s)", (list(seqs),))

    def lease(self) -> Lease | None:
        """Take the right to publish the outbox (see `Store.lease`): an advisory lock of a connection of its own."""
        return self._connections.lock(LEASE)

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
            0 if published is None else self._prune("outbox", "published", published),
            0 if rows is None else self._prune_numbered("rows", rows),
            0 if dead is None else self._prune_numbered("dead", dead),
        )

    # -- reading

    def done(self, stream: str, delivery_id: str) -> Delivery | None:
        """Return how far a delivery has come, or None when nothing of it is stored."""
        with self._connections.reading() as db:
            return done(db, stream_number(db, stream), delivery_id)

    def results(self, stream: str, after: Key | None = None, limit: int = 100) -> list[Result]:
        """Return up to `limit` groups in the order of their keys' JSON text, those past `after`."""
        with self._connections.reading() as db:
            page = (stream_number(db, stream), "" if after is None else encode_key(after), checked_limit(limit))
            found = db.execute(_GROUPS, page).fetchall()
        joined = [(decode_key(key), loaded(*stored)) for key, *stored in found]
        return [Result(key, one.count, one.sum, one.min, one.max, one.values) for key, one in joined]

    def rows(self, stream: str, after: int = 0, limit: int = 100) -> list[StoredRow]:
        """Return up to `limit` rows with a number greater than `after`, in order."""
        with self._connections.reading() as db:
            found = db.execute(_ROWS, (stream_number(db, stream), after, checked_limit(limit)))
            return [StoredRow(seq, body.encode()) for seq, body in found]

    def dead_letters(self, stream: str, after: int = 0, limit: int = 100) -> list[StoredLetter]:
        """Return up to `limit` dead letters with a number greater than `after`, in order."""
        with self._connections.reading() as db:
            found = db.execute(_LETTERS, (stream_number(db, stream), after, checked_limit(limit)))
            return [StoredLetter(seq, DeadLetter(*letter)) for seq, *letter in found]

    def outbox(self, limit: int = 64, size: int = 1 << 20) -> list[OutboxEntry]:
        """Return the oldest unpublished entries, bounded in number and bytes (see `Store.outbox`)."""
        entries: list[OutboxEntry] = []
        with self._connections.reading() as db, db.transaction(), db.cursor(name="waiting") as cursor:
            cursor.itersize = 1  # a server-side cursor: what is past `size` stays there
            for seq, name, stream, first, count, block, store in cursor.execute(_WAITING, (checked_limit(limit),)):
                messages = whole(block) if block is not None else echoed(db, stream, first, count)
                entries.append(OutboxEntry(seq, name, messages, f"{store}-{seq}", count - len(messages)))
                size -= sum(map(len, messages))
                if size <= 0:
                    break
        return entries

    def status(self) -> StoreStatus:
        """Return the figures of a health page."""
        with self._connections.reading() as db:
            [(*figures, oldest, size)] = db.execute(_STATUS, (list(TABLES),)).fetchall()
        streams, rows, dead, entries, messages = map(int, figures)
        age = 0.0 if oldest is None else max(0.0, self._clock() - oldest)
        return StoreStatus(streams, rows, dead, entries, messages, age, int(size))

    def ping(self) -> None:
        """Raise a `StoreError` unless the database answers and may be written."""
        with self._connections.transaction() as db:
            db.execute("SELECT number FROM streams LIMIT 1 FOR UPDATE SKIP LOCKED")

    def close(self) -> None:
        """Close the connections; a second call does nothing."""
        self._connections.close()

    @contextmanager
    def _begin(self, streams: Sequence[str]) -> Iterator[PostgresWriting]:
        with self._connections.transaction() as db:
            yield PostgresWriting(db, streams, self._clock())

    def _prune_numbered(self, table: str, age: float) -> int:
        """Delete what each stream's marks say to be that old."""
        with self._connections.transaction() as db:
            now = self._clock()
            mark(db, None, now)
            upto = db.execute(_OLD.format(table=table).encode(), (now - age,)).fetchall()
        gone = 0
        for number, last in upto:
            while True:
                with self._connections.transaction() as db:
                    db.execute("SET LOCAL synchronous_commit = off")
                    page = (number, number, last, _PRUNE_SLICE)
                    deleted = db.execute(_DELETE.format(table=table).encode(), page).rowcount
                gone += deleted
                if deleted < _PRUNE_SLICE:
                    break
        with self._connections.transaction() as db:
            db.execute(_FORGET_MARKS, (now - _MARKS_KEPT,))
        return gone

    def _prune(self, table: str, where: str, age: float) -> int:
        before = self._clock() - age
        gone = 0
        while True:
            with self._connections.transaction() as db:
                db.execute("SET LOCAL synchronous_commit = off")  # a lost pruning is done again
                deleted = db.execute(
                    f"DELETE FROM {table} WHERE at <= %s AND seq IN "
                    f"(SELECT seq FROM {table} WHERE {where} ORDER BY seq LIMIT {_PRUNE_SLICE})",
                    (before,),
                ).rowcount
            gone += deleted
            if deleted < _PRUNE_SLICE:
                return gone
