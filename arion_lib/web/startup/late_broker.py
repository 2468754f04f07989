"""A message queue that may come later than the server.

Idea        Opening is tried again with each use until it works; until then the outbox keeps what is to be sent.
Invariant   One queue is open at most, however many threads ask.
When wrong  Each use raises what opening it raised, so the relay's pauses apply.
See         arion_lib/pipeline/outbox.py · tests/web/test_faults.py
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from arion_lib.pipeline.broker import Broker, BrokerStatus, Claim
from arion_lib.pipeline.queues.closing import Closing


class LateBroker(Closing):
    """A `Broker` that `open` makes when it is first needed."""

    def __init__(self, open: Callable[[], Broker]) -> None:  # noqa: A002
        self._open = open
        self._broker: Broker | None = None
        self._opening = threading.Lock()

    def _now(self) -> Broker:
        with self._opening:
            if self._broker is None:
                self._broker = self._open()
            return self._broker

    def publish(
        self,
        stream: str,
        messages: Sequence[bytes],
        ids: Sequence[str] | None = None,
        metas: Sequence[str | None] = (),
    ) -> None:
        """Publish; see `Broker.publish`."""
        self._now().publish(stream, messages, ids, metas)

    def claim(self, limit: int = 1, timeout: float | None = 0.0) -> Claim | None:
        """Claim; see `Broker.claim`."""
        return self._now().claim(limit, timeout)

    def ack(self, claim: Claim) -> bool:
        """Acknowledge; see `Broker.ack`."""
        return self._now().ack(claim)

    def nack(self, claim: Claim) -> bool:
        """Give back; see `Broker.nack`."""
        return self._now().nack(claim)

    def status(self) -> BrokerStatus:
        """Return the figures of a health page."""
        return self._now().status()

    def ping(self) -> None:
        """Raise a `BrokerError` unless the queue can be used."""
        self._now().ping()

    def close(self) -> None:
        """Close the queue if it was ever open."""
        with self._opening:
            if self._broker is not None:
                self._broker.close()
