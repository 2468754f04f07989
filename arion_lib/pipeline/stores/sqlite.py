"""The pipeline's results in one SQLite file: a server of no kind is needed.

Idea        One connection writes and waits for the disk; others read, so no page of results waits for a commit.
Invariant   What `Store` promises, in one file and its two WAL companions, however many processes open it.
When wrong  Locked too long, disk full, damaged file: a `StoreError` says which, and nothing was changed.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_sqlite_store.py
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from arion_lib.pipeline.stores.addresses import local_path
from arion_lib.pipeline.stores.sql import SqlStore
from arion_lib.pipeline.stores.sqlite_connections import SqliteConnections
from arion_lib.pipeline.stores.sqlite_dialect import IDENTITY, SCHEMA, UPGRADES, SqliteDialect


class SqliteStore(SqlStore):
    """A `Store` in one SQLite file (and its two WAL companions), which several processes may open.

    One connection writes, guarded by a lock; others read. Live memory is the batch and twice SQLite's cache of 4 MiB,
    however large the database is.

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

    _connections: SqliteConnections

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
        connections = SqliteConnections(self.path, busy_timeout, IDENTITY, SCHEMA, UPGRADES, max_bytes)
        super().__init__(connections, SqliteDialect(), clock)

    def __repr__(self) -> str:
        return f"SqliteStore({str(self.path)!r})"
