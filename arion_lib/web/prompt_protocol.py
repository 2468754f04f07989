"""Connections that offer a request that came in one piece to the application first, before they make a task of it.

Idea        Most posts are one event in one packet. Whether the application takes such a one is asked once it is there
            whole; the answer is written when the transaction is through. All others go on as uvicorn serves them.
Invariant   A request that is taken this way is answered as it would have been the long way, byte for byte, and in its
            turn: a pipelined one behind it waits.
When wrong  What is unusual (a body still to come, an old protocol, `expect`, a full buffer) is not offered, and what is
            declined goes the long way untouched.
See         arion_lib/web/prompt_webhook.py (takes them) · tests/web/test_prompt.py

What it buys: half of the processor time that a post costs the event loop's thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from arion_lib.web.prompt import Encoded, Pending, lines_of
from arion_lib.web.protocol import TimedHeadProtocol


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
            lines = lines_of(headers)
            PromptProtocol._lines = headers, lines
        return lines
