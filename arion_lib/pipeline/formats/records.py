"""A body's bytes to records, whatever JSON format it has.

Idea        One small interface (`feed`, `close`) for lines, arrays, documents; which one it is, the content type says,
            or the first bytes do.
Invariant   The choice depends on the body alone, not on how it was cut into chunks.
When wrong  A content type that is no JSON is refused before a byte is read.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_records.py
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, Literal, TypeAlias

from arion_lib.pipeline.batch import DeadLetter, Record
from arion_lib.pipeline.decoder import BOM, MAX_RECORD, Decoder
from arion_lib.pipeline.formats.arrays import ArrayDecoder
from arion_lib.pipeline.formats.documents import ObjectDecoder, PathDecoder
from arion_lib.pipeline.ndjson import NdjsonDecoder

Format: TypeAlias = Literal["lines", "array", "object"]

LINE_TYPES = frozenset(
    {f"application/{name}" for name in ("x-ndjson", "ndjson", "jsonl", "x-jsonl", "jsonlines", "x-jsonlines")}
)
"""Content types that say newline-delimited JSON."""

SNIFFED_TYPES = frozenset({"", "application/json", "text/json", "text/plain", "application/octet-stream"})
"""Content types under which people send any of the formats, so that the first bytes decide."""

_FORMATS: dict[Format, Callable[..., Decoder]] = {
    "lines": NdjsonDecoder,
    "array": ArrayDecoder,
    "object": ObjectDecoder,
}
_BLANK = b" \t\r\n"


def open_decoder(
    content_type: str | None = None,
    kind: Any = dict,
    *,
    path: str = "",
    max_record: int = MAX_RECORD,
    skip: int = 0,
) -> Decoder:
    """Choose the decoder for a body.

    `content_type` is as in HTTP, parameters and all; None sniffs. `kind` is a `projection`, or `dict` for whole
    records. `path` says where in a document the records are (`events.item`: the elements of `events`).
    `max_record` bounds a record, in bytes; `skip` records are passed over.

    Raises ValueError for a content type that is not JSON, and for a path into a body of lines.

    >>> decoder = open_decoder("application/json; charset=utf-8")
    >>> decoder.feed(b' [{"a": 1}, {"a": 2}]') + decoder.close()
    [{'a': 1}, {'a': 2}]
    """
    name = (content_type or "").partition(";")[0].strip().lower()
    sniffed = name in SNIFFED_TYPES or name.endswith("+json")
    if not sniffed and name not in LINE_TYPES:
        raise ValueError(f"content type must be application/json or application/x-ndjson, got {content_type!r}")
    if path:
        if not sniffed:
            raise ValueError(f"path must be empty for {name}, got {path!r}; each line is a record of its own")
        return PathDecoder(path, kind, max_record=max_record, skip=skip)
    if not sniffed:
        return NdjsonDecoder(kind, max_record=max_record, skip=skip)
    return SniffingDecoder(kind, max_record=max_record, skip=skip)


def sniff(head: bytes, max_record: int = MAX_RECORD) -> Format | None:
    r"""Say what format a body has that begins with `head`, or None when that is not clear yet.

    An array begins with `[`. An object that goes on in a second line, which does not begin another object, is one
    object printed for people; everything else is lines.

    >>> sniff(b" ["), sniff(b'{"a": 1}\n'), sniff(b'{\n  "a"'), sniff(b'{"a"'), sniff(b'{"a": tru\n{')
    ('array', 'lines', 'object', None, 'lines')
    """
    text = head.removeprefix(BOM).lstrip(_BLANK)
    if text.startswith(b"["):
        return "array"
    if text and not text.startswith((b"{", BOM[:1])):
        return "lines"
    first, newline, rest = text.partition(b"\n")
    second = rest.lstrip(_BLANK)[:1]
    if newline and (first.rstrip().endswith(b"}") or second == b"{"):
        return "lines"
    if second:
        return "object"
    return "lines" if len(head) > max_record + len(BOM) else None


class _Awaits(Enum):
    """What will tell more of a body's format."""

    TEXT = "what is not blank"
    NEWLINE = "the first line's end"


class SniffingDecoder:
    """Wait for the bytes that tell the format, then decode as that.

    >>> decoder = SniffingDecoder()
    >>> decoder.feed(b"["), decoder.feed(b'{"a": 1}]'), decoder.close()
    ([], [{'a': 1}], [])
    """

    def __init__(self, kind: Any = dict, *, max_record: int = MAX_RECORD, skip: int = 0) -> None:
        self._options = {"max_record": max_record, "skip": skip}
        self._kind = kind
        self._max_record = max_record
        self._head = bytearray()  # what came before the format was clear
        self._awaits = _Awaits.TEXT
        self._chosen: Decoder | None = None
        NdjsonDecoder(kind, **self._options)  # refuses wrong arguments now, not in the middle of a body

    @property
    def records(self) -> int:
        """Records seen so far, the bad and the skipped ones included."""
        return self._chosen.records if self._chosen else 0

    @property
    def too_long(self) -> int:
        """Bad records so far of which the dead letter keeps only the beginning."""
        return self._chosen.too_long if self._chosen else 0

    @property
    def broken(self) -> DeadLetter | None:
        """Why the rest of the body cannot be read."""
        return self._chosen.broken if self._chosen else None

    def feed(self, chunk: bytes) -> list[Record]:
        """Take the next bytes and give the records they complete."""
        if self._chosen is None:
            chunk = self._choose(chunk)
        return self._chosen.feed(chunk) if self._chosen else []

    def close(self) -> list[Record]:
        """End the body and give its last records."""
        if self._chosen is None:
            decoder = self._open("lines")
            return decoder.feed(bytes(self._head)) + decoder.close()
        return self._chosen.close()

    def take_dead(self) -> list[DeadLetter]:
        """Hand over the dead letters since the last call."""
        return self._chosen.take_dead() if self._chosen else []

    def _choose(self, chunk: bytes) -> bytes:
        """Choose the format once that is clear, and give the bytes that were held back for it.

        All of them are looked at where a byte came that may tell something, at most a few times: time is linear.
        """
        self._head += chunk
        telling = chunk.strip(_BLANK) if self._awaits is _Awaits.TEXT else b"\n" in chunk
        if not telling and len(self._head) <= self._max_record + len(BOM):
            return b""
        head = bytes(self._head[: self._max_record + len(BOM) + 1])
        if chosen := sniff(head, self._max_record):
            self._open(chosen)
            return bytes(self._head)
        begun = len(head) >= len(BOM) and head.removeprefix(BOM).lstrip(_BLANK)
        self._awaits = _Awaits.NEWLINE if begun and b"\n" not in begun else _Awaits.TEXT
        return b""

    def _open(self, chosen: Format) -> Decoder:
        self._chosen = _FORMATS[chosen](self._kind, **self._options)
        return self._chosen
