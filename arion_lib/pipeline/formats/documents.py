"""Records that lie somewhere inside one JSON document, and a document that is one record.

Idea        `ijson` turns a document into events; they tell where the array at a path begins. Its elements are then read
            as those of any array, and ijson goes on behind it.
Invariant   The same records and places for any cutting into chunks; live memory is one chunk and one record, and time
            is linear, whatever stands around the records: ijson is given no more than the beginning of a long string.
When wrong  What is at the path but is not a record becomes a dead letter; where the document is no JSON, what came
            before is kept and `broken` says where (around the records: in which piece of what was fed).
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_documents.py
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import ijson  # type: ignore[import-untyped]

from arion_lib.pipeline.batch import RAW_LIMIT, Record
from arion_lib.pipeline.decoder import BAD_RECORD, BOM, MAX_RECORD, Ledger, parser, strictly
from arion_lib.pipeline.formats.arrays import ArrayDecoder, Place
from arion_lib.pipeline.formats.nesting import shallow
from arion_lib.pipeline.projection import split_path

TOKEN = 1_024
"""Bytes of a string around the records that are looked at: a member's name on the path is shorter."""

_QUOTE, _BACKSLASH, _U = b'"\\u'
_WORDS = b"+-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_WORD = re.compile(rb"[-+.0-9A-Za-z]*")
_INSIDE = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
# Strings and words that are short, and what stands between them; possessive, so that it costs no memory.
_SHORT = re.compile(
    rb'(?:[^-+.0-9A-Za-z"]++|[-+.0-9A-Za-z]{1,%d}+(?![-+.0-9A-Za-z])|"(?:[^"\\]|\\.){0,%d}+")*+' % (TOKEN, TOKEN // 6),
    re.DOTALL,
)

PIECE = 16_384
"""Bytes that ijson is given at once: it makes events of about fifty times their size."""

_SCALARS = frozenset({"boolean", "double", "integer", "null", "number", "string"})

_ARRAY, _NAMED_ARRAY = re.compile(rb"\["), re.compile(rb'"[ \t\r\n]*+:[ \t\r\n]*+\[')

MAX_DEPTH = 256
"""Brackets that may be open around the records of a document."""


def slow_backend() -> str | None:
    """Say what is wrong with ijson's backend on this machine, or None when it is the one in C.

    >>> slow_backend() is None or "yajl2_c" in slow_backend()
    True
    """
    if ijson.backend == "yajl2_c":
        return None
    return f"ijson runs its {ijson.backend!r} backend, many times slower than 'yajl2_c': install a wheel of ijson"


class Shortener:
    r"""Leave out the rest of a long string, so that a parser which gathers a whole string never has to.

    What is left out is not looked at, except for its end. A number or a word of more than `TOKEN` bytes is refused.

    >>> shortener = Shortener()
    >>> shortener.step(b'{"a": [1]}', 0), shortener.inside
    ((10, b'{"a": [1]}'), False)
    """

    def __init__(self) -> None:
        self.inside = False  # of a string
        self._length = 0  # bytes so far of the string, or of the number or word, that the text ended in
        self._escape = 0  # bytes to come of an escape
        self._skipping = False

    def step(self, text: bytes, at: int) -> tuple[int, bytes]:
        """Go some way into the text from `at`: return where that ends, and what is kept of it. Raises ValueError."""
        if self._skipping:
            end = self._to_end(text, at)
            return end, b"" if self.inside else b'"'
        end = self._some(text, at) if self.inside else self._to_string(text, at)
        return end, text[at:end]

    def _to_string(self, text: bytes, at: int) -> int:
        """Go on to the end of the text, or into a string that is long or ends in a later text."""
        word = _WORD.match(text, at).end()  # type: ignore[union-attr]  # no word is one, too
        self._length += word - at if self._length else 0
        end = _SHORT.match(text, at).end()  # type: ignore[union-attr]  # nothing is short, too
        if self._length > TOKEN or (end < len(text) and text[end] != _QUOTE):
            raise ValueError(f"a number or word around the records must have at most {TOKEN} bytes, and has more")
        if end == len(text):
            if not (self._length and word == end):  # another word than the one that the text began in
                last = text[max(at, end - TOKEN) : end]
                self._length = len(last) - len(last.rstrip(_WORDS))
            return end
        self.inside, self._length = True, 0
        return end + 1

    def _some(self, text: bytes, at: int) -> int:
        """Go on to the end of the string, or of what is kept of it: never inside of a character or an escape."""
        while at < len(text):
            byte = text[at]
            if self._escape:
                self._escape += 3 if byte == _U and self._escape == 1 else -1
            elif byte == _QUOTE:
                self.inside, self._length = False, 0
                return at + 1
            elif self._length >= TOKEN and byte & 0xC0 != 0x80:
                self._skipping = True
                return at
            elif byte == _BACKSLASH:
                self._escape = 1
            self._length += 1
            at += 1
        return at

    def _to_end(self, text: bytes, at: int) -> int:
        """Go on behind the quote that ends the string, or to the end of the text."""
        end = _INSIDE.match(text, at + self._escape).end()  # type: ignore[union-attr]  # nothing is inside, too
        self._escape = int(end < len(text) and text[end] == _BACKSLASH)
        if end < len(text) and text[end] == _QUOTE:
            self.inside = self._skipping = False
            self._length = 0
        return min(end + 1, len(text))


class PathFinder:
    """Find the arrays at a path of a document: `a.b.item` are the elements of the array `b` of the object `a`.

    `feed` it text; it says behind which byte an array at the path begins, and goes on behind that array once it is
    told that it `passed` it. Cost: ijson's, in C, and two calls for each `[` that may begin such an array.

    >>> finder = PathFinder("events.item")
    >>> finder.feed(b'{"source": [1], "events": [{"a": 1}]}')
    27
    """

    def __init__(self, path: str) -> None:
        if len(path.encode()) >= TOKEN:
            raise ValueError(f"path must have less than {TOKEN} bytes, got {path[:60]!r}...")
        *self._target, last = split_path(path)
        if last != "item":
            raise ValueError(f"path must end in .item, the elements of an array, got {path!r}")
        # Elements of elements have no name before them; a name may be written with six bytes for each of its own.
        self._name = self._target[-1].encode() if self._target and self._target[-1] != "item" else b""
        self._longest = 6 * len(self._name)
        self._events: list[tuple[str, Any]] = ijson.sendable_list()
        self._parse = ijson.basic_parse_coro(self._events)
        self._shorten = Shortener()
        self._names: list[str] = []  # of the members we are in: a key for each open object, "item" for each open array
        self.seen = False  # whether an array was found at all

    def feed(self, text: bytes) -> int:
        """Take the next bytes; give the index behind the `[` of an array at the path, or -1.

        Raises ValueError where the document is no JSON or nested more than MAX_DEPTH deep.
        """
        at = 0
        for stop in self._stops(text):
            if stop > at:
                self._send(self._kept(text[at : stop - 1]))
                # Sent on its own, a `[` says by its events whether the array that begins here is ours.
                if self._send(self._kept(text[stop - 1 : stop])):
                    return stop
                at = stop
        self._send(self._kept(text[at:] if at else text))
        return -1

    def _stops(self, text: bytes) -> Iterator[int]:
        """Give the places behind each `[` that may begin an array at the path, and behind some others."""
        if not self._name:
            yield from (found.end() for found in _ARRAY.finditer(text))
            return
        if self._names == self._target:  # its name came in the text before
            yield text.find(b"[") + 1
        for found in _NAMED_ARRAY.finditer(text):
            start = found.start()
            name = text[max(0, start - self._longest) : start]
            # Perhaps the name began in the text before, perhaps it is written with escapes: ijson tells.
            if name.endswith(self._name) or len(name) < self._longest or b"\\" in name:
                yield found.end()

    def _kept(self, text: bytes) -> bytes:
        """Return what is left of a text where its long strings are shortened."""
        at, kept = 0, []
        while at < len(text):
            at, some = self._shorten.step(text, at)
            kept.append(some)
        return b"".join(kept)

    def passed(self) -> None:
        """Go on behind the array that was found: its elements and its `]` were read by somebody else."""
        self._send(b"]")

    def close(self) -> None:
        """Say that the document has ended. Raises ValueError when it may not end here."""
        try:
            self._parse.close()
        except (ijson.JSONError, UnicodeDecodeError) as error:
            raise ValueError(_one_line(error)) from error

    def _send(self, piece: bytes) -> bool:
        """Give ijson a piece; say whether an array at the path begins in it."""
        found = False
        for at in range(0, len(piece), PIECE):  # never an empty one, which ijson would take for the end
            try:
                self._parse.send(piece[at : at + PIECE])
            except (ijson.JSONError, UnicodeDecodeError) as error:
                raise ValueError(_one_line(error)) from error
            for event, value in self._events:
                if event not in _SCALARS:
                    found = self._step(event, value) or found
            self._events.clear()
        return found

    def _step(self, event: str, value: Any) -> bool:
        if event == "map_key":
            self._names[-1] = value
        elif event.startswith("end_"):
            self._names.pop()
        elif event.startswith("start_"):
            found = event == "start_array" and self._names == self._target
            self.seen = self.seen or found
            self._names.append("item" if event == "start_array" else "")
            if len(self._names) > MAX_DEPTH:
                raise ValueError(f"a document must be nested at most {MAX_DEPTH} deep around its records")
            return found
        return False


class PathDecoder(ArrayDecoder):
    """Decode the elements of the arrays at a path of a JSON document, fed in chunks.

    The other parameters are those of `NdjsonDecoder`. What stands around the arrays is read by ijson and forgotten, the
    elements are read as an `ArrayDecoder` reads them, and as fast. A document without such an array is `broken`.

    >>> decoder = PathDecoder("events.item", dict)
    >>> decoder.feed(b'{"source": "shop", "events": [{"a": 1}, {"a"'), decoder.feed(b': 2}, 3]}'), decoder.close()
    ([{'a': 1}], [], [{'a': 2}])
    >>> decoder.take_dead()
    [DeadLetter(record=3, offset=50, reason='Expected `object`, got `int`', raw=b'3')]
    """

    def __init__(self, path: str, kind: Any = dict, *, max_record: int = MAX_RECORD, skip: int = 0) -> None:
        super().__init__(kind, max_record=max_record, skip=skip)
        self._path = path
        self._finder = PathFinder(path)

    def _enter(self, final: bool) -> bool:
        if not self._skip_bom(final):
            return False
        try:
            self._find_array(final)
        except ValueError as error:
            self._break(self._offset, str(error), bytes(self._text))
        return self._place is Place.INSIDE

    def _find_array(self, final: bool) -> None:
        if self._place is Place.BEHIND:
            self._place = Place.BEFORE
            self._finder.passed()
        behind = self._finder.feed(bytes(self._text))
        if behind >= 0:
            self._go_inside(behind)
            return
        self._consume(len(self._text))
        if final and self._offset:
            self._finder.close()
            if not self._finder.seen:
                raise ValueError(f"the document has no array at {self._path.removesuffix('.item')!r}")


class ObjectDecoder(Ledger):
    r"""Decode a body that is one JSON object, printed over as many lines as it likes, up to `max_record` bytes.

    >>> decoder = ObjectDecoder(dict)
    >>> decoder.feed(b'{\n  "a": 1'), decoder.feed(b'\n}\n'), decoder.close()
    ([], [], [{'a': 1}])
    """

    def __init__(self, kind: Any = dict, *, max_record: int = MAX_RECORD, skip: int = 0) -> None:
        super().__init__(max_record, skip)
        self._parse = strictly(shallow(parser(kind)), max_record)
        self._text = bytearray()

    def feed(self, chunk: bytes) -> list[Record]:
        """Take the next bytes; the record comes at the end."""
        self._check_open()
        if len(self._text) <= max(self._max_record, RAW_LIMIT):  # what a dead letter keeps, however it was cut
            self._text += chunk
        return []

    def close(self) -> list[Record]:
        """End the body and give its record."""
        if self._closed:
            return []
        self._closed = True
        raw = bytes(self._text.removeprefix(BOM)).rstrip(b" \t\r\n")
        if not raw:
            return []
        try:
            return self._accept([self._parse(raw)])
        except BAD_RECORD as error:
            self._refuse(0, error, raw)
            return []


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
