"""PostgreSQL behind `Database`: a pool of psycopg connections, for threads or for tasks.

Idea        One connection is tried first, for its clear error; then the pool opens.
Invariant   A pool that could not be opened leaves no thread, task or connection behind. A connection is asked before
            it is lent, so that the first statement after a restart of the server does not fail.
When wrong  A server that is away is a `ServerAwayError` with the URL, its password hidden.
See         tests/resources/test_connections.py
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from arion_lib.resources.connections.away import away

if TYPE_CHECKING:
    from psycopg_pool import AsyncConnectionPool, ConnectionPool


class PooledConnections:
    """A `Connection` whose statements each borrow a connection of the pool."""

    def __init__(self, pool: ConnectionPool[Any]) -> None:
        self.pool = pool

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self.pool.connection() as borrowed:
            return One(borrowed).execute(sql, parameters)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[One]:
        with self.pool.connection() as borrowed, borrowed.transaction():
            yield One(borrowed)


class One:
    """One borrowed connection."""

    def __init__(self, raw: Any) -> None:
        self.raw = raw

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        cursor = self.raw.execute(sql, parameters)
        return cursor.fetchall() if cursor.description else []

    @contextlib.contextmanager
    def transaction(self) -> Iterator[One]:
        with self.raw.transaction():
            yield self


class AsyncPooledConnections:
    """The same for tasks."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self.pool = pool

    async def execute(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        async with self.pool.connection() as borrowed:
            return await AsyncOne(borrowed).execute(sql, parameters)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncOne]:
        async with self.pool.connection() as borrowed, borrowed.transaction():
            yield AsyncOne(borrowed)


class AsyncOne:
    """One borrowed connection, for tasks."""

    def __init__(self, raw: Any) -> None:
        self.raw = raw

    async def execute(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        cursor = await self.raw.execute(sql, parameters)
        return await cursor.fetchall() if cursor.description else []

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncOne]:
        async with self.raw.transaction():
            yield self


def open_pool(url: str, timeout: float, size: int) -> PooledConnections:
    """Connect. Raises ServerAwayError within about `timeout` seconds."""
    import psycopg
    from psycopg_pool import ConnectionPool

    try:
        psycopg.connect(url, connect_timeout=math.ceil(timeout)).close()
        pool = ConnectionPool(
            url,
            min_size=1,
            max_size=size,
            timeout=timeout,
            open=False,
            kwargs={"autocommit": True},
            check=ConnectionPool.check_connection,
        )
        try:
            pool.open(wait=True, timeout=timeout)
        except BaseException:
            pool.close()
            raise
    except psycopg.OperationalError as error:  # a pool's timeout is one as well
        raise away(url, error) from error
    return PooledConnections(pool)


async def aopen_pool(url: str, timeout: float, size: int) -> AsyncPooledConnections:
    """The same for tasks. Raises `RuntimeError` on the event loop that psycopg cannot use, Windows' usual one."""
    if isinstance(asyncio.get_running_loop(), getattr(asyncio, "ProactorEventLoop", ())):
        raise RuntimeError(  # noqa: TRY004  (the loop that runs is a state, nobody passed it)
            "PostgreSQL in tasks needs a selector event loop, got Windows' ProactorEventLoop; start the program with "
            "asyncio.Runner(loop_factory=asyncio.SelectorEventLoop), or use the database from threads"
        )
    import psycopg
    from psycopg_pool import AsyncConnectionPool

    try:
        tried = await psycopg.AsyncConnection.connect(url, connect_timeout=math.ceil(timeout))
        await tried.close()
        pool = AsyncConnectionPool(
            url,
            min_size=1,
            max_size=size,
            timeout=timeout,
            open=False,
            kwargs={"autocommit": True},
            check=AsyncConnectionPool.check_connection,
        )
        try:
            await pool.open(wait=True, timeout=timeout)
        except BaseException:
            await pool.close()
            raise
    except psycopg.OperationalError as error:
        raise away(url, error) from error
    return AsyncPooledConnections(pool)
