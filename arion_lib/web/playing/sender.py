"""A sender of webhook events that costs little, so that the server is what is measured.

Idea        One bare asyncio protocol a connection and one request in flight on each; requests are bytes, never objects.
Invariant   A request counts once: under the status of its answer, or as broken when the connection ended without one.
When wrong  A broken connection is opened again until its share is sent; a server that is not there raises `OSError`.
See         arion_lib/web/playing/load.py · tests/web/test_load.py
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")

Event = Callable[[int], bytes]
"""Makes the n-th body."""

Headers = Callable[[int, bytes], Mapping[str, str]]
"""Makes the further headers of the n-th body (a webhook-id, a signature)."""


def order(n: int) -> bytes:
    """Make the n-th of the default events, about 100 bytes of JSON.

    >>> order(7)
    b'{"id":"e7","type":"order.created","customer":"c7","amount":7,"currency":"EUR","items":[{"sku":"s7"}]}'
    """
    return (
        b'{"id":"e%d","type":"order.created","customer":"c%d","amount":%d,"currency":"EUR","items":[{"sku":"s%d"}]}'
        % (
            n,
            n % 1000,
            n % 500,
            n % 50,
        )
    )


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of the sender saw. Latencies are in seconds, from the request's write to the answer's last byte."""

    statuses: Mapping[int, int]
    broken: int
    seconds: float
    latencies: tuple[float, ...] = field(repr=False)  # sorted

    @property
    def answered(self) -> int:
        """Requests that got an answer, whatever its status."""
        return sum(self.statuses.values())

    @property
    def per_second(self) -> float:
        """Requests a second that were answered with 2xx."""
        return sum(n for status, n in self.statuses.items() if status // 100 == 2) / self.seconds

    def quantile(self, share: float) -> float:
        """Return the latency that `share` (0 to 1) of the answers did not exceed, in seconds.

        >>> Load({200: 4}, 0, 1.0, (0.1, 0.2, 0.3, 0.4)).quantile(0.5)
        0.2
        """
        if not self.latencies:
            raise ValueError("latencies must not be empty, got none: no request was answered")
        return self.latencies[max(0, round(share * len(self.latencies)) - 1)]

    def __str__(self) -> str:
        p50, p99 = self.quantile(0.5) * 1e3, self.quantile(0.99) * 1e3
        return f"{self.per_second:,.0f} events/s, p50 {p50:.1f} ms, p99 {p99:.1f} ms, {dict(self.statuses)}"


class _Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request in flight."""

    def __init__(self, sender: Sender) -> None:
        self.sender = sender
        self.pending = b""
        self.sent_at = 0.0  # 0: idle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.sender.ready(self)

    def post(self, request: bytes) -> None:
        self.sent_at = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        answer = self.pending + data if self.pending else data
        if (status := complete_status(answer)) is None:
            self.pending = answer
            return
        self.pending = b""
        waited, self.sent_at = time.perf_counter() - self.sent_at, 0.0
        self.sender.answered(status, waited)
        self.sender.ready(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.sender.lost(self)


def complete_status(answer: bytes) -> int | None:
    """Return the status of an HTTP/1.1 answer once all of it is there, else `None`. It must have a content-length.

    >>> complete_status(b"HTTP/1.1 200 OK\\r\\ncontent-length: 2\\r\\n\\r\\n{"), complete_status(
    ...     b"HTTP/1.1 429 Too Many Requests\\r\\nContent-Length: 2\\r\\n\\r\\n{}")
    (None, 429)
    """
    end = answer.find(b"\r\n\r\n")
    if end < 0:
        return None
    start = answer.find(b"ontent-length: ", 0, end)
    if start < 0:
        start = answer.lower().find(b"ontent-length: ", 0, end)
    length = int(answer[start + 15 : answer.find(b"\r\n", start)]) if start >= 0 else 0
    return int(answer[9:12]) if len(answer) >= end + 4 + length else None


class Sender:
    """Shares the events out among the connections and counts what comes back."""

    def __init__(self, url: str, event: Event, headers: Headers | None) -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "127.0.0.1", parts.port or 80
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self.head = f"POST {target} HTTP/1.1\r\nhost: {parts.netloc}\r\ncontent-type: application/json\r\n".encode()
        self.event, self.headers = event, headers
        self.nth: Callable[[int], bytes] = self.request
        self.idle: list[_Connection] = []
        self.open: set[_Connection] = set()
        self.statuses: Counter[int] = Counter()
        self.latencies: list[float] = []
        self.sent = self.broken = self.allowed = 0
        self.changed = asyncio.Event()  # the last answer is there, or a connection ended

    async def connect(self) -> None:
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: _Connection(self), self.host, self.port
        )
        self.open.add(connection)

    def ready(self, connection: _Connection) -> None:
        """Send the next event on this connection, or keep it for when one may be sent."""
        if self.sent < self.allowed:
            connection.post(self.nth(self.sent))
            self.sent += 1
        else:
            self.idle.append(connection)
            if len(self.idle) == len(self.open):
                self.changed.set()

    def allow(self, total: int) -> None:
        """Let `total` events be sent in all, and send as many as there are idle connections."""
        self.allowed = total
        while self.idle and self.sent < self.allowed:
            self.ready(self.idle.pop())

    def make_ahead(self, total: int) -> None:
        """Make all requests now: to sign one costs about as much as to send it."""
        self.nth = [self.request(n) for n in range(total)].__getitem__

    def request(self, n: int) -> bytes:
        body = self.event(n)
        further = self.headers(n, body) if self.headers else {}
        lines = b"".join([f"{name}: {value}\r\n".encode() for name, value in further.items()]) if further else b""
        return b"%b%bcontent-length: %d\r\n\r\n%b" % (self.head, lines, len(body), body)

    def answered(self, status: int, seconds: float) -> None:
        self.statuses[status] += 1
        self.latencies.append(seconds)

    def lost(self, connection: _Connection) -> None:
        self.open.discard(connection)
        if connection in self.idle:
            self.idle.remove(connection)
        self.broken += connection.sent_at > 0
        self.changed.set()

    async def close(self) -> None:
        for connection in list(self.open):
            connection.transport.close()
        while self.open:
            self.changed.clear()
            await self.changed.wait()


def post_events(
    url: str,
    total: int,
    *,
    connections: int = 64,
    event: Event = order,
    headers: Headers | None = None,
    ahead: bool = False,
) -> Load:
    """Post `total` events to `url`, each connection sending its next one when the last is answered; return the figures.

    Opens `connections` keep-alive connections, and again those that break. `event(n)` is the n-th body and
    `headers(n, body)` its further headers; `ahead` makes all requests before the clock runs, and keeps them in memory.
    Runs an event loop of its own: call it from a process of its own when the server's speed is the question. Raises
    `OSError` when the server cannot be reached.
    """
    if total < 1 or connections < 1:
        raise ValueError(f"total and connections must be >= 1, got {total} and {connections}")
    sender = Sender(url, event, headers)
    if ahead:
        sender.make_ahead(total)
    return new_loop_run(_post(sender, total, connections))


async def _post(sender: Sender, total: int, connections: int) -> Load:
    for _ in range(connections):
        await sender.connect()
    started = time.perf_counter()
    sender.allow(total)
    while sum(sender.statuses.values()) + sender.broken < total:
        await sender.changed.wait()
        sender.changed.clear()
        while len(sender.open) < connections and sender.sent < total:
            await sender.connect()
    seconds = time.perf_counter() - started
    await sender.close()
    return Load(dict(sender.statuses), sender.broken, seconds, tuple(sorted(sender.latencies)))


def new_loop_run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a new event loop, uvloop's where it exists."""
    if sys.platform == "win32":
        return asyncio.run(main)
    try:
        import uvloop  # absent on PyPy
    except ModuleNotFoundError:
        return asyncio.run(main)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)
