"""Lines of JSON: any cutting gives the same, bad lines are told with their place, memory is bounded."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arion_lib.pipeline.batch import RAW_LIMIT
from arion_lib.pipeline.decoder import MAX_BAD
from arion_lib.pipeline.ndjson import NdjsonDecoder
from arion_lib.pipeline.projection import projection
from tests.pipeline.bodies import (
    BAD_TEXTS,
    cuts,
    decode,
    line_bodies,
    naive_lines,
    read_lines_whole,
    records,
    single_bytes,
)
from tests.selection import examples

BOM = b"\xef\xbb\xbf"


@given(line_bodies(), st.lists(st.integers(0, 10_000), max_size=8))
@settings(max_examples=examples(250), deadline=None)
def test_any_cutting_gives_the_records_and_dead_letters_of_the_whole_body(body: bytes, points: list[int]) -> None:
    whole = decode(NdjsonDecoder(), [body])
    assert decode(NdjsonDecoder(), cuts(body, points)) == whole
    assert decode(NdjsonDecoder(), single_bytes(body)) == whole


@given(line_bodies(), st.lists(st.integers(0, 10_000), max_size=8))
@settings(max_examples=examples(100), deadline=None)
def test_any_cutting_gives_the_same_when_lines_are_too_long(body: bytes, points: list[int]) -> None:
    whole = decode(NdjsonDecoder(max_record=64), [body])
    assert decode(NdjsonDecoder(max_record=64), cuts(body, points)) == whole
    assert decode(NdjsonDecoder(max_record=64), single_bytes(body)) == whole


@given(line_bodies())
@settings(max_examples=examples(250), deadline=None)
def test_records_and_places_are_those_of_json_loads_line_by_line(body: bytes) -> None:
    found, dead, count, broken = decode(NdjsonDecoder(), [body])
    good, bad = read_lines_whole(body)
    assert found == good
    assert [(letter.record, letter.offset) for letter in dead] == bad
    assert count == len(good) + len(bad)
    assert broken is None


@given(st.lists(records, min_size=1))
def test_what_was_written_is_read(written: list[dict[str, Any]]) -> None:
    body = "\n".join(json.dumps(record) for record in written).encode()
    found, dead, count, _ = decode(NdjsonDecoder(), [body])
    good = [record for record in written if _has_no_lone_surrogate(record)]
    assert found == good
    assert count == len(written)
    assert len(dead) == len(written) - len(good)


def _has_no_lone_surrogate(record: dict[str, Any]) -> bool:
    try:
        json.dumps(record, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def test_a_chunk_may_end_inside_a_character_a_string_a_line_end_and_a_bom() -> None:
    body = BOM + '{"name": "Jördis"}\r\n{"name": "😀 a, b"}\r\n'.encode()
    expected = [{"name": "Jördis"}, {"name": "😀 a, b"}]
    for point in range(len(body)):
        assert decode(NdjsonDecoder(), cuts(body, [point]))[:2] == (expected, [])


def test_reading_each_chunk_as_whole_lines_would_lose_records() -> None:
    body = b'{"a": 1}\n{"a": 2}\n'
    assert naive_lines([body]) == [{"a": 1}, {"a": 2}]
    assert naive_lines(cuts(body, [12])) == [{"a": 1}]  # the control
    assert decode(NdjsonDecoder(), cuts(body, [12]))[0] == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("bad", BAD_TEXTS)
def test_a_bad_line_is_one_dead_letter_and_its_neighbours_are_read(bad: bytes) -> None:
    body = b'{"n": 1}\n' + bad + b'\n{"n": 2}\n'
    found, dead, count, _ = decode(NdjsonDecoder(), [body])
    assert found == [{"n": 1}, {"n": 2}]
    assert [(letter.record, letter.offset, letter.raw) for letter in dead] == [(2, 9, bad)]
    assert count == 3


def test_an_object_over_two_lines_is_not_read_even_where_its_neighbours_would_make_up_the_count() -> None:
    body = b'{"a": 1} {"b": 2}\n{"c":\n3}\n'
    found, dead, count, _ = decode(NdjsonDecoder(), [body])
    assert (found, len(dead), count) == ([], 3, 3)


def test_an_empty_body_and_blank_lines_hold_no_records() -> None:
    for body in (b"", b"\n", b"\r\n\r\n", b"  \n\t\n", BOM, BOM + b"\n"):
        assert decode(NdjsonDecoder(), [body]) == ([], [], 0, None)


def test_only_the_first_byte_order_mark_is_passed_over() -> None:
    found, dead, _, _ = decode(NdjsonDecoder(), [BOM + b'{"a": 1}\n' + BOM + b'{"a": 2}\n'])
    assert found == [{"a": 1}]
    assert dead[0].offset == 12


def test_the_last_record_needs_no_newline_but_a_truncated_one_is_a_dead_letter() -> None:
    assert decode(NdjsonDecoder(), [b'{"a": 1}'])[0] == [{"a": 1}]
    found, dead, count, _ = decode(NdjsonDecoder(), [b'{"a": 1}\n{"a": 2'])
    assert (found, count) == ([{"a": 1}], 2)
    assert "truncated" in dead[0].reason


def test_of_duplicate_keys_the_last_one_counts() -> None:
    body = b'{"a": 1, "a": 2}'
    assert decode(NdjsonDecoder(), [body])[0] == [{"a": 2}]
    (record,) = decode(NdjsonDecoder(projection(["a"])), [body])[0]
    assert record.a == 2


def test_nesting_of_a_hundred_thousand_is_a_dead_letter() -> None:
    deep = b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    for kind in (dict, projection(["b"])):
        found, dead, count, _ = decode(NdjsonDecoder(kind), [deep + b'\n{"b": 1}\n'])
        assert len(found) == 1
        assert (count, dead[0].record, dead[0].reason) == (2, 1, "nested too deeply")
        assert dead[0].raw == deep


def test_a_line_over_the_limit_is_one_dead_letter_and_reading_goes_on_behind_it() -> None:
    body = b'{"a": 1}\n' + b"x" * 1_000 + b'\n{"a": 2}\n'
    for chunks in ([body], cuts(body, range(0, len(body), 100)), single_bytes(body)):
        found, dead, count, _ = decode(NdjsonDecoder(max_record=100), chunks)
        assert (found, count) == ([{"a": 1}, {"a": 2}], 3)
        assert [(letter.record, letter.offset) for letter in dead] == [(2, 9)]
        assert "at most 100 bytes" in dead[0].reason


LONG = b"x" * (RAW_LIMIT + 5_000)


@pytest.mark.parametrize("size", [1_000, RAW_LIMIT, RAW_LIMIT + 100, 10**6])
@pytest.mark.parametrize("ended", [True, False])
def test_lines_too_long_to_be_held_leave_their_heads_and_places_however_they_come(size: int, ended: bool) -> None:
    """Such a line is not held to its end: what stands on both sides of it is read as ever."""
    lines = [b'{"a": 1}', LONG, b'{"a": 2}', LONG, LONG, b"nonsense", b'{"a": 3}', LONG]
    body = b"\n".join(lines) + b"\n" * ended
    decoder = NdjsonDecoder(max_record=100)
    found, dead, count, broken = decode(decoder, [body[at : at + size] for at in range(0, len(body), size)])
    assert (found, count, broken) == ([{"a": 1}, {"a": 2}, {"a": 3}], 8, None)
    places = [sum(len(line) + 1 for line in lines[:before]) for before in (1, 3, 4, 5, 7)]
    assert [(letter.record, letter.offset) for letter in dead] == list(zip((2, 4, 5, 6, 8), places, strict=True))
    heads = [LONG[:RAW_LIMIT]] * 3 + [b"nonsense"] + [LONG[:RAW_LIMIT]]
    assert [letter.raw for letter in dead] == heads
    assert decoder.too_long == 4


def test_of_a_line_too_long_no_more_than_its_head_is_held() -> None:
    decoder = NdjsonDecoder(max_record=100)
    for _ in range(50):
        decoder.feed(b"x" * 500)
        assert len(decoder._line) <= RAW_LIMIT
    assert decoder.feed(b'\n{"a": 1}\n') == [{"a": 1}]
    assert [letter.raw for letter in decoder.take_dead()] == [b"x" * RAW_LIMIT]


@pytest.mark.parametrize("last", [b"1\n", LONG + b"\n"], ids=["short", "long"])
def test_nothing_more_is_read_of_a_body_that_was_given_up(last: bytes) -> None:
    decoder = NdjsonDecoder(max_record=100)
    decoder.feed(b"1\n" * MAX_BAD)
    assert decoder.broken is None
    for at in range(0, len(last), 1_000):
        decoder.feed(last[at : at + 1_000])
    assert decoder.broken is not None
    before = decoder.records, len(decoder.take_dead())
    assert before == (MAX_BAD + 1, MAX_BAD + 2)
    for chunk in (b'{"a": 1}\n', b'{"a"', b": 2}\n"):
        assert decoder.feed(chunk) == []
    assert (decoder.close(), decoder.records, decoder.take_dead()) == ([], MAX_BAD + 1, [])


@given(line_bodies(), st.integers(0, 15), st.lists(st.integers(0, 10_000), max_size=4))
@settings(deadline=None)
def test_skipping_gives_what_comes_behind_the_first_records(body: bytes, skip: int, points: list[int]) -> None:
    good, dead, count, _ = decode(NdjsonDecoder(), [body])
    found, letters, again, _ = decode(NdjsonDecoder(skip=skip), cuts(body, points))
    bad_before = sum(letter.record <= skip for letter in dead)
    assert found == good[max(0, skip - bad_before) :]
    assert letters == [letter for letter in dead if letter.record > skip]
    assert again == count


def test_dead_letters_are_handed_over_once() -> None:
    decoder = NdjsonDecoder()
    decoder.feed(b"nope\n")
    assert len(decoder.take_dead()) == 1
    assert decoder.take_dead() == []


def test_a_closed_decoder_says_so() -> None:
    decoder = NdjsonDecoder()
    decoder.close()
    assert decoder.close() == []
    with pytest.raises(ValueError, match="make a new one"):
        decoder.feed(b"{}")


@pytest.mark.parametrize("options", [{"max_record": 63}, {"skip": -1}])
def test_wrong_arguments_are_refused_when_it_is_built(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be >="):
        NdjsonDecoder(**options)


def counting() -> tuple[NdjsonDecoder, list[bytes]]:
    """Return a decoder, and the list that it adds each text to that it parses."""
    decoder = NdjsonDecoder()
    parse, parsed = decoder._parse, []

    def counted(line: bytes) -> Any:
        parsed.append(line)
        return parse(line)

    decoder._parse = counted
    return decoder, parsed


def test_a_run_of_blank_lines_costs_one_exception_not_one_each() -> None:
    decoder, parsed = counting()
    body = b'{"a": 1}\n' + b"\n" * 10_000 + b" \t\r\n" * 5_000 + b'{"a": 2}\n1\n'
    found, dead, count, _ = decode(decoder, [body])
    assert (found, count) == ([{"a": 1}, {"a": 2}], 3)
    assert (dead[0].record, dead[0].offset) == (3, len(body) - 2)
    assert len(parsed) == 4, "the three records, and the first of the blank lines"


def test_blank_lines_between_records_cost_an_exception_a_block_not_one_each() -> None:
    decoder, parsed = counting()
    body = b'{"a": 1}\n\n \r\n' * 10_000 + b"1\n"
    found, dead, count, _ = decode(decoder, [body])
    assert (len(found), count) == (10_000, 10_001)
    assert (dead[0].record, dead[0].offset, dead[0].raw) == (10_001, len(body) - 2, b"1")
    blank = [line for line in parsed if not line.strip()]
    assert len(blank) <= (len(body) >> 15) + 2


@pytest.mark.parametrize("chunk", [1_000, 65_536, 10**6])
def test_a_body_of_bad_records_is_given_up_and_costs_no_more(chunk: int) -> None:
    body = b'{"a": 1}\n' * 50 + b"1\n" * (MAX_BAD + 5_000)
    decoder = NdjsonDecoder()
    found, dead, count, broken = decode(decoder, [body[at : at + chunk] for at in range(0, len(body), chunk)])
    assert (len(found), count, len(dead)) == (50, MAX_BAD + 51, MAX_BAD + 2)
    assert broken is not None
    assert "is the body what it says it is?" in broken.reason


def test_a_long_body_may_have_as_many_bad_records_as_a_tenth_of_it() -> None:
    body = (b"{}\n" * 19 + b"1\n") * (MAX_BAD + 100)
    found, dead, _, broken = decode(NdjsonDecoder(), [body])
    assert (len(found), len(dead), broken) == (19 * (MAX_BAD + 100), MAX_BAD + 100, None)


def test_only_a_record_over_the_limit_is_not_kept_whole_and_it_is_counted() -> None:
    decoder = NdjsonDecoder(max_record=5_000)
    bad, long = b'{"a": ' + b"x" * 4_000 + b"}", b'{"a": "' + b"x" * 9_000 + b'"}'
    _, dead, _, _ = decode(decoder, [bad + b"\n" + long])
    assert [letter.raw for letter in dead] == [bad, long[:RAW_LIMIT]]
    assert decoder.too_long == 1
    assert "--max-line" in dead[1].reason


@given(line_bodies(), st.lists(st.integers(0, 10_000), max_size=8))
@settings(max_examples=examples(150), deadline=None)
def test_the_bytes_that_are_kept_are_the_records_own_and_the_verdict_is_the_same(
    body: bytes, points: list[int]
) -> None:
    own, dead, count, _ = decode(NdjsonDecoder(bytes), cuts(body, points))
    assert decode(NdjsonDecoder(bytes), [body]) == (own, dead, count, None)
    assert all(row in body and row.decode().strip() == row.decode() for row in own)
    wanted, bad, number, _ = decode(NdjsonDecoder(), [body])
    assert number == count
    refused = {letter.record for letter in dead}
    unread = [letter for letter in bad if letter.record not in refused]  # numbers out of range, which nobody reads
    assert all("range" in letter.reason for letter in unread)
    assert len(own) == len(wanted) + len(unread)
