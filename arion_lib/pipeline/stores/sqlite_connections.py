"""One SQLite file, one connection that writes, a few that read, and errors that say what to do.

Idea        SQLite lets one write while many read (WAL): so one guarded connection writes, and reads use others.
Invariant   A transaction is committed and on the disk, or as if it had never begun; a read never waits for it.
When wrong  Every `sqlite3` error becomes a `StoreError` that names the file and the remedy.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_sqlite_store.py
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from arion_lib.pipeline.store import StoreBroken, StoreBusy, StoreError, StoreFull

_READERS = 4
"""Read connections that are kept open; more are opened for a moment when more threads read at once."""

_DURABLE = ("synchronous = FULL", "fullfsync = ON", "checkpoint_fullfsync = ON", "journal_size_limit = 67108864")


class SqliteConnections:
    """The connections to one file.

    Parameters
    ----------
    path
        The file; it is made when missing.
    busy_timeout
        Seconds to wait for another writer, in this process or another, before `StoreBusy`.
    identity
        Application and version: numbers in the file's header that say whose it is.
    schema
        SQL statements that make the tables of an empty file.
    upgrades
        For each older version, the statements that make its tables those of the next one.
    max_bytes
        Size that the file must not pass; None leaves it to the disk.
    """

    def __init__(
        self,
        path: Path,
        busy_timeout: float,
        identity: tuple[int, int],
        schema: str,
        upgrades: Mapping[int, str],
        max_bytes: int | None = None,
    ) -> None:
        self.path = path
        self._busy_timeout = busy_timeout
        self._writing = threading.Lock()
        self.idle: list[sqlite3.Connection] = []  # read connections that nobody uses
        self._closed = False
        with self._translated():
            self.writer = self._connect()
            opened = self.path.stat()
            self._inode = (opened.st_dev, opened.st_ino)
            try:
                self._check_owner(identity, min(upgrades, default=identity[1]))
                self._configure(max_bytes)
                self._make(identity, {0: schema, **upgrades})
            except BaseException:
                self.writer.close()
                raise

    @contextlib.contextmanager
    def transaction(self, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """Lend the writing connection for one transaction; it is on the disk afterwards, unless not `durable`."""
        if not self._writing.acquire(timeout=max(self._busy_timeout, 0.001)):
            raise StoreBusy(f"{self.path} was written by other threads for {self._busy_timeout} s: try again later")
        try:
            self._must_be_open()
            self._must_be_there()
            with self._translated(), self._synchronous(durable):
                self.writer.execute("BEGIN IMMEDIATE")
                try:
                    yield self.writer
                    self.writer.execute("COMMIT")
                except BaseException:
                    if self.writer.in_transaction:  # SQLite ends it by itself when the disk is full
                        self.writer.execute("ROLLBACK")
                    raise
        finally:
            self._writing.release()

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Lend a reading connection; all that is read with it comes from one moment."""
        self._must_be_open()
        self._must_be_there()
        with self._translated():
            try:
                db = self.idle.pop()
            except IndexError:
                db = self._connect()
            try:
                db.execute("BEGIN")
                yield db
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                self.idle.append(db)
                self._let_go(0 if self._closed else _READERS)  # asked behind the append: one of the two sees it

    def lock(self) -> SqliteLock | None:
        """Take the one lock beside the file that says who publishes its outbox; None while another has it."""
        self._must_be_open()
        db = sqlite3.connect(f"{self.path}-relay", timeout=0.0, isolation_level=None, check_same_thread=False)
        try:
            db.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            db.close()
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
                return None
            raise self._explained(error) from error
        return SqliteLock(db)

    def close(self) -> None:
        """Fold the write-ahead log into the file and close it; a second call does nothing."""
        with self._writing:
            if self._closed:
                return
            self._closed = True
            self._let_go(0)
            with contextlib.suppress(sqlite3.Error):  # somebody else reads: they will do it
                self.writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self.writer.close()

    # -- how

    def _let_go(self, kept: int) -> None:
        """Close the read connections that nobody uses, but so many. Called by any thread."""
        while len(self.idle) > kept:
            with contextlib.suppress(IndexError):  # another thread took the last one
                self.idle.pop().close()

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=self._busy_timeout, isolation_level=None, check_same_thread=False)
        try:
            db.execute("PRAGMA cache_size = -4096")  # KiB: all that grows with the database is this cache
        except BaseException:
            db.close()
            raise
        return db

    def _check_owner(self, identity: tuple[int, int], oldest: int) -> None:
        if self._asked("SELECT count(*) FROM sqlite_schema") == 0:
            return
        application, newest = identity
        version = self._version()
        if self._asked("PRAGMA application_id") != application:
            raise StoreBroken(f"{self.path} is a SQLite database, but not a pipeline store: name another file")
        if not oldest <= version <= newest:
            raise StoreBroken(
                f"{self.path} must be a pipeline store of version {oldest} to {newest}, got version {version}: "
                "open it with the library that made it, or name another file"
            )

    def _configure(self, max_bytes: int | None) -> None:
        if self._wanted_journal_mode() != "wal":
            raise StoreError(
                f"{self.path} is on a file system without the shared memory of SQLite's WAL: use a local disk"
            )
        for setting in _DURABLE:
            self.writer.execute(f"PRAGMA {setting}")
        if max_bytes is not None:
            pages = max(1, max_bytes // int(str(self._asked("PRAGMA page_size"))))
            self.writer.execute(f"PRAGMA max_page_count = {pages}")

    def _wanted_journal_mode(self) -> object:
        # SQLite waits for a reader here, but never for a writer, such as one who makes the same file: so ask again.
        until = time.monotonic() + self._busy_timeout
        while True:
            try:
                return self._asked("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                    raise
            time.sleep(0.005)

    def _make(self, identity: tuple[int, int], scripts: Mapping[int, str]) -> None:
        """Make the tables, or bring those of an older version up to this one; all of it, or nothing."""
        application, newest = identity
        with self.transaction():
            while (version := self._version()) != newest:  # nobody else can be at it now
                for statement in scripts[version].split(";"):
                    self.writer.execute(statement)
                self.writer.execute(f"PRAGMA application_id = {application}")
                self.writer.execute(f"PRAGMA user_version = {version + 1 if version else newest}")

    def _version(self) -> int:
        return int(str(self._asked("PRAGMA user_version")))

    def _asked(self, question: str) -> object:
        return self.writer.execute(question).fetchone()[0]

    @contextlib.contextmanager
    def _synchronous(self, durable: bool) -> Iterator[None]:
        if durable:
            yield
            return
        self.writer.execute("PRAGMA synchronous = NORMAL")
        try:
            yield
        finally:
            self.writer.execute("PRAGMA synchronous = FULL")

    def _must_be_there(self) -> None:
        """Refuse to use a file that was removed or replaced: what is written there is gone once it is closed."""
        try:
            now = self.path.stat()
        except OSError as error:
            raise StoreBroken(f"{self.path} must stay where it is, got {error.strerror}: put it back") from error
        if (now.st_dev, now.st_ino) != self._inode:
            raise StoreBroken(f"{self.path} must stay the file that was opened, got another: put it back, restart")

    def _must_be_open(self) -> None:
        if self._closed:
            raise StoreError("the store is closed; open a new one")

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._explained(error) from error

    def _explained(self, error: sqlite3.Error) -> StoreError:
        code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return StoreBusy(f"{self.path} was locked by another process for {self._busy_timeout} s: try again later")
        if code == sqlite3.SQLITE_FULL:
            return StoreFull(f"no room for {self.path}: nothing was written; make room and commit again ({error})")
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            return StoreBroken(f"{self.path} is not a whole SQLite database ({error}): restore it from a copy")
        return StoreError(f"{self.path}: {error}")


class SqliteLock:
    """A lock that the operating system takes back when the process ends, on every system that SQLite knows."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def held(self) -> bool:
        """Say that it is: nobody takes it away."""
        return True

    def close(self) -> None:
        """Give it back."""
        self._db.close()
