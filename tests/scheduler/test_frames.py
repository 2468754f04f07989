"""Frames come out whole and in order, however the stream was cut."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arion_lib.scheduler.processes import frames
from arion_lib.scheduler.processes.frames import FrameParser, frame
from tests.selection import examples

atoms = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(),
    st.complex_numbers(allow_nan=False),
)
messages = st.tuples(st.integers(0, 2**60), st.integers(0, 5), atoms, st.lists(atoms, max_size=4))
buffers = st.lists(st.binary(max_size=200), max_size=3)
traffic = st.lists(st.tuples(messages, buffers), max_size=8)


def stream_of(sent: list[tuple[tuple[Any, ...], list[bytes]]]) -> bytes:
    return b"".join(bytes(piece) for message, raw in sent for piece in frame(message, raw))


def expected(sent: list[tuple[tuple[Any, ...], list[bytes]]]) -> list[tuple[Any, ...]]:
    return [(*message, [bytearray(one) for one in raw]) if raw else message for message, raw in sent]


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(at % (len(data) + 1) for at in cuts)})
    return [data[start:end] for start, end in itertools.pairwise(edges)]


@given(traffic, st.lists(st.integers(0, 10**6), max_size=20))
def test_any_cuts_give_the_same_messages(sent: list[Any], cuts: list[int]) -> None:
    parser = FrameParser()
    assert [one for piece in cut(stream_of(sent), cuts) for one in parser.feed(piece)] == expected(sent)


@settings(max_examples=examples(30))
@given(traffic)
def test_byte_by_byte_gives_the_same_messages(sent: list[Any]) -> None:
    parser = FrameParser()
    data = stream_of(sent)
    assert [one for at in range(len(data)) for one in parser.feed(data[at : at + 1])] == expected(sent)


@given(traffic, st.lists(st.integers(1, 400), min_size=1, max_size=20))
def test_reading_straight_into_place_gives_the_same_messages(sent: list[Any], sizes: list[int]) -> None:
    parser, data, got, turn = FrameParser(), stream_of(sent), [], 0
    while data:
        size = sizes[turn % len(sizes)]
        turn += 1
        room = parser.room()
        if room is None:
            got += parser.feed(data[:size])
        else:
            size = min(size, len(room))
            room[: len(data[:size])] = data[:size]
            got += parser.filled(len(data[:size]))
        data = data[size:]
    assert got == expected(sent)


@given(traffic, st.data())
def test_a_stream_that_ends_inside_a_frame_yields_nothing_of_it(sent: list[Any], data: st.DataObject) -> None:
    stream = stream_of(sent)
    end = data.draw(st.integers(0, len(stream)))
    got = FrameParser().feed(stream[:end])
    assert got == expected(sent)[: len(got)]
    whole = [len(stream_of(sent[: count + 1])) for count in range(len(sent))]
    assert len(got) == sum(size <= end for size in whole)


def test_a_large_body_has_room_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "LARGE", 100)
    sent = [((1, 0, b"x" * 500, []), []), ((2, 0, "small", []), [])]
    parser, stream = FrameParser(), stream_of(sent)
    assert parser.feed(stream[:50]) == []
    room = parser.room()
    assert room is not None
    assert parser.feed(stream[50:]) == expected(sent)
    assert parser.room() is None


def test_buffers_are_not_copied_into_the_frame() -> None:
    large = bytearray(1_000_000)
    pieces = frame((1,), [large])
    assert pieces[-1] is large


def test_the_control_lines_of_a_text_protocol_are_cut_wrongly_by_a_naive_reader() -> None:
    stream = stream_of([((1, 0, "ab", []), []), ((2, 0, "cd", []), [])])
    naive = [FrameParser().feed(piece) for piece in cut(stream, [len(stream) // 3])]
    assert sum(map(len, naive)) < 2
