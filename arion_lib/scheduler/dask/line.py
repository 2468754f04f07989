"""A line to dask's scheduler that comes back as another client when it was cut.

Idea        dask's client connects again under its old id, to which the scheduler sends what was subscribed from the
            moment on that it is known again, and of which it clears away what the cut left. The client takes a message
            that comes along with the first one for an error, and is silent ever after. To a new id nothing is sent yet.
Invariant   Whatever reaches a new line was asked for on it.
When wrong  As dask's client: it tries again for its time-out, then it is closed.
See         tests/scheduler/test_dask.py
"""

from __future__ import annotations

import uuid

from distributed import Client


class Line(Client):
    """A dask client."""

    async def _reconnect(self) -> None:
        known = str(uuid.uuid1())
        self.id = self.id[: -len(known)] + known
        for topic, handler in list(self._event_handlers.items()):
            # It waits, as what is submitted now, and goes first.
            self.subscribe_topic(topic, handler)  # type: ignore[no-untyped-call]
        await super()._reconnect()
