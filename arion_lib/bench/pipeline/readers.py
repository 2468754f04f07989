"""One question - the sum of `amount` for each `type` of a file of events - answered by us and by others.

Idea        Each contender is the program that a user of that library would write, no slower and no cleverer.
Invariant   Each returns the same totals, so that none can be fast by leaving something out.
When wrong  A reader that stops at the first malformed event gets the file without them; its name says so.
See         arion_lib/bench/pipeline/__init__.py · tests/bench/test_pipeline.py
"""

from __future__ import annotations

import json
from collections.abc import Callable
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


def by_line(path: Path, loads: Callable[[bytes], Any]) -> Totals:
    """Parse each line whole, pick the two fields."""
    totals: Totals = {}
    with path.open("rb") as file:
        for line in file:
            try:
                event = loads(line)
            except ValueError:
                continue
            totals[event["type"]] = totals.get(event["type"], 0) + event["amount"]
    return totals


def json_lines(path: Path) -> Totals:
    """Use the standard library."""
    return by_line(path, json.loads)


def orjson_lines(path: Path) -> Totals:
    """Use orjson."""
    import orjson

    return by_line(path, orjson.loads)


def simdjson_lines(path: Path) -> Totals:
    """Use simdjson's lazy objects, of which one may live at a time."""
    import simdjson

    parse_line = simdjson.Parser().parse
    totals: Totals = {}
    with path.open("rb") as file:
        for line in file:
            try:
                event: Any = parse_line(line)
            except ValueError:
                continue
            totals[event["type"]] = totals.get(event["type"], 0) + event["amount"]
            del event
    return totals


def ijson_items(path: Path, prefix: str = "item", lines: bool = False) -> Totals:
    """Use ijson's iterator over objects."""
    import ijson  # type: ignore[import-untyped]

    totals: Totals = {}
    with path.open("rb") as file:
        for event in ijson.items(file, prefix, multiple_values=lines):
            totals[event["type"]] = totals.get(event["type"], 0) + event["amount"]
    return totals


def ijson_lines(path: Path) -> Totals:
    """Use ijson on concatenated values."""
    return ijson_items(path, "", lines=True)


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

    # The names are constants of this file; the path is a parameter.
    rows = duckdb.execute(
        "SELECT type, sum(amount) FROM read_json(?, format=?, columns={type: 'VARCHAR', amount: 'BIGINT'}, "
        "ignore_errors=?, maximum_object_size=1048576) WHERE type IS NOT NULL AND amount IS NOT NULL GROUP BY type",
        [str(path), layout, layout == "newline_delimited"],
    ).fetchall()
    return {kind: int(amount) for kind, amount in rows}


def duckdb_array(path: Path) -> Totals:
    """Use DuckDB on an array."""
    return duckdb_file(path, "array")


def polars_lines(path: Path) -> Totals:
    """Use polars' lazy scan, told which two columns there are."""
    import polars as pl

    frame = pl.scan_ndjson(path, schema={"type": pl.String, "amount": pl.Int64}).group_by("type").agg(pl.sum("amount"))
    return {row["type"]: row["amount"] for row in frame.collect().to_dicts()}


def whole(path: Path, loads: Callable[[bytes], Any]) -> Totals:
    """Read the whole body and parse it at once: the naive version."""
    totals: Totals = {}
    for event in loads(path.read_bytes()):
        totals[event["type"]] = totals.get(event["type"], 0) + event["amount"]
    return totals


def json_whole(path: Path) -> Totals:
    """Use the standard library on the whole array."""
    return whole(path, json.loads)
