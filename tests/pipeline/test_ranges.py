"""A file in ranges gives what the whole file gives, wherever the ranges are read."""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from arion_lib.pipeline.files.ranges import CHUNK, aggregate_file, ranges
from arion_lib.pipeline.files.sample import write_sample
from arion_lib.pipeline.groups import Groups
from arion_lib.pipeline.ndjson import NdjsonDecoder
from arion_lib.pipeline.numbers.windows import Window
from arion_lib.pipeline.projection import projection
from tests.pipeline.bodies import decode, line_bodies

pytestmark = pytest.mark.usefixtures("no_leaks")


@given(line_bodies(), st.integers(1, 200))
@example(b'{"amount":0.1}\n{"amount":"0.2"}\n{"amount":1e22}\n{"amount":2}\n', 20)  # added as floats they give others
@example(b'{"amount":1}\n{"id":7,"amount":"NAN"}\n{"amount":"-inf","id":8}\n{"amount":1e99999}\n', 20)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_ranges_of_any_size_give_what_the_whole_file_gives(tmp_path: Path, body: bytes, size: int) -> None:
    path = tmp_path / "events"
    path.write_bytes(body)
    kind = projection(keys=["type"], numbers=["amount"], decimal=True)
    records, dead, count, _ = decode(NdjsonDecoder(kind), [body])
    groups = Groups(["type"], "amount", figures=["sum", "min", "max"])
    groups.add(records)
    answer = aggregate_file(path, ["type"], "amount", figures=["sum", "min", "max"], size=size)
    assert (answer.records, answer.malformed) == (count, len(dead))
    assert [(letter.offset, letter.raw) for letter in answer.dead] == [(letter.offset, letter.raw) for letter in dead]
    assert answer.groups == groups.take()


def test_cutting_a_file_at_any_byte_would_break_records(tmp_path: Path) -> None:
    path = tmp_path / "events"
    answer = write_sample(path, 1)
    naive = [
        decode(NdjsonDecoder(), [path.read_bytes()[part.start : part.end]]) for part in ranges(path, 100_000)
    ]  # the control
    assert sum(len(dead) for _, dead, _, _ in naive) > answer.malformed
    assert aggregate_file(path, ["type"], size=100_000).malformed == answer.malformed


@pytest.mark.parametrize("length", [CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_lines_longer_than_chunks_and_ranges_belong_to_one_range(length: int, tmp_path: Path) -> None:
    path = tmp_path / "events"
    lines = [json.dumps({"type": "a", "amount": n, "text": "x" * length}) for n in range(5)]
    path.write_text("\n".join(lines))
    answer = aggregate_file(path, ["type"], "amount", size=10_000)
    assert (answer.records, answer.malformed) == (5, 0)
    assert answer.groups[("a",)].sum == 10


def test_ranges_are_read_in_worker_processes(tmp_path: Path) -> None:
    path = tmp_path / "events"
    expected = write_sample(path, 4_000_000)
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        answer = aggregate_file(path, ["type"], "amount", size=1_000_000, map=pool.map)
    totals = {str(key[0]): (cell.count, cell.sum) for key, cell in answer.groups.items()}
    assert (answer.records, answer.malformed, totals) == (expected.records, expected.malformed, expected.totals)


def test_windows_and_figures_work_over_ranges(tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.write_text("".join(json.dumps({"at": n * 1_800, "n": n}) + "\n" for n in range(8)))
    answer = aggregate_file(path, [Window("at", 3_600)], "n", figures=["min", "max"], size=20)
    assert [(cell.min, cell.max) for cell in answer.groups.values()] == [(0, 1), (2, 3), (4, 5), (6, 7)]


def test_wrong_sizes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="size must be >= 1"):
        ranges(tmp_path, 0)
