"""What one transaction writes, in any SQL database.

Idea        The row of a stream is its lock: whoever holds it sees all that was committed to the stream, and goes on.
Invariant   Figures are joined by `exact.merge` while the lock is held, so they are exact in every database.
When wrong  Whatever fails, the transaction around it is rolled back by whoever began it.
See         tests/pipeline/test_store.py
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, repeat

from arion_lib.pipeline.batch import Aggregate, DeadLetter
from arion_lib.pipeline.deliveries import Delivery, Fingerprint
from arion_lib.pipeline.numbers.exact import merge
from arion_lib.pipeline.queues import frames
from arion_lib.pipeline.stores.dialect import Database, Dialect
from arion_lib.pipeline.stores.plan import Plan

_MADE = "INSERT INTO streams (name, rows, dead) VALUES {} ON CONFLICT DO NOTHING"
# Everybody locks in the order of the names: two group commits never wait for one another in a circle.
_LOCKED = "SELECT name, number, rows, dead FROM streams WHERE name IN ({}) ORDER BY name {}"
_DONE = """
SELECT done, complete, length, crc FROM deliveries
WHERE stream = (SELECT number FROM streams WHERE name = ?) AND id = ?
"""
_KNOWN = """
SELECT id, done, complete, length, crc FROM deliveries WHERE stream = ? AND id IN (SELECT value FROM {})
"""
_COUNTED = "UPDATE streams SET rows = ?, dead = ? WHERE number = ?"
_OUTBOX = "INSERT INTO outbox (stream, at, first, count, block, metas) VALUES (?, ?, ?, ?, ?, ?)"
_MARK = """
INSERT INTO marks SELECT number, CAST(? AS double precision), rows, dead FROM streams
WHERE {which} AND NOT EXISTS (SELECT 1 FROM marks WHERE stream = number AND at > ?) ON CONFLICT DO NOTHING
"""
_PROGRESS = ("stream", "id", "done", "complete", "at", "length", "crc")

MARK_EVERY = 60.0
"""Seconds between two marks of a stream."""


def done(db: Database, stream: str, delivery_id: str) -> Delivery | None:
    """Return how far a delivery has come, or None when nothing of it is stored."""
    found = db.execute(_DONE, (stream, delivery_id)).fetchone()
    if found is None:
        return None
    return _delivery(delivery_id, *found)


def _delivery(name: str, done: int, complete: int, length: int | None, crc: int | None) -> Delivery:
    known = None if crc is None or length is None else Fingerprint(length, crc)
    return Delivery(name, done, bool(complete), fingerprint=known)


def mark(db: Database, now: float, stream: int | None = None) -> None:
    """Note how many rows and dead letters a stream (None: each) has now, once a minute: so their ages are known."""
    which = "true" if stream is None else "number = ?"
    db.execute(_MARK.format(which=which), (now, *(() if stream is None else (stream,)), now - MARK_EVERY))


class Writing:
    """A transaction that has begun and holds the locks of its streams, which are made when they are new."""

    def __init__(self, db: Database, dialect: Dialect, streams: Sequence[str], now: float) -> None:
        self._db, self._dialect, self._now = db, dialect, now
        db.execute(_MADE.format(", ".join(["(?, 0, 0)"] * len(streams))), streams)
        locked = _LOCKED.format(", ".join("?" * len(streams)), dialect.lock)
        found = db.execute(locked, streams).fetchall()
        self._numbers = {name: number for name, number, _, _ in found}
        self._counts = {name: (rows, dead) for name, _, rows, dead in found}

    def deliveries(self, stream: str, ids: Sequence[str]) -> dict[str, Delivery]:
        """Return how far those of the deliveries have come of which the stream has any records, by their ids."""
        found = self._db.execute(_KNOWN.format(self._dialect.texts), (self._numbers[stream], self._dialect.many(ids)))
        return {name: _delivery(name, *progress) for name, *progress in found}

    def seen(self, stream: str, ids: Sequence[str]) -> set[str]:
        """Return those of the event ids that the stream has had."""
        asked = f"SELECT id FROM seen WHERE stream = ? AND id IN (SELECT value FROM {self._dialect.texts})"
        found = self._db.execute(asked, (self._numbers[stream], self._dialect.many(ids)))
        return {name for (name,) in found}

    def letters(self, stream: str, seqs: Sequence[int]) -> set[int]:
        """Return those of the numbers under which the stream has a dead letter."""
        how = self._dialect
        asked = f"SELECT {how.seq} FROM dead WHERE {how.within} AND {how.seq} IN (SELECT value FROM {how.integers})"
        span = how.span(self._numbers[stream], min(seqs) - 1, max(seqs))
        return {seq for (seq,) in self._db.execute(asked, (*span, how.many(seqs)))}

    def write(self, stream: str, plan: Plan) -> None:
        """Write all of the plan."""
        number = self._numbers[stream]
        mark(self._db, self._now, number)
        rows, dead = self._counts[stream]
        first = rows + 1
        if plan.rows or plan.dead:
            self._db.execute(_COUNTED, (rows + len(plan.rows), dead + len(plan.dead), number))
        self._rows(number, first, plan)
        if plan.settled:
            self._settle(number, plan.settled)
        if plan.dead:
            letters = zip(*map(_columns, plan.dead), strict=True)
            self._append("dead", number, dead + 1, _LETTER, letters)
        if plan.groups:
            self._join(number, plan.groups)
        if plan.deliveries:
            self._upsert(
                "deliveries", "id", _PROGRESS, [self._progress(number, one) for one in plan.deliveries.values()]
            )
        if plan.ids:
            fresh = [(number, name, self._now) for name in plan.ids]
            self._dialect.insert(self._db, "seen", ("stream", "id", "at"), fresh)
        if plan.messages:
            self._outbox(number, plan, self._dialect.base(number) + first)

    def _rows(self, number: int, first: int, plan: Plan) -> None:
        bodies = map(bytes.decode, plan.rows)
        if plan.metas:
            self._append("rows", number, first, ("body", "meta"), (bodies, chain(plan.metas, repeat(None))))
        elif plan.rows:
            self._append("rows", number, first, ("body",), (bodies,))

    def _settle(self, number: int, seqs: Sequence[int]) -> None:
        how = self._dialect
        gone = f"DELETE FROM dead WHERE {how.within} AND {how.seq} IN (SELECT value FROM {how.integers})"
        self._db.execute(gone, (*how.span(number, min(seqs) - 1, max(seqs)), how.many(seqs)))

    def _append(
        self, table: str, number: int, first: int, names: Sequence[str], columns: Iterable[Iterable[object]]
    ) -> None:
        """Append what comes column by column; it is made into rows while the database takes them, so no copy waits."""
        rows = zip(*columns, *self._dialect.places(number, first), strict=False)  # the keys have no end
        self._dialect.insert(self._db, table, (*names, "*"), rows)

    def _join(self, number: int, groups: Mapping[str, Aggregate]) -> None:
        """Join the groups with what is stored and write the sums; the lock keeps everybody else out meanwhile."""
        figures = self._dialect.figures
        asked = f"SELECT key, {', '.join(figures)} FROM groups WHERE stream = ? AND key IN (SELECT value FROM {{}})"
        known = self._db.execute(asked.format(self._dialect.texts), (number, self._dialect.many(groups)))
        joined = dict(groups)
        for key, *stored in known:
            joined[key] = merge(self._dialect.loaded(*stored), joined[key])
        # In order: neighbours share pages of the index.
        rows = [(number, key, *self._dialect.kept(joined[key])) for key in sorted(joined)]
        self._upsert("groups", "key", ("stream", "key", *figures), rows)

    def _upsert(self, table: str, key: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        news = ", ".join(f"{name} = excluded.{name}" for name in columns if name not in ("stream", key))
        self._dialect.insert(self._db, table, columns, rows, f"ON CONFLICT (stream, {key}) DO UPDATE SET {news}")

    def _progress(self, number: int, one: Delivery) -> tuple[object, ...]:
        return (number, one.id, one.done, one.complete, self._now, *(one.fingerprint or (None, None)))

    def _outbox(self, number: int, plan: Plan, first: int) -> None:
        block = None if plan.echoes else frames.encode(plan.messages)
        metas = None if plan.echoes or not plan.message_metas else json.dumps(plan.message_metas).encode()
        entry = (number, self._now, first, len(plan.messages), block, metas)
        seq = self._dialect.insert_entry(self._db, _OUTBOX, entry)
        self._db.execute("INSERT INTO pending VALUES (?, ?, ?)", (seq, len(plan.messages), self._now))


_LETTER = ("record", '"offset"', "reason", "raw", "piece")


def _columns(letter: DeadLetter) -> tuple[object, ...]:
    return letter.record, letter.offset, letter.reason, letter.raw, letter.piece
