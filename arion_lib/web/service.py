"""Everything behind the webhook that has a life of its own: the committing thread, the relay, the look at slow senders.

Idea        Started by the server's start-up and closed by its shut-down, in reverse order.
Invariant   After `close` everything accepted is durable, and no thread of it is left.
When wrong  A queue that is down does not hold the end up: the outbox keeps what it did not take.
See         notebooks/1_streaming_pipeline.ipynb · tests/web/test_faults.py
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from arion_lib.pipeline.broker import Broker, BrokerError
from arion_lib.pipeline.ingest import Cut
from arion_lib.pipeline.outbox import Relay
from arion_lib.pipeline.store import Store, StoreError
from arion_lib.web.edge.patience import Patience
from arion_lib.web.group_commit import GroupCommit
from arion_lib.web.requests import Limits
from arion_lib.web.streams import Streams
from arion_lib.web.webhook import Webhook

log = logging.getLogger(__name__)

LINGER = 0.05
"""Seconds that the relay waits after a small round: posts come by the thousand, and each round costs them a little."""

FLUSH_PATIENCE = 5.0
"""Seconds that the relay gets to send the outbox on once the server stops."""


class PipelineService:
    """The webhook with its store and queue. It does not close these two: whoever opened them does.

    `broker` None: nothing is sent on here (another process runs the relay). `streams`: what holds for each.
    `together`: how many waiting batches may share a transaction (1: no group commit).
    """

    def __init__(
        self,
        store: Store,
        broker: Broker | None = None,
        *,
        streams: Streams = Streams(),  # noqa: B008  frozen
        limits: Limits = Limits(),  # noqa: B008  frozen
        cut: Cut = Cut(),  # noqa: B008  frozen
        together: int = 512,
    ) -> None:
        self.store, self.broker, self.limits = store, broker, limits
        self._together = together
        self.patience = Patience(idle=limits.idle, slowest=limits.slowest)
        self.relay = Relay(store, broker, linger=LINGER) if broker else None
        self.webhook = Webhook(store, self.patience, streams=streams, limits=limits, cut=cut)
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the threads and the watch; the event loop is the one that serves."""
        self.webhook.commits = GroupCommit(self.store, waiting=self.limits.max_waiting, together=self._together)
        if self.relay:
            self.relay.start()
        self._watch = asyncio.create_task(self.patience.watch())

    async def close(self) -> None:
        """Commit what waits, send it on if the queue takes it, and end the threads."""
        if self._watch:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        if self.webhook.commits:
            self.webhook.commits.close()
        if self.relay:
            self._flush(self.relay)

    def _flush(self, relay: Relay) -> None:
        if not relay.stop(FLUSH_PATIENCE):
            log.warning("the relay is still publishing; what the queue did not confirm stays in the outbox")
            return
        try:
            relay.drain()
        except (BrokerError, StoreError) as error:
            log.warning("the outbox keeps what the queue did not take: %s", error)
