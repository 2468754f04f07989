"""The outbox's relay: what a transaction left in the store goes to the queue, in order, at least once.

Idea        Store and queue cannot commit together, so the store remembers what the queue still has to get.
Invariant   An entry is marked only after the queue confirmed it: a crash between the two repeats it, never loses it.
When wrong  A queue that is down leaves the entries where they are; the relay tries again with growing pauses.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_outbox.py
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from arion_lib.pipeline.broker import Broker, BrokerError
from arion_lib.pipeline.queues.pauses import pause_after
from arion_lib.pipeline.queues.sending import Sender, by_stream
from arion_lib.pipeline.store import Lease, Store, StoreBusy, StoreError

log = logging.getLogger(__name__)

_SMALL = 2_000  # messages of a round after which it pays to wait for more
_PRUNE_EVERY = 64  # rounds: published entries are cleared away now and then, and whenever nothing is left to publish


@dataclass(frozen=True, slots=True)
class RelayStatus:
    """How the relay is doing; `waiting_*` come from the store and are true for all relays of it."""

    running: bool
    standby: bool  # another relay publishes; this one goes on when that one ends
    published: int  # messages, since this relay was made
    failures: int  # attempts in a row that failed; 0 when the last one went well
    last_error: str | None  # of the last failure, also when things go well again
    waiting_entries: int
    waiting_messages: int
    waiting_seconds: float  # age of the oldest waiting entry


class Relay:
    """Publish the outbox of `store` to `broker`, by hand (`drain`), in a thread (`start`) or in the foreground (`run`).

    Of several relays of one store, in whatever processes, one publishes and the others stand by: it holds the store's
    lease, which ends with it, also when it is killed.

    Parameters
    ----------
    limit
        Entries read at once, at most; their messages are bounded by the store (about 1 MiB a reading).
    poll
        Seconds between looks at the outbox when nobody called `notify`, which commits of another process cannot.
    first_pause, longest_pause
        Seconds to wait after a failure, doubled with each one in a row; half of each pause is random, so that many
        relays do not come back at the same moment.
    keep_published
        Seconds that published entries stay in the store; None: for ever.
    linger
        Seconds to wait after a small round, so that many small commits go out together: each round costs the database
        a transaction and the queue a flush of the disk.
    """

    def __init__(
        self,
        store: Store,
        broker: Broker,
        *,
        limit: int = 64,
        poll: float = 0.25,
        first_pause: float = 0.05,
        longest_pause: float = 5.0,
        keep_published: float | None = 0.0,
        linger: float = 0.0,
    ) -> None:
        if limit < 1 or poll <= 0 or not 0 < first_pause <= longest_pause:
            raise ValueError(
                "limit must be >= 1, poll > 0 and 0 < first_pause <= longest_pause, "
                f"got {limit}, {poll}, {first_pause}, {longest_pause}"
            )
        self._store = store
        self._sender = Sender(broker, store.commit)
        self._limit = limit
        self._poll = poll
        self._pauses = (first_pause, longest_pause)
        self._keep_published = keep_published
        self._linger = linger
        self._working = threading.Lock()  # one round at a time: entries leave in order
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._unlisten: Callable[[], None] | None = None
        self._lease: Lease | None = None
        self._standby = False
        self._failures = self._rounds = 0
        self._last_error: str | None = None

    def drain(self) -> int:
        """Publish until the outbox is empty; return how many messages that were.

        Raises
        ------
        BrokerError, StoreError
            The queue or the store could not; what was published so far is marked, the rest waits. `StoreBusy` while
            another relay publishes this outbox.
        """
        total = 0
        try:
            while published := self._round():
                total += published
        finally:
            if self._thread is None:
                self._end_lease()
        if self._standby:
            raise StoreBusy("another relay publishes this outbox: try again when it has ended")
        return total

    def run(self) -> None:
        """Publish what comes until `stop` is called; every error is logged and tried again."""
        try:
            self._run()
        finally:
            self._end_lease()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                published = self._round()
            except Exception as error:  # noqa: BLE001  the thread's boundary: dead, it would publish nothing any more
                self._note(error)
                # Not the wake event: commits go on while the queue is down, and must not hurry the next attempt.
                self._stopping.wait(pause_after(self._failures, *self._pauses))
            else:
                self._failures = 0
                if self._standby:
                    self._stopping.wait(self._poll)
                elif not published:
                    self._wake.wait(self._poll)
                elif published < _SMALL:
                    self._stopping.wait(self._linger)

    def start(self) -> None:
        """Run in a thread, woken by each commit that this process makes to the store.

        Raises
        ------
        RuntimeError
            It is running already.
        """
        if self._thread is not None:
            raise RuntimeError("the relay is running; stop it before it is started again")
        self._stopping.clear()
        self._unlisten = self._store.listen(self.notify)
        self._thread = threading.Thread(target=self.run, name="outbox-relay", daemon=True)
        self._thread.start()

    def notify(self) -> None:
        """Say that something was committed: the relay looks at once instead of after `poll` seconds."""
        self._wake.set()

    def stop(self, timeout: float | None = None) -> bool:
        """End `run` after the round it is in; return whether it ended within `timeout` seconds (None: wait)."""
        self._stopping.set()
        self._wake.set()
        if self._unlisten is not None:
            self._unlisten()
            self._unlisten = None
        if self._thread is not None:
            self._thread.join(timeout)
            if self._thread.is_alive():
                return False
            self._thread = None
        return True

    def status(self) -> RelayStatus:
        """Return how the relay is doing and how much waits (reads the store)."""
        store = self._store.status()
        return RelayStatus(
            self._thread is not None and self._thread.is_alive(),
            self._standby,
            self._sender.published,
            self._failures,
            self._last_error,
            store.outbox_entries,
            store.outbox_messages,
            store.outbox_age,
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # -- how

    def _round(self) -> int:
        with self._working:
            if not self._leads():
                return 0
            entries = self._store.outbox(self._limit)
            confirmed: list[int] = []
            taken = 0
            try:
                for together in by_stream(entries):
                    taken += self._sender.publish(together)
                    confirmed += [entry.seq for entry in together]
            finally:
                if confirmed:  # also when a later publish failed: what the queue has is not sent again
                    self._store.mark_published(confirmed)
            self._clear_away(idle=not entries)
            return taken

    def _leads(self) -> bool:
        """Say whether this relay holds the store's lease, and try to get it where it does not."""
        if self._lease is not None and not self._lease.held():
            self._lease.close()
            self._lease = None
        if self._lease is None:
            self._lease = self._store.lease()
        self._standby = self._lease is None
        return not self._standby

    def _end_lease(self) -> None:
        with self._working:
            if self._lease is not None:
                self._lease.close()
                self._lease = None

    def _clear_away(self, idle: bool) -> None:
        self._rounds += 1
        unpruned = self._rounds >= _PRUNE_EVERY or (idle and self._rounds > 1)
        if unpruned and self._keep_published is not None:
            self._rounds = 0
            self._store.prune(published=self._keep_published)

    def _note(self, error: Exception) -> None:
        self._failures += 1
        self._last_error = f"{type(error).__name__}: {error}"
        foreseen = isinstance(error, (BrokerError, StoreError))
        log.warning(
            "the outbox waits, attempt %d failed: %s", self._failures, error, exc_info=None if foreseen else error
        )
