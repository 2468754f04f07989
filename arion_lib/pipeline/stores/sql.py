"""The pipeline's results in a SQL database: one text for every database, a `dialect` for what differs.

Idea        Rows, sums, outgoing messages, progress and seen ids are written in one transaction, or not at all.
Invariant   A reader sees all of a batch or nothing; a committed batch survives kill -9 and a power cut.
When wrong  Locked too long, no room, no answer, damage: a `StoreError` says which, and nothing was changed.
See         tests/pipeline/test_store.py
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from arion_lib.pipeline.batch import DeadLetter, Key
from arion_lib.pipeline.deliveries import Delivery
from arion_lib.pipeline.numbers.exact import decode_key, encode_key
from arion_lib.pipeline.queues.frames import whole
from arion_lib.pipeline.store import Lease, OutboxEntry, Pruned, Result, StoredLetter, StoredRow, StoreStatus
from arion_lib.pipeline.stores.commit import GroupCommit
from arion_lib.pipeline.stores.dialect import Connections, Database, Dialect
from arion_lib.pipeline.stores.plan import checked_limit
from arion_lib.pipeline.stores.pruning import Pruning
from arion_lib.pipeline.stores.writing import Writing, done

_NUMBER = "SELECT number FROM streams WHERE name = ?"
_STREAMS = "SELECT name FROM streams ORDER BY rows + dead DESC, name LIMIT ?"
_WAITING = "SELECT seq FROM pending ORDER BY seq LIMIT ?"
_ENTRY = """
SELECT name, stream, first, count, block, metas, (SELECT id FROM {identity})
FROM outbox JOIN streams ON number = stream WHERE seq = ?
"""
_PUBLISHED = "seq NOT IN (SELECT seq FROM pending)"
_STATUS = """
SELECT (SELECT count(*) FROM streams), (SELECT coalesce(sum(rows), 0) FROM streams),
       (SELECT coalesce(sum(dead), 0) FROM streams), (SELECT count(*) FROM pending),
       (SELECT coalesce(sum(count), 0) FROM pending), (SELECT at FROM pending ORDER BY seq LIMIT 1), {size}
"""


class SqlStore(GroupCommit):
    """A `Store`; a subclass opens the connections. Every method is said in `Store`."""

    def __init__(self, connections: Connections, dialect: Dialect, clock: Callable[[], float]) -> None:
        super().__init__()
        self._connections, self._dialect, self._clock = connections, dialect, clock
        self._pruning = Pruning(connections, dialect, clock)

    def mark_published(self, seqs: Iterable[int]) -> None:
        """Note that the queue has these entries; written without waiting for the disk."""
        with self._connections.transaction(durable=False) as db:
            gone = f"DELETE FROM pending WHERE seq IN (SELECT value FROM {self._dialect.integers})"
            db.execute(gone, (self._dialect.many(seqs),))

    def lease(self) -> Lease | None:
        """Take the right to publish the outbox, or None while another relay has it."""
        return self._connections.lock()

    def prune(
        self,
        *,
        deliveries: float | None = None,
        ids: float | None = None,
        published: float | None = None,
        rows: float | None = None,
        dead: float | None = None,
        own: Mapping[str, float] = {},
    ) -> Pruned:
        """Forget what is older than so many seconds, oldest first, in small transactions."""
        return Pruned(
            0 if deliveries is None else self._pruning.by_age("deliveries", "true", deliveries),
            0 if ids is None else self._pruning.by_age("seen", "true", ids),
            0 if published is None else self._pruning.by_age("outbox", _PUBLISHED, published),
            self._pruning.by_mark("rows", rows, own),
            self._pruning.by_mark("dead", dead, own),
        )

    # -- reading

    def done(self, stream: str, delivery_id: str) -> Delivery | None:
        """Return how far a delivery has come, or None when nothing of it is stored."""
        with self._connections.reading() as db:
            return done(db, stream, delivery_id)

    def results(self, stream: str, after: Key | None = None, limit: int = 100) -> list[Result]:
        """Return up to `limit` groups in the order of their keys' JSON text, those past `after`."""
        figures = ", ".join(self._dialect.figures)
        asked = f"SELECT key, {figures} FROM groups WHERE stream = ({_NUMBER}) AND key > ? ORDER BY key LIMIT ?"
        with self._connections.reading() as db:
            page = (stream, "" if after is None else encode_key(after), checked_limit(limit))
            found = db.execute(asked, page).fetchall()
        joined = [(decode_key(key), self._dialect.loaded(*stored)) for key, *stored in found]
        return [Result(key, one.count, one.sum, one.min, one.max, one.values) for key, one in joined]

    def rows(self, stream: str, after: int = 0, limit: int = 100) -> list[StoredRow]:
        """Return up to `limit` rows with a number greater than `after`, in order."""
        with self._connections.reading() as db:
            columns = f"{self._dialect.body}, meta"
            found = self._page(db, "rows", columns, self._number(db, stream), after, None, limit)
        return [StoredRow(seq, _bytes(body), meta) for seq, body, meta in found]

    def dead_letters(self, stream: str, after: int = 0, limit: int = 100) -> list[StoredLetter]:
        """Return up to `limit` dead letters with a number greater than `after`, in order."""
        with self._connections.reading() as db:
            columns = 'record, "offset", reason, raw, piece'
            found = self._page(db, "dead", columns, self._number(db, stream), after, None, limit)
        return [StoredLetter(seq, _letter(*columns)) for seq, *columns in found]

    def streams(self, limit: int = 100) -> list[str]:
        """Return the names of up to `limit` streams, those with the most rows and dead letters first."""
        with self._connections.reading() as db:
            return [name for (name,) in db.execute(_STREAMS, (checked_limit(limit),)).fetchall()]

    def outbox(self, limit: int = 64, size: int = 1 << 20) -> list[OutboxEntry]:
        """Return the oldest unpublished entries, bounded in number and bytes."""
        entries: list[OutboxEntry] = []
        with self._connections.reading() as db:
            for (seq,) in db.execute(_WAITING, (checked_limit(limit),)).fetchall():
                found = db.execute(_ENTRY.format(identity=self._dialect.identity), (seq,)).fetchone()
                if found is None:  # another relay published it a moment ago, and it is pruned
                    continue
                name, stream, first, count, block, text, store = found
                if block is None:
                    messages, metas = self._echoed(db, stream, first, count)
                else:
                    messages, metas = whole(block), json.loads(text) if text else []
                entries.append(OutboxEntry(seq, name, messages, f"{store}-{seq}", metas, count - len(messages)))
                size -= sum(map(len, messages))
                if size <= 0:
                    break
        return entries

    def status(self) -> StoreStatus:
        """Return the figures of a health page."""
        with self._connections.reading() as db:
            *figures, oldest, size = db.execute(_STATUS.format(size=self._dialect.size)).fetchone()
        streams, rows, dead, entries, messages = map(int, figures)
        age = 0.0 if oldest is None else max(0.0, self._clock() - oldest)
        return StoreStatus(streams, rows, dead, entries, messages, age, int(size))

    def ping(self) -> None:
        """Raise a `StoreError` unless the database can be read and written."""
        with self._connections.reading() as db:
            db.execute("SELECT count(*) FROM streams").fetchone()
        with self._connections.transaction() as db:
            db.execute(self._dialect.ping)

    def close(self) -> None:
        """Close the connections; a second call does nothing."""
        self._connections.close()

    # -- how

    @contextmanager
    def _begin(self, streams: Sequence[str]) -> Iterator[Writing]:
        with self._connections.transaction() as db:
            yield Writing(db, self._dialect, streams, self._clock())

    def _number(self, db: Database, stream: str) -> int:
        """Return the number of a stream; 0, to which nothing belongs, when there is none of that name."""
        found = db.execute(_NUMBER, (stream,)).fetchone()
        return found[0] if found else 0

    def _page(
        self, db: Database, table: str, columns: str, stream: int, after: int, upto: int | None, limit: int
    ) -> list[Any]:
        """Read numbered entries of a stream, in order."""
        how = self._dialect
        asked = f"SELECT {how.seq}, {columns} FROM {table} WHERE {how.within} ORDER BY {how.key} LIMIT ?"
        return db.execute(asked, (*how.span(stream, after, upto), checked_limit(limit))).fetchall()

    def _echoed(self, db: Database, stream: int, first: int, count: int) -> tuple[list[bytes], list[str | None]]:
        """Return the rows that an outbox entry without a block of its own stands for, and what stands beside them."""
        before = first - self._dialect.base(stream) - 1
        found = self._page(db, "rows", f"{self._dialect.body}, meta", stream, before, before + count, count)
        metas = [meta for _, _, meta in found]
        return [_bytes(body) for _, body, _ in found], metas if any(metas) else []


def _bytes(body: object) -> bytes:
    return body if isinstance(body, bytes) else str(body).encode()


def _letter(record: int, offset: int, reason: str, raw: bytes, piece: int | None) -> DeadLetter:
    return DeadLetter(record, offset, reason, raw, bool(piece))  # no mark: stored before there was one
