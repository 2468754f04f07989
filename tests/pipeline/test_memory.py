"""Memory follows neither the body nor its longest line nor the groups; each naive version fails the same assert."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from arion_lib.measure import measure_memory
from arion_lib.pipeline.decoder import parse
from arion_lib.pipeline.files.sample import read_chunks, write_sample
from arion_lib.pipeline.formats.arrays import ArrayDecoder
from arion_lib.pipeline.formats.documents import PathDecoder
from arion_lib.pipeline.formats.inflate import BodyTooLarge, GzipBody
from arion_lib.pipeline.groups import group_by
from arion_lib.pipeline.ndjson import NdjsonDecoder
from arion_lib.pipeline.projection import projection

pytestmark = pytest.mark.usefixtures("no_leaks")

MB = 1_000_000


def peak(fn: Callable[..., Any], *args: Any) -> int:
    """Measure in a fresh process, imports and a first small run not counted."""
    return measure_memory(fn, *args).peak


def summed(path: Path, decoder: Any) -> int:
    kind = projection(keys=["type"], numbers=["amount"])
    return sum(map(len, group_by(parse(read_chunks(path), decoder(kind), lambda letter: None), ["type"], "amount")))


def whole_lines(path: Path) -> int:
    return sum(json.loads(line)["amount"] for line in path.read_bytes().splitlines())


def whole_array(path: Path) -> int:
    return sum(event["amount"] for event in json.loads(path.read_bytes()))


@pytest.mark.parametrize(
    ("layout", "decoder", "naive"), [("lines", NdjsonDecoder, whole_lines), ("array", ArrayDecoder, whole_array)]
)
def test_ten_times_the_body_takes_no_more_memory(layout: Any, decoder: Any, naive: Any, tmp_path: Path) -> None:
    sizes = (3 * MB, 30 * MB)
    paths = [tmp_path / f"{size}" for size in sizes]
    for path, size in zip(paths, sizes, strict=True):
        write_sample(path, size, layout=layout, leave_out=True)
    small, large = (peak(summed, path, decoder) for path in paths)
    assert large <= 24 * MB
    assert large - small <= 4 * MB
    naive_small, naive_large = (peak(naive, path) for path in paths)
    assert naive_large - naive_small > 4 * MB  # the control
    assert naive_large > 24 * MB


def long_line(size: int) -> Iterator[bytes]:
    """A good record, one of `size` bytes in chunks, another good one."""
    yield b'{"n": 1}\n{"n": "'
    for _ in range(size >> 16):
        yield bytes([120]) * (1 << 16)
    yield b'"}\n{"n": 2}\n'


def long_element(size: int) -> Iterator[bytes]:
    """The same in an array, full of brackets and quotes."""
    yield b'[{"n": 1},{"n": ["'
    for _ in range(size >> 16):
        yield b'x],[{\\"}' * (1 << 13)
    yield b'"]},{"n": 2}]'


def passed_over(chunks: Callable[[int], Iterator[bytes]], size: int, decoder: Any) -> tuple[list[Any], list[Any]]:
    reader = decoder()
    found = [record for chunk in chunks(size) for record in reader.feed(chunk)] + reader.close()
    return found, [(letter.record, letter.reason) for letter in reader.take_dead()]


@pytest.mark.parametrize(
    ("chunks", "decoder", "size"),
    [
        (long_line, NdjsonDecoder, 100 * MB),
        pytest.param(long_line, NdjsonDecoder, 1_000 * MB, marks=pytest.mark.thorough),
        (long_element, ArrayDecoder, 20 * MB),
        pytest.param(long_element, ArrayDecoder, 200 * MB, marks=pytest.mark.thorough),
    ],
    ids=["line", "line of a gigabyte", "element", "large element"],
)
def test_a_line_of_a_gigabyte_is_one_dead_letter_in_constant_memory(chunks: Any, decoder: Any, size: int) -> None:
    measured = measure_memory(passed_over, chunks, size, decoder)
    found, dead = measured.value  # type: ignore[misc]
    assert found == [{"n": 1}, {"n": 2}]
    assert dead == [(2, "record must be at most 1048576 bytes long (--max-line), and is longer")]
    assert measured.peak <= 8 * MB
    assert peak(joined, chunks, 40 * MB) > 8 * MB  # the control: waiting for the newline, with much less


def joined(chunks: Callable[[int], Iterator[bytes]], size: int) -> int:
    return len(b"".join(chunks(size)).split(b"\n"))


def grouped(groups: int, max_keys: int) -> int:
    """Sum 300,000 records in so many groups; partial aggregates are handed on."""
    numbers = iter(range(300_000))
    line = b'{"key":"%07d","n":%d}\n'
    chunks = iter(lambda: b"".join(line % (n * 7919 % groups, n) for n in islice(numbers, 1_000)), b"")
    records = parse(chunks, NdjsonDecoder(projection(keys=["key"], numbers=["n"])))
    return sum(map(len, group_by(records, ["key"], "n", max_keys=max_keys)))


def test_memory_does_not_follow_the_number_of_groups() -> None:
    few, many = peak(grouped, 10, 10_000), peak(grouped, 300_000, 10_000)
    assert many <= 24 * MB
    assert many - few <= 8 * MB
    assert peak(grouped, 300_000, 10**9) - few > 8 * MB  # the control: without a bound for the keys


def inflated(path: Path, max_body: int) -> int:
    body = GzipBody(max_body)
    try:
        for chunk in read_chunks(path):
            for _ in body.feed(chunk):
                pass
    except BodyTooLarge:
        pass
    return body.size


def test_a_gzip_bomb_is_stopped_in_constant_memory(tmp_path: Path) -> None:
    path = tmp_path / "bomb.gz"
    with gzip.open(path, "wb") as file:
        for _ in range(200):
            file.write(bytes(MB))
    assert path.stat().st_size < MB
    assert peak(inflated, path, 100 * MB) <= 4 * MB
    assert peak(lambda path: len(gzip.decompress(path.read_bytes())), path) > 4 * MB  # the control


def test_a_document_around_its_records_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "document.json"
    events = tmp_path / "events.json"
    write_sample(events, 10 * MB, layout="array", leave_out=True)
    path.write_bytes(b'{"before": %b, "events": %b}' % (events.read_bytes(), events.read_bytes()))
    measured = measure_memory(summed, path, partial(PathDecoder, "events.item"))
    assert measured.value == 5
    assert measured.peak <= 24 * MB
    assert peak(lambda path: len(json.loads(path.read_bytes())), path) > 24 * MB  # the control
