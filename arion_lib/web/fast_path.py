"""One event a post, the short way: queued when its packet is read, answered when its transaction is through.

Idea        Most posts are one event in one packet. Such a one needs no task, messages, coroutine: the connection offers
            it to the webhook, which takes it or declines. Taken, it is resolved as a future is; that writes the answer.
Invariant   What is taken is answered once, after its commit, in its turn, and as it would have been the long way, byte
            for byte. Nothing is refused here: whatever is unusual, or raises, is declined untouched.
When wrong  An error of the commit is answered by a task, as the long way answers it; so is a delivery that is known.
See         tests/web/test_fast_path.py, which sends the same requests both ways · arion_lib/bench/pipeline/http.py

What it buys: half of the processor time that a post costs the event loop's thread (46 us instead of 102).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeAlias

from arion_lib.pipeline.deliveries import StaleDelivery
from arion_lib.pipeline.ingest import Receipt
from arion_lib.web.bodies import SMALL
from arion_lib.web.edge.answers import ONE_MESSAGES, Encoded, answer, encoded, lines_of, refuse
from arion_lib.web.edge.gate import Gate
from arion_lib.web.edge.protocol import BoundedProtocol
from arion_lib.web.problems import as_problem
from arion_lib.web.requests import PREFIX, Post, Target, delivery_of, read_target
from arion_lib.web.streams import Streams
from arion_lib.web.webhook import Webhook, one_record

log = logging.getLogger(__name__)

Headers: TypeAlias = list[tuple[bytes, bytes]]

Ticket: TypeAlias = tuple[Target, str | None, Mapping[bytes, bytes], bytes]
"""A post that was taken: what it asks for, its delivery's id, its headers and its body."""


class FastPath:
    """Takes posts for `webhook`, those that `gate` has nothing to ask of."""

    def __init__(self, webhook: Webhook, gate: Gate) -> None:
        self._webhook, self._gate = webhook, gate
        self._figures, self._limits = webhook.figures, webhook.limits
        self._one = encoded(*ONE_MESSAGES)
        self._most = min(SMALL, webhook.limits.max_body)

    def offer(self, url: bytes, pairs: Headers, body: bytes, pending: Pending) -> bool:
        """Queue the post if it is a plain event, to be told to `pending`; say whether it was taken."""
        webhook, figures, limits = self._webhook, self._figures, self._limits
        commits, headers = webhook.commits, dict(pairs)
        if (
            commits is None
            or len(body) > self._most
            or len(headers) != len(pairs)
            or figures.in_flight >= limits.max_in_flight
            or not self._gate.plain(headers)
        ):
            return False
        get = headers.get
        target = _target(
            url, get(b"content-type", b""), get(b"content-encoding", b""), limits.max_record, webhook.streams
        )
        if target is None or target.read_row is None:
            return False
        delivery = delivery_of(headers, target.rules.delivery_header)  # raises for one that is to be refused
        if delivery is not None and (target.stream, delivery) in webhook.arriving:
            return False
        verifier = target.rules.verifier
        if verifier is not None and not verifier.fits(headers, body):
            return False
        row = target.read_row(body)
        if row is None:
            return False
        pending.ticket = target, delivery, headers, body
        figures.in_flight += 1
        if delivery is not None:
            webhook.arriving.add((target.stream, delivery))
        try:
            commits.submit_row(target.stream, row, one_record(delivery, body), pending)
        except BaseException:  # nothing was queued, so nothing is in flight; the long way says why
            figures.in_flight -= 1
            webhook.arriving.discard((target.stream, delivery or ""))
            raise
        return True

    def accepted(self, ticket: Ticket) -> Encoded:
        """Count the event and return its answer."""
        figures = self._figures
        figures.accepted += 1
        figures.take(ticket[0].stream, 1)
        figures.answers[200] += 1
        self._end(ticket)
        return self._one

    async def failed(self, ticket: Ticket, error: BaseException, send: Any) -> None:
        """Answer for an event that was not committed; one whose delivery is known goes on as the store says."""
        try:
            receipt = await self._go_on(ticket, error)
            self._figures.answers[200] += 1
            await answer(send, receipt)
        except Exception as reason:  # noqa: BLE001  the worker's boundary: each error is one sender's answer
            problem = as_problem(reason)
            self._figures.answers[problem.status] += 1
            await refuse(send, None, problem, unread=False)
        finally:
            self._end(ticket)

    async def _go_on(self, ticket: Ticket, error: BaseException) -> Receipt:
        target, delivery, headers, body = ticket
        if isinstance(error, StaleDelivery) and target.recipe is not None:
            return await self._webhook.go_on(Post(target, delivery, headers), target.recipe, body, error)
        raise error

    def _end(self, ticket: Ticket) -> None:
        target, delivery, _, body = ticket
        self._figures.in_flight -= 1
        self._figures.bytes += len(body)
        if delivery is not None:
            self._webhook.arriving.discard((target.stream, delivery))


def _target(url: bytes, content_type: bytes, encoding: bytes, max_record: int, streams: Streams) -> Target | None:
    """Understand a plain address; one that is long is not worth remembering."""
    if len(url) + len(content_type) + len(encoding) > 1_024:
        return None
    return _remembered(url, content_type, encoding, max_record, streams)


@lru_cache(maxsize=512)
def _remembered(url: bytes, content_type: bytes, encoding: bytes, max_record: int, streams: Streams) -> Target | None:
    path, _, query = url.partition(b"?")
    if not path.startswith(PREFIX.encode()) or not path.isascii() or b"%" in path or b"#" in url:
        return None
    try:
        target = read_target(path.decode(), query, content_type, encoding, max_record, streams)
    except Exception:  # noqa: BLE001  the long way says what is wrong
        return None
    return None if target.gzip or target.rules.id_in is not None else target


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

    def answer_later(self, ticket: Ticket, error: BaseException, send: Any) -> None:
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
