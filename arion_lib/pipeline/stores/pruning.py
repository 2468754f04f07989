"""Forgetting what is old, a small transaction at a time.

Idea        Few entries carry their age; rows and dead letters do not: each stream is marked once a minute with how many
            it has, which says how old those before are.
Invariant   A commit never waits for more than one slice; a row that the outbox still has to publish stays.
When wrong  A pruning that is lost in a power cut is done again.
See         tests/pipeline/test_store.py
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

from arion_lib.pipeline.stores.dialect import Connections, Database, Dialect
from arion_lib.pipeline.stores.writing import mark

SLICE = 1_000
"""Entries that one transaction deletes, at most."""

_MARKS_KEPT = 366 * 86_400.0  # seconds, at least; a stream has at most one a minute
_OLD = """
SELECT name, stream, max(marks.{table}) FROM marks JOIN streams ON number = stream WHERE at <= ? GROUP BY name, stream
"""
_NEEDED = "SELECT min(first) FROM outbox JOIN pending USING (seq) WHERE stream = ? AND block IS NULL"
_BY_AGE = """
DELETE FROM {table} WHERE at <= ? AND seq IN (SELECT seq FROM {table} WHERE {which} ORDER BY seq LIMIT ?)
"""
_BY_PLACE = """
DELETE FROM {table} WHERE {within} AND {key} IN (SELECT {key} FROM {table} WHERE {within} ORDER BY {key} LIMIT ?)
"""

Numbered: TypeAlias = Literal["rows", "dead"]


class Pruning:
    """Prune the tables of one store."""

    def __init__(self, connections: Connections, dialect: Dialect, clock: Callable[[], float]) -> None:
        self._connections, self._dialect, self._clock = connections, dialect, clock

    def by_age(self, table: str, which: str, age: float) -> int:
        """Delete what is older than `age` seconds, of the entries for which `which` holds; return how many."""
        sql = _BY_AGE.format(table=table, which=which)
        return self._in_slices(sql, (self._clock() - age, SLICE))

    def by_mark(self, table: Numbered, age: float | None, own: Mapping[str, float]) -> int:
        """Delete what each stream's marks say to be older than `age` seconds, or its `own` age; return how many."""
        ages = {*own.values(), *(() if age is None else (age,))}
        if not ages:
            return 0
        with self._connections.transaction(durable=False) as db:
            now = self._clock()
            mark(db, now)
            old = [
                (stream, last)
                for limit in ages
                for name, stream, last in db.execute(_OLD.format(table=table), (now - limit,)).fetchall()
                if own.get(name, age) == limit
            ]
            upto = [(stream, self._free(db, stream, last) if table == "rows" else last) for stream, last in old]
        how = self._dialect
        sql = _BY_PLACE.format(table=table, within=how.within, key=how.key)
        spans = [how.span(stream, 0, last) for stream, last in upto if last > 0]
        gone = sum(self._in_slices(sql, (*span, *span, SLICE)) for span in spans)
        with self._connections.transaction(durable=False) as db:
            kept = max([_MARKS_KEPT, *(2 * limit for limit in ages if limit < math.inf)])
            db.execute("DELETE FROM marks WHERE at < ?", (now - kept,))
        return gone

    def _free(self, db: Database, stream: int, last: int) -> int:
        """Return the last number up to which the outbox does not need the rows any more for its messages."""
        [first] = db.execute(_NEEDED, (stream,)).fetchone()
        return int(last if first is None else min(last, first - self._dialect.base(stream) - 1))

    def _in_slices(self, sql: str, values: tuple[float, ...]) -> int:
        gone = 0
        while True:
            with self._connections.transaction(durable=False) as db:
                deleted = db.execute(sql, values).rowcount
            gone += deleted
            if deleted < SLICE:
                return gone
