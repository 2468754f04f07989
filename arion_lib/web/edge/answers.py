"""The webhook's answers as ASGI messages, and as the bytes that those become.

Idea        Two messages an answer, with the length known, so the connection can be used again.
Invariant   A refusal of a body that has not been read to its end closes the connection, after the sender had a moment
            to read the answer: a server that closed at once would make the sender's system throw the answer away.
When wrong  A sender that goes on sending is listened to for `LINGER` seconds at most.
See         notebooks/1_streaming_pipeline.ipynb · tests/web/test_webhook.py
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, TypeAlias

from arion_lib.pipeline.decoder import encode
from arion_lib.pipeline.ingest import Receipt
from arion_lib.web.problems import MEDIA_TYPE, Problem

Encoded: TypeAlias = tuple[bytes, bytes, bytes]
"""An answer in bytes: its status line, its own header lines, and its body."""

LINGER = 1.0
"""Seconds that a refused sender is listened to, so that it comes to read why."""


ONE = Receipt(accepted=1)
"""The receipt of a single event: always this object, whose answer is made once."""


async def answer(send: Any, receipt: Receipt) -> None:
    """Say what became of the body's records."""
    start, body = ONE_MESSAGES if receipt is ONE else _answer(receipt)
    await send(start)
    await send(body)


def _answer(receipt: Receipt) -> tuple[dict[str, Any], dict[str, Any]]:
    body = b'{"accepted":%d,"duplicates":%d,"dead":%d,"groups":%d%b}' % (
        receipt.accepted,
        receipt.duplicates,
        receipt.dead,
        receipt.groups,
        _missing(receipt) if receipt.missing else b"",
    )
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    return (
        {"type": "http.response.start", "status": 200, "headers": headers},
        {"type": "http.response.body", "body": body},
    )


def _missing(receipt: Receipt) -> bytes:
    """Say in how many records a wanted field is missing; one that no record has is probably misspelt.

    >>> _missing(Receipt(accepted=2, missing={"typ": 2}))
    b',"missing":{"typ":2},"hint":"no record has typ: is the name right?"'
    >>> _missing(Receipt(accepted=2, missing={"amount": 1}))
    b',"missing":{"amount":1}'
    """
    nowhere = [name for name, records in receipt.missing.items() if records >= receipt.accepted]
    members: dict[str, Any] = {"missing": receipt.missing}
    if nowhere:
        members["hint"] = f"no record has {' or '.join(nowhere)}: is the name right?"
    return b"," + encode(members)[1:-1]


ONE_MESSAGES = _answer(ONE)
"""The two messages that say `ONE`."""


async def refuse(send: Any, receive: Any, problem: Problem, *, unread: bool) -> None:
    """Send the problem. With `unread` bytes of a body to come, close the connection afterwards."""
    body = problem.body()
    headers = [(name.encode(), value.encode()) for name, value in problem.headers.items()]
    headers += [(b"content-type", MEDIA_TYPE), (b"content-length", b"%d" % len(body))]
    if unread:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": unread})
    if unread:
        await read_to_end(receive)
        await send({"type": "http.response.body", "body": b""})


async def read_to_end(receive: Any) -> bool:
    """Receive and drop what the sender sends for `LINGER` seconds at most; tell whether the body ended."""
    try:
        async with asyncio.timeout(LINGER):
            message = await receive()
            while message["type"] == "http.request" and message.get("more_body", False):
                message = await receive()
    except TimeoutError:
        return False
    return bool(message["type"] == "http.request")


def encoded(start: Any, body: Any) -> Encoded:
    r"""Encode an answer's two ASGI messages.

    >>> encoded({"status": 200, "headers": [(b"content-length", b"2")]}, {"body": b"{}"})
    (b'HTTP/1.1 200 OK\r\n', b'content-length: 2\r\n', b'{}')
    """
    status = HTTPStatus(start["status"])
    return b"HTTP/1.1 %d %b\r\n" % (status, status.phrase.encode()), lines_of(start["headers"]), body["body"]


def lines_of(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    r"""Write headers as lines.

    >>> lines_of([(b"a", b"1"), (b"b", b"2")])
    b'a: 1\r\nb: 2\r\n'
    """
    return b"".join([b"%b: %b\r\n" % pair for pair in headers])
