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
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue

from arion_lib.pipeline.batch import Batch
from arion_lib.pipeline.deliveries import Delivery
from arion_lib.pipeline.store import Store, StoreBroken, StoreBusy, StoreDown, StoreFull
from arion_lib.web.committing.joining import Event, as_batch, join
from arion_lib.web.committing.waiters import Fates, Waiter, resolve

log = logging.getLogger(__name__)

AWAY = (StoreBusy, StoreFull, StoreDown, StoreBroken)
"""Errors that say nothing of the batches: the store cannot write now, so trying each alone would not help."""

FULL_FOR = 10.0
"""Seconds for which `full` says that a transaction found no room: then posts must come again to find out."""

Waiting = tuple[Batch | Event, Waiter]


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

    def __init__(
        self,
        store: Store,
        *,
        waiting: int = 4_096,
        together: int = 512,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if waiting < 1 or together < 1:
            raise ValueError(f"waiting and together must be >= 1, got {waiting} and {together}")
        self.figures = CommitFigures()
        self._store, self._clock = store, clock
        self._limit, self._together = waiting, together
        self._queue: deque[Waiting] = deque()
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._closed = False
        self._died: BaseException | None = None
        self._full_since: float | None = None  # when the last transaction found no room; None: it did not
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

    @property
    def full(self) -> bool:
        """Whether the last transaction found no room, and that a moment ago: a ping may fit where a batch does not."""
        since = self._full_since
        return since is not None and self._clock() - since < FULL_FOR

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
            resolve([waiting.pop()[1]], {0: gone})

    def _commit(self, group: Sequence[Waiting]) -> None:
        fates: Fates
        try:
            fates = self._write_joined([batch for batch, _ in group])
        except BaseException as error:  # no memory to join them, say: this group hears of it, the next may fit
            log.exception("a transaction failed outside the store")
            fates = dict.fromkeys(range(len(group)), error)
        self._count(len(group), sum(isinstance(fate, BaseException) for fate in fates.values()))
        resolve([waiter for _, waiter in group], fates)

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
        try:
            fates: Fates = dict(self._store.commit_all(batches))
        except StoreFull:
            self._full_since = self._clock()
            raise
        self._full_since = None
        return fates

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
            heard(self._waiting[1])


def heard(future: asyncio.Future[int]) -> asyncio.Future[int]:
    """Have asyncio take the future's error for heard though nobody may wait for it: of two, the first error is told."""
    future.add_done_callback(lambda future: future.cancelled() or future.exception())
    return future
