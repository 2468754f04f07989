"""Challenge 1: read and sum events, store them, take them in over HTTP - ours and the readers.

Idea        The same question to everyone on the same file, in turns; memory in processes of their own.
Invariant   All contenders return the same totals before any is timed.
When wrong  A target that is missed is printed as missed, and fails the run with --strict.
See         tests/bench/test_pipeline.py

    readers.py  ours and the peers at parsing
    http.py     a long body and single posts, and the servers that they are compared with
"""

from __future__ import annotations

import argparse
import re
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Literal

from arion_lib.bench.command import finish, measured, options
from arion_lib.bench.compare import Comparison, at_least, at_most, compare
from arion_lib.bench.memory import compare_memory
from arion_lib.bench.pipeline import http, readers
from arion_lib.bench.pipeline.readers import CLEAN
from arion_lib.bench.verdicts import Bounds, Table
from arion_lib.pipeline.batch import Batch
from arion_lib.pipeline.files.sample import sample_events, write_sample
from arion_lib.pipeline.stores.sqlite import SqliteStore

_MB = 1_000_000
WHOLE_UP_TO = 200 * _MB
"""Bytes of an array past which those that hold all of it are left out."""
SETTINGS = ("journal_mode = WAL", "synchronous = FULL", "cache_size = -4096", "journal_size_limit = 67108864")
"""As our store's: durable against durable, every contender waits for the disk as often as ours."""
Layout = Literal["lines", "array"]


def run(args: list[str]) -> int:
    """Measure, print the tables, and return the exit code."""
    said = "Parse, project, group and sum webhook events; store them; receive them over HTTP."
    parser = options("pipeline", said, SECTIONS)
    parser.add_argument("--size", type=size_in_bytes, default=100 * _MB, help="of the input: 100MB (default), 1GB")
    chosen = parser.parse_args(args)
    libraries = ("msgspec", "orjson", "pysimdjson", "ijson", "pandas", "duckdb", "polars")
    servers = ("uvicorn", "uvloop", "httptools", "fastapi")
    return finish(measured(SECTIONS, chosen.only, chosen), chosen, [*libraries, *servers])


def size_in_bytes(text: str) -> int:
    """Read a size as people write it; 1 MB is 1,000,000 bytes.

    >>> size_in_bytes("100MB"), size_in_bytes("1GB"), size_in_bytes("5000")
    (100000000, 1000000000, 5000)
    """
    found = re.fullmatch(r"(\d+)\s*(|kB|MB|GB)", text.strip(), flags=re.IGNORECASE)
    if not found or not int(found[1]):
        raise argparse.ArgumentTypeError(f"size must be a number of bytes with kB, MB or GB, got {text!r}")
    return int(found[1]) * {"": 1, "kb": 1_000, "mb": _MB, "gb": 1_000 * _MB}[found[2].lower()]


def parse(chosen: argparse.Namespace) -> Iterator[Table]:
    """Compare readers of both layouts."""
    with tempfile.TemporaryDirectory(prefix="arion-bench-") as name:
        yield parse_lines(Path(name), chosen.size, chosen.rounds)
        yield parse_array(Path(name), chosen.size, chosen.rounds)


def parse_lines(folder: Path, size: int, rounds: int) -> Comparison:
    """Compare readers of newline-delimited JSON."""
    targets = {"ours": [at_least(6), at_least(0.8, of="msgspec loop")]}
    title = "NDJSON: parse, project, group, sum"
    return _compared(folder, size, rounds, "lines", readers.LINES, "json.loads per line", targets, title)


def parse_array(folder: Path, size: int, rounds: int) -> Comparison:
    """Compare readers of one JSON array; those that hold all of it only of a short one."""
    contenders = readers.ARRAYS if size > WHOLE_UP_TO else readers.ARRAYS | readers.WHOLE
    targets = {"ours": at_least(7), "ours" + CLEAN: at_least(7)}
    title = "JSON array: parse, project, group, sum"
    return _compared(folder, size, rounds, "array", contenders, "ijson" + CLEAN, targets, title)


def _compared(
    folder: Path,
    size: int,
    rounds: int,
    layout: Layout,
    contenders: Mapping[str, readers.Reader],
    baseline: str,
    targets: Bounds,
    title: str,
) -> Comparison:
    """Compare readers of one file; those named so get it without its malformed events."""
    bad, clean = folder / f"bad.{layout}", folder / f"clean.{layout}"
    write_sample(bad, size, layout=layout)
    write_sample(clean, size, layout=layout, leave_out=True)
    reading = {name: partial(read, clean if name.endswith(CLEAN) else bad) for name, read in contenders.items()}
    work = bad.stat().st_size
    result = compare(reading, baseline, rounds=rounds, targets=targets, work=work, unit="B", title=title)
    bad.unlink()
    clean.unlink()
    return result


def memory(chosen: argparse.Namespace) -> Iterator[Table]:
    """Compare peaks: ours at growing sizes, and what holds the whole body."""
    size, part = chosen.size, min(chosen.size, 100 * _MB)
    large_lines, large_array = f"ours, {size // _MB} MB of lines", f"ours, {size // _MB} MB array"
    small_lines, small_array = "ours, 10 MB of lines", "ours, 10 MB array"
    with tempfile.TemporaryDirectory(prefix="arion-bench-") as name:

        def sample(size: int, layout: Layout, leave_out: bool = False) -> Path:
            path = Path(name) / f"{size}.{layout}.{leave_out}"
            write_sample(path, size, layout=layout, leave_out=leave_out)
            return path

        clean = sample(part, "array", leave_out=True)
        contenders: Mapping[str, Callable[[], object]] = {
            small_lines: partial(readers.ours, sample(10 * _MB, "lines")),
            large_lines: partial(readers.ours, sample(size, "lines")),
            small_array: partial(readers.ours_array, sample(10 * _MB, "array")),
            large_array: partial(readers.ours_array, sample(size, "array")),
            f"json whole, {part // _MB} MB array": partial(readers.json_whole, clean),
            f"ijson, {part // _MB} MB array": partial(readers.ijson_items, clean),
        }
        targets = {
            large: [at_most(24e6, "B"), at_most(4e6, "B", of=small)]
            for large, small in ((large_lines, small_lines), (large_array, small_array))
        }
        yield compare_memory(contenders, targets=targets, title="Peak memory over the baseline")


def stored(chosen: argparse.Namespace) -> Iterator[Table]:
    """Compare durable writes."""
    with tempfile.TemporaryDirectory(prefix="arion-bench-") as name:
        for batch in (1_000, 10_000):
            yield rows_and_outbox(Path(name), batch, chosen.rounds)


def rows_and_outbox(folder: Path, batch: int, rounds: int, rows: int = 20_000) -> Comparison:
    """Compare durable batches of rows with an outbox to the plain `executemany` of the same rows without one."""
    events = list(sample_events(rows))
    copies = [event + b" " for event in events]  # messages that are not the rows: the outbox holds their bytes
    with ExitStack() as stack:
        plain = stack.enter_context(closing(sqlite3.connect(folder / f"plain{batch}.db", isolation_level=None)))
        for setting in SETTINGS:
            plain.execute(f"PRAGMA {setting}")
        plain.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, body)")
        stores = {name: SqliteStore(folder / f"{name}{batch}.db") for name in ("rows", "echo", "copy")}
        alone, echoing, copying = map(stack.enter_context, stores.values())
        return compare(
            {
                "executemany, no outbox": partial(_executemany, plain, events, batch),
                "store: rows alone": partial(_commit, alone, events, None, batch),
                "store: rows + outbox": partial(_commit, echoing, events, events, batch),
                "store: rows + other messages": partial(_commit, copying, events, copies, batch),
            },
            baseline="executemany, no outbox",
            rounds=rounds,
            targets={"store: rows + outbox": at_least(0.8)},
            work=rows,
            unit="rows",
            title=f"SQLite, durable, {batch:,} rows of 700 bytes a batch",
        )


def _executemany(db: sqlite3.Connection, events: list[bytes], batch: int) -> int:
    for start in range(0, len(events), batch):
        texts = ((event.decode(),) for event in events[start : start + batch])
        db.execute("BEGIN")
        db.executemany("INSERT INTO rows (body) VALUES (?)", texts)
        db.execute("COMMIT")
    return len(events)


def _commit(store: SqliteStore, events: list[bytes], messages: list[bytes] | None, batch: int) -> int:
    for start in range(0, len(events), batch):
        rows = events[start : start + batch]
        outgoing = rows if messages is events else messages[start : start + batch] if messages else ()
        store.commit(Batch("bench", rows=rows, messages=outgoing))
    if messages:  # empty the outbox as a relay does, so that it is no longer in the last round than in the first
        with store._connections.transaction(durable=False) as db:
            db.execute("DELETE FROM pending")
            db.execute("DELETE FROM outbox")
    return len(events)


SECTIONS = {"parse": parse, "memory": memory, "store": stored, "http": http.results}
