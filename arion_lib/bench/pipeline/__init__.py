"""Challenge 1: read and sum events, store them, take them in over HTTP - ours and the readers.

Idea        The same question to everyone on the same file, in turns; memory in processes of their own.
Invariant   All contenders return the same totals before any is timed.
When wrong  A target that is missed is printed as missed, and fails the run with --strict.
See         tests/bench/test_pipeline.py

    readers.py  ours and the peers at parsing · store.py: rows, groups and queues, durable
    http.py     a long body and single posts; servers.py: what they are compared with
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from arion_lib.bench.command import finish, options
from arion_lib.bench.compare import Comparison, at_least, at_most, compare
from arion_lib.bench.memory import compare_memory
from arion_lib.bench.pipeline import http, readers, store
from arion_lib.bench.ratios import Result
from arion_lib.bench.verdicts import Table
from arion_lib.pipeline.files.sample import write_sample

PARSERS = ("msgspec", "orjson", "pysimdjson", "ijson", "pandas", "duckdb", "polars")
PEERS = (*PARSERS, "uvicorn", "uvloop", "httptools", "fastapi")

_MB = 1_000_000
_CLEAN = " (without malformed)"


def run(args: list[str]) -> int:
    """Measure, print the tables, and return the exit code."""
    parser = options("pipeline", "Parse, project, group and sum webhook events; store them; receive them over HTTP.")
    parser.add_argument("--size", type=size_in_bytes, default=100 * _MB, help="of the input: 100MB (default), 1GB")
    parser.add_argument("--only", choices=["parse", "memory", "store", "http"], help="measure only this part")
    chosen = parser.parse_args(args)
    return finish(_results(chosen), chosen, peers=PEERS)


def size_in_bytes(text: str) -> int:
    """Read a size as people write it; 1 MB is 1,000,000 bytes.

    >>> size_in_bytes("100MB"), size_in_bytes("1GB"), size_in_bytes("5000")
    (100000000, 1000000000, 5000)
    """
    found = re.fullmatch(r"(\d+)\s*(|kB|MB|GB)", text.strip(), flags=re.IGNORECASE)
    if not found or not int(found[1]):
        raise argparse.ArgumentTypeError(f"size must be a number of bytes with kB, MB or GB, got {text!r}")
    return int(found[1]) * {"": 1, "kb": 1_000, "mb": _MB, "gb": 1_000 * _MB}[found[2].lower()]


def _results(chosen: argparse.Namespace) -> Iterator[Result]:
    with tempfile.TemporaryDirectory(prefix="arion-bench-") as name:
        folder = Path(name)
        if chosen.only in (None, "parse"):
            yield parse_lines(folder, chosen.size, chosen.rounds)
            yield parse_array(folder, chosen.size, chosen.rounds)
        if chosen.only in (None, "memory"):
            yield memory(folder, chosen.size)
    if chosen.only in (None, "store"):
        yield from store.results(chosen.rounds)
    if chosen.only in (None, "http"):
        yield from http.results(chosen.rounds, chosen.size)


def parse_lines(folder: Path, size: int, rounds: int) -> Comparison:
    """Compare readers of newline-delimited JSON."""
    bad, clean = folder / "bad.ndjson", folder / "clean.ndjson"
    write_sample(bad, size)
    write_sample(clean, size, leave_out=True)
    contenders = {
        "ours": partial(readers.ours, bad),
        "msgspec loop": partial(readers.msgspec_loop, bad),
        "json.loads per line": partial(readers.json_lines, bad),
        "orjson per line": partial(readers.orjson_lines, bad),
        "pysimdjson per line": partial(readers.simdjson_lines, bad),
        "DuckDB": partial(readers.duckdb_file, bad),
        "polars" + _CLEAN: partial(readers.polars_lines, clean),
        "ijson" + _CLEAN: partial(readers.ijson_lines, clean),
        "pandas chunks" + _CLEAN: partial(readers.pandas_lines, clean),
    }
    result = compare(
        contenders,
        baseline="json.loads per line",
        rounds=rounds,
        targets={"ours": [at_least(6), at_least(0.8, of="msgspec loop")]},
        work=bad.stat().st_size,
        unit="B",
        title="NDJSON: parse, project, group, sum",
    )
    bad.unlink()
    clean.unlink()
    return result


def parse_array(folder: Path, size: int, rounds: int) -> Comparison:
    """Compare readers of one JSON array; those that hold all of it only up to 200 MB."""
    bad, clean = folder / "bad.json", folder / "clean.json"
    write_sample(bad, size, layout="array")
    write_sample(clean, size, layout="array", leave_out=True)
    contenders = {
        "ours": partial(readers.ours_array, bad),
        "ours" + _CLEAN: partial(readers.ours_array, clean),
        "ijson" + _CLEAN: partial(readers.ijson_items, clean),
        "DuckDB" + _CLEAN: partial(readers.duckdb_array, clean),
    }
    if size <= 200 * _MB:
        contenders["json whole" + _CLEAN] = partial(readers.json_whole, clean)
    result = compare(
        contenders,
        baseline="ijson" + _CLEAN,
        rounds=rounds,
        targets={"ours": at_least(7), "ours" + _CLEAN: at_least(7)},
        work=bad.stat().st_size,
        unit="B",
        title="JSON array: parse, project, group, sum",
    )
    bad.unlink()
    clean.unlink()
    return result


def memory(folder: Path, size: int) -> Table:
    """Compare peaks: ours at growing sizes, and what holds the whole body."""
    small, large = folder / "small.ndjson", folder / "large.ndjson"
    small_array, large_array = folder / "small.json", folder / "large.json"
    for path in (small, large):
        write_sample(path, 10 * _MB if path is small else size)
    for path in (small_array, large_array):
        write_sample(path, 10 * _MB if path is small_array else size, layout="array")
    clean = folder / "clean.json"
    write_sample(clean, min(size, 100 * _MB), layout="array", leave_out=True)
    contenders: Mapping[str, Callable[[], object]] = {
        "ours, 10 MB of lines": partial(readers.ours, small),
        f"ours, {size // _MB} MB of lines": partial(readers.ours, large),
        "ours, 10 MB array": partial(readers.ours_array, small_array),
        f"ours, {size // _MB} MB array": partial(readers.ours_array, large_array),
        f"json whole, {min(size, 100 * _MB) // _MB} MB array": partial(readers.json_whole, clean),
        f"ijson, {min(size, 100 * _MB) // _MB} MB array": partial(readers.ijson_items, clean),
    }
    targets = {
        f"ours, {size // _MB} MB of lines": [at_most(24e6, "B"), at_most(4e6, "B", of="ours, 10 MB of lines")],
        f"ours, {size // _MB} MB array": [at_most(24e6, "B"), at_most(4e6, "B", of="ours, 10 MB array")],
    }
    return compare_memory(contenders, targets=targets, title="Peak memory over the baseline")
