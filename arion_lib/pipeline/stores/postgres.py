"""The pipeline's results in PostgreSQL: the same store, for several servers at once.

Idea        The server keeps order among servers: the row of a stream is its lock.
Invariant   What `Store` promises, also when many servers share the database.
When wrong  Lock, disk and connection troubles become the same `StoreError`s; a lost connection is opened anew.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_store.py
"""

from __future__ import annotations

import time
from collections.abc import Callable

from arion_lib.masking import masked
from arion_lib.pipeline.stores.postgres_connections import PostgresConnections
from arion_lib.pipeline.stores.postgres_dialect import LEASE, PostgresDialect, make_tables
from arion_lib.pipeline.stores.sql import SqlStore


class PostgresStore(SqlStore):
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

    _connections: PostgresConnections

    def __init__(self, url: str, *, busy_timeout: float = 5.0, clock: Callable[[], float] = time.time) -> None:
        if busy_timeout <= 0:
            raise ValueError(f"busy_timeout must be > 0 seconds, got {busy_timeout}")
        self._url = url
        connections = PostgresConnections(url, busy_timeout, LEASE)
        try:
            with connections.transaction() as db:
                make_tables(db, masked(url))
        except BaseException:
            connections.close()
            raise
        super().__init__(connections, PostgresDialect(), clock)

    def __repr__(self) -> str:
        return f"PostgresStore({masked(self._url)!r})"
