"""What a server and an application agree on for requests that are taken the short way: without a task or messages.

Idea        The application takes a whole request or declines it; the pending one is resolved as a future is, and that
            writes the answer. A future would wake a task, the task would send two messages.
Invariant   What is taken is answered once, after it was resolved.
When wrong  What fails is answered by a task, like any other request.
See         arion_lib/web/prompt_protocol.py, prompt_webhook.py (the two sides) · tests/web/test_prompt.py
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from http import HTTPStatus
from typing import Any, Protocol, TypeAlias

Headers: TypeAlias = list[tuple[bytes, bytes]]
Send: TypeAlias = Callable[[Any], Coroutine[Any, Any, None]]
"""Takes the ASGI messages of an answer."""

Encoded: TypeAlias = tuple[bytes, bytes, bytes]
"""An answer: its status line, its own header lines, and its body."""


class Taker(Protocol):
    """What an application has as its attribute `prompt` when it takes requests the short way."""

    def offer(self, url: bytes, headers: Headers, body: bytes, pending: Pending) -> Any:
        """Take a POST, to resolve `pending` later on the loop's thread, and return a ticket; or decline with None."""

    def accepted(self, ticket: Any) -> Encoded:
        """Return the answer to a request that ended well."""

    async def failed(self, ticket: Any, error: BaseException, send: Send) -> None:
        """Answer one that did not."""


class Connection(Protocol):
    """What a pending request needs of the connection that it came on."""

    loop: asyncio.AbstractEventLoop
    taker: Any

    def run(self, answer: Coroutine[Any, Any, None]) -> None:
        """Let a task answer, one that a server that drains waits for."""

    def write_answer(self, answer: Encoded) -> None:
        """Write the pending request's answer, unless its sender is gone."""


class _NoTask:
    def set(self) -> None:
        """Wake nobody: uvicorn would wake the request's task."""


class Pending:
    """A connection's request that waits for its transaction; used again for the connection's next one.

    To uvicorn it is the request's cycle, to the group commit the future that it resolves.
    """

    __slots__ = ("_connection", "_start", "disconnected", "keep_alive", "response_complete", "ticket")

    message_event = _NoTask()

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._start: Any = None
        self.disconnected = False
        self.keep_alive = self.response_complete = True
        self.ticket: Any = None

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Return the connection's loop."""
        return self._connection.loop

    def done(self) -> bool:
        """Say no: what is queued will be durable, whether its sender still listens or not."""
        return False

    def set_result(self, left_out: int) -> None:  # noqa: ARG002  as a future's
        """Answer that all went well."""
        connection = self._connection
        connection.write_answer(connection.taker.accepted(self.ticket))

    def set_exception(self, error: BaseException) -> None:
        """Have a task answer what went wrong."""
        connection = self._connection
        connection.run(connection.taker.failed(self.ticket, error, self._send))

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self._start = message
        else:
            self._connection.write_answer(encoded(self._start, message))


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
