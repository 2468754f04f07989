"""Pipes and the note: what a worker and its supervisor share."""

from __future__ import annotations

import os
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arion_lib.scheduler.note import REVOKED_AFTER, STARTED, Note
from arion_lib.scheduler.pipes import AT_ONCE, End, end_of, one_way, rest_of, write_all

pytestmark = pytest.mark.usefixtures("no_leaks")


@given(st.lists(st.binary(max_size=10), max_size=10), st.integers(0, 100))
def test_the_rest_of_some_pieces_is_what_was_not_written(pieces: list[bytes], written: int) -> None:
    whole = b"".join(pieces)
    written = min(written, len(whole))
    assert b"".join(bytes(piece) for piece in rest_of(list(pieces), written)) == whole[written:]


def test_everything_arrives_however_many_pieces() -> None:
    reading, writing = (end_of(raw, blocking=True) for raw in one_way())
    pieces = [bytes([n % 256]) * 7 for n in range(3 * AT_ONCE + 1)]
    write_all(writing, pieces)
    writing.close()
    got = b""
    while data := reading.read():
        got += data
    reading.close()
    assert got == b"".join(pieces)


def fill(writing: End) -> None:
    """Write until nothing more fits."""
    with suppress(BlockingIOError):
        while True:
            writing.write([b"x" * 65_536])


def test_the_supervisors_ends_never_block_and_an_end_is_told() -> None:
    raw_reading, raw_writing = one_way()
    reading, writing = end_of(raw_reading, blocking=False), end_of(raw_writing, blocking=False)
    with pytest.raises(BlockingIOError):
        reading.read()
    fill(writing)
    writing.close()
    while reading.read():
        pass
    assert reading.read() == b""
    assert reading.read_into(memoryview(bytearray(4))) == 0
    reading.close()
    reading.close()


def test_a_writer_whose_reader_is_gone_is_told() -> None:
    reading, writing = (end_of(raw, blocking=True) for raw in one_way())
    reading.close()
    with pytest.raises(BrokenPipeError):
        writing.write([b"x"])
    writing.close()


def test_no_program_started_later_inherits_an_end() -> None:
    for raw in one_way():
        assert isinstance(raw, int)
        assert not os.get_inheritable(raw)
        os.close(raw)


def test_a_note_is_seen_from_both_sides_and_outlives_its_writer() -> None:
    note, where = Note.create()
    assert isinstance(where, int)
    theirs = Note.attach(os.dup(where))
    theirs.words[STARTED] = 2**63
    note.words[REVOKED_AFTER] = 7
    assert (note.words[STARTED], theirs.words[REVOKED_AFTER]) == (2**63, 7)
    theirs.close()
    assert note.words[STARTED] == 2**63
    note.close()
    os.close(where)
