"""Lines of JSON to records, from chunks that end anywhere.

Idea        Cut bytes at newlines, decode afterwards: a newline byte is never part of a character or a JSON string.
Invariant   What comes out does not depend on how the body was cut into chunks; live memory is at most one chunk and
            one line of `max_record` bytes, whatever the body's length or its longest line.
When wrong  A line that is not a record becomes one dead letter with its number and offset; reading goes on after the
            next newline, also behind a line of a gigabyte.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_ndjson.py
"""

from __future__ import annotations

import io
import re
from itertools import islice
from typing import Any

from arion_lib.pipeline.batch import RAW_LIMIT, Record
from arion_lib.pipeline.decoder import BAD_RECORD, BOM, MAX_RECORD, Ledger, TooLong, parser, strictly, too_long
from arion_lib.pipeline.formats.nesting import SHORT, shallow

_TOGETHER = 1 << 15  # bytes of lines that are decoded at a time, about


class NdjsonDecoder(Ledger):
    r"""Decode newline-delimited JSON, fed in chunks.

    `kind` is a `projection` or `dict`; `max_record` limits a line, in bytes; the first `skip` records are passed over
    in silence (they are safe already, from a delivery that broke off). `offset` is where in the body it is to begin,
    for one that is read in parts: places are counted from the body's start.

    Blank lines are no records; a byte-order mark at the start and `\r` before a newline are ignored; the last line
    needs no newline. Cost: about what `msgspec.json.Decoder.decode` takes for each line, and no Python code per line.

    >>> decoder = NdjsonDecoder(dict)
    >>> decoder.feed(b'{"a": 1}\n{"a"'), decoder.feed(b': 2}\nnonsense\n{"a": 3}'), decoder.close()
    ([{'a': 1}], [{'a': 2}], [{'a': 3}])
    >>> decoder.records, decoder.take_dead()
    (4, [DeadLetter(record=3, offset=18, reason='JSON is malformed: invalid character (byte 4)', raw=b'nonsense')])
    """

    def __init__(self, kind: Any = dict, *, max_record: int = MAX_RECORD, skip: int = 0, offset: int = 0) -> None:
        super().__init__(max_record, skip)
        self._parse = parser(kind)
        self._parse_strictly = strictly(shallow(self._parse), max_record)
        self._offset = offset  # of the first byte of `_line` in the body
        self._line = bytearray()  # the line that has not ended yet, or its head when it is too long
        self._overlong = 0  # bytes of a too long line so far

    def feed(self, chunk: bytes) -> list[Record]:
        """Take the next bytes and give the records of the lines that end in them. Raises ValueError once closed."""
        self._check_open()
        if self.broken:
            return []
        end = chunk.rfind(b"\n") + 1
        if not end:
            self._hold(chunk)
            return []
        start = self._finish_overlong(chunk) if self._overlong else 0
        if self.broken:
            return []
        block = b"".join((self._line, memoryview(chunk)[start:end]))
        self._line.clear()
        records = self._decode(block)
        self._hold(chunk[end:])
        return records

    def close(self) -> list[Record]:
        """End the body and give the record of its last line, when that had no newline."""
        if self._closed:
            return []
        tail = self.feed(b"\n") if self._line or self._overlong else []
        self._closed = True
        return tail

    def _hold(self, part: bytes) -> None:
        if self._overlong:
            self._overlong += len(part)
            return
        self._line += part
        if self._offset == 0 and self._line.startswith(BOM):
            self._offset = len(BOM)
            del self._line[: len(BOM)]
        if len(self._line) > max(self._max_record, RAW_LIMIT):
            self._overlong = len(self._line)
            del self._line[RAW_LIMIT:]

    def _finish_overlong(self, chunk: bytes) -> int:
        """Write off the too long line that ends in `chunk`; give the index behind it."""
        end = chunk.find(b"\n") + 1
        self._refuse(self._offset, TooLong(too_long(self._max_record)), bytes(self._line))
        self._offset += self._overlong + end
        self._overlong = 0
        self._line.clear()
        return end

    def _decode(self, block: bytes) -> list[Record]:
        """Decode whole lines, some of them at a time, so that a huge chunk is not held once more in lines."""
        if self._offset == 0 and block.startswith(BOM):
            block, self._offset = block[len(BOM) :], len(BOM)
        records: list[Record] = []
        stream = io.BytesIO(block)
        while not self.broken and (lines := stream.readlines(_TOGETHER)):
            records += self._decode_lines(lines)
        return records

    def _decode_lines(self, lines: list[bytes]) -> list[Record]:
        """Decode lines; the loop over them runs in C and is left only for a line that is not a record."""
        sizes = list(map(len, lines))
        parse = self._parse if max(sizes) <= min(SHORT, self._max_record) else self._parse_strictly
        parsed = map(parse, lines)
        records: list[Record] = []
        at, joined = 0, False
        while True:
            good: list[Record] = []
            try:
                # `extend` keeps what it got before an exception, and `parsed` goes on behind the line that raised it.
                good.extend(parsed)
            except BAD_RECORD as error:
                records += self._accept(good)
                bad = at + len(good)
                self._offset += sum(sizes[at:bad])
                if not self._is_blank(lines[bad]):
                    self._refuse(self._offset, error, lines[bad].removesuffix(b"\n"))
                elif not joined:
                    lines, sizes = with_blanks_joined(lines[bad:])
                    parsed, bad, joined = map(parse, islice(lines, 1, None)), 0, True
                self._offset += sizes[bad]
                at = bad + 1
                if self.broken:
                    return records
            else:
                records += self._accept(good)
                self._offset += sum(sizes[at:])
                return records

    def _is_blank(self, line: bytes) -> bool:
        return len(line) <= self._max_record and not line.strip(b" \t\r\n")


_LINE_AND_BLANKS = re.compile(rb"([^\n]*\n)(\n*(?:[ \t\r]{1,63}\n+)*)")


def with_blanks_joined(lines: list[bytes]) -> tuple[list[bytes], list[int]]:
    r"""Leave out the blank lines behind other ones, and give each line's size with those that followed it.

    Left in, each costs an exception and as much time as a hundred bytes of a record. A blank line of more than 63 bytes
    stays: it may be one that is too long.

    >>> with_blanks_joined([b"\n", b"{}\n", b"\r\n", b"\n", b"{}\n"])
    ([b'\n', b'{}\n', b'{}\n'], [1, 6, 3])
    """
    found = _LINE_AND_BLANKS.findall(b"".join(lines))
    return [line for line, _ in found], [len(line) + len(blanks) for line, blanks in found]
