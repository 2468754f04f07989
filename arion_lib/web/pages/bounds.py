"""What all pages have in common, in front of the framework: bounded bodies, HEAD, headers that a browser minds.

Idea        The framework reads a whole body, parses and judges it on the event loop, for as long as it takes. So a body
            is read here first, with the webhook's patience for its sender, and given on when it is small enough.
Invariant   No page's body takes more than `MAX_BODY` bytes, `MAX_MEMBERS` members or the patience that senders get.
When wrong  413 or 408, a problem document. HEAD is answered as GET is, without the body.
See         tests/web/test_pages.py
"""

from __future__ import annotations

import asyncio
from typing import Any

from arion_lib.web.edge.answers import refuse
from arion_lib.web.edge.patience import Patience, Waiter
from arion_lib.web.problems import Problem, as_problem

MAX_BODY = 2 << 20
"""Bytes of a body that is sent to a page."""

MAX_MEMBERS = 50_000
"""Commas in it: each member that does not fit its place costs a kilobyte to tell."""

HARDENED = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)


class Disconnected(Exception):
    """The sender hung up before the body's end."""


class Pages:
    """`api` behind these bounds."""

    def __init__(self, api: Any, patience: Patience) -> None:
        self._api, self._patience = api, patience

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""

        async def hardened(message: Any) -> None:
            if message["type"] == "http.response.start":
                there = {name for name, _ in message.get("headers", ())}
                more = [pair for pair in HARDENED if pair[0] not in there]
                message = {**message, "headers": [*message.get("headers", ()), *more]}
            await send(message)

        if scope["method"] == "GET":
            await self._api(scope, receive, hardened)
            return
        if scope["method"] == "HEAD":
            await _head(self._api, {**scope, "method": "GET"}, hardened)
            return
        waiter = self._patience.begin(receive)
        try:
            body = await _read(waiter)
        except Disconnected:
            return
        except Exception as error:  # noqa: BLE001  too slow, too large: each is one sender's answer
            await refuse(hardened, receive, as_problem(error), unread=True)
            return
        await self._api(scope, _replayed(body, receive), hardened)


async def _head(api: Any, scope: Any, send: Any) -> None:
    """Answer with the head of what GET would answer; a page that streams for ever hears that nobody listens."""
    answered = asyncio.Event()

    async def nobody_listens() -> Any:
        await answered.wait()
        return {"type": "http.disconnect"}

    async def head_alone(message: Any) -> None:
        if message["type"] == "http.response.start":
            await send(message)
            answered.set()

    await api(scope, nobody_listens, head_alone)
    await send({"type": "http.response.body", "body": b""})


async def _read(waiter: Waiter) -> bytes:
    pieces: list[bytes] = []
    members, more = 0, True
    while more:
        message = await waiter.receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        piece, more = message.get("body", b""), message.get("more_body", False)
        pieces.append(piece)
        members += piece.count(b",")
        if waiter.received > MAX_BODY or members > MAX_MEMBERS:
            must = f"the body must be <= {MAX_BODY} bytes and {MAX_MEMBERS} members"
            raise Problem(413, must, "more", "send less")
    return b"".join(pieces)


def _replayed(body: bytes, receive: Any) -> Any:
    """Make a `receive` that gives the body at once, and then what the connection gives."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Any:
        return waiting.pop() if waiting else await receive()

    return replay
