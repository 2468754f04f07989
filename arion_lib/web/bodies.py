"""The bytes of one post: all at once when there are few, otherwise block by block.

Idea        A server hands bodies over in the pieces the network made; decoders like blocks, and most bodies are small.
Invariant   At most one block is held; nothing is read while a block is being worked on.
When wrong  Too many bytes are a `Problem` 413, what is not gzip a 400; a sender that hangs up raises `Disconnected`.
See         notebooks/1_streaming_pipeline.ipynb · tests/web/test_webhook.py
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from arion_lib.pipeline.formats.inflate import BadGzip, BodyTooLarge, GzipBody
from arion_lib.web.edge.patience import Waiter
from arion_lib.web.problems import Problem
from arion_lib.web.requests import Limits

SMALL = 1 << 16
"""Bytes up to which a body is gathered and committed as one batch."""

BLOCK = 1 << 18
"""Bytes that are gathered for the decoder: fewer, larger steps."""

FLUSH = 1.0
"""Seconds after which a block goes on though it is not full."""


class Disconnected(Exception):
    """The sender hung up before the body's end."""


class Body:
    """One post's body, received through `waiter`."""

    __slots__ = ("_held", "_limits", "_waiter", "finished")

    def __init__(self, waiter: Waiter, limits: Limits) -> None:
        self._waiter, self._limits = waiter, limits
        self._held: list[bytes] = []
        self.finished = False  # the last byte was received

    @property
    def received(self) -> int:
        """Bytes received so far, as sent."""
        return self._waiter.received

    async def gather(self) -> bytes | None:
        """Receive the whole body and return it when it is small; otherwise return None: it comes through `blocks`."""
        await self._receive()
        while not self.finished:
            if self.received > SMALL:
                return None
            await self._receive()
        return self._take()

    async def whole(self, most: int) -> bytes:
        """Receive the whole body, up to `most` bytes. Raises `Problem` 413."""
        while not self.finished:
            await self._receive()
            if self.received > most:
                raise Problem(413, f"the body must be <= {most} bytes (--max-line)", "more", "send less in a post")
        return self._take()

    async def blocks(self) -> AsyncIterator[bytes]:
        """Yield the body as it was sent in blocks of about `BLOCK` bytes, or fewer when the sender is slow."""
        clock = self._waiter.clock
        since, size = clock(), sum(map(len, self._held))
        while not self.finished:
            size += await self._receive()
            if size >= BLOCK or clock() - since > FLUSH:
                yield self._take()
                since, size = clock(), 0
        if self._held:
            yield self._take()

    async def _receive(self) -> int:
        message = await self._waiter.receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        chunk: bytes = message.get("body", b"")
        self.finished = not message.get("more_body", False)
        if chunk:
            self._held.append(chunk)
        if self.received > self._limits.max_body:
            most = self._limits.max_body
            raise Problem(413, f"the body must be <= {most} bytes", "more", "send it in several posts")
        return len(chunk)

    def _take(self) -> bytes:
        held = self._held
        whole = held[0] if len(held) == 1 else b"".join(held)
        held.clear()
        return whole


async def inflated(blocks: AsyncIterator[bytes], limits: Limits) -> AsyncIterator[bytes]:
    """Yield what gzip blocks inflate to, in small pieces. Raises `Problem` 400 and 413.

    Behind each piece the event loop looks at everything else: a kilobyte may inflate to a megabyte, and others wait.
    """
    body = GzipBody(limits.max_inflated)
    try:
        async for block in blocks:
            for piece in body.feed(block):
                yield piece
                await asyncio.sleep(0)
        body.close()
    except BadGzip as error:
        do = "compress it again, or send it plain"
        raise Problem.of(400, "a gzip body must be intact", error, do) from error
    except BodyTooLarge as error:
        raise Problem(413, f"the inflated body must be <= {limits.max_inflated} bytes", "more", "send less") from error


async def inflated_whole(body: bytes, limits: Limits) -> bytes:
    """Return what a whole gzip body inflates to. Raises as `inflated` does."""

    async def once() -> AsyncIterator[bytes]:
        yield body

    return b"".join([piece async for piece in inflated(once(), limits)])


async def up_to_line(blocks: AsyncIterator[bytes]) -> bytes:
    """Return the blocks up to the one in which the first line ends, or `SMALL` bytes are reached, or the body ends."""
    held = b""
    async for block in blocks:
        held += block
        if b"\n" in block or len(held) >= SMALL:
            break
    return held
