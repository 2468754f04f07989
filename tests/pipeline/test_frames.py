"""A block of messages comes back byte for byte, or is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arion_lib.pipeline.queues.frames import TornBlock, decode, encode

messages = st.lists(st.binary(max_size=20), max_size=8)


@given(messages)
def test_messages_come_back_as_they_were(some: list[bytes]) -> None:
    assert decode(encode(some)) == some


@given(messages, st.data())
def test_a_block_cut_short_anywhere_is_refused(some: list[bytes], data: st.DataObject) -> None:
    block = encode(some)
    with pytest.raises(TornBlock):
        decode(block[: data.draw(st.integers(0, len(block) - 1))])


@given(messages, st.data())
def test_a_block_with_one_bit_changed_is_refused(some: list[bytes], data: st.DataObject) -> None:
    block = bytearray(encode(some))
    bit = data.draw(st.integers(0, len(block) * 8 - 1))
    block[bit // 8] ^= 1 << bit % 8
    with pytest.raises(TornBlock):
        decode(bytes(block))


@given(messages, st.binary(min_size=1, max_size=5))
def test_a_block_with_something_behind_it_is_refused(some: list[bytes], tail: bytes) -> None:
    with pytest.raises(TornBlock):
        decode(encode(some) + tail)


@given(st.binary(max_size=60))
def test_any_other_bytes_are_refused_and_nothing_else_is_raised(noise: bytes) -> None:
    with pytest.raises(TornBlock):
        decode(noise)


def test_joining_with_newlines_would_not_give_back_what_was_sent() -> None:
    some = [b"two\nlines", b""]
    assert decode(encode(some)) == some
    assert b"\n".join(some).split(b"\n") != some
