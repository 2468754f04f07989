"""The format is the content type's or the first bytes', never an accident of the chunks."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from arion_lib.pipeline.formats.arrays import ArrayDecoder
from arion_lib.pipeline.formats.documents import ObjectDecoder, PathDecoder
from arion_lib.pipeline.formats.records import SniffingDecoder, open_decoder, sniff
from arion_lib.pipeline.ndjson import NdjsonDecoder
from tests.pipeline.bodies import array_bodies, cuts, decode, line_bodies, records, single_bytes
from tests.selection import examples


@given(line_bodies() | array_bodies(), st.lists(st.integers(0, 10_000), max_size=4))
@settings(max_examples=examples(200), deadline=None)
@example(body=b'{"a": 1\n}\n{"a": null, "": null, "b": -1.3407807929860961e+154, "c": 12}\n', points=[])
def test_any_cutting_gives_the_records_and_dead_letters_of_the_whole_body(body: bytes, points: list[int]) -> None:
    for options in ({}, {"max_record": 64}):
        whole = decode(SniffingDecoder(**options), [body])
        assert decode(SniffingDecoder(**options), cuts(body, points)) == whole
        assert decode(SniffingDecoder(**options), single_bytes(body)) == whole


@given(st.lists(records, min_size=2), st.sampled_from([b"", b"\xef\xbb\xbf", b"\r\n "]))
def test_each_format_is_recognised(written: list[object], before: bytes) -> None:
    lines = before + b"\n".join(json.dumps(record).encode() for record in written)
    assert decode(SniffingDecoder(), [lines]) == decode(NdjsonDecoder(), [lines])
    array = before + json.dumps(written).encode()
    assert decode(SniffingDecoder(), [array]) == decode(ArrayDecoder(), [array])


def test_one_object_printed_over_lines_is_one_record() -> None:
    body = json.dumps({"a": {"b": [1, 2]}}, indent=2).encode()
    assert decode(SniffingDecoder(), single_bytes(body)) == decode(ObjectDecoder(), [body])
    assert decode(NdjsonDecoder(), [body])[0] == []  # the control: lines would lose it


def test_a_first_line_cut_short_does_not_make_lines_an_object() -> None:
    found, dead, _, _ = decode(SniffingDecoder(), single_bytes(b'{"a": \n{"a": 1}\n{"a": 2}\n'))
    assert found == [{"a": 1}, {"a": 2}]
    assert len(dead) == 1


def test_nothing_is_sniffed_from_a_first_line_that_goes_on() -> None:
    assert sniff(b'{"a": 1') is None
    assert sniff(b'{"a": "' + b"x" * 100, max_record=64) == "lines"


class Counted(bytearray):
    """A held head that counts its bytes each time that all of it is looked at."""

    looked_at = 0

    def __getitem__(self, place: Any) -> Any:
        self.looked_at += len(self)
        return super().__getitem__(place)

    def __contains__(self, part: Any) -> bool:
        self.looked_at += len(self)
        return super().__contains__(part)

    def strip(self, *what: Any) -> Any:
        self.looked_at += len(self)
        return super().strip(*what)


@pytest.mark.parametrize("head", [b"", b"\n", b'{"a":', b'{"a":\n', b"\xef\xbb\xbf", b"\xef\xef\xef", b"\xef\xbb\xbf{"])
@pytest.mark.parametrize("filler", [b" ", b"\r"])
def test_a_body_that_does_not_tell_its_format_for_long_is_looked_at_a_few_times(head: bytes, filler: bytes) -> None:
    body = head + filler * 40_000 + b'\n{"a": 1}\n'
    decoder = SniffingDecoder()
    decoder._head = held = Counted()
    for chunk in single_bytes(body):
        decoder.feed(chunk)
    assert held.looked_at < 8 * len(body)
    assert decode(SniffingDecoder(), single_bytes(body)) == decode(SniffingDecoder(), [body])


@pytest.mark.parametrize(
    ("content_type", "kind"),
    [
        ("application/x-ndjson", NdjsonDecoder),
        ("Application/JSONL; charset=utf-8", NdjsonDecoder),
        ("application/json", SniffingDecoder),
        ("application/cloudevents-batch+json", SniffingDecoder),
        (None, SniffingDecoder),
    ],
)
def test_the_content_type_decides_where_it_says_something(content_type: str | None, kind: type) -> None:
    assert type(open_decoder(content_type)) is kind


def test_a_path_makes_the_body_a_document() -> None:
    decoder = open_decoder("application/json", path="events.item")
    assert type(decoder) is PathDecoder
    assert decode(decoder, [b'{"events": [{"a": 1}]}'])[0] == [{"a": 1}]


@pytest.mark.parametrize(("content_type", "path"), [("text/csv", ""), ("application/x-ndjson", "events.item")])
def test_what_cannot_be_decoded_is_refused_before_a_byte_is_read(content_type: str, path: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        open_decoder(content_type, path=path)
    with pytest.raises(ValueError, match="max_record must be"):
        open_decoder(max_record=1)
