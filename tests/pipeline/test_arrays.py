"""One huge array: any cutting gives the same, bad elements are told with their place, memory is bounded."""

from __future__ import annotations

import io
import json
import re
from decimal import Decimal
from typing import Any

import ijson  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arion_lib.pipeline.formats.arrays import ArrayDecoder
from arion_lib.pipeline.projection import projection
from tests.pipeline.bodies import BAD_TEXTS, array_bodies, cuts, decode, read_whole, records, single_bytes
from tests.selection import examples

CLOSED_BAD_TEXTS = [
    text
    for text in BAD_TEXTS
    if text.count(b"{") == text.count(b"}") and text.count(b"[") == text.count(b"]") and text != b'{"a": "\\"}'
]
"""Bad elements whose brackets and quotes are in balance, so that the array goes on behind them."""


@given(array_bodies(), st.lists(st.integers(0, 10_000), max_size=8))
@settings(max_examples=examples(300), deadline=None)
def test_any_cutting_gives_the_records_and_dead_letters_of_the_whole_body(body: bytes, points: list[int]) -> None:
    whole = decode(ArrayDecoder(), [body])
    assert decode(ArrayDecoder(), cuts(body, points)) == whole
    assert decode(ArrayDecoder(), single_bytes(body)) == whole


@given(array_bodies(), st.lists(st.integers(0, 10_000), max_size=8))
@settings(max_examples=examples(150), deadline=None)
def test_any_cutting_gives_the_same_when_elements_are_too_long(body: bytes, points: list[int]) -> None:
    whole = decode(ArrayDecoder(max_record=64), [body])
    assert decode(ArrayDecoder(max_record=64), cuts(body, points)) == whole
    assert decode(ArrayDecoder(max_record=64), single_bytes(body)) == whole


@given(st.lists(records), st.sampled_from([(",", ":"), (", ", ": "), (",\n ", ": ")]), st.booleans())
@settings(max_examples=examples(200), deadline=None)
def test_records_are_those_of_json_loads_and_of_ijson(
    written: list[dict[str, Any]], separators: tuple[str, str], ascii_only: bool
) -> None:
    texts = [json.dumps(record, separators=separators, ensure_ascii=ascii_only) for record in written]
    body = f"[{separators[0].join(texts)}]".encode(errors="surrogatepass")
    found, dead, count, broken = decode(ArrayDecoder(), [body])
    expected = [read_whole(text.encode(errors="surrogatepass")) for text in texts]
    assert found == [record for record in expected if record is not None]
    assert count == len(written)
    assert len(dead) == expected.count(None)
    assert broken is None
    if not dead:
        assert found == json.loads(body)
        assert found == [_as_float(item) for item in ijson.items(io.BytesIO(body), "item")]


def _as_float(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_float(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_as_float(inner) for inner in value]
    return float(value) if isinstance(value, Decimal) else value


@given(st.lists(records, min_size=1, max_size=6), st.integers(0, 10_000))
@settings(deadline=None)
def test_an_array_cut_short_keeps_all_elements_that_ended_before_the_cut(written: list[Any], point: int) -> None:
    written = [record for record in written if read_whole(json.dumps(record).encode()) is not None]
    texts = [json.dumps(record) for record in written]
    body = f"[{','.join(texts)}]".encode()
    cut = point % len(body)
    found, _, _, broken = decode(ArrayDecoder(), [body[:cut]])
    ends = [1 + sum(len(text) + 1 for text in texts[: index + 1]) - 1 for index in range(len(texts))]
    assert found == [record for record, end in zip(written, ends, strict=True) if end <= cut]
    assert (broken is None) == (cut == 0)
    if broken:
        assert 0 <= broken.offset <= cut
        assert broken.record == len(found) + 1


def test_an_array_of_many_elements_is_read_a_block_at_a_time_with_the_same_result() -> None:
    written = [{"id": n, "items": [{"sku": "},{" + str(n)}, {"sku": "b"}], "text": 'a "q" \\ ü'} for n in range(3_000)]
    for separators in ((",", ":"), (",\n  ", ": ")):
        body = json.dumps(written, separators=separators, ensure_ascii=False).encode()
        for size in (1_000, 65_536, len(body)):
            found, dead, count, broken = decode(ArrayDecoder(), cuts(body, range(0, len(body), size)))
            assert (found, dead, count, broken) == (written, [], 3_000, None)


def test_elements_whose_inner_objects_look_like_elements_are_not_cut_inside() -> None:
    # The guess for a boundary, `},{"id"`, is wrong inside each element.
    written = [{"id": n, "parts": [{"id": 1}, {"id": 2}, {"id": 3}]} for n in range(5_000)]
    body = json.dumps(written, separators=(",", ":")).encode()
    found, dead, count, _ = decode(ArrayDecoder(projection(["id"])), cuts(body, range(0, len(body), 65_536)))
    assert [record.id for record in found] == list(range(5_000))
    assert (dead, count) == ([], 5_000)
    assert len(re.findall(rb'\},\{"id"', body)) > 14_000  # the control: cutting there would give three times as many


@pytest.mark.parametrize("bad", CLOSED_BAD_TEXTS)
def test_a_bad_element_is_one_dead_letter_and_its_neighbours_are_read(bad: bytes) -> None:
    before = b'[{"n": 1},'
    body = before + bad + b',{"n": 2},{"n": 3}]'
    for chunks in ([body], single_bytes(body)):
        found, dead, count, broken = decode(ArrayDecoder(), chunks)
        assert found == [{"n": 1}, {"n": 2}, {"n": 3}]
        assert [(letter.record, letter.offset) for letter in dead] == [(2, len(before))]
        assert dead[0].raw == bad
        assert (count, broken) == (4, None)


@pytest.mark.parametrize("bad", [b'{"a": 1', b'{"a": [1, 2}', b'{"a": "\\"}'])
def test_a_malformed_array_keeps_what_came_before_and_says_where_it_is(bad: bytes) -> None:
    body = b'[{"n": 1},{"n": 2},' + bad + b',{"n": 3}]'
    for chunks in ([body], single_bytes(body)):
        found, dead, count, broken = decode(ArrayDecoder(), chunks)
        assert found == [{"n": 1}, {"n": 2}]
        assert broken is not None
        assert dead == [broken]
        assert (broken.record, broken.offset, count) == (3, 19, 2)
        assert broken.raw.startswith(bad)


def test_what_follows_the_array_breaks_it_and_blanks_do_not() -> None:
    assert decode(ArrayDecoder(), [b'[{"a": 1}] \r\n\t'])[3] is None
    found, _, _, broken = decode(ArrayDecoder(), [b'[{"a": 1}] x'])
    assert found == [{"a": 1}]
    assert broken is not None
    assert broken.offset == 11
    assert "nothing may follow" in broken.reason


def test_a_body_that_is_no_array_is_broken_at_its_first_byte() -> None:
    _, _, count, broken = decode(ArrayDecoder(), [b'  {"a": 1}'])
    assert broken is not None
    assert (broken.offset, count) == (2, 0)


def test_empty_bodies_and_empty_arrays_hold_no_records() -> None:
    for body in (b"", b"  \n", b"\xef\xbb\xbf", b"[]", b" [ \n ] ", b"\xef\xbb\xbf[]"):
        assert decode(ArrayDecoder(), [body]) == ([], [], 0, None)
        assert decode(ArrayDecoder(), single_bytes(body)) == ([], [], 0, None)


@pytest.mark.parametrize(("body", "place"), [(b'[{"a": 1},]', 10), (b'[,{"a": 1}]', 1), (b'[{"a": 1},,{"a": 1}]', 10)])
def test_a_missing_element_is_a_dead_letter(body: bytes, place: int) -> None:
    found, dead, _, broken = decode(ArrayDecoder(), [body])
    assert found[0] == {"a": 1}
    assert [letter.offset for letter in dead] == [place]
    assert broken is None


def test_an_element_over_the_limit_is_one_dead_letter_and_reading_goes_on_behind_it() -> None:
    body = b'[{"a": 1}, {"a": "' + b"x],[" * 1_000 + b'"}, {"a": 2}]'
    for chunks in ([body], cuts(body, range(0, len(body), 100)), single_bytes(body)):
        found, dead, count, broken = decode(ArrayDecoder(max_record=100), chunks)
        assert (found, count, broken) == ([{"a": 1}, {"a": 2}], 3, None)
        assert [(letter.record, letter.offset) for letter in dead] == [(2, 11)]
        assert "at most 100 bytes" in dead[0].reason


def test_nesting_of_a_hundred_thousand_is_a_dead_letter() -> None:
    deep = b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    found, dead, count, broken = decode(ArrayDecoder(), cuts(b"[" + deep + b', {"b": 1}]', range(0, 200_000, 4_096)))
    assert (found, count, broken) == ([{"b": 1}], 2, None)
    assert dead[0].reason == "nested too deeply"


@given(array_bodies(), st.integers(0, 15), st.lists(st.integers(0, 10_000), max_size=4))
@settings(deadline=None)
def test_skipping_gives_what_comes_behind_the_first_records(body: bytes, skip: int, points: list[int]) -> None:
    good, dead, count, broken = decode(ArrayDecoder(), [body])
    found, letters, again, _ = decode(ArrayDecoder(skip=skip), cuts(body, points))
    bad_before = sum(letter.record <= skip for letter in dead if letter is not broken)
    assert found == good[max(0, skip - bad_before) :]
    assert letters == [letter for letter in dead if letter.record > skip or letter == broken]
    assert again == count


def test_a_closed_decoder_says_so() -> None:
    decoder = ArrayDecoder()
    decoder.close()
    assert decoder.close() == []
    with pytest.raises(ValueError, match="make a new one"):
        decoder.feed(b"[]")


@given(array_bodies(), st.lists(st.integers(0, 10_000), max_size=8))
@settings(max_examples=examples(150), deadline=None)
def test_elements_are_kept_as_their_own_bytes_for_any_cutting(body: bytes, points: list[int]) -> None:
    whole = decode(ArrayDecoder(bytes), [body])
    assert decode(ArrayDecoder(bytes), cuts(body, points)) == whole
    assert all(row in body and row.startswith(b"{") and row.endswith(b"}") for row in whole[0])


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b"[", "behind 0 elements"),
        (b'[{"a": 1},', "behind 1 element"),
        (b'[{"a": 1}, {"a": 2}', "behind 2 elements"),
        (b'[{"a": 1}, {"a":', "in element 2 (Input data was truncated)"),
        (b"[1,2", "in element 2 (Expected `object`, got `int`)"),
        (b"[1, tru", "in element 2 (Input data was truncated)"),
    ],
)
def test_an_array_that_is_cut_off_says_so_where_and_what_to_do(body: bytes, where: str) -> None:
    for chunks in ([body], [body[at : at + 1] for at in range(len(body))]):
        broken = decode(ArrayDecoder(), chunks)[-1]
        assert broken is not None
        assert broken.reason == f"the array must end with ], got the body's end {where}: was it cut off? send all of it"
