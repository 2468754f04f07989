"""What every store of the pipeline promises, and what it gives back.

Idea        One transaction makes rows, aggregates, outgoing messages and progress true together.
Invariant   When `commit` returns, all of the batch is durable; when it raises, nothing of it is there.
When wrong  A batch is refused (`ValueError`, `StaleDelivery`) or the store says what it lacks (busy, full, broken).
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_store.py
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from types import TracebackType
from typing import Protocol, Self, TypeAlias

from arion_lib.masking import masked
from arion_lib.pipeline.batch import Batch, DeadLetter, Key, Number
from arion_lib.pipeline.deliveries import Delivery
from arion_lib.pipeline.numbers.means import mean
from arion_lib.pipeline.stores.addresses import scheme

Outcome: TypeAlias = int | ValueError
"""What became of a batch: durable but for so many rows, whose events were known; or why it was refused."""


class StoreError(Exception):
    """The store could not do what was asked; nothing was changed."""


class StoreBusy(StoreError):
    """Somebody else held the database for longer than the busy time-out: try again later."""


class StoreFull(StoreError):
    """There is no room left. Nothing was written; the store works again once there is space."""


class StoreBroken(StoreError):
    """What is there is not a database of this library, or is damaged."""


class StoreDown(StoreError):
    """The database server does not answer: try again later."""


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A row and its number in its stream: 1, 2, 3 ... in the order of their commits."""

    seq: int
    body: bytes  # the JSON text that was committed, byte for byte
    meta: str | None = None  # JSON text that stands beside it


@dataclass(frozen=True, slots=True)
class StoredLetter:
    """A dead letter and its number in its stream."""

    seq: int
    letter: DeadLetter


@dataclass(frozen=True, slots=True)
class Result:
    """What is known of one group."""

    key: Key
    count: int
    sum: Number | None = None
    min: Number | None = None
    max: Number | None = None
    values: int | None = None  # numbers that the sum is of; None beside a sum: stored before they were counted

    @property
    def mean(self) -> float | Decimal | None:
        """The numbers' mean, records without one left out; None where there is no number, or nobody counted them."""
        return mean(self.sum, self.values)


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """Messages that a transaction made true and that the queue has not confirmed yet."""

    seq: int
    stream: str
    messages: Sequence[bytes]
    id: str = ""  # of the entry in this store, which no other entry anywhere has; its messages are id.1, id.2 ...
    metas: Sequence[str | None] = ()  # of the messages, where one has any
    gone: int = 0  # messages that are not there any more: damaged, or echoed rows that somebody deleted


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """Figures for a health page; none of them costs more than the outbox is long."""

    streams: int
    rows: int
    dead_letters: int
    outbox_entries: int  # waiting to be published
    outbox_messages: int
    outbox_age: float  # seconds since the commit of the oldest waiting entry; 0.0 when none waits
    bytes: int  # on disk


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many entries `prune` took away."""

    deliveries: int = 0
    ids: int = 0
    published: int = 0
    rows: int = 0
    dead: int = 0


class Lease(Protocol):
    """The right to do what only one process may do at a time; it ends with the process, however that ends."""

    def held(self) -> bool:
        """Say whether it still is ours: a server that was restarted knows nothing of it."""
        ...

    def close(self) -> None:
        """Give it back; a second call does nothing."""
        ...


class Store(Protocol):
    """Where the pipeline's results live. Every method may be called from any thread, also at the same time."""

    def commit(self, batch: Batch) -> int:
        """Make all of `batch` durable, or raise and leave nothing of it.

        Returns how many of its rows were left out because the stream knew their event ids.

        Raises
        ------
        ValueError
            The batch could not be kept exactly; found before the transaction begins.
        StaleDelivery
            A delivery of the batch does not start where the store has come to: a duplicate, or another sender's.
        StoreBusy, StoreFull, StoreDown, StoreBroken
            The database could not; the same batch may be committed again later.
        """
        ...

    def commit_all(self, batches: Iterable[Batch]) -> dict[int, Outcome]:
        """Make several batches durable in one transaction (group commit), in order; return what became of them.

        By a batch's index: how many of its rows were left out because the stream knew their event ids, or the
        `ValueError` or `StaleDelivery` for which it was refused. What is not named is durable with all its rows.
        A refused batch does not take the others with it: values are checked before the transaction begins, deliveries
        are compared inside it before anything is written. On any other error, which is raised, nothing of any batch is
        there.
        """
        ...

    def done(self, stream: str, delivery_id: str) -> Delivery | None:
        """Return how far a delivery has come (its `start` is 0), or None when nothing of it is stored."""
        ...

    def results(self, stream: str, after: Key | None = None, limit: int = 100) -> list[Result]:
        """Return up to `limit` groups in the order of their keys' JSON text, those past `after`."""
        ...

    def rows(self, stream: str, after: int = 0, limit: int = 100) -> list[StoredRow]:
        """Return up to `limit` rows with a number greater than `after`, in order."""
        ...

    def dead_letters(self, stream: str, after: int = 0, limit: int = 100) -> list[StoredLetter]:
        """Return up to `limit` dead letters with a number greater than `after`, in order."""
        ...

    def streams(self, limit: int = 100) -> list[str]:
        """Return the names of up to `limit` streams, those with the most rows and dead letters first."""
        ...

    def outbox(self, limit: int = 64, size: int = 1 << 20) -> list[OutboxEntry]:
        """Return the oldest unpublished entries: at most `limit`, and none after the one that reaches `size` bytes."""
        ...

    def lease(self) -> Lease | None:
        """Take the right to publish this store's outbox, or None while another relay has it, in whatever process."""
        ...

    def mark_published(self, seqs: Iterable[int]) -> None:
        """Note that the queue has these entries. A mark lost in a power cut means that they are published again."""
        ...

    def prune(
        self,
        *,
        deliveries: float | None = None,
        ids: float | None = None,
        published: float | None = None,
        rows: float | None = None,
        dead: float | None = None,
        own: Mapping[str, float] = {},
    ) -> Pruned:
        """Forget what is older than so many seconds (None: keep), in small transactions: no commit waits for long.

        `deliveries` and event `ids`: what comes again after that counts again. `published`: outbox entries. `rows` and
        `dead` letters: to the minute, and counted from the first pruning where a stream has been silent since; a row
        that the outbox still has to publish stays. `own` names streams that keep both for a time of their own.
        """
        ...

    def listen(self, committed: Callable[[], None]) -> Callable[[], None]:
        """Call `committed` after each commit of this object that left messages; the returned function ends that."""
        ...

    def status(self) -> StoreStatus:
        """Return the figures of a health page."""
        ...

    def ping(self) -> None:
        """Raise a `StoreError` unless the database can be read and a write lock can be had."""
        ...

    def close(self) -> None:
        """Let go of connections and files; a second call does nothing."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_store(url: str | os.PathLike[str]) -> Store:
    """Open the store that `url` names: `sqlite:///relative.db`, `sqlite:////absolute.db`, a plain path, `postgresql://...`.

    A fresh process opens the same store by the same text. Raises `ValueError` for another scheme.
    """
    kind = scheme(url)
    if kind in ("", "sqlite"):
        from arion_lib.pipeline.stores.sqlite import SqliteStore

        return SqliteStore(url)
    if kind in ("postgresql", "postgres"):
        from arion_lib.pipeline.stores.postgres import PostgresStore

        return PostgresStore(os.fspath(url))
    raise ValueError(
        f"a store's URL must be sqlite:///path or postgresql://host/database, got {masked(os.fspath(url))}"
    )
