"""uvicorn's HTTP protocol, with a bound on how long a request's head may take.

Idea        uvicorn times the pause between two requests, but neither the first bytes of a connection nor a head that
            comes byte by byte; one look over all connections now and then closes those that are late.
Invariant   No connection stays open for longer than `patience` seconds (and one look) without a whole request head.
When wrong  The connection is answered 408 and closed; no application code has run for it.
See         notebooks/1_streaming_pipeline.ipynb · tests/web/test_faults.py
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from arion_lib.web.problems import MEDIA_TYPE, Problem

_BODY = Problem(
    408, "a request's head must arrive within its time", "less than a whole one", "send it in one piece"
).body()
TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\ncontent-type: %b\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b" % (
    MEDIA_TYPE,
    len(_BODY),
    _BODY,
)


class TimedHeadProtocol(HttpToolsProtocol):
    """Remembers since when it has been waiting for a request's head; 0.0 while it is not."""

    clock: Callable[[], float] = staticmethod(time.monotonic)
    head_since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start waiting for the first head."""
        super().connection_made(transport)  # type: ignore[arg-type]
        self.head_since = self.clock()

    def on_message_begin(self) -> None:
        """Start waiting for the rest of a head (the pause before its first byte is uvicorn's keep-alive)."""
        super().on_message_begin()
        self.head_since = self.clock()

    def on_headers_complete(self) -> None:
        """The head is there."""
        self.head_since = 0.0
        super().on_headers_complete()

    @staticmethod
    def close_late(connections: Iterable[Any], now: float, patience: float) -> int:
        """Answer and close every connection that has waited longer than `patience` seconds for its head; count them."""
        late = [one for one in connections if one.head_since and now - one.head_since > patience]
        for connection in late:
            connection.head_since = 0.0
            connection.transport.write(TOO_SLOW)
            connection.transport.close()
        return len(late)
