"""Bodies as they are sent to bodies as they are meant, with a bound on their size.

Idea        Inflate in pieces of bounded size, so that a small body that swells to terabytes is stopped early.
Invariant   A piece has at most `PIECE` bytes, and no more than `max_body` bytes come out in all.
When wrong  `BodyTooLarge` past the bound; `BadGzip` for what is not gzip, for trailing garbage and a broken-off end.
            What came out before has come out.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_inflate.py
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

MAX_BODY = 16 << 30
"""Bytes that a body may have, inflated, unless told otherwise."""

PIECE = 1 << 16
"""Bytes that are inflated at a time."""


class BadGzip(ValueError):
    """The body is not what gzip writes, from here on."""


class BodyTooLarge(ValueError):
    """The body is longer than allowed."""


class PlainBody:
    """A body that is sent as it is; only its size is bounded.

    >>> list(PlainBody(max_body=10).feed(b"four"))
    [b'four']
    """

    def __init__(self, max_body: int = MAX_BODY) -> None:
        if max_body < 0:
            raise ValueError(f"max_body must be >= 0, got {max_body}")
        self.max_body = max_body
        self.size = 0  # bytes that came out so far

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the chunk in pieces, up to the bound. Raises BodyTooLarge at the first byte past it."""
        for start in range(0, len(chunk), PIECE):
            yield self._within(chunk[start : start + PIECE])

    def close(self) -> None:
        """Say that the body has ended."""

    def _within(self, piece: bytes) -> bytes:
        self.size += len(piece)
        if self.size > self.max_body:
            raise BodyTooLarge(f"a body must have at most {self.max_body} bytes, and has more; send it in parts")
        return piece


class GzipBody(PlainBody):
    """A gzip body, inflated in pieces; several members, one after the other, are one body, as in RFC 1952.

    Zero bytes behind the last member are ignored, as gzip does.

    >>> import gzip
    >>> body = GzipBody()
    >>> b"".join(body.feed(gzip.compress(b"one ") + gzip.compress(b"two"))), body.close()
    (b'one two', None)
    """

    def __init__(self, max_body: int = MAX_BODY) -> None:
        super().__init__(max_body)
        self._member = _new_member()
        self._begun = False  # a member has begun and not ended
        self._members = 0
        self._padding = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield what the chunk inflates to, in pieces; nothing is inflated before it is asked for.

        Raises BadGzip and BodyTooLarge.
        """
        while chunk or self._member.unconsumed_tail:
            if not self._begun and not (chunk := self._next_member(chunk)):
                return
            piece = self._inflate(chunk)
            chunk = self._member.unconsumed_tail
            if self._member.eof:
                chunk = self._member.unused_data
                self._begun, self._member = False, _new_member()
                self._members += 1
            if piece:
                yield self._within(piece)
            elif not chunk:
                return

    def close(self) -> None:
        """Say that the body has ended. Raises BadGzip when it broke off, or nothing came at all."""
        if self._begun or not self._members:
            raise BadGzip(f"a gzip body must end with its checksum, but breaks off after {self.size} inflated bytes")

    def _next_member(self, chunk: bytes) -> bytes:
        """Begin a member with `chunk`, without the zero bytes that may follow the last member."""
        if self._members:
            rest = chunk.lstrip(b"\0")
            self._padding = self._padding or len(rest) < len(chunk)
            chunk = rest
            if chunk and (self._padding or chunk[0] != 0x1F):
                raise BadGzip(
                    f"a gzip body must end after its last member, got {len(chunk)} bytes more or another format"
                )
        self._begun = bool(chunk)
        return chunk

    def _inflate(self, chunk: bytes) -> bytes:
        try:
            return self._member.decompress(chunk, PIECE)
        except zlib.error as error:
            raise BadGzip(f"a gzip body must be intact, got {error} after {self.size} inflated bytes") from error


def _new_member() -> zlib._Decompress:
    return zlib.decompressobj(wbits=31)


def open_body(encoding: str | None = None, max_body: int = MAX_BODY) -> PlainBody:
    """Choose the reader for an HTTP `Content-Encoding`. Raises ValueError for one that is not known.

    >>> type(open_body("gzip")).__name__, type(open_body()).__name__
    ('GzipBody', 'PlainBody')
    """
    name = (encoding or "identity").strip().lower()
    if name in {"gzip", "x-gzip"}:
        return GzipBody(max_body)
    if name == "identity":
        return PlainBody(max_body)
    raise ValueError(f"content encoding must be gzip or identity, got {encoding!r}")
