"""A database as a resource: a file by default, a PostgreSQL server by URL.

Idea        `Database(url)` is a description; entering it connects, by `with` or `async with`, leaving it closes.
Invariant   A statement outside of `transaction()` is durable when `execute` returns; inside, with the block. Tasks that
            share a connection to a file take turns: one's transaction never takes another one's statement along.
When wrong  A database that cannot be opened is a `ServerAwayError` or sqlite3's own error naming the file.
See         notebooks/2_resource_manager.ipynb · tests/resources/test_connections.py
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Protocol, TypeAlias

from arion_lib.masking import masked
from arion_lib.resources.connections.away import away

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

    def __init__(self, raw: sqlite3.Connection, depth: int = 0) -> None:
        self.raw, self._depth = raw, depth

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        return self.raw.execute(sql, parameters).fetchall()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[SqliteConnection]:
        begin, commit, undo = _statements(self._depth)
        self.raw.execute(begin)
        try:
            yield SqliteConnection(self.raw, self._depth + 1)
            self.raw.execute(commit)
        except BaseException as error:  # a COMMIT that fails (a deferred constraint) leaves the transaction open
            self._undo(error, undo)
            raise

    def _undo(self, error: BaseException, undo: Sequence[str]) -> None:
        """Roll back; should that fail as well, the first error is the one to be raised."""
        try:
            if not undo:
                self.raw.rollback()  # does nothing where the statement that failed has rolled back itself
            for sql in undo:
                self.raw.execute(sql)
        except sqlite3.Error as second:
            error.add_note(f"and it could not be rolled back: {second}")


class AsyncSqliteConnection:
    """An `AsyncConnection` to a file: aiosqlite runs sqlite3 in a thread of its own.

    All tasks share the one connection, so a task's statement waits until another one's transaction is over: for at most
    `timeout` seconds, as it would for the lock of another process.
    """

    def __init__(self, raw: Any, timeout: float) -> None:
        self.raw, self._timeout = raw, timeout
        self._lock = asyncio.Lock()
        self._owner: asyncio.Task[Any] | None = None

    async def execute(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        if self._owner is asyncio.current_task():  # inside its own transaction
            return list(await self.raw.execute_fetchall(sql, parameters))
        async with self._alone():
            return list(await self.raw.execute_fetchall(sql, parameters))

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncInside]:
        if self._owner is asyncio.current_task():
            raise sqlite3.OperationalError(
                "a transaction is open in this task: use what its `transaction()` gave, which has one of its own"
            )
        async with self._alone(), AsyncInside(self.raw, -1).transaction() as inside:
            yield inside

    @contextlib.asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._timeout):
                await self._lock.acquire()
        except TimeoutError as error:
            raise sqlite3.OperationalError(
                f"database is locked: another task's transaction did not end within timeout={self._timeout:g} s"
            ) from error
        try:
            self._owner = asyncio.current_task()
            yield
        finally:
            self._owner = None
            self._lock.release()


class AsyncInside:
    """An `AsyncConnection` inside of a transaction; its own `transaction()` is a savepoint."""

    def __init__(self, raw: Any, depth: int) -> None:
        self.raw, self._depth = raw, depth

    async def execute(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        return list(await self.raw.execute_fetchall(sql, parameters))

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncInside]:
        begin, commit, undo = _statements(self._depth + 1)
        try:
            await self.raw.execute(begin)  # when this is cancelled the thread begins all the same
            yield AsyncInside(self.raw, self._depth + 1)
            await self.raw.execute(commit)
        except BaseException as error:
            await self._undo(error, undo)
            raise

    async def _undo(self, error: BaseException, undo: Sequence[str]) -> None:
        try:
            if not undo:
                await self.raw.rollback()  # does nothing where the statement that failed has rolled back itself
            for sql in undo:
                await self.raw.execute(sql)
        except sqlite3.Error as second:
            error.add_note(f"and it could not be rolled back: {second}")


def _statements(depth: int) -> tuple[str, str, tuple[str, ...]]:
    """What begins, commits and undoes a transaction, which inside of another one is a savepoint."""
    if depth == 0:
        return "BEGIN IMMEDIATE", "COMMIT", ()
    return f"SAVEPOINT s{depth}", f"RELEASE s{depth}", (f"ROLLBACK TO s{depth}", f"RELEASE s{depth}")


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
        if scheme == "sqlite" and (not rest.startswith("/") or rest == "/"):
            raise ValueError(f"url must name a file, as in sqlite:///shop.db or sqlite:///:memory:, got {url!r}")
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
            opened = _open(self._path, self.timeout)
            self._open.append(opened.raw)
            return opened
        from arion_lib.resources.connections.database_postgres import open_pool

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
        from arion_lib.resources.connections.database_postgres import aopen_pool

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


def _open(path: str, timeout: float) -> SqliteConnection:
    try:
        raw = sqlite3.connect(path, timeout=timeout, isolation_level=None)
        raw.execute("SELECT 1 FROM sqlite_master")
    except sqlite3.Error as error:
        raise away(f"sqlite:///{path}", error) from error
    return SqliteConnection(raw)


async def _open_file(path: str, timeout: float) -> AsyncSqliteConnection:
    import aiosqlite

    try:
        raw = await aiosqlite.connect(path, timeout=timeout, isolation_level=None)
    except sqlite3.Error as error:
        raise away(f"sqlite:///{path}", error) from error
    return AsyncSqliteConnection(raw, timeout)
