"""One huge JSON array to records, without holding the array.

Idea        Guess where an element ends (`},{` as the body writes it), then let the parser judge: if `[` + the text up
            to the guess + `]` is JSON, the guess was right. Where not, a scanner of quotes and brackets decides.
Invariant   The same records, dead letters and places for any cutting into chunks, those of a parser given all at once;
            live memory is at most one chunk and one element of `max_record` bytes.
When wrong  An element that is not a record becomes a dead letter and reading goes on behind it; where the array itself
            ends wrongly, what came before is kept and `broken` says where.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_arrays.py
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Any

from arion_lib.pipeline.batch import RAW_LIMIT, Record
from arion_lib.pipeline.decoder import (
    BAD_RECORD,
    BOM,
    MAX_RECORD,
    Ledger,
    TooLong,
    block_parser,
    parser,
    strictly,
    too_long,
)
from arion_lib.pipeline.formats.nesting import all_short, shallow
from arion_lib.pipeline.formats.reasons import reason
from arion_lib.pipeline.formats.scanner import ElementScanner
from arion_lib.units import how_many

BLOCK = 1 << 16
"""Bytes that are parsed at a time, about."""

GUESSES = 4
"""Ends of elements that are tried in a block before the scanner takes over."""

_BLANK = b" \t\r\n"
_SEPARATOR = re.compile(rb'\}[ \t\r\n]{0,64},[ \t\r\n]{0,64}\{(?:[ \t\r\n]{0,64}"[^"\\]{1,60}")?')
_CLOSE = ord("]")


class Place(Enum):
    """Where a decoder is in its body."""

    BEFORE = "before the array"
    INSIDE = "at an element"
    BEHIND = "behind the array"


class ArrayDecoder(Ledger):
    """Decode the elements of a JSON array, fed in chunks.

    The parameters are those of `NdjsonDecoder`; `max_record` limits an element. An empty body is an empty array. An
    element is given once the next one has begun, or the body has ended. Cost: about what `msgspec` takes for the
    elements; a bad one costs a second look at its block.

    >>> decoder = ArrayDecoder(dict)
    >>> decoder.feed(b'[{"a": 1}, {"a"'), decoder.feed(b': 2}, nonsense, {"a": 3}]'), decoder.close()
    ([{'a': 1}], [], [{'a': 2}, {'a': 3}])
    >>> decoder.records, decoder.take_dead()[0].offset
    (4, 21)
    """

    def __init__(self, kind: Any = dict, *, max_record: int = MAX_RECORD, skip: int = 0) -> None:
        super().__init__(max_record, skip)
        self._parse = strictly(shallow(parser(kind)), max_record)
        self._parse_block = block_parser(kind)
        self._place = Place.BEFORE
        self._text = bytearray()  # not read yet: inside the array it begins with an element
        self._offset = 0  # of the first byte of `_text` in the body
        self._scanner = ElementScanner()
        self._dropped = 0  # bytes of a too long element that are gone from `_text`
        self._separator = b""  # how this body writes the end of an element and the beginning of the next
        self._lead = 0  # bytes of it before the next element
        self._searched = 0  # bytes of `_text` that hold no separator
        self._elements = False  # whether there was an element or a comma

    def feed(self, chunk: bytes) -> list[Record]:
        """Take the next bytes and give the records they complete. Raises ValueError once closed."""
        self._check_open()
        records: list[Record] = []
        for start in range(0, len(chunk), BLOCK):
            if self.broken:
                break
            self._text += chunk[start : start + BLOCK]
            records += self._read(final=False)
        return records

    def close(self) -> list[Record]:
        """End the body: give its last records; an array that has not ended is `broken`."""
        if self._closed:
            return []
        records = self._read(final=True)
        self._closed = True
        self._text.clear()
        return records

    def _read(self, final: bool) -> list[Record]:
        records: list[Record] = []
        while not self.broken:
            if self._place is Place.INSIDE:
                some = self._read_some(final)
                if some is None:
                    break
                records += some
            elif not self._enter(final):
                break
        return records

    def _enter(self, final: bool) -> bool:
        """Come to the next element from outside of the array, and say whether that is reached."""
        if not self._skip_bom(final):
            return False
        self._skip_blank()
        if self._place is Place.BEFORE and self._text.startswith(b"["):
            self._go_inside(1)
        elif self._text:
            before = self._place is Place.BEFORE
            why = "the body must be a JSON array, which begins with [" if before else "nothing may follow the array"
            self._break(self._offset, why, bytes(self._text[:1]), piece=True)
        return self._place is Place.INSIDE

    def _skip_bom(self, final: bool) -> bool:
        """Pass over a byte-order mark at the start; False while it may be coming."""
        if self._offset == 0 and self._text and BOM.startswith(self._text[: len(BOM)]):
            if len(self._text) < len(BOM):
                return final
            self._consume(len(BOM))
        return True

    def _go_inside(self, size: int) -> None:
        self._consume(size)
        self._place = Place.INSIDE
        self._elements = False

    def _read_some(self, final: bool) -> list[Record] | None:
        """Read one element or more; None when that needs more bytes."""
        if not self._scanner.position:
            self._skip_blank()
            if self._separator:
                end = self._text.rfind(self._separator, self._searched)
                if end >= 0 and (records := self._read_block(end)) is not None:
                    return records
                if end < 0 and not final and len(self._text) <= self._max_record:
                    self._searched = max(0, len(self._text) - len(self._separator) + 1)
                    return None
        return self._read_element(final)

    def _read_block(self, end: int) -> list[Record] | None:
        """The fast path: decode all elements up to the separator at `end`, or None when it is not between elements.

        Why a guess is safe: a parser reads from left to right and never looks back. If `[` + block + `]` is JSON, then
        behind the block the parser stands behind an element of the array, whatever follows.
        """
        for _ in range(GUESSES):
            block = b"[" + self._text[: end + 1] + b"]"
            if len(block) > self._max_record or not all_short(block, self._separator):
                return self._read_pieces(end)
            try:
                records = self._parse_block(block)
            except BAD_RECORD as error:
                if "truncated" not in str(error):
                    return self._read_pieces(end)
                end = self._text.rfind(self._separator, 0, end)  # that was inside an element: guess further left
                if end < 0:
                    return None
            else:
                self._consume(end + self._lead)
                return self._accept(records)
        return None

    def _read_pieces(self, end: int) -> list[Record] | None:
        """Decode element by element up to the first bad one or `end`; None when the very first fails."""
        records: list[Record] = []
        start = 0
        while start < end:
            stop = self._text.find(self._separator, start) + 1
            try:
                records.append(self._parse(bytes(self._text[start:stop])))
            except BAD_RECORD:
                break
            start = stop - 1 + self._lead
        self._consume(start)
        return self._accept(records) if records else None

    def _read_element(self, final: bool) -> list[Record] | None:
        """The slow path, always right: scan for the end of one element, and decode it."""
        end = self._scanner.find(self._text)
        if end < 0:
            if final:
                return self._break_off()
            self._drop_middle()
            return None
        raw = bytes(self._text[:end]).rstrip(_BLANK)
        self._learn_separator(len(raw) - 1)
        last = self._text[end] == _CLOSE
        records = [] if last and not raw and not self._elements else self._decode(raw)
        self._elements = True
        self._place = Place.BEHIND if last else Place.INSIDE
        self._consume(end + 1)
        return records

    def _decode(self, raw: bytes) -> list[Record]:
        try:
            if self._dropped:
                raise TooLong(too_long(self._max_record))
            return self._accept([self._parse(raw)])
        except BAD_RECORD as error:
            self._refuse(self._offset, error if raw else "an element must stand before each , and the closing ]", raw)
            return []

    def _drop_middle(self) -> None:
        """Keep only the head of an element that is already too long."""
        gone = len(self._text) - RAW_LIMIT
        if len(self._text) > max(self._max_record, RAW_LIMIT):
            del self._text[RAW_LIMIT:]
            self._dropped += gone
            self._scanner.position -= gone

    def _break_off(self) -> list[Record]:
        """The body has ended inside the array: keep a last element that is whole, and say where it broke off."""
        raw = bytes(self._text).rstrip(_BLANK)
        self._scanner = ElementScanner()
        records: list[Record] = []
        inside = ""
        if self._dropped:
            inside = too_long(self._max_record)
        elif raw:
            try:
                records = self._accept([self._parse(raw)])
            except BAD_RECORD as error:
                inside = reason(error, raw)
            else:
                self._consume(len(self._text))
                raw = b""
        where = (
            f"in element {self.records + 1} ({inside})" if inside else f"behind {how_many(self.records, 'elements')}"
        )
        must = "the array must end with ]"
        self._break(self._offset, f"{must}, got the body's end {where}: was it cut off? send all of it", raw)
        return records

    def _learn_separator(self, brace: int) -> None:
        found = _SEPARATOR.match(self._text, max(0, brace))
        if found:
            self._separator = found[0]
            self._lead = found[0].index(b"{")

    def _skip_blank(self) -> None:
        self._consume(len(self._text) - len(self._text.lstrip(_BLANK)))

    def _consume(self, size: int) -> None:
        if not size:
            return
        del self._text[:size]
        self._offset += size + self._dropped
        self._dropped = self._searched = 0
        self._scanner = ElementScanner()
