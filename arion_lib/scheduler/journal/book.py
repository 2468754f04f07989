"""The journal on disk: one SQLite file with the calls that have not ended, and the results of those that had a key.

Idea        Two connections: what is written before a `submit` returns is synced to the disk, what is struck out at an
            end is not - a power cut may bring a call back, it cannot lose one.
Invariant   One process at a time has a journal open: another one would run the same calls (test_journal.py).
When wrong  A function that cannot be found any more stays in the journal, with a warning; the others are run.
See         arion_lib/scheduler/journal/keeping.py · tests/scheduler/test_journal.py

The file holds pickles: open only your own.
"""

from __future__ import annotations

import os
import pickle
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from arion_lib.scheduler.calls.importable import importable

KEEP_KEYS = 7 * 86_400.0
"""Seconds for which the result of a call with a key is remembered."""
PATIENCE = 5.0
"""Seconds to wait for a journal that another process has open: workers of a killed program take a moment to end."""
TABLES = """
CREATE TABLE IF NOT EXISTS calls (
    number INTEGER PRIMARY KEY AUTOINCREMENT, function TEXT NOT NULL, call BLOB NOT NULL, key TEXT UNIQUE);
CREATE TABLE IF NOT EXISTS keys (
    key TEXT PRIMARY KEY, function TEXT NOT NULL, result BLOB NOT NULL, ended REAL NOT NULL);
"""


class Kept(NamedTuple):
    """A call in the journal. `call` is the pickle of its arguments, its keywords and its options."""

    number: int
    function: str
    call: bytes
    key: str | None

    def opened(self) -> tuple[tuple[Any, ...], dict[str, Any], dict[str, Any]]:
        """Return the arguments, the keywords and the options."""
        args, kwargs, options = pickle.loads(self.call)
        return args, kwargs, options


class Journal:
    """A journal at `path`. `functions`: those that are known by a name of yours; others by their module and name.

    Open it by `Scheduler(journal=...)`, which takes the path alone, too.
    """

    def __init__(self, path: str | Path, functions: Mapping[str, Callable[..., Any]] | None = None) -> None:
        self.path, self._functions = Path(path), dict(functions or {})
        self._names = {function: name for name, function in self._functions.items()}
        self._lock = threading.Lock()
        self._held: int | None = None
        self._safe: sqlite3.Connection
        self._fast: sqlite3.Connection

    def open(self) -> None:
        """Take the file for this process. Raises `OSError` while another one has it."""
        self._held = _taken(self.path)
        try:
            self._safe, self._fast = self._connected("FULL"), self._connected("NORMAL")
            self._safe.executescript(TABLES)
            self._fast.execute("DELETE FROM keys WHERE ended < ?", (time.time() - KEEP_KEYS,))
        except BaseException:
            os.close(self._held)
            self._held = None
            raise

    def _connected(self, sync: str) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={sync}")
        connection.execute("PRAGMA fullfsync=ON")  # macOS: fsync there only reaches the drive's cache
        return connection

    def close(self) -> None:
        """Let go of the file. What is in it is run by the next start."""
        with self._lock:
            if self._held is not None:
                self._safe.close()
                self._fast.close()
                os.close(self._held)
                self._held = None

    # --- functions and their names ---

    def name_of(self, function: Callable[..., Any]) -> str:
        """Return the name under which the next start finds a function. Raises `ValueError` when there is none."""
        try:
            name = self._names.get(function)
        except TypeError:  # it cannot be hashed
            name = None
        if name is not None:
            return name
        if importable(function):
            return f"{function.__module__}:{function.__qualname__}"
        raise ValueError(
            f"a call in a journal must be of a function that the next start can import or that is registered by name, "
            f"got {function!r}: define it in a module, or give Journal(path, functions={{name: function}})"
        )

    def function(self, name: str) -> Callable[..., Any]:
        """Return the function of that name. Raises `LookupError` or what importing it raises."""
        if name in self._functions:
            return self._functions[name]
        module, _, path = name.partition(":")
        if not path:
            raise LookupError(f"no function is registered as {name!r}")
        found: Any = import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
        function: Callable[..., Any] = found
        return function

    # --- calls ---

    def keep(self, function: str, calls: Iterable[bytes], key: str | None = None) -> list[int]:
        """Write calls of one function down, all or none; they are on the disk when this returns their numbers."""
        with self._lock:
            self._safe.execute("BEGIN IMMEDIATE")
            try:
                insert = "INSERT INTO calls (function, call, key) VALUES (?, ?, ?)"
                rows = [self._safe.execute(insert, (function, call, key)).lastrowid or 0 for call in calls]
            except BaseException:
                self._safe.execute("ROLLBACK")
                raise
            self._safe.execute("COMMIT")
        return rows

    def strike_out(self, number: int) -> None:
        """Forget a call that has ended."""
        with self._lock:
            if self._held is not None:  # else the program is at its end: the next start runs it again
                self._fast.execute("DELETE FROM calls WHERE number = ?", (number,))

    def remember(self, number: int, key: str, function: str, result: bytes) -> None:
        """Forget a call that has ended well, and remember its result under its key, in one step."""
        with self._lock:
            if self._held is None:
                return
            self._fast.execute("BEGIN IMMEDIATE")
            self._fast.execute("DELETE FROM calls WHERE number = ?", (number,))
            self._fast.execute("INSERT OR REPLACE INTO keys VALUES (?, ?, ?, ?)", (key, function, result, time.time()))
            self._fast.execute("COMMIT")

    def result_of(self, key: str) -> tuple[str, bytes] | None:
        """Return the function and the pickled result of the call that had a key; None when none has ended well."""
        with self._lock:
            row = self._safe.execute("SELECT function, result FROM keys WHERE key = ?", (key,)).fetchone()
        return None if row is None else (row[0], row[1])

    def left(self) -> list[Kept]:
        """Return the calls that have not ended, in the order of their submission."""
        with self._lock:
            rows = self._safe.execute("SELECT number, function, call, key FROM calls ORDER BY number").fetchall()
        return [Kept(*row) for row in rows]


def _taken(path: Path) -> int:
    """Lock the file beside a journal; the system lets go of it when the process ends, however it does."""
    fd = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    until = time.monotonic() + PATIENCE
    while True:
        try:
            _lock(fd)
        except OSError:
            if time.monotonic() >= until:
                os.close(fd)
                raise OSError(f"the journal {path} must be open in one process only, another one has it") from None
            time.sleep(0.02)
        else:
            return fd


def _lock(fd: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
