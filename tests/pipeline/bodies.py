"""Bodies good and bad, ways to cut them, and oracles that read them whole."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

from hypothesis import strategies as st

from arion_lib.pipeline.batch import DeadLetter
from arion_lib.pipeline.decoder import Decoder

Outcome = tuple[list[Any], list[DeadLetter], int, DeadLetter | None]

BAD_TEXTS = [
    b'{"a": 1',
    b'{"a": nope}',
    b'{"a": NaN}',
    b'{"a": Infinity}',
    b'{"a": 1e400}',
    b'{"a": -1e400}',
    b'{"a": "\\ud800"}',
    b'{"a": "\xff"}',
    b'{"\xc3": 1}',
    b'{"a": "\x01"}',
    b'{"a": 1}{"a": 2}',
    b'{"a": 1} {"a": 2}',
    b'{"a": 1,}',
    b'{"a": [1, 2}',
    b'{"a": "\\"}',
    b'"a"',
    b"null",
    b"17",
    b"[]",
    b'[{"a": 1}]',
    b"}",
    b"\xef\xbb\xbf{}",
    b'{"a": 01}',
    b'{"a": ' + b"1" * 5_000 + b"}",
]
"""Texts that are no record, whatever stands around them on other lines."""

_names = st.sampled_from(["a", "b", "amount", 'q"', "ü", "]", "},{"])
_scalars = (
    st.sampled_from([None, True, False, 0, -1, 2**70, 0.1, -2.5e-300, "", "ü😀", '\\"', "\n", "},{", "\ud800"])
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6)
)
_objects = st.dictionaries(_names, _scalars, max_size=2)
_values = _scalars | st.lists(_scalars, max_size=3) | st.lists(_objects, max_size=2)
records = st.dictionaries(_names | st.text(max_size=3), _values, max_size=3)


def _dump(record: Any, ascii_only: bool, spaced: bool) -> bytes:
    separators = (", ", ": ") if spaced else (",", ":")
    # A lone surrogate can only be written escaped; it is a bad record then.
    text = json.dumps(record, ensure_ascii=ascii_only, separators=separators)
    return text.encode(errors="surrogatepass")


good_texts = st.builds(_dump, records, st.booleans(), st.booleans())
texts = good_texts | good_texts | st.sampled_from(BAD_TEXTS[:-1])


@st.composite
def line_bodies(draw: st.DrawFn) -> bytes:
    """A body of lines: records, bad ones, blank lines, both line ends, perhaps a BOM, perhaps cut short or damaged."""
    lines = draw(st.lists(texts | st.sampled_from([b"", b"  ", b"\t"]), max_size=12))
    ends = draw(st.lists(st.sampled_from([b"\n", b"\r\n"]), min_size=len(lines), max_size=len(lines)))
    body = b"".join(line + end for line, end in zip(lines, ends, strict=True))
    return _damage(draw, draw(st.sampled_from([b"", b"", b"\xef\xbb\xbf"])) + body)


@st.composite
def array_bodies(draw: st.DrawFn) -> bytes:
    """An array: records, bad ones, different separators, perhaps cut short or damaged."""
    elements = draw(st.lists(texts, max_size=12))
    separator = draw(st.sampled_from([b",", b", ", b",\n  ", b"\r\n,"]))
    before, behind = draw(st.sampled_from([(b"[", b"]"), (b" [ ", b"\n]\n"), (b"\xef\xbb\xbf[", b"]"), (b"[", b"")]))
    return _damage(draw, before + separator.join(elements) + behind)


def _damage(draw: st.DrawFn, body: bytes) -> bytes:
    kind = draw(st.sampled_from(["none", "none", "cut", "byte"]))
    if kind == "none" or not body:
        return body
    at = draw(st.integers(0, len(body) - 1))
    return body[:at] if kind == "cut" else body[:at] + draw(st.binary(max_size=1)) + body[at + 1 :]


def cuts(body: bytes, points: Iterable[int]) -> list[bytes]:
    """Cut a body at the given points (taken modulo its length, so that any list of numbers will do)."""
    edges = [0, *sorted(point % (len(body) + 1) for point in points), len(body)]
    return [body[a:b] for a, b in itertools.pairwise(edges)]


def single_bytes(body: bytes) -> list[bytes]:
    """Cut a body into its bytes."""
    return [body[index : index + 1] for index in range(len(body))]


def decode(decoder: Decoder, chunks: Iterable[bytes]) -> Outcome:
    """Feed all chunks and tell all that came out."""
    out: list[Any] = []
    for chunk in chunks:
        out += decoder.feed(chunk)
    out += decoder.close()
    return out, decoder.take_dead(), decoder.records, decoder.broken


def read_whole(text: bytes) -> dict[str, Any] | None:
    """The oracle: one record by `json.loads`, or None when it is not one by our rules."""
    try:
        value = json.loads(text.decode(), parse_constant=_refuse, parse_float=_finite)
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def read_lines_whole(body: bytes) -> tuple[list[dict[str, Any]], list[tuple[int, int]]]:
    """The oracle for lines: the records, and (number, offset) of each bad one."""
    good: list[dict[str, Any]] = []
    bad: list[tuple[int, int]] = []
    offset = 3 if body.startswith(b"\xef\xbb\xbf") else 0
    for line in body[offset:].split(b"\n"):
        if line.strip(b" \t\r"):
            record = read_whole(line)
            if record is None:
                bad.append((len(good) + len(bad) + 1, offset))
            else:
                good.append(record)
        offset += len(line) + 1
    return good, bad


def _refuse(constant: str) -> float:
    raise ValueError(constant)


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(text)
    return number


def naive_lines(chunks: Sequence[bytes]) -> list[Any]:
    """The foil: takes each chunk for whole lines."""
    found = []
    for chunk in chunks:
        for line in chunk.split(b"\n"):
            record = read_whole(line)
            if record is not None:
                found.append(record)
    return found
