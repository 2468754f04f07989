"""Pipes and the note: what a worker and its supervisor share."""

from __future__ import annotations

import errno
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arion_lib.scheduler.processes import pipes
from arion_lib.scheduler.processes.note import REVOKED_AFTER, STARTED, Note
from arion_lib.scheduler.processes.pipes import AT_ONCE, End, PipeEnd, end_of, one_way, rest_of, write_all
from arion_lib.scheduler.starting.child import close_raw
from arion_lib.setup.environment import ROOT
from tests.elsewhere import tcp_pair

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
    if isinstance(writing, PipeEnd):
        with pytest.raises(BrokenPipeError):
            writing.write([b"x"])
    else:
        with pytest.raises(ConnectionError):  # noqa: PT012
            while True:  # a socket takes what comes before the news
                writing.write([b"x"])
    writing.close()


@pytest.mark.parametrize("how", ["read", "read_into"])
def test_a_connection_that_a_killed_process_has_reset_reads_as_ended(how: str) -> None:
    ours, theirs = tcp_pair()
    ours.setblocking(True)
    reading = end_of(ours, blocking=True)
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0))
    theirs.close()  # so: with a reset
    assert (reading.read() if how == "read" else reading.read_into(memoryview(bytearray(4)))) in (b"", 0)
    reading.close()


@pytest.mark.parametrize("error", [BrokenPipeError, ConnectionResetError, ConnectionAbortedError])
def test_a_worker_ends_quietly_in_whichever_words_the_system_says_that_nobody_reads(error: type[Exception]) -> None:
    code = f"""
from arion_lib.scheduler.processes.note import Note
from arion_lib.scheduler.processes.worker import work

class Gone:
    def read(self): return b""
    def write_all(self, data): raise {error.__name__}

work(Gone(), Gone(), Note.create()[0])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("error", [BrokenPipeError, ConnectionResetError, ConnectionAbortedError])
def test_a_call_that_prints_when_nobody_reads_ends_with_its_worker(error: type[Exception]) -> None:
    """What it raised would be the call's to catch, and the call would go on."""
    code = f"""
from arion_lib.scheduler.processes.note import Note
from arion_lib.scheduler.processes.worker import Worker

class Gone:
    def write_all(self, data): raise {error.__name__}

Worker(Gone(), Gone(), Note.create()[0])._print("stdout", "a word")
print("went on")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_small_answer_on_a_socket_does_not_wait_for_an_acknowledgement() -> None:
    for raw in tcp_pair():
        assert not raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)  # the control: what a new socket does
        end = end_of(raw, blocking=True)
        assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        end.close()


@pytest.mark.posix("Windows has no writev")
def test_no_more_bytes_than_macos_takes_go_into_one_system_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-in: a system that refuses 2,000 bytes where macOS refuses 2 GiB."""
    monkeypatch.setattr(pipes, "MOST_BYTES", 1_000)
    pieces = [b"a" * 10, b"b" * 1_500, b"c" * 3_000]
    for name in ("write", "writev", "readv"):
        monkeypatch.setattr(os, name, refusing(getattr(os, name), 2_000))
    reading, writing = (end_of(raw, blocking=True) for raw in one_way())
    with pytest.raises(OSError, match="Invalid argument"):  # the control: all at once
        os.writev(writing.fileno(), pieces)
    write_all(writing, pieces)
    writing.write_all(b"d" * 3_000)
    got = bytearray(7_510)
    at = 0
    while at < len(got):
        at += reading.read_into(memoryview(got)[at:])
    assert bytes(got) == b"".join(pieces) + b"d" * 3_000
    reading.close()
    writing.close()


def refusing(call: Callable[[int, Any], int], size: int) -> Callable[[int, Any], int]:
    """Return the system call as one that is handed less than `size` bytes or fails with EINVAL."""

    def checked(fd: int, data: Any) -> int:
        if sum(map(len, data)) >= size if isinstance(data, list) else len(data) >= size:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return call(fd, data)

    return checked


def test_no_program_started_later_inherits_an_end() -> None:
    both = one_way()
    for raw in both:
        assert not (os.get_inheritable(raw) if isinstance(raw, int) else raw.get_inheritable())
    close_raw(both)


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
