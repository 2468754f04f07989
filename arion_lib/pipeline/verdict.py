"""One record's bytes to a record, or to the reason why not: what every decoder asks.

Idea        `msgspec` parses straight into the wanted type; all that it can raise is a verdict, not a crash.
Invariant   The verdict does not depend on which fields are wanted, but for two things in a field nobody reads, which
            therefore go nowhere: bytes that are no UTF-8 (looking for them would take a third of the speed), and
            numbers out of range.
When wrong  NaN, lone surrogates, raw control characters, broken UTF-8, values that are not objects and nesting past
            the interpreter's recursion limit (about 1,000) are refused; of duplicate keys the last one counts.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_verdict.py
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from arion_lib.pipeline.batch import RAW_LIMIT, DeadLetter, Record

MAX_RECORD = 1 << 20
"""Bytes of the longest record that is read unless told otherwise; a longer one becomes a dead letter."""

BOM = b"\xef\xbb\xbf"
"""The byte-order mark that some programs put before UTF-8."""

BAD_RECORD = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What parsing raises for bytes that are not a record of the wanted type."""


class Decoder(Protocol):
    """Bytes in, records out, no input or output of its own (sans-IO): feed it from a file, a socket or a test."""

    @property
    def records(self) -> int:
        """Records seen so far, the bad and the skipped ones included."""

    @property
    def broken(self) -> DeadLetter | None:
        """Why the rest of the body cannot be read (a dead letter too); once set, what else is fed is ignored."""

    def feed(self, chunk: bytes) -> list[Record]:
        """Take the next bytes, cut anywhere, and give the records that they complete."""

    def close(self) -> list[Record]:
        """Say that the body has ended, and give the last records."""

    def take_dead(self) -> list[DeadLetter]:
        """Hand over the dead letters since the last call."""


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
        """Count a bad record and write its dead letter."""
        self.records += 1
        if self.records > self._skip:
            self.dead.append(dead_letter(self.records, offset, error, raw))

    def _break(self, offset: int, error: BaseException | str, raw: bytes = b"") -> None:
        """Give the body up: nothing behind `offset` can be read."""
        self.broken = dead_letter(self.records + 1, offset, error, raw)
        self.dead.append(self.broken)


def parser(kind: Any) -> Callable[[bytes], Record]:
    """Make the function that parses one record into `kind`: a `projection`, or `dict` for the whole record.

    >>> parser(dict)(b'{"amount": 5}')
    {'amount': 5}
    """
    return msgspec.json.Decoder(dict[str, Any] if kind is dict else kind).decode


def block_parser(kind: Any) -> Callable[[bytes], list[Record]]:
    """Make the function that parses a JSON array of such records.

    >>> block_parser(dict)(b'[{"amount": 5}, {}]')
    [{'amount': 5}, {}]
    """
    element: Any = dict[str, Any] if kind is dict else kind
    return msgspec.json.Decoder(list[element]).decode


def strictly(parse: Callable[[bytes], Record], max_record: int) -> Callable[[bytes], Record]:
    """Wrap `parse` with the check that a decoder otherwise makes for a whole block at once: the record's length."""

    def parse_strictly(raw: bytes) -> Record:
        if len(raw) - raw.endswith(b"\n") > max_record:
            raise msgspec.DecodeError(too_long(max_record))
        return parse(raw)

    return parse_strictly


def too_long(max_record: int) -> str:
    """Word the reason for a record over the limit.

    >>> too_long(1024)
    'record must be at most 1024 bytes long, and is longer'
    """
    return f"record must be at most {max_record} bytes long, and is longer"


def dead_letter(record: int, offset: int, error: BaseException | str, raw: bytes) -> DeadLetter:
    """Make the dead letter for a record that could not be read.

    >>> dead_letter(3, 120, "no object", b"[1]")
    DeadLetter(record=3, offset=120, reason='no object', raw=b'[1]')
    """
    reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
    return DeadLetter(record, offset, reason, bytes(raw[:RAW_LIMIT]))


_encoder = msgspec.json.Encoder(decimal_format="number")


def encode(record: Record) -> bytes:
    """Write a record as compact JSON; a Decimal keeps its digits and stays a number.

    >>> from decimal import Decimal
    >>> encode({"amount": Decimal("12.50"), "currency": "EUR"})
    b'{"amount":12.50,"currency":"EUR"}'
    """
    return _encoder.encode(record)
