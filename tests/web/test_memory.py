"""The server's memory follows neither what stands around the records nor how it is written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from arion_lib.measure.rss import high_water_mark
from arion_lib.pipeline.formats import documents
from arion_lib.web import serve
from tests.chaos.kills import LATE
from tests.chaos.nursery import Nursery, Role
from tests.web.client import post

pytestmark = [
    pytest.mark.alone,
    pytest.mark.usefixtures("no_leaks"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="a spawned child does not know a test's server"),
]

SIZE, MOST = 2_000_000, 10_000_000

RECORDS = b'[{"a":1},{"a":2}]'

VALUES = {
    "array": b"[%b1]" % (b"1," * (SIZE // 2)),
    "array of arrays": b"[%b[]]" % (b"[]," * (SIZE // 3)),
    "array of objects": b"[%b{}]" % (b'{"key":"value","n":1.5},' * (SIZE // 24)),
    "object": b'{%b"z":0}' % b"".join(b'"key %07d":1,' % number for number in range(SIZE // 16)),
    "long string": b'"%b"' % (b"x" * SIZE),
    "blanks": b" " * SIZE + b"1",
}


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery(*LATE) as one:
        yield one


def resident(pid: int) -> int:
    return int(psutil.Process(pid).memory_info().rss)


def growth(nursery: Nursery, server: Role, folder: Path, bodies: list[bytes]) -> int:
    """Send the bodies to a fresh server; return by how much its memory ever exceeded what a small one took."""
    child = nursery.start(server, ["--port", "0", "--data", str(folder)])
    url = f"{child.said.split()[0]}/webhook/orders?path=events.item"
    assert post(url, b'{"x":[1],"events":%b}' % RECORDS).json["accepted"] == 2
    before = resident(child.pid)
    for body in bodies:
        assert post(url, body).json["accepted"] == 2
    peak = high_water_mark(child.pid) or resident(child.pid)
    child.terminate()
    return peak - before


def gathering(args: list[str]) -> int:
    """A server that gives ijson all it has at once, and keeps the events until then."""
    documents.PIECE = 1 << 30
    return serve.run(args)


LARGE = [pytest.param(kind, marks=pytest.mark.thorough) for kind in ("array of objects", "object")]


@pytest.mark.parametrize("kind", ["array", "array of arrays", "long string", "blanks", *LARGE])
def test_what_stands_around_the_records_of_a_post_takes_no_memory(kind: str, nursery: Nursery, tmp_path: Path) -> None:
    value = VALUES[kind]
    bodies = [
        b'{"x":%b,"events":%b}' % (value, RECORDS),
        b'{"events":%b,"x":%b}' % (RECORDS, value),
        b'{"x":%b,"events":%b,"y":%b}' % (value, RECORDS, value),
    ]
    assert growth(nursery, serve.run, tmp_path, bodies) < MOST
    if kind == "array":
        assert growth(nursery, gathering, tmp_path, bodies) > 2 * MOST  # the control
