"""One question - the sum of `amount` for each `type` of a file of events - answered by us and by others.

Idea        Each contender is the program that a user of that library would write, no slower and no cleverer.
Invariant   Each returns the same totals, so that none can be fast by leaving something out.
When wrong  A reader that stops at the first malformed event gets the file without them; its name says so.
See         arion_lib/bench/pipeline/__init__.py · tests/bench/test_pipeline.py
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from arion_lib.pipeline.batch import DeadLetter
from arion_lib.pipeline.decoder import Decoder, parse
from arion_lib.pipeline.files.sample import read_chunks
from arion_lib.pipeline.formats.arrays import ArrayDecoder
from arion_lib.pipeline.groups import group_by, merge_all
from arion_lib.pipeline.ndjson import NdjsonDecoder
from arion_lib.pipeline.projection import projection

Totals = dict[str, int]
Reader = Callable[[Path], Totals]
CLEAN = " (without malformed)"
"""Ends the names of the readers that get the file without its malformed events."""


def ours(path: Path, decoder: Callable[[Any], Decoder] = NdjsonDecoder) -> Totals:
    """Decode, project, group and sum through the generator stages; malformed events become dead letters."""
    dead: list[DeadLetter] = []
    records = parse(read_chunks(path), decoder(projection(keys=["type"], numbers=["amount"])), dead.append)
    groups = merge_all(group_by(records, ["type"], "amount"))
    return {str(key[0]): int(cell.sum or 0) for key, cell in groups.items()}


def ours_array(path: Path) -> Totals:
    """Read an array."""
    return ours(path, ArrayDecoder)


class _Event(msgspec.Struct, gc=False):
    type: str
    amount: int


def msgspec_loop(path: Path) -> Totals:
    """Decode line by line into a Struct of the two fields, and nothing else: the loop that a reader would write."""
    decode = msgspec.json.Decoder(_Event).decode
    totals: Totals = {}
    with path.open("rb") as file:
        for line in file:
            try:
                event = decode(line)
            except msgspec.DecodeError:
                continue
            totals[event.type] = totals.get(event.type, 0) + event.amount
    return totals


def by_line(path: Path, loads: Callable[[bytes], Any] = json.loads) -> Totals:
    """Parse each line whole, pick the two fields."""
    totals: Totals = {}
    with path.open("rb") as file:
        for line in file:
            try:
                event = loads(line)
            except ValueError:
                continue
            totals[event["type"]] = totals.get(event["type"], 0) + event["amount"]
            del event  # simdjson refuses to parse on while one of its objects lives
    return totals


def orjson_lines(path: Path) -> Totals:
    import orjson

    return by_line(path, orjson.loads)


def simdjson_lines(path: Path) -> Totals:
    import simdjson

    return by_line(path, simdjson.Parser().parse)


def summed(events: Iterable[Any]) -> Totals:
    """Sum events that are parsed."""
    totals: Totals = {}
    for event in events:
        totals[event["type"]] = totals.get(event["type"], 0) + event["amount"]
    return totals


def json_whole(path: Path) -> Totals:
    """Read the whole array and parse it at once: the naive version."""
    return summed(json.loads(path.read_bytes()))


def ijson_items(path: Path, prefix: str = "item", lines: bool = False) -> Totals:
    import ijson  # type: ignore[import-untyped]

    with path.open("rb") as file:
        return summed(ijson.items(file, prefix, multiple_values=lines))


def pandas_lines(path: Path) -> Totals:
    """Use pandas, 10,000 lines at a time."""
    import pandas as pd  # type: ignore[import-untyped]

    totals: Totals = {}
    with pd.read_json(path, lines=True, chunksize=10_000) as frames:
        for frame in frames:
            for kind, amount in frame.groupby("type")["amount"].sum().items():
                totals[kind] = totals.get(kind, 0) + int(amount)
    return totals


def duckdb_file(path: Path, layout: str = "newline_delimited") -> Totals:
    """Use DuckDB with all its threads, told which two columns there are."""
    import duckdb

    rows = duckdb.execute(
        "SELECT type, sum(amount) FROM read_json(?, format=?, columns={type: 'VARCHAR', amount: 'BIGINT'}, "
        "ignore_errors=?, maximum_object_size=1048576) WHERE type IS NOT NULL AND amount IS NOT NULL GROUP BY type",
        [str(path), layout, layout == "newline_delimited"],
    ).fetchall()
    return {kind: int(amount) for kind, amount in rows}


def polars_lines(path: Path) -> Totals:
    """Use polars' lazy scan, told which two columns there are."""
    import polars as pl

    frame = pl.scan_ndjson(path, schema={"type": pl.String, "amount": pl.Int64}).group_by("type").agg(pl.sum("amount"))
    return dict(frame.collect().iter_rows())


LINES: dict[str, Reader] = {
    "ours": ours,
    "msgspec loop": msgspec_loop,
    "json.loads per line": by_line,
    "orjson per line": orjson_lines,
    "pysimdjson per line": simdjson_lines,
    "DuckDB": duckdb_file,
    "polars" + CLEAN: polars_lines,
    "ijson" + CLEAN: partial(ijson_items, prefix="", lines=True),
    "pandas chunks" + CLEAN: pandas_lines,
}
"""Readers of newline-delimited JSON."""
ARRAYS: dict[str, Reader] = {
    "ours": ours_array,
    "ours" + CLEAN: ours_array,
    "ijson" + CLEAN: ijson_items,
    "DuckDB" + CLEAN: partial(duckdb_file, layout="array"),
}
"""Readers of one JSON array, a piece at a time."""
WHOLE: dict[str, Reader] = {"json whole" + CLEAN: json_whole}
"""Readers of one JSON array that hold all of it."""
