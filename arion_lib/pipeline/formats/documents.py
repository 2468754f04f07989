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

import contextlib
from itertools import chain, islice
from typing import Any

import ijson  # type: ignore[import-untyped]

from arion_lib.pipeline.batch import RAW_LIMIT, Record
from arion_lib.pipeline.decoder import BAD_RECORD, BOM, MAX_RECORD, Ledger, parser, strictly
from arion_lib.pipeline.formats.arrays import ArrayDecoder, Place
from arion_lib.pipeline.formats.brackets import Brackets
from arion_lib.pipeline.formats.nesting import shallow
from arion_lib.pipeline.formats.shortener import TOKEN, Shortener
from arion_lib.pipeline.projection import split_path

PIECE = 16_384
"""Bytes that ijson is given at once: it makes events of about fifty times their size."""

_STARTS = {"start_map": ("", b"{"), "start_array": ("item", b"[")}
_ENDS = frozenset({"end_map", "end_array"})

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


class PathFinder:
    """Find the arrays at a path of a document: `a.b.item` are the elements of the array `b` of the object `a`.

    `feed` it text; it says behind which byte an array at the path begins, and goes on behind that array once it is
    told that it `passed` it. Cost: ijson's, in C, and a short look at each object and array.

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
        self._brackets = Brackets(self._target[-1] if self._target else "item")
        self._events: list[tuple[str, Any]] = ijson.sendable_list()
        self._names: list[str] = []  # of the members we are in: a key for each open object, "item" for each open array
        self._open = bytearray()  # the brackets that began them
        self._begin()
        self.seen = False  # whether an array was found at all

    def _begin(self) -> None:
        self._parse = ijson.basic_parse_coro(self._events)
        self._shorten = Shortener()
        self._entered = False  # whether the last byte was a `[` that began an array

    def feed(self, text: bytes) -> int:
        """Take the next bytes; give the index behind the `[` of an array at the path, or -1.

        Raises ValueError where the document is no JSON or nested more than MAX_DEPTH deep.
        """
        at, many = 0, 1
        places = self._brackets.places(text, self._shorten, behind_name=self._names == self._target)
        # Most such arrays belong somewhere else: with each step that finds none of ours the next one is twice as long.
        while some := list(islice(places, many)):
            if len(some) == 1:
                if self._found(text[at : some[0]]):
                    return some[0]
            elif not self._passed_by(text[at : some[-1]]):
                places, many = chain(some, places), len(some) // 2
                continue
            at, many = some[-1], 2 * len(some) if self._entered else 1
        self._send(self._kept(text[at:] if at else text))
        return -1

    def _found(self, text: bytes) -> bool:
        """Send a text that ends in a `[`; say whether the array that begins there is ours.

        Sent on its own, a `[` says so by its events.
        """
        self._send(self._kept(text[:-1]))
        return self._send(self._kept(text[-1:]))

    def _passed_by(self, text: bytes) -> bool:
        """Send a text behind a `[` in which no array of ours begins. Where one does, or it is no JSON, take it back."""
        names, brackets = self._names.copy(), bytes(self._open)
        with contextlib.suppress(ValueError):  # of a record, say: it is none of ijson's business
            if not self._send(self._kept(text)):
                return True
        # ijson cannot be copied, but the beginning of a document that has the same brackets open is soon parsed.
        self._begin()
        self._events.clear()
        self._parse.send(brackets.replace(b"{", b'{"":'))
        self._events.clear()
        self._names, self._open, self._entered = names, bytearray(brackets), True
        return False

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
        except ijson.IncompleteJSONError as error:
            must = "the document must be whole JSON"
            raise ValueError(f"{must}, got a premature end: was it cut off? send all of it") from error
        except (ijson.JSONError, UnicodeDecodeError) as error:
            raise ValueError(_one_line(error)) from error

    def _send(self, piece: bytes) -> bool:
        """Give ijson a piece; say whether an array at the path begins in it."""
        for at in range(0, len(piece), PIECE):  # never an empty one, which ijson would take for the end
            try:
                self._parse.send(piece[at : at + PIECE])
            except (ijson.JSONError, UnicodeDecodeError) as error:
                raise ValueError(_one_line(error)) from error
            except ArithmeticError as error:  # Decimal's
                raise ValueError("a number around the records must have an exponent of at most 18 digits") from error
            found = self._step()
            self._entered = bool(self._events) and self._events[-1][0] == "start_array" and not self._shorten.inside
            self._events.clear()
            if found:
                return True
        return False

    def _step(self) -> bool:
        """Follow the events; say whether an array at the path begins in them."""
        names, found = self._names, False
        for event, value in self._events:
            if event == "map_key":
                names[-1] = value
            elif event in _STARTS:
                found = found or (event == "start_array" and names == self._target)
                names.append(_STARTS[event][0])
                self._open += _STARTS[event][1]
                if len(names) > MAX_DEPTH:
                    raise ValueError(f"a document must be nested at most {MAX_DEPTH} deep around its records")
            elif event in _ENDS:
                names.pop()
                self._open.pop()
        self.seen = self.seen or found
        return found


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
            self._break(self._offset, str(error), bytes(self._text), piece=True)
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
