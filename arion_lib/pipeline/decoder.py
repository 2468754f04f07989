"""One record's bytes to a record, or to the reason why not: what every decoder asks.

Idea        `msgspec` parses straight into the wanted type; all that it can raise is a verdict, not a crash.
Invariant   The verdict does not depend on which fields are wanted, but for two things in a field nobody reads, which
            therefore go nowhere: bytes that are no UTF-8 (looking for them would take a third of the speed), and
            numbers out of range. A record that is kept as its own bytes is UTF-8, and its numbers are not read.
When wrong  NaN, lone surrogates, raw control characters, broken UTF-8, values that are not objects and nesting past
            the interpreter's recursion limit (about 1,000) are refused; of duplicate keys the last one counts.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_decoder.py
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Protocol

import msgspec

from arion_lib.pipeline.batch import RAW_LIMIT, DeadLetter, Record
from arion_lib.pipeline.formats.reasons import dead_letter

MAX_RECORD = 1 << 20
"""Bytes of the longest record that is read unless told otherwise; a longer one becomes a dead letter."""

BOM = b"\xef\xbb\xbf"
"""The byte-order mark that some programs put before UTF-8."""

MAX_BAD = 10_000
"""Bad records that any body may have; past them it is given up once more than a tenth of its records are bad."""

BAD_RECORD = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What parsing raises for bytes that are not a record of the wanted type."""


class Decoder(Protocol):
    """Bytes in, records out, no input or output of its own (sans-IO): feed it from a file, a socket or a test."""

    @property
    def records(self) -> int:
        """Records seen so far, the bad and the skipped ones included."""

    @property
    def too_long(self) -> int:
        """Bad records so far of which the dead letter keeps only the beginning."""

    @property
    def broken(self) -> DeadLetter | None:
        """Why the rest of the body cannot be read (a dead letter too); once set, what else is fed is ignored."""

    def feed(self, chunk: bytes) -> list[Record]:
        """Take the next bytes, cut anywhere, and give the records that they complete."""

    def close(self) -> list[Record]:
        """Say that the body has ended, and give the last records."""

    def take_dead(self) -> list[DeadLetter]:
        """Hand over the dead letters since the last call."""


def parse(
    chunks: Iterable[bytes], decoder: Decoder, on_dead: Callable[[DeadLetter], None] | None = None
) -> Iterator[Record]:
    r"""Give the records of a body that comes in chunks; each dead letter goes to `on_dead`.

    Without `on_dead`, the first bad record raises ValueError: nothing is dropped silently.

    >>> from arion_lib.pipeline.ndjson import NdjsonDecoder
    >>> list(parse([b'{"a": 1}\n{"a":', b' 2}'], NdjsonDecoder()))
    [{'a': 1}, {'a': 2}]
    """
    # A chain has no Python code per record: for a million records it saves a twentieth of a second.
    return chain.from_iterable(_decoded(chunks, decoder, on_dead))


def _decoded(
    chunks: Iterable[bytes], decoder: Decoder, on_dead: Callable[[DeadLetter], None] | None
) -> Iterator[list[Record]]:
    for chunk in chunks:
        yield decoder.feed(chunk)
        _report(decoder.take_dead(), on_dead)
    yield decoder.close()
    _report(decoder.take_dead(), on_dead)


def _report(dead: Iterable[DeadLetter], on_dead: Callable[[DeadLetter], None] | None) -> None:
    for letter in dead:
        if on_dead is None:
            raise ValueError(f"record {letter.record} at byte {letter.offset}: {letter.reason}")
        on_dead(letter)


class Ledger:
    """What every decoder keeps of its body: how many records there were, which were bad, whether it goes on.

    Records up to number `skip` are counted and otherwise passed over, the bad ones too.
    """

    def __init__(self, max_record: int, skip: int) -> None:
        if max_record < 64:
            raise ValueError(f"max_record must be >= 64 bytes, got {max_record}")
        if skip < 0:
            raise ValueError(f"skip must be >= 0, got {skip}")
        self.records = 0
        self.dead: list[DeadLetter] = []
        self.bad = 0
        self.too_long = 0  # of the bad ones: those of which the dead letter keeps only the beginning
        self.broken: DeadLetter | None = None
        self._max_record = max_record
        self._skip = skip
        self._closed = False

    def take_dead(self) -> list[DeadLetter]:
        """Hand over the dead letters since the last call."""
        dead, self.dead = self.dead, []
        return dead

    def _check_open(self) -> None:
        if self._closed:
            raise ValueError("the decoder is closed; make a new one for the next body")

    def _accept(self, good: list[Record]) -> list[Record]:
        """Count records; give those that are not to be skipped."""
        passed = self._skip - self.records
        self.records += len(good)
        return good[passed:] if passed > 0 else good

    def _refuse(self, offset: int, error: BaseException | str, raw: bytes) -> None:
        """Count a bad record and write its dead letter; too many of them break the body off."""
        self.records += 1
        self.bad += 1
        long = isinstance(error, TooLong)
        if self.records > self._skip:
            self.too_long += long
            self.dead.append(dead_letter(self.records, offset, error, raw[:RAW_LIMIT] if long else raw))
        if self.bad > MAX_BAD and self.bad * 10 > self.records:
            self._break(offset, f"{self.bad} of {self.records} records are bad: is the body what it says it is?")

    def _break(self, offset: int, error: BaseException | str, raw: bytes = b"", *, piece: bool = False) -> None:
        """Give the body up: nothing behind `offset` can be read. `piece`: what is there is no record."""
        letter = dead_letter(self.records + 1, offset, error, raw[:RAW_LIMIT])
        self.broken = replace(letter, piece=True) if piece else letter
        self.dead.append(self.broken)


@dataclass(frozen=True, slots=True)
class Verbatim:
    """The kind of record that is a pair: its own bytes, and what of it a `projection` reads."""

    kind: Any


class TooLong(msgspec.DecodeError):
    """The record is longer than the limit, so that no more of it is kept than its beginning."""


_AnyObject = msgspec.defstruct("AnyObject", [])


def parser(kind: Any) -> Callable[[bytes], Record]:
    """Make the function that parses one record into `kind`.

    A `projection`, `dict` for the whole record, `bytes` for its own bytes, which are checked but not read, or
    `Verbatim` for its bytes and a projection.

    >>> parser(dict)(b'{"amount": 5}'), parser(bytes)(b' {"amount": 5.10}')
    ({'amount': 5}, b'{"amount": 5.10}')
    """
    if isinstance(kind, Verbatim):
        read = parser(kind.kind)
        return lambda raw: (_own_bytes(raw), read(raw))
    if kind is bytes:
        check = msgspec.json.Decoder(_AnyObject).decode

        def parse(raw: bytes) -> bytes:
            check(raw)
            return _own_bytes(raw)

        return parse
    return msgspec.json.Decoder(dict[str, Any] if kind is dict else kind).decode


def _own_bytes(raw: bytes) -> bytes:
    if not raw.isascii():
        raw.decode()
    return raw.strip(b" \t\r\n")


def block_parser(kind: Any) -> Callable[[bytes], list[Record]]:
    """Make the function that parses a JSON array of such records.

    >>> block_parser(dict)(b'[{"amount": 5}, {}]')
    [{'amount': 5}, {}]
    """
    if kind is bytes or isinstance(kind, Verbatim):
        split, parse = msgspec.json.Decoder(list[msgspec.Raw]).decode, parser(kind)
        return lambda block: [parse(bytes(raw)) for raw in split(block)]
    element: Any = dict[str, Any] if kind is dict else kind
    return msgspec.json.Decoder(list[element]).decode


def strictly(parse: Callable[[bytes], Record], max_record: int) -> Callable[[bytes], Record]:
    """Wrap `parse` with the check that a decoder otherwise makes for a whole block at once: the record's length."""

    def parse_strictly(raw: bytes) -> Record:
        if len(raw) - raw.endswith(b"\n") > max_record:
            raise TooLong(too_long(max_record))
        return parse(raw)

    return parse_strictly


def too_long(max_record: int) -> str:
    """Word the reason for a record over the limit.

    >>> too_long(1024)
    'record must be at most 1024 bytes long (--max-line), and is longer'
    """
    return f"record must be at most {max_record} bytes long (--max-line), and is longer"


ENCODER = msgspec.json.Encoder(decimal_format="number")
"""What `encode` asks; its own method where a function around it would be called a million times."""


def encode(record: Record) -> bytes:
    """Write a record as compact JSON; a Decimal keeps its digits and stays a number.

    >>> from decimal import Decimal
    >>> encode({"amount": Decimal("12.50"), "currency": "EUR"})
    b'{"amount":12.50,"currency":"EUR"}'
    """
    return ENCODER.encode(record)
