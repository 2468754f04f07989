"""One PostgreSQL database, one connection that writes, a few that read, and errors that say what to do.

Idea        The server keeps order among servers; inside a process one guarded connection writes, others read.
Invariant   A transaction is committed and on the server's disk, or as if it had never begun.
When wrong  psycopg's errors become the same `StoreError`s as SQLite's; a lost connection is opened anew.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_store.py
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from arion_lib.masking import masked
from arion_lib.pipeline.store import StoreBusy, StoreDown, StoreError, StoreFull

if TYPE_CHECKING:
    import psycopg

_NO_ROOM = ("53100", "53200")  # disk_full, out_of_memory
_CROWDED = ("53", "40", "57014")  # too many connections, a conflict of transactions, a statement's time-out
_AWAY = ("08", "57P", "25006", "28", "3D000")  # no connection, shut down, a standby, no entry, no such database
_SETTINGS = (
    "SET synchronous_commit = on",
    "SET default_transaction_isolation = 'read committed'",  # a lock that was waited for shows what was committed
    "SET client_encoding = 'UTF8'",
)
_READERS = 4
"""Read connections that are kept open; more are opened for a moment when more threads read at once."""


class PostgresConnections:
    """The connections to one database, each made when it is first needed.

    `busy_timeout` is in seconds: how long to wait for a lock, and for the server to answer. `lease` is the statement
    that asks for the one lock of whoever publishes.
    """

    def __init__(self, url: str, busy_timeout: float, lease: str) -> None:
        self._url, self._lease = url, lease
        self._busy_timeout = busy_timeout
        self._writing = threading.Lock()
        self._writer: psycopg.Connection[Any] | None = None
        self.idle: list[psycopg.Connection[Any]] = []  # read connections that nobody uses
        self._closed = False

    def __str__(self) -> str:
        return masked(self._url)

    @contextlib.contextmanager
    def transaction(self, durable: bool = True) -> Iterator[PostgresSession]:
        """Lend the writing connection for one transaction; it is on the disk afterwards, unless not `durable`."""
        if not self._writing.acquire(timeout=self._busy_timeout):
            raise StoreBusy(f"{self} was written by other threads for {self._busy_timeout} s: try again later")
        try:
            self._must_be_open()
            with self._translated():
                self._writer = self._alive(self._writer)
                with self._writer.transaction():
                    if not durable:
                        self._writer.execute("SET LOCAL synchronous_commit = off")
                    yield PostgresSession(self._writer)
        finally:
            self._writing.release()

    @contextlib.contextmanager
    def reading(self) -> Iterator[PostgresSession]:
        """Lend a reading connection."""
        self._must_be_open()
        with self._translated():
            try:
                idle = self.idle.pop()
            except IndexError:
                idle = None
            db = self._alive(idle)
            try:
                yield PostgresSession(db)
            finally:
                if not db.closed:
                    self.idle.append(db)
                self._let_go(0 if self._closed else _READERS)  # asked behind the append: one of the two sees it

    def lock(self) -> PostgresLock | None:
        """Ask for the lease on a connection of its own; None while another connection has it."""
        self._must_be_open()
        with self._translated():
            db = self._connect()
            try:
                taken = db.execute(self._lease.encode()).fetchone() == (True,)
            except BaseException:
                db.close()
                raise
        if taken:
            return PostgresLock(db)
        db.close()
        return None

    def close(self) -> None:
        """Close the connections; a second call does nothing."""
        self._closed = True
        with self._writing:
            self._let_go(0)
            if self._writer is not None:
                self._writer.close()
                self._writer = None

    # -- how

    def _let_go(self, kept: int) -> None:
        """Close the read connections that nobody uses, but so many. Called by any thread."""
        while len(self.idle) > kept:
            with contextlib.suppress(IndexError):  # another thread took the last one
                self.idle.pop().close()

    def _alive(self, db: psycopg.Connection[Any] | None) -> psycopg.Connection[Any]:
        """Return the connection if the server still answers on it, or a new one: many end what was idle for long.

        Asked before anything is written: later nobody could say whether a statement that got no answer took place.
        """
        if db is not None and not db.closed:
            with contextlib.suppress(_client().OperationalError):
                db.execute("SELECT 1")
                return db
            db.close()
        return self._connect()

    def _connect(self) -> psycopg.Connection[Any]:
        db: psycopg.Connection[Any] = _client().connect(
            self._url, autocommit=True, connect_timeout=max(2, round(self._busy_timeout))
        )
        try:
            db.execute(
                "SELECT set_config('lock_timeout', %s, false)", (f"{max(1, round(self._busy_timeout * 1_000))}ms",)
            )
            # What the promises stand on is not left to the settings of a database or a role.
            for setting in _SETTINGS:
                db.execute(setting)
        except BaseException:
            db.close()
            raise
        return db

    def _must_be_open(self) -> None:
        if self._closed:
            raise StoreError("the store is closed; open a new one")

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        client = _client()
        try:
            yield
        except (client.errors.LockNotAvailable, client.errors.DeadlockDetected) as error:
            raise StoreBusy(f"{self} was locked for {self._busy_timeout} s: try again later") from error
        except client.Error as error:
            raise self._explained(error) from error

    def _explained(self, error: psycopg.Error) -> StoreError:
        """Say by its SQLSTATE whether an error passes by itself: what a batch asks too much of never does."""
        text, state = f"{self}: {masked(str(error))}", error.sqlstate or ""
        if state in _NO_ROOM:
            return StoreFull(f"no room for {self}: nothing was written; make room and commit again")
        if state.startswith(_CROWDED):
            return StoreBusy(text)
        lost = not state and isinstance(error, (_client().OperationalError, _client().InterfaceError))
        if lost or state.startswith(_AWAY):
            return StoreDown(f"{self} does not answer: {masked(str(error))}")
        return StoreError(text)


class PostgresSession:
    """A connection that is lent for a while, and takes `?` where a value goes."""

    def __init__(self, db: psycopg.Connection[Any]) -> None:
        self._db = db

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> psycopg.Cursor[Any]:
        """Run one statement, or several without values."""
        return self._db.execute(_placed(sql), parameters or None)

    def copy(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Stream rows into a table."""
        with self._db.cursor() as cursor, cursor.copy(sql.encode()) as copy:
            for row in rows:
                copy.write_row(row)


@lru_cache(maxsize=256)
def _placed(sql: str) -> bytes:
    return sql.replace("?", "%s").encode()


class PostgresLock:
    """An advisory lock, which the server takes back when the connection ends."""

    def __init__(self, db: psycopg.Connection[Any]) -> None:
        self._db = db

    def held(self) -> bool:
        """Ask the server, which has forgotten it where the connection was lost."""
        try:
            self._db.execute("SELECT 1")
        except (_client().OperationalError, _client().InterfaceError):
            return False
        return True

    def close(self) -> None:
        """Give it back: a connection's end alone reaches the server a moment later, and until then nobody has it."""
        lost = (_client().OperationalError, _client().InterfaceError)
        with contextlib.suppress(*lost):  # with the connection the lock was, too
            self._db.execute("SELECT pg_advisory_unlock_all()")
        self._db.close()


def _client() -> Any:
    """Return psycopg: imported when a store is opened, not when the pipeline is."""
    try:
        import psycopg
    except ImportError as error:
        raise StoreError("PostgreSQL needs psycopg: pip install 'arion-workbook[servers]'") from error
    return psycopg
