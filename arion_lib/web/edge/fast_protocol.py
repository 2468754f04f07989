"""A connection that offers each plain POST to the application's fast path, and writes its answer itself.

Idea        A request whose body came in the same piece is offered before a task is made for it. Taken, a `Pending`
            stands in for uvicorn's cycle and for the future that the group commit resolves; declined, uvicorn goes on.
Invariant   What was taken is answered once, in its turn; what was declined is as it would have been without the offer.
When wrong  Whatever raises while it is offered is a decline; an answer for a sender that is gone is not written.
See         arion_lib/web/edge/fast_path.py (what is taken) · tests/web/test_fast_path.py
"""

from __future__ import annotations

import asyncio
from typing import Any

from arion_lib.web.edge.answers import Encoded, encoded, lines_of
from arion_lib.web.edge.protocol import BoundedProtocol


class _NoTask:
    def set(self) -> None:
        """Wake nobody: uvicorn would wake the request's task."""


class Pending:
    """A connection's request that waits for its transaction; used again for the connection's next one.

    To uvicorn it is the request's cycle, to the group commit the future that it resolves.
    """

    __slots__ = (
        "_connection",
        "_start",
        "disconnected",
        "keep_alive",
        "response_complete",
        "response_started",
        "ticket",
    )

    message_event = _NoTask()

    def __init__(self, connection: FastProtocol) -> None:
        self._connection = connection
        self._start: Any = None
        self.disconnected = self.response_started = False
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
        self._connection.answer_later(self.ticket, error, self._send)

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self._start = message
        else:
            self._connection.write_answer(encoded(self._start, message))


class FastProtocol(BoundedProtocol):
    """Offers each POST that came in one piece to the application's `fast_path`."""

    _lines: tuple[Any, bytes] = (None, b"")  # the headers that all answers have, and their bytes

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Look whether the application takes anything the short way."""
        super().connection_made(transport)
        self.taker: Any = getattr(self.app, "fast_path", None)
        self._offered = Pending(self)
        self._held: bytes | None = None  # the body so far of a request that may come in one piece

    def start_request(self) -> None:
        """Wait for the body if it may come in the same piece."""
        if self.taker is None or self._unusual():
            super().start_request()
        else:
            self._held = b""

    def on_body(self, body: bytes) -> None:
        """Keep the body until it is known which way it goes."""
        if self._held is None:
            super().on_body(body)
        else:
            self._held += body

    def message_complete(self) -> None:
        """Offer the request."""
        if self._held is not None:
            if self._take(self._held):
                self._held = None
                return
            self._take_long()
        super().message_complete()

    def piece_parsed(self) -> None:
        """Let a request that is not whole by now go the long way."""
        if self._held is not None:
            self._take_long()

    def _unusual(self) -> bool:
        parser = self.parser
        return bool(
            self.unanswered
            or parser.get_method() != b"POST"
            or parser.get_http_version() != "1.1"
            or self.expect_100_continue
            or self.flow.write_paused
        )

    def _take(self, body: bytes) -> bool:
        pending = self._offered
        try:
            if not self.taker.offer(self.url, self.headers, body, pending):
                return False
        except Exception:  # noqa: BLE001  the long way finds out, and says, what is wrong
            return False
        pending.keep_alive, pending.response_complete = self.parser.should_keep_alive(), False
        self.cycle = pending  # type: ignore[assignment]
        self.unanswered += 1
        return True

    def _take_long(self) -> None:
        body, self._held = self._held, None
        super().start_request()
        if body:
            super().on_body(body)

    def answer_later(self, ticket: Any, error: BaseException, send: Any) -> None:
        """Let a task answer what failed, one that a server that drains waits for."""
        task = self.loop.create_task(self.taker.failed(ticket, error, send))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def write_answer(self, answer: Encoded) -> None:
        """Write the offered request's answer, unless its sender is gone."""
        pending = self._offered
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
            lines = lines_of(headers)
            FastProtocol._lines = headers, lines
        return lines
