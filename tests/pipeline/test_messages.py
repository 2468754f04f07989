"""A block survives its way through a queue, whatever is in it, and any client can read it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arion_lib.pipeline.queues import frames
from arion_lib.pipeline.queues.frames import TornBlock
from arion_lib.pipeline.queues.messages import (
    FRAMES,
    LINES,
    ONE,
    decode_file,
    encode_file,
    new_ids,
    numbered,
    pack,
    pack_ids,
    unpack,
    unpack_ids,
)

blocks = st.lists(st.binary(max_size=20) | st.sampled_from([b"", b"\n", b"{}"]), min_size=1, max_size=8)
names = st.lists(st.builds("{}.{}".format, st.sampled_from(["a", "b.7", "a-1"]), st.integers(0, 3)), max_size=9)


@given(blocks, st.text(max_size=5))
def test_messages_come_back_byte_for_byte(messages: list[bytes], stream: str) -> None:
    assert unpack(*pack(messages)) == messages
    ids = new_ids(len(messages))
    assert decode_file(encode_file(stream, messages, ids)) == (stream, messages, ids, [])


@given(names)
def test_ids_come_back_in_order_and_as_many(ids: list[str]) -> None:
    assert unpack_ids(pack_ids(ids), len(ids)) == ids


@given(blocks, st.integers(0, 10_000), st.integers(1, 255))
def test_a_file_that_was_cut_or_changed_is_never_taken_for_a_whole_one(
    messages: list[bytes], place: int, change: int
) -> None:
    whole = encode_file("s", messages, new_ids(len(messages)))
    at = place % len(whole)
    for damaged in (whole[:at], whole[:at] + bytes([whole[at] ^ change]) + whole[at + 1 :]):
        with pytest.raises(TornBlock):
            decode_file(damaged)


def test_json_messages_are_lines_that_any_client_reads() -> None:
    messages = [b'{"id": 1}', b'{"id": 2.50}']
    content_type, data = pack(messages)
    assert (content_type, [json.loads(line) for line in data.splitlines()]) == (LINES, [{"id": 1}, {"id": 2.5}])
    assert pack(messages[:1]) == (ONE, messages[0])
    assert pack([b"a\nb"])[0] == FRAMES
    head, *lines = encode_file("s", messages, numbered("x", 2)).splitlines()
    assert json.loads(head) | {"crc": ""} == {"crc": "", "stream": "s", "type": LINES, "ids": [["x", 1, 2]]}
    assert lines == messages


def test_a_thousand_neighbours_cost_a_few_bytes_of_ids() -> None:
    assert len(pack_ids(numbered("0123456789abcdef-17", 10_000))) < 50


def test_a_file_of_the_older_layout_is_read() -> None:
    assert decode_file(frames.encode([b"orders", b"1", b"2"])) == ("orders", [b"1", b"2"], [], [])


@pytest.mark.parametrize("ids", ["7", '[["a",1]]', '[["a",1,3]]', "nonsense", '[["a","x",2]]'])
def test_ids_that_are_none_are_a_torn_block(ids: str) -> None:
    with pytest.raises(TornBlock, match="a block"):
        unpack_ids(ids, 2)


def test_an_id_without_a_number_and_a_message_that_is_no_bytes_are_refused() -> None:
    with pytest.raises(ValueError, match="must end with a dot and a number, got 'x'"):
        pack_ids(["x"])
    with pytest.raises(TypeError, match="messages must be bytes"):
        pack(["text"])  # type: ignore[list-item]
