"""Group commit: one thread writes, and whatever waits when it is free shares its next transaction.

Idea        A commit costs one flush of the disk, however many posts are in it; so nobody waits for a batch to fill,
            and nobody commits alone while others wait.
Invariant   A future is resolved after its batch is durable, never before; at most `waiting` batches wait in all.
When wrong  A full queue refuses at once (`QueueFull`). A store that is away fails all of a transaction; any other error
            of a shared one has each batch tried alone, once, so that one sender's batch is nobody else's error. The
            thread outlives any error; should it end all the same, who waits is told and `failure` says why.
See         notebooks/1_streaming_pipeline.ipynb · tests/web/test_group_commit.py
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Protocol

from arion_lib.pipeline.batch import Batch, DeadLetter
from arion_lib.pipeline.deliveries import Delivery
from arion_lib.pipeline.store import Store, StoreBroken, StoreBusy, StoreDown, StoreFull

log = logging.getLogger(__name__)

AWAY = (StoreBusy, StoreFull, StoreDown, StoreBroken)
"""Errors that say nothing of the batches: the store cannot write now, so trying each alone would not help."""

Event = tuple[str, bytes, Delivery | None]
"""A single row that goes the short way: its stream, the row, and the delivery that it is all of."""


class Waiter(Protocol):
    """What is told the fate of a batch, on the thread of its loop: a future, or something that needs less of one."""

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop."""

    def done(self) -> bool:
        """Say whether nobody needs to be told any more."""

    def set_result(self, left_out: int, /) -> None:
        """Be told that the batch is durable, and how many of its rows were left out. Must not raise."""

    def set_exception(self, error: BaseException, /) -> None:
        """Be told why it is not. Must not raise."""


Waiting = tuple[Batch | Event, Waiter]
Fate = BaseException | int
"""What became of a batch: its error, or how many of its rows were left out because their event ids were known."""

Fates = dict[int, Fate]
"""Fates by the batches' indices; those that are not named are durable with all their rows."""


class QueueFull(Exception):
    """As many batches wait for their commit as may wait. Nothing was queued; try again when some are durable."""


class CommitsClosed(Exception):
    """The queue has been closed and everything in it is durable; nothing more is taken."""


@dataclass(slots=True)
class CommitFigures:
    """What the writer did so far. Written by its thread, read by anybody."""

    commits: int = 0
    batches: int = 0
    failures: int = 0
    largest: int = 0  # batches in one transaction


class GroupCommit:
    """A bounded queue of batches in front of a store, and the one thread that commits them.

    `waiting` bounds the queue and `together` the batches of one transaction. Call `submit` on the event loop's thread;
    make it on any. A future's exception is the store's (`StaleDelivery`, `StoreBusy`, ...). Close it in the end: what
    was submitted before is committed first.
    """

    def __init__(self, store: Store, *, waiting: int = 4_096, together: int = 512) -> None:
        if waiting < 1 or together < 1:
            raise ValueError(f"waiting and together must be >= 1, got {waiting} and {together}")
        self.figures = CommitFigures()
        self._store = store
        self._limit, self._together = waiting, together
        self._queue: deque[Waiting] = deque()
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._closed = False
        self._died: BaseException | None = None
        self._held: list[Waiting] = []  # what the thread has taken out of the queue and not yet settled
        self._thread = threading.Thread(target=self._run, name="group-commit", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Batches that wait for a transaction."""
        return len(self._queue)

    def submit(self, batch: Batch) -> asyncio.Future[int]:
        """Queue a batch; the future is done once it is durable, or carries the store's error.

        Its result is what `Store.commit` returns: rows left out because their event ids were known. Raises `QueueFull`
        or `CommitsClosed` and queues nothing. Cost: constant; call it on the loop's thread.
        """
        future = asyncio.get_running_loop().create_future()
        self._submit(batch, future)
        return future

    def submit_row(self, stream: str, row: bytes, delivery: Delivery | None, waiter: Waiter) -> None:
        """Queue a body that is one row and its own message: as `submit`, at half the cost; `waiter` is told."""
        self._submit((stream, row, delivery), waiter)

    def _submit(self, batch: Batch | Event, waiter: Waiter) -> None:
        if self._closed:
            raise CommitsClosed("the queue of commits is closed; start a new server")
        if len(self._queue) >= self._limit:
            raise QueueFull(f"at most {self._limit} batches may wait for their commit")
        self._queue.append((batch, waiter))
        if self._died:  # just now: nobody would look at it
            self._strand(self._queue)
            return
        # The writer empties the queue before it sleeps, so it needs waking only for the first entry.
        if len(self._queue) == 1:
            self._wake.put(None)

    def close(self) -> None:
        """Commit what waits and end the thread. A second call does nothing."""
        self._closed = True
        self._wake.put(None)
        self._thread.join()

    def failure(self) -> BaseException | None:
        """Return what ended the thread before its time, None while all is well; `/health` asks."""
        return self._died

    def _run(self) -> None:
        try:
            while not (self._closed and not self._queue):
                self._wake.get()
                while self._queue:
                    self._held = [self._queue.popleft() for _ in range(min(len(self._queue), self._together))]
                    self._commit(self._held)
                    self._held = []
        except BaseException as error:  # the thread's boundary: who waits would wait for ever
            log.critical("the thread that commits has ended", exc_info=error)
            self._died, self._closed = error, True
            self._strand(self._held)
            self._strand(self._queue)

    def _strand(self, waiting: deque[Waiting] | list[Waiting]) -> None:
        gone = CommitsClosed("the thread that commits has ended; start the server again")
        while waiting:
            _resolve([waiting.pop()[1]], {0: gone})

    def _commit(self, group: Sequence[Waiting]) -> None:
        fates: Fates
        try:
            fates = self._write_joined([batch for batch, _ in group])
        except BaseException as error:  # no memory to join them, say: this group hears of it, the next may fit
            log.exception("a transaction failed outside the store")
            fates = dict.fromkeys(range(len(group)), error)
        self._count(len(group), sum(isinstance(fate, BaseException) for fate in fates.values()))
        _resolve([waiter for _, waiter in group], fates)

    def _write_joined(self, batches: Sequence[Batch | Event]) -> Fates:
        """Commit the batches joined to few; one whose transaction failed for another's fault is committed alone."""
        joined = join(batches)
        try:
            fates = self._write([batch for batch, _ in joined])
        except Exception as error:  # noqa: BLE001  whatever it is, those who wait must hear of it
            if len(batches) == 1 or isinstance(error, AWAY):
                return dict.fromkeys(range(len(batches)), error)
            log.warning("a shared transaction failed; each of its %d batches is tried alone: %s", len(batches), error)
            return self._write_alone(batches, range(len(batches)))
        own: Fates = {}
        again: list[int] = []
        for number, fate in fates.items():
            indices = joined[number][1]
            if len(indices) > 1 and isinstance(fate, BaseException):
                again += indices
            else:
                own |= dict.fromkeys(indices, fate)
        return own | self._write_alone(batches, again)

    def _write_alone(self, batches: Sequence[Batch | Event], indices: Sequence[int]) -> Fates:
        """Commit each in a transaction of its own, once; after the first that finds the store away, try no more."""
        own: Fates = {}
        for index in indices:
            try:
                own[index] = self._write([as_batch(batches[index])]).get(0, 0)
            except AWAY as error:
                return dict.fromkeys(indices, error) | own
            except Exception as error:  # noqa: BLE001  this batch's own error
                own[index] = error
        return own

    def _write(self, batches: Sequence[Batch]) -> Fates:
        return dict(self._store.commit_all(batches))

    def _count(self, batches: int, failures: int) -> None:
        self.figures.commits += failures < batches
        self.figures.batches += batches - failures
        self.figures.failures += failures
        self.figures.largest = max(self.figures.largest, batches)


class InOrder:
    """At most one batch of a body waits for its commit; adding the next waits for it.

    `durable` is called with each batch that has been waited for, and how many of its rows were left out.
    """

    def __init__(self, commits: GroupCommit, durable: Callable[[Batch, int], None] = lambda _, __: None) -> None:
        self._commits, self._durable = commits, durable
        self._waiting: tuple[Batch, asyncio.Future[int]] | None = None

    async def add(self, batch: Batch | None) -> None:
        """Wait for the batch before, then queue this one."""
        if batch is not None:
            await self.settle()
            self._waiting = batch, self._commits.submit(batch)

    async def settle(self) -> None:
        """Wait until everything added is durable."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            batch, future = waiting
            self._durable(batch, await future)

    def abandon(self) -> None:
        """Let the last batch end, whatever becomes of it: something else has gone wrong already."""
        if self._waiting is not None:
            self._waiting[1].add_done_callback(lambda future: future.cancelled() or future.exception())


def join(batches: Sequence[Batch | Event]) -> list[tuple[Batch, list[int]]]:
    """Join batches of rows to one a stream, each with the indices of those it is made of.

    A store checks and writes one batch of a hundred rows much faster than a hundred of one. Batches with groups or
    event ids stay as they are: their rows and messages belong together in other ways.

    >>> rows = [b"1"]
    >>> waiting = [Batch("a", rows, messages=rows), Batch("b"), ("a", b"2", None)]
    >>> [(batch.rows, indices) for batch, indices in join(waiting)]
    [([b'1', b'2'], [0, 2]), ([], [1])]
    """
    plain: dict[str, _Joined] = {}
    joined: list[tuple[Batch, list[int]]] = []
    for index, batch in enumerate(batches):
        if type(batch) is tuple:
            if (together := plain.get(batch[0])) is None:
                together = plain[batch[0]] = _Joined(batch[0])
            together.add_event(index, batch)
        elif isinstance(batch, Batch) and _is_plain(batch):
            plain.setdefault(batch.stream, _Joined(batch.stream)).add(index, batch)
        else:
            joined.append((as_batch(batch), [index]))
    return joined + [(together.batch(), together.indices) for together in plain.values()]


def as_batch(entry: Batch | Event) -> Batch:
    """Return the batch that an entry is or stands for."""
    if isinstance(entry, Batch):
        return entry
    stream, row, delivery = entry
    rows = [row]
    return Batch(stream, rows, messages=rows, deliveries=[delivery] if delivery else ())


def _is_plain(batch: Batch) -> bool:
    if batch.ids is not None or batch.groups or batch.metas is not None or batch.settled:
        return False
    return batch.messages is batch.rows or not (batch.messages or batch.rows)


class _Joined:
    """Rows of one stream, gathered."""

    __slots__ = ("_dead", "_deliveries", "_rows", "_stream", "indices")

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self._rows: list[bytes] = []
        self._dead: list[DeadLetter] = []
        self._deliveries: list[Delivery] = []
        self.indices: list[int] = []

    def add_event(self, index: int, event: Event) -> None:
        _, row, delivery = event
        self._rows.append(row)
        self.indices.append(index)
        if delivery is not None:
            self._deliveries.append(delivery)

    def add(self, index: int, batch: Batch) -> None:
        self._rows += batch.rows
        self._dead += batch.dead
        self._deliveries += batch.deliveries
        self.indices.append(index)

    def batch(self) -> Batch:
        return Batch(self._stream, self._rows, messages=self._rows, dead=self._dead, deliveries=self._deliveries)


def _resolve(waiters: Sequence[Waiter], fates: Fates) -> None:
    """Wake everybody whose batch was in the transaction, with one crossing into the loop's thread."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[Waiter, Fate]]] = {}
    for index, waiter in enumerate(waiters):
        by_loop.setdefault(waiter.get_loop(), []).append((waiter, fates.get(index, 0)))
    for loop, group in by_loop.items():
        _call(loop, lambda group=group: _set(group))  # type: ignore[misc]


def _call(loop: asyncio.AbstractEventLoop, settle: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(settle)
    except RuntimeError:
        # The loop was closed under us (a server torn down hard): the batches are durable, nobody is left to be told.
        return


def _set(group: Sequence[tuple[Waiter, Fate]]) -> None:
    for waiter, fate in group:
        try:
            if waiter.done():  # its request was cancelled meanwhile
                continue
            if isinstance(fate, BaseException):
                waiter.set_exception(fate)
            else:
                waiter.set_result(fate)
        except Exception:  # one waiter that raises must not leave the others behind it untold
            log.exception("a batch is settled, but who waits for it could not be told")
