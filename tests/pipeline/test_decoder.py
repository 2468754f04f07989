"""A record gets the same verdict whichever of its fields are wanted."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arion_lib.pipeline.decoder import block_parser, encode, parse, parser
from arion_lib.pipeline.ndjson import NdjsonDecoder
from arion_lib.pipeline.projection import projection
from tests.pipeline.bodies import BAD_TEXTS, cuts, decode, line_bodies, read_lines_whole, read_whole, records, texts
from tests.selection import examples

UNREAD = [text for text in BAD_TEXTS if b"e400" in text or len(text) > 4_300 or b"\xff" in text or b"\xc3" in text]
"""What is only refused where it is read: numbers that Python has no value for, and bytes that are no UTF-8."""


def verdict(kind: Any, text: bytes) -> bool:
    found, dead, count, _ = decode(NdjsonDecoder(kind), [b"\n" + text])
    assert len(found) + len(dead) == count <= 1
    return bool(found)


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


@pytest.mark.parametrize("text", BAD_TEXTS)
def test_a_bad_record_is_refused_even_where_nobody_reads_the_bad_field(text: bytes) -> None:
    assert verdict(dict, text) is False
    assert verdict(projection(["a"]), text) is (b"\xc3" in text)
    assert verdict(projection(["other"]), text) is (text in UNREAD)


@given(texts, st.binary(max_size=1), st.integers(0, 10_000))
@settings(max_examples=examples(300), deadline=None)
def test_a_damaged_record_gets_the_same_verdict_with_and_without_a_projection(
    text: bytes, byte: bytes, place: int
) -> None:
    at = place % (len(text) + 1)
    text = (text[:at] + byte + text[at + 1 :]).replace(b"\n", b" ")
    if b"e" not in text.lower() and _is_utf8(text):  # an exponent may be out of range
        assert verdict(projection(["other"]), text) == verdict(dict, text)
    assert verdict(dict, text) == (read_whole(text) is not None)


@given(st.lists(records))
def test_a_block_is_parsed_as_its_records_are(written: list[Any]) -> None:
    written = [record for record in written if read_whole(json.dumps(record).encode()) is not None]
    assert block_parser(dict)(json.dumps(written).encode()) == written
    assert [parser(dict)(json.dumps(record).encode()) for record in written] == written


def test_what_is_encoded_keeps_its_digits() -> None:
    record = {"a": Decimal("0.10"), "b": 2**70, "c": "ü"}
    assert encode(record) == '{"a":0.10,"b":1180591620717411303424,"c":"ü"}'.encode()


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b'{"a": "\\ud800"}', "half of a surrogate pair"),
        (b'{"a": "ok \xff"}', "not UTF-8: 0xff at byte 10"),
        ('{"a": 1}'.encode("utf-16"), "looks like UTF-16"),
        ('{"a": 1}'.encode("utf-16-le"), "looks like UTF-16"),
        ('{"a": 1}'.encode("utf-16-be"), "looks like UTF-16"),
        (gzip.compress(b"{}", mtime=0), "looks like gzip: send it with content-encoding: gzip"),
        (b'{"a": 1}{"a": 2}', "curl keeps newlines with --data-binary"),
        (b'{"a": 1', "truncated"),
    ],
)
def test_a_reason_says_what_is_wrong(raw: bytes, said: str) -> None:
    _, dead, _, _ = decode(NdjsonDecoder(), [raw.replace(b"\n", b"")])
    assert said in dead[0].reason


@given(line_bodies(), st.lists(st.integers(0, 10_000), max_size=5))
def test_parsing_as_a_stage_gives_records_and_dead_letters(body: bytes, points: list[int]) -> None:
    good, bad = read_lines_whole(body)
    dead: list[Any] = []
    assert list(parse(cuts(body, points), NdjsonDecoder(), dead.append)) == good
    assert [(letter.record, letter.offset) for letter in dead] == bad


def test_parsing_without_a_place_for_dead_letters_raises_instead_of_dropping() -> None:
    parsed = parse([b'{"a": 1}\nnope\n'], NdjsonDecoder())
    assert next(parsed) == {"a": 1}
    with pytest.raises(ValueError, match="record 2 at byte 9"):
        next(parsed)


def test_parsing_holds_one_chunk() -> None:
    taken = []

    def chunks() -> Iterator[bytes]:
        for number in range(5):
            taken.append(number)
            yield b'{"a": 1}\n' * 10

    parsed = parse(chunks(), NdjsonDecoder())
    for _ in range(11):
        next(parsed)
    assert taken == [0, 1]
