"""A delivery counts once: how far into a body the store has come, and whether what comes again is the same body.

Idea        Each batch says which records of its body it holds, and is written in the transaction that advances the
            delivery to there: so a repeat goes on where the last commit ended, and a complete one changes nothing.
            With the progress goes a checksum of all bytes up to there.
Invariant   No record of a delivery is stored twice, whoever sends it again, also two senders at once. Every byte
            counts: bodies of one length that differ in up to 32 bits in a row never look the same.
When wrong  A batch that does not go on from there is a `StaleDelivery`, a group commit's result like any other. Other
            bytes, or fewer, are an `OtherBody`: a checksum finds mistakes, not forgers, signatures are for those.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_deliveries.py
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Delivery:
    """How far into one delivered body the store has come, written in the transaction of the batch that got there.

    A batch holds the records `start` (exclusive) to `done` (inclusive) of its body. A store refuses it unless `start`
    is what it has already: two senders of the same body can then never both count a record.
    """

    id: str
    done: int  # records of the body (bad ones included) that are safe once this batch is committed
    complete: bool  # the body ended here
    start: int = 0  # records of the body that were safe before this batch
    fingerprint: Fingerprint | None = None  # of the body's bytes that were read for these records; None: not known


def whole_delivery(name: str | None, body: bytes) -> Delivery | None:
    """Return the progress that a body of one record is; None where nobody named it.

    >>> whole_delivery("a", b"{}"), whole_delivery(None, b"{}")
    (Delivery(id='a', done=1, complete=True, start=0, fingerprint=Fingerprint(length=2, crc=2745614147)), None)
    """
    return None if name is None else Delivery(name, 1, True, fingerprint=fingerprint(body))


class StaleDelivery(ValueError):
    """A batch does not go on from where its delivery has come to: somebody stored these records already.

    `known` is what the store has (None: nothing). Skip `known.done` records of the body and go on from there; when
    `known.complete`, there is nothing left to do.
    """

    def __init__(self, stream: str, delivery: Delivery, known: Delivery | None) -> None:
        there = "nothing is" if known is None else f"{known.done} records{' and the end' if known.complete else ''} are"
        super().__init__(
            f"delivery must go on from what is stored, got records {delivery.start} to {delivery.done} of "
            f"{delivery.id!r} in {stream!r} where {there} stored; read done() and go on from there"
        )
        self.stream = stream
        self.delivery = delivery
        self.known = known


class Progress:
    """How far the deliveries come in one transaction; `known(stream, id)` reads what the store has.

    >>> progress = Progress(lambda stream, name: Delivery(name, 3, False))
    >>> progress.advance("s", [Delivery("a", 5, False, start=3)])
    >>> progress.advance("s", [Delivery("a", 9, True, start=3)])
    Traceback (most recent call last):
    ...
    arion_lib.pipeline.deliveries.StaleDelivery: delivery must go on from what is stored, got records 3 to 9 of 'a' in \
's' where 5 records are stored; read done() and go on from there
    """

    def __init__(self, known: Callable[[str, str], Delivery | None]) -> None:
        self._known = known
        self._reached: dict[tuple[str, str], Delivery] = {}

    def advance(self, stream: str, deliveries: Sequence[Delivery]) -> None:
        """Note the steps of a batch: all of them, or none. Raises StaleDelivery."""
        steps: dict[tuple[str, str], Delivery] = {}
        for delivery in deliveries:
            place = (stream, delivery.id)
            before = steps.get(place) or self._reached.get(place) or self._known(*place)
            if not follows(before, delivery):
                raise StaleDelivery(stream, delivery, before)
            steps[place] = delivery
        self._reached |= steps


def follows(known: Delivery | None, delivery: Delivery) -> bool:
    """Return whether `delivery` goes on exactly where `known` (None: nothing stored) ends.

    >>> follows(None, Delivery("a", 3, False)), follows(Delivery("a", 3, False), Delivery("a", 5, True, start=3))
    (True, True)
    >>> follows(Delivery("a", 3, False), Delivery("a", 5, True, start=2))
    False
    """
    if known is None:
        return delivery.start == 0
    return not known.complete and known.done == delivery.start


def check_again(known: Delivery, chunks: Iterable[bytes]) -> int:
    """Read a body whose delivery is complete; return its records, all duplicates. Raises OtherBody where it differs.

    >>> check_again(Delivery("a", 3, True, fingerprint=fingerprint(b"abc")), [b"a", b"bc"])
    3
    """
    check = BodyCheck(known.fingerprint)
    for chunk in chunks:
        check.feed(chunk)
    check.close(whole=True)
    return known.done


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
