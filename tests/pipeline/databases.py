"""The two databases behind one seam, each fresh for a test and gone after it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from arion_lib.pipeline.stores.addresses import local_url, scheme
from arion_lib.pipeline.stores.postgres import PostgresStore
from arion_lib.pipeline.stores.sqlite import SqliteStore


@dataclass(frozen=True)
class Database:
    """Where a database is."""

    url: str

    def open(
        self, *, busy_timeout: float = 60.0, clock: Callable[[], float] = time.time
    ) -> SqliteStore | PostgresStore:
        """Open it. A writer may wait for long: SQLite's lock is nobody's turn, and each commit waits for the disk."""
        kind = SqliteStore if scheme(self.url) == "sqlite" else PostgresStore
        return kind(self.url, busy_timeout=busy_timeout, clock=clock)


KINDS = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database of each kind that nobody else uses."""
    if request.param == "sqlite":
        yield Database(local_url("sqlite", tmp_path / "store.db"))
    else:
        yield Database(request.getfixturevalue("postgres_schema"))
