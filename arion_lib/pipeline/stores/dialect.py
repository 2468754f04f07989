"""What differs between databases, and nothing else: placeholders, bulk statements, how a row's place is written.

Idea        A store is one text of SQL with `?` for values; a dialect fills in the few phrases that they do not share.
Invariant   No branch on the database stands outside of a dialect.
When wrong  Errors of a driver are the connections' business: they become `StoreError`s there.
See         tests/pipeline/test_store.py
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from arion_lib.pipeline.batch import Aggregate
from arion_lib.pipeline.store import Lease


class Cursor(Protocol):
    """What a statement gave back."""

    @property
    def rowcount(self) -> int:
        """Rows that it changed."""

    def fetchone(self) -> Any:
        """Return the next row, or None."""

    def fetchall(self) -> list[Any]:
        """Return the rows that are left."""

    def __iter__(self) -> Iterator[Any]: ...


class Database(Protocol):
    """A connection that is lent for a while."""

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Cursor:
        """Run one statement, with `?` where a value goes."""
        ...


class Connections(Protocol):
    """The connections to one database: one that writes, guarded by a lock, and some that read."""

    def transaction(self, durable: bool = True) -> AbstractContextManager[Database]:
        """Lend the writing connection for one transaction; it is on the disk afterwards, unless not `durable`."""
        ...

    def reading(self) -> AbstractContextManager[Database]:
        """Lend a reading connection."""
        ...

    def lock(self) -> Lease | None:
        """Take the one lock that says who publishes the outbox; None while another has it."""
        ...

    def close(self) -> None:
        """Close all; a second call does nothing."""
        ...


class Dialect(Protocol):
    """How one kind of database says what each of them can."""

    key: str
    """The column that orders the rows of a stream: of the tables `rows` and `dead`."""
    seq: str
    """An expression of it: the row's number in its stream."""
    within: str
    """A condition with the three values of `span`."""
    body: str
    """An expression: the text of a row, as it came."""
    lock: str
    """What ends a query whose rows nobody else may change until the transaction has ended."""
    texts: str
    """A table with the column `value`, made of the one value of `many`."""
    integers: str
    """The same of integers."""
    figures: tuple[str, ...]
    """The columns of `groups` that hold an aggregate."""
    identity: str
    """The table that holds the store's own name."""
    size: str
    """An expression: bytes on disk."""
    ping: str
    """A statement that fails where nothing can be written."""

    def base(self, stream: int) -> int:
        """Return what a stored place of this stream begins at: the place of its row n is n more."""
        ...

    def span(self, stream: int, after: int, upto: int | None = None) -> tuple[int, ...]:
        """Return the values for `within`: the stream's rows with numbers past `after`, to `upto`."""
        ...

    def places(self, stream: int, first: int) -> tuple[Iterable[int], ...]:
        """Return the key's columns, for the rows numbered `first` and on without an end."""
        ...

    def many(self, values: Iterable[Any]) -> Any:
        """Return values as one that `texts` or `integers` makes a table of."""
        ...

    def insert(
        self, db: Any, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], tail: str = ""
    ) -> None:
        """Insert rows, as quickly as the database can; `tail` ends the statement. "*" stands for the key's columns."""
        ...

    def insert_entry(self, db: Any, sql: str, values: Sequence[Any]) -> int:
        """Insert one row; return the `seq` that the database gave it."""
        ...

    def kept(self, figures: Aggregate) -> Sequence[Any]:
        """Return the values for the columns `figures`."""
        ...

    @property
    def loaded(self) -> Callable[..., Aggregate]:
        """Makes the aggregate that the columns `figures` hold."""
