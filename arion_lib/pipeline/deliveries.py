"""Whether a body that comes again under a known id is the same body: its length, and a checksum of its bytes.

Idea        A delivery's progress is noted with the fingerprint of the bytes read so far; whoever comes with the id
            again must bring the same bytes up to there, however they are cut into chunks.
Invariant   Every byte counts: two bodies of one length that differ in up to 32 bits in a row never look the same.
When wrong  Other bytes, or fewer, are an `OtherBody`. A checksum finds mistakes, not forgers: signatures are for those.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_deliveries.py
"""

from __future__ import annotations

import zlib
from typing import NamedTuple


class OtherBody(ValueError):
    """The body is not the one that came under its delivery's id before."""

    def __init__(self, known: Fingerprint) -> None:
        super().__init__(f"a delivery's id must stand for one body, got another than the {known.length} bytes known")
        self.known = known


class Fingerprint(NamedTuple):
    """What is kept of the bytes of a body, or of its beginning."""

    length: int
    crc: int


def fingerprint(body: bytes) -> Fingerprint:
    """Return the fingerprint of bytes that are there at once.

    >>> fingerprint(b"abc") == fingerprint(b"abc"), fingerprint(b"abc") == fingerprint(b"abd")
    (True, False)
    """
    return Fingerprint(len(body), zlib.crc32(body))


class BodyCheck:
    """Follow a body from its beginning, and compare it with the part that is `known` (None: nothing to compare with).

    >>> check = BodyCheck(known=fingerprint(b"abc"))
    >>> check.feed(b"ab"), check.passed, check.feed(b"cd"), check.passed
    (None, False, None, True)
    """

    def __init__(self, known: Fingerprint | None = None) -> None:
        self.so_far = Fingerprint(0, 0)
        self._known = known
        self.passed = known is None or known == self.so_far

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes. Raises `OtherBody` as soon as the known part is there and differs."""
        view = memoryview(chunk)
        if self._known is not None and not self.passed:
            missing = self._known.length - self.so_far.length
            self._add(view[:missing])
            view = view[missing:]
            self.passed = self.so_far == self._known
            self._must_be(self.passed or self.so_far.length < self._known.length)
        self._add(view)

    def close(self, *, whole: bool = False) -> None:
        """Say that the body has ended. Raises `OtherBody` when it was too short, or, if `whole` was known, too long."""
        self._must_be(self.passed and not (whole and self._known and self.so_far.length != self._known.length))

    def _add(self, view: memoryview) -> None:
        length, crc = self.so_far
        self.so_far = Fingerprint(length + len(view), zlib.crc32(view, crc))

    def _must_be(self, same: object) -> None:
        if not same and self._known is not None:
            raise OtherBody(self._known)
