"""One record's bytes to a record, or to the reason why not: what every decoder asks.

Idea        `msgspec` parses straight into the wanted type; all that it can raise is a verdict, not a crash.
Invariant   The verdict does not depend on which fields are wanted, but for the range of a number nobody reads.
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

BAD_RECORD = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What parsing raises for bytes that are not a record of the wanted type."""


class Decoder(Protocol):
    """Bytes in, records out, no input or output of its own (sans-IO): feed it from a file, a socket or a test."""

    records: int
    """Records seen so far, the bad and the skipped ones included."""

    dead: list[DeadLetter]
    broken: DeadLetter | None
    """Why the rest of the body cannot be read; set, the decoder ignores what else it is fed."""

    def feed(self, chunk: bytes) -> list[Record]:
        """Take the next bytes, cut anywhere, and give the records that they complete."""

    def close(self) -> list[Record]:
        """Say that the body has ended, and give the last records."""

    def take_dead(self) -> list[DeadLetter]:
        """Hand over the dead letters since the last call."""


def parser(kind: Any) -> Callable[[bytes], Record]:
    """Make the function that parses one record into `kind`: a `projection`, or `dict` for the whole record.

    >>> parser(dict)(b'{"amount": 5}')
    {'amount': 5}
    """
    return msgspec.json.Decoder(dict[str, Any] if kind is dict else kind).decode


def is_utf8(block: bytes) -> bool:
    """Say whether a block is UTF-8 throughout; skipped fields count too, which the parser does not look at.

    >>> is_utf8("Jördis".encode()), is_utf8("Jördis".encode("latin-1"))
    (True, False)
    """
    if block.isascii():
        return True
    try:
        block.decode()
    except UnicodeDecodeError:
        return False
    return True


def strictly(parse: Callable[[bytes], Record], max_record: int) -> Callable[[bytes], Record]:
    """Wrap `parse` with the checks that a decoder otherwise makes for a whole block at once: length and UTF-8."""

    def parse_strictly(raw: bytes) -> Record:
        if len(raw) - raw.endswith(b"\n") > max_record:
            raise msgspec.DecodeError(too_long(max_record))
        raw.decode()
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
