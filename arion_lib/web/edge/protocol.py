"""uvicorn's HTTP protocol with bounds: on a head's size and time, on what is pipelined, on what a broken request does.

Idea        What arrives is given to the parser in pieces, and no further while a request waits behind another: what is
            not parsed costs its bytes and nothing more. One look over all connections now and then closes late heads.
Invariant   No connection stays open for longer than `patience` seconds (and one look) without a whole head while no
            answer is pending; a head holds at most `MAX_HEAD` bytes and a piece. Requests are answered in their order:
            a refusal of what cannot be read comes behind the answers to what came before it.
When wrong  A late head is answered 408, a large one 431, a transfer coding that nobody undoes 501, what is no HTTP 400,
            each a problem document; the connection is closed. An offer to upgrade is ignored (RFC 9110, 7.8). Who stops
            sending but listens gets its answers.
See         notebooks/1_streaming_pipeline.ipynb · tests/web/test_protocol.py
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from arion_lib.web.problems import MEDIA_TYPE, Problem

log = logging.getLogger(__name__)

PIECE = 32 << 10
"""Bytes that the parser gets at once: a connection's pipelined requests take the memory of one piece."""

MAX_HEAD = 64 << 10
"""Bytes of a request's head."""


def _closing(problem: Problem) -> bytes:
    """Encode a refusal for a connection that is closed behind it."""
    body, phrase = problem.body(), HTTPStatus(problem.status).phrase.encode()
    head = b"HTTP/1.1 %d %b\r\ncontent-type: %b\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
    return head % (problem.status, phrase, MEDIA_TYPE, len(body)) + body


TOO_SLOW = _closing(
    Problem(408, "a request's head must arrive within its time", "less than a whole one", "send it in one piece")
)
TOO_LARGE = _closing(Problem(431, f"a request's head must be <= {MAX_HEAD} bytes", "more", "send fewer headers"))
NO_HTTP = _closing(Problem(400, "the request must be HTTP/1.1", "something else", "send it with an HTTP client"))

_LOOKED_AT = (b"expect", b"transfer-encoding")


def _unknown_coding(got: bytes) -> bytes:
    do = "send the body in chunks or with its length; that it is compressed says content-encoding: gzip"
    return _closing(Problem(501, "transfer-encoding must be chunked", repr(got[:80].decode("latin-1")), do))


def heed_target(url: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    """Let the host in a request's target count, where it has one, and not the header (RFC 9112, 3.2.2).

    Headers that are missing or several stay: such a request is refused. Raises for a target that is no URL.

    >>> headers = [(b"host", b"other"), (b"accept", b"*/*")]
    >>> heed_target(b"http://me@Here:80/path", headers)
    >>> headers
    [(b'host', b'Here:80'), (b'accept', b'*/*')]
    """
    at = [place for place, (name, _) in enumerate(headers) if name == b"host"]
    if b"://" in url and len(at) == 1:
        parsed = httptools.parse_url(url)
        host, port = parsed.host or b"", parsed.port
        name = b"[%b]" % host if b":" in host else host
        headers[at[0]] = b"host", name if port is None else b"%b:%d" % (name, port)


class BoundedProtocol(HttpToolsProtocol):
    """One connection. `head_since`: when its request's head began to arrive; 0.0 while none is awaited."""

    clock: Callable[[], float] = staticmethod(time.monotonic)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start waiting for the first head."""
        super().connection_made(transport)  # type: ignore[arg-type]
        self.head_since = self.clock()
        self._head_open, self._head_fed = True, 0  # between two requests, or in a head; bytes of it in earlier pieces
        self._moved = False  # the parser understood something since it was fed last
        self._codings: list[bytes] = []  # of the request's body: the values of its transfer-encoding
        self._why = NO_HTTP  # how what cannot be read is refused
        self._unfed = b""  # arrived while a request waits behind another
        self._refusal: bytes | None = None  # comes behind the pending answers
        self._ended = False  # the sender sends no more
        self.unanswered = 0  # requests whose answers are still to come

    # -- from the network to the parser

    def data_received(self, data: bytes) -> None:
        """Parse what came, as far as it may be parsed now."""
        self._unset_keepalive_if_required()
        if self._refusal is None:
            self._unfed = self._unfed + data if self._unfed else data
            self._feed()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Stay open for the answers that are to come, if there are any."""
        self._ended = True
        return bool(self._unfed) or (self.unanswered > 0 and self._head_open)

    def _feed(self) -> None:
        unfed: bytes | memoryview = self._unfed if len(self._unfed) <= PIECE else memoryview(self._unfed)
        self._unfed = b""
        while unfed:
            if self.pipeline:
                self._unfed = bytes(unfed)
                self.flow.pause_reading()
                return
            piece, self._moved = unfed[:PIECE], False
            try:
                self.parser.feed_data(piece)
                self.piece_parsed()
            except httptools.HttpParserUpgrade as offer:
                unfed = unfed[offer.args[0] :]
                if not self._without_upgrade():
                    return
                continue
            except Exception:  # noqa: BLE001  no HTTP, or a target that is none: whatever it is, this request's sender errs
                self.refuse(self._why)
                return
            unfed = unfed[len(piece) :]
            if self.transport.is_closing() or self._refusal is not None:
                return
            if self._head_open and not self._moved:
                self._look_at_head(len(piece))

    def _look_at_head(self, fed: int) -> None:
        """Count bytes of a head that goes on; what began no head (an empty line) must not hold the connection open."""
        self._head_fed += fed
        if not self.head_since:
            self.head_since = self.clock()
        if self._head_fed > MAX_HEAD:
            self.refuse(TOO_LARGE)

    def piece_parsed(self) -> None:
        """Do what is due after each piece."""

    def _without_upgrade(self) -> bool:
        """Read the head again without its offer of another protocol: the parser would not read the body behind it."""
        lines = [self.parser.get_method(), b" ", self.url, b" HTTP/", self.parser.get_http_version().encode(), b"\r\n"]
        lines += [b"%b: %b\r\n" % pair for pair in self.headers if pair[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self._head_open = True
        try:
            self.parser.feed_data(b"".join([*lines, b"\r\n"]))
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):  # CONNECT is an offer in itself
            self.refuse(self._why)
            return False
        return True

    # -- what the parser found

    def on_message_begin(self) -> None:
        """Start waiting for the rest of a head (the pause before its first byte is uvicorn's keep-alive)."""
        super().on_message_begin()
        self.head_since = self.clock()
        self._moved, self._head_fed, self._codings = True, 0, []

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header as it was meant, without blanks around it; what comes behind a body (a trailer) is none."""
        if self._head_open:  # the rest is uvicorn's own, written out: a call fewer for each header
            name, value = name.lower(), value.strip(b" \t")
            if name in _LOOKED_AT:
                if name == b"transfer-encoding":
                    self._codings.append(value)
                elif value.lower() == b"100-continue":
                    self.expect_100_continue = True
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Start the request."""
        if self._codings:
            self._check_codings(b",".join(self._codings))
        if self.url[:1] != b"/":
            heed_target(self.url, self.headers)
        self.head_since, self._head_open, self._moved = 0.0, False, True
        if not self.parser.should_upgrade():
            self.start_request()

    def _check_codings(self, value: bytes) -> None:
        """Refuse what is not just chunked (RFC 9112, 6.1): the parser would take the coded bytes for the body."""
        codings = [coding for one in value.lower().split(b",") if (coding := one.strip(b" \t"))]
        if codings == [b"chunked"] and self.parser.get_http_version() != "1.0":
            return
        if b"chunked" not in codings[:-1] and codings[-1:] == [b"chunked"] != codings:
            self._why = _unknown_coding(value)
        raise ValueError("transfer-encoding")

    def start_request(self) -> None:
        """Make a task of the request, or queue it behind the one before."""
        super().on_headers_complete()
        self.unanswered += 1

    def on_body(self, body: bytes) -> None:
        """Hand the bytes on."""
        self._moved = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Wait for the next head."""
        self._moved = True
        if not self.parser.should_upgrade():
            self._head_open = True
            self.message_complete()

    def message_complete(self) -> None:
        """Say that the body has ended."""
        super().on_message_complete()

    # -- answers

    def on_response_complete(self) -> None:
        """Go on with what waits behind the request that was answered."""
        self.unanswered -= 1
        super().on_response_complete()
        if self.transport.is_closing():
            return
        if self._unfed:
            self.flow.pause_reading()  # uvicorn has just resumed it
            self.loop.call_soon(self._go_on)
        elif not self.unanswered:
            self._end()

    def _go_on(self) -> None:
        if self.transport.is_closing() or self.pipeline:
            return
        self._unset_keepalive_if_required()
        self._feed()
        if not self._unfed:
            self.flow.resume_reading()
            if not self.unanswered:
                self._end()

    def _end(self) -> None:
        """Close where nothing more can come; otherwise wait for the next request."""
        if self._refusal is not None:
            self.transport.write(self._refusal)
        if self._refusal is not None or self._ended:
            self.transport.close()
        elif self.timeout_keep_alive_task is None and self._head_open and not self.head_since:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def refuse(self, answer: bytes) -> None:
        """Refuse what came last and all behind it; requests that were whole before it are answered first."""
        self._unfed, self._refusal = b"", answer
        own = self.cycle if not self._head_open and self.unanswered else None  # the one whose body is broken
        if own is not None and self.pipeline and self.pipeline[0][0] is own:
            self.pipeline.popleft()
            self.unanswered -= 1
        elif own is not None or not self.unanswered:
            if own is None or not own.response_started:
                self.transport.write(answer)
            self.transport.close()

    @staticmethod
    def close_late(connections: Iterable[Any], now: float, patience: float) -> int:
        """Answer and close every connection that has waited longer than `patience` seconds for its head; count them."""
        late = [one for one in connections if one.head_since and now - one.head_since > patience and not one.unanswered]
        for connection in late:
            connection.head_since = 0.0
            connection.transport.write(TOO_SLOW)
            connection.transport.close()
        return len(late)
