"""Gzip bodies are inflated in small pieces, bounded, and what is wrong with them is said."""

from __future__ import annotations

import gzip
import random
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arion_lib.pipeline.formats.inflate import PIECE, BadGzip, BodyTooLarge, GzipBody, PlainBody, open_body
from tests.pipeline.bodies import cuts, single_bytes


def inflate(chunks: list[bytes], max_body: int = 1 << 30) -> bytes:
    body = GzipBody(max_body)
    text = b"".join(piece for chunk in chunks for piece in body.feed(chunk))
    body.close()
    return text


@given(st.lists(st.binary(max_size=400), min_size=1, max_size=4), st.lists(st.integers(0, 10_000), max_size=8))
@settings(deadline=None)
def test_members_cut_anywhere_are_one_body(members: list[bytes], points: list[int]) -> None:
    sent = b"".join(map(gzip.compress, members))
    assert inflate([sent]) == inflate(cuts(sent, points)) == inflate(single_bytes(sent)) == gzip.decompress(sent)


def test_a_bomb_is_stopped_at_the_bound_and_inflated_in_pieces() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    assert len(bomb) < 50_000
    sizes: list[int] = []
    with pytest.raises(BodyTooLarge, match="at most 1000000 bytes"):
        sizes.extend(map(len, GzipBody(max_body=1_000_000).feed(bomb)))
    assert max(sizes) <= PIECE
    assert sum(sizes) <= 1_000_000
    assert len(gzip.decompress(bomb)) == 50_000_000  # the control: inflating it whole takes all the memory


def test_nothing_is_inflated_before_it_is_asked_for() -> None:
    body = GzipBody()
    pieces = body.feed(gzip.compress(bytes(10 * PIECE)))
    assert body.size == 0
    next(pieces)
    assert body.size <= PIECE


def test_a_body_of_just_the_allowed_size_passes() -> None:
    assert inflate([gzip.compress(b"x" * 1_000)], max_body=1_000) == b"x" * 1_000
    with pytest.raises(BodyTooLarge):
        inflate([gzip.compress(b"x" * 1_001)], max_body=1_000)


def test_a_body_that_breaks_off_is_refused_at_every_byte() -> None:
    sent = gzip.compress(b"hello, hello, hello")
    for end in range(len(sent)):
        with pytest.raises(BadGzip, match="breaks off"):
            inflate([sent[:end]])


def test_what_came_before_the_damage_comes_out() -> None:
    text = random.Random(1).randbytes(300_000)
    sent = bytearray(gzip.compress(text))
    sent[-1] ^= 1  # the stored length
    found: list[bytes] = []
    with pytest.raises(BadGzip, match="must be intact"):
        found.extend(GzipBody().feed(bytes(sent)))
    assert text.startswith(b"".join(found))
    assert len(b"".join(found)) > 200_000


@pytest.mark.parametrize("garbage", [b"garbage", b"\0\0garbage", b"\x1f\x8bnope, not gzip"])
def test_garbage_behind_the_last_member_is_refused(garbage: bytes) -> None:
    sent = gzip.compress(b"text") + garbage
    for chunks in ([sent], single_bytes(sent)):
        with pytest.raises(BadGzip):
            inflate(chunks)


def test_zero_bytes_behind_the_last_member_are_padding() -> None:
    sent = gzip.compress(b"text") + bytes(1_000)
    assert inflate([sent]) == inflate(single_bytes(sent)) == b"text"


@pytest.mark.parametrize("sent", [b"", b"plain text", zlib.compress(b"text")])
def test_what_is_not_gzip_is_refused(sent: bytes) -> None:
    with pytest.raises(BadGzip):
        inflate([sent])


def test_a_plain_body_is_bounded_as_well() -> None:
    body = PlainBody(max_body=PIECE + 5)
    assert b"".join(body.feed(bytes(PIECE + 5))) == bytes(PIECE + 5)
    with pytest.raises(BodyTooLarge):
        list(body.feed(b"x"))


def test_the_encoding_chooses_and_an_unknown_one_is_refused() -> None:
    assert type(open_body("GZIP")) is GzipBody
    assert type(open_body(None)) is type(open_body("identity")) is PlainBody
    with pytest.raises(ValueError, match="must be gzip or identity"):
        open_body("br")
    with pytest.raises(ValueError, match="max_body must be >= 0"):
        open_body(max_body=-1)
