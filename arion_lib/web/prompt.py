"""The short way for a request that came in one piece: no task, no messages, one call back that writes the answer.

Idea        Most posts are one event in one packet. Whether the application takes such a one as it is is asked at once;
            the answer is written when the transaction is through. All others go on as uvicorn serves them.
Invariant   A request that is taken this way is answered as it would have been the long way, byte for byte, and in its
            turn: a pipelined one behind it waits.
When wrong  What is unusual (a body still to come, an old protocol, `expect`, a full buffer) is declined before anything
            was done; what fails later is answered by a task, like any other request.
See         arion_lib/web/webhook.py (takes them) · tests/web/test_prompt.py

What it buys: half of the processor time that a post costs the event loop's thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Protocol, TypeAlias

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from arion_lib.web.protocol import TimedHeadProtocol

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


class _NoTask:
    def set(self) -> None:
        """Wake nobody: uvicorn would wake the request's task."""


class Pending:
    """A connection's request that waits for its transaction; used again for the connection's next one.

    To uvicorn it is the request's cycle, to the group commit the future that it resolves.
    """

    __slots__ = ("_connection", "_start", "disconnected", "keep_alive", "response_complete", "ticket")

    message_event = _NoTask()

    def __init__(self, connection: PromptProtocol) -> None:
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


class PromptProtocol(TimedHeadProtocol):
    """Offers each POST that came in one piece to the application's `prompt`."""

    _lines: tuple[Any, bytes] = (None, b"")  # the headers that all answers have, and their bytes

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Look whether the application takes anything the short way."""
        super().connection_made(transport)
        self.taker: Any = getattr(self.app, "prompt", None)
        self._pending = Pending(self)
        self._held: bytes | None = None  # the body so far of a request that may come in one piece

    def data_received(self, data: bytes) -> None:
        """Parse what came; a request that is not complete by then goes the long way."""
        super().data_received(data)
        if self._held is not None:
            self._take_long()

    def on_headers_complete(self) -> None:
        """Wait for the body if it may come in the same piece."""
        if self.taker is None or self._unusual():
            super().on_headers_complete()
        else:
            self.head_since = 0.0
            self._held = b""

    def on_body(self, body: bytes) -> None:
        """Keep the body until it is known which way it goes."""
        if self._held is None:
            super().on_body(body)
        else:
            self._held += body

    def on_message_complete(self) -> None:
        """Offer the request."""
        if self._held is not None:
            if self._offer(self._held):
                self._held = None
                return
            self._take_long()
        super().on_message_complete()

    def _unusual(self) -> bool:
        parser = self.parser
        return bool(
            (self.cycle is not None and not self.cycle.response_complete)
            or parser.get_method() != b"POST"
            or parser.get_http_version() != "1.1"
            or self.expect_100_continue
            or self.flow.write_paused
            or parser.should_upgrade()
        )

    def _offer(self, body: bytes) -> bool:
        pending = self._pending
        pending.ticket = self.taker.offer(self.url, self.headers, body, pending)
        if pending.ticket is None:
            return False
        pending.keep_alive, pending.response_complete = self.parser.should_keep_alive(), False
        self.cycle = pending  # type: ignore[assignment]
        return True

    def _take_long(self) -> None:
        body, self._held = self._held, None
        if not self.transport.is_closing():  # it was no HTTP
            super().on_headers_complete()
            if body:
                super().on_body(body)

    def run(self, answer: Coroutine[Any, Any, None]) -> None:
        """Let a task answer, one that a server that drains waits for."""
        task = self.loop.create_task(answer)
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def write_answer(self, answer: Encoded) -> None:
        """Write the pending request's answer, unless its sender is gone."""
        pending = self._pending
        pending.response_complete = True
        if self.transport.is_closing():
            return
        status, lines, body = answer
        close = b"" if pending.keep_alive else b"connection: close\r\n"
        self.transport.write(b"%b%b%b%b\r\n%b" % (status, self._default_lines(), lines, close, body))
        if close:
            self.transport.close()
        self.on_response_complete()

    def _default_lines(self) -> bytes:
        """Return the lines of uvicorn's own headers (the date); it makes a new list once a second."""
        headers, lines = self._lines
        if headers is not self.server_state.default_headers:
            headers = self.server_state.default_headers
            lines = _joined(headers)
            PromptProtocol._lines = headers, lines
        return lines


def encoded(start: Any, body: Any) -> Encoded:
    r"""Encode an answer's two ASGI messages.

    >>> encoded({"status": 200, "headers": [(b"content-length", b"2")]}, {"body": b"{}"})
    (b'HTTP/1.1 200 OK\r\n', b'content-length: 2\r\n', b'{}')
    """
    return STATUS_LINE[start["status"]], _joined(start["headers"]), body["body"]


def _joined(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"".join([b"%b: %b\r\n" % pair for pair in headers])
