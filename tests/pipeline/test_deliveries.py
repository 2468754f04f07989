"""A fingerprint does not depend on chunks, and tells another body from the same one."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arion_lib.pipeline.deliveries import BodyCheck, Fingerprint, OtherBody, fingerprint

BODY = random.Random(5).randbytes(320_321)
places = st.lists(st.integers(0, len(BODY)), max_size=10)


def follow(check: BodyCheck, body: bytes, places: list[int]) -> Fingerprint:
    edges = sorted({0, len(body), *(place for place in places if place <= len(body))})
    for start, end in itertools.pairwise(edges):
        check.feed(body[start:end])
    return check.so_far


@given(length=st.integers(0, len(BODY)), places=places)
def test_it_is_the_same_however_the_body_is_cut(length: int, places: list[int]) -> None:
    body = BODY[:length]
    assert follow(BodyCheck(), body, places) == fingerprint(body)
    assert fingerprint(body).length == length


@given(known=st.integers(1, len(BODY)), places=places)
def test_a_body_that_begins_with_the_known_bytes_passes_once_they_are_there(known: int, places: list[int]) -> None:
    check = BodyCheck(fingerprint(BODY[:known]))
    assert not check.passed
    assert follow(check, BODY, places) == fingerprint(BODY)
    assert check.passed
    check.close()


@given(known=st.integers(1, len(BODY)), places=places, at=st.integers(0, len(BODY)))
def test_one_other_byte_anywhere_is_another_body(known: int, places: list[int], at: int) -> None:
    at = min(at, known - 1)
    other = BODY[:at] + bytes([BODY[at] ^ 1]) + BODY[at + 1 :]
    with pytest.raises(OtherBody, match=f"got another than the {known} bytes known"):
        follow(BodyCheck(fingerprint(BODY[:known])), other, places)


@pytest.mark.parametrize("length", [0, 9, len(BODY) - 1])
def test_a_body_that_ends_too_early_is_another_one(length: int) -> None:
    check = BodyCheck(fingerprint(BODY))
    follow(check, BODY[:length], [])
    with pytest.raises(OtherBody):
        check.close()


def test_a_longer_body_goes_on_unless_the_whole_was_known() -> None:
    check = BodyCheck(fingerprint(BODY[:100]))
    check.feed(BODY)
    check.close()
    with pytest.raises(OtherBody):
        check.close(whole=True)
    nothing = BodyCheck(fingerprint(b""))
    nothing.feed(b"x")
    with pytest.raises(OtherBody):
        nothing.close(whole=True)


def test_without_a_known_part_every_body_passes() -> None:
    check = BodyCheck()
    assert check.passed
    check.feed(BODY)
    check.close(whole=True)
