"""A database as a resource: a file by default, a PostgreSQL server by URL.

Idea        `Database(url)` is a description; entering it connects, by `with` or `async with`, leaving it closes.
Invariant   A statement outside of `transaction()` is durable when `execute` returns; inside, with the block.
When wrong  A database that cannot be opened is a `ServerAwayError` or sqlite3's own error naming the file.
See         notebooks/2_resource_manager.ipynb · tests/resources/test_connections.py
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Protocol, TypeAlias

from arion_lib.masking import masked
from arion_lib.resources.away import away

Row: TypeAlias = tuple[Any, ...]


class Connection(Protocol):
    """An open database."""

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Run one statement and return its rows."""

    def transaction(self) -> AbstractContextManager[Connection]:
        """A block whose statements are done together or not at all."""


class AsyncConnection(Protocol):
    """An open database, for tasks."""

    async def execute(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Run one statement and return its rows."""

    def transaction(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A block whose statements are done together or not at all."""


class SqliteConnection:
    """A `Connection` to a file, or to memory."""

    def __init__(self, path: str, timeout: float) -> None:
        try:
            self.raw = sqlite3.connect(path, timeout=timeout, isolation_level=None)
            self.raw.execute("SELECT 1 FROM sqlite_master")
        except sqlite3.Error as error:
            raise away(f"sqlite:///{path}", error) from error

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        return self.raw.execute(sql, parameters).fetchall()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[SqliteConnection]:
        self.raw.execute("BEGIN IMMEDIATE")
        try:
            yield self
        except BaseException:
            self.raw.execute("ROLLBACK")
            raise
        self.raw.execute("COMMIT")


class AsyncSqliteConnection:
    """An `AsyncConnection` to a file: aiosqlite runs sqlite3 in a thread of its own."""

    def __init__(self, raw: Any) -> None:
        self.raw = raw

    async def execute(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        return list(await self.raw.execute_fetchall(sql, parameters))

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSqliteConnection]:
        await self.raw.execute("BEGIN IMMEDIATE")
        try:
            yield self
        except BaseException:
            await self.raw.execute("ROLLBACK")
            raise
        await self.raw.execute("COMMIT")


class Database:
    """Connect to `sqlite:///path` (`sqlite:///:memory:`) or `postgresql://user@host/name` for the length of a block.

    `timeout` is the seconds to wait for a lock or a server, `size` the most connections of a PostgreSQL pool.
    `async with` gives an `AsyncConnection`; `Database(url).in_tasks` says so to a type checker.

    Raises ValueError for another scheme, ServerAwayError when it is entered and the database cannot be opened.
    """

    def __init__(self, url: str, *, timeout: float = 5.0, size: int = 8) -> None:
        scheme, _, rest = url.partition("://")
        if scheme not in ("sqlite", "postgresql"):
            raise ValueError(f"url must begin with sqlite:/// or postgresql://, got {masked(url)!r}")
        if timeout <= 0 or size < 1:
            raise ValueError(f"timeout must be > 0 and size >= 1, got {timeout} and {size}")
        self.url, self.timeout, self.size = url, timeout, size
        self._path = rest.removeprefix("/") if scheme == "sqlite" else ""
        self._open: list[Any] = []

    def fresh(self) -> Database:
        """A copy to be opened once: one description may be open in several managers."""
        return Database(self.url, timeout=self.timeout, size=self.size)

    def resource_options(self) -> dict[str, Any]:
        """What `resource` reads: a file's connection stays in the thread that opened it."""
        return {"check": ping, "thread_bound": bool(self._path)}

    @property
    def in_tasks(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """This database, for `async with` alone."""
        return _InTasks(self)

    def __enter__(self) -> Connection:
        if self._path:
            opened = SqliteConnection(self._path, self.timeout)
            self._open.append(opened.raw)
            return opened
        from arion_lib.resources.database_postgres import open_pool

        pooled = open_pool(self.url, self.timeout, self.size)
        self._open.append(pooled.pool)
        return pooled

    def __exit__(self, *exc: object) -> None:
        self._open.pop().close()

    async def __aenter__(self) -> AsyncConnection:
        if self._path:
            opened = await _open_file(self._path, self.timeout)
            self._open.append(opened.raw)
            return opened
        from arion_lib.resources.database_postgres import aopen_pool

        pooled = await aopen_pool(self.url, self.timeout, self.size)
        self._open.append(pooled.pool)
        return pooled

    async def __aexit__(self, *exc: object) -> None:
        await self._open.pop().close()

    def __repr__(self) -> str:
        return f"Database({masked(self.url)!r})"


class _InTasks:
    def __init__(self, database: Database) -> None:
        self._database = database

    def fresh(self) -> _InTasks:
        return _InTasks(self._database.fresh())

    async def __aenter__(self) -> AsyncConnection:
        return await self._database.__aenter__()

    async def __aexit__(self, *exc: object) -> None:
        await self._database.__aexit__(*exc)

    def resource_options(self) -> dict[str, Any]:
        return {"check": ping}


def ping(connection: Any) -> Any:
    """Ask the database for the number 1; in a task the answer must be awaited."""
    return connection.execute("SELECT 1")


async def _open_file(path: str, timeout: float) -> AsyncSqliteConnection:
    import aiosqlite

    try:
        raw = await aiosqlite.connect(path, timeout=timeout, isolation_level=None)
    except sqlite3.Error as error:
        raise away(f"sqlite:///{path}", error) from error
    return AsyncSqliteConnection(raw)
