"""`python -m arion_lib ingest FILE...`: files of lines, summed by group on several cores, or taken into a store.

Idea        A file at rest is cut into ranges of whole records; each worker sums its ranges; sums merge exactly.
Invariant   The same groups as one process finds, digit by digit, however many workers there are; memory follows the
            groups, not the files.
When wrong  Bad lines are counted and the first of them named on stderr; exit code 2 for what cannot be asked, and for a
            file in which nothing can be read.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_ingest_files.py
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, cast

from arion_lib.pipeline.decoder import encode
from arion_lib.pipeline.deliveries import OtherBody
from arion_lib.pipeline.files.ingest_ranges import ingest_file
from arion_lib.pipeline.files.ranges import RANGE, Answer, aggregate_range, merge_answers, ranges
from arion_lib.pipeline.groups import Figure, Part
from arion_lib.pipeline.numbers.windows import Window
from arion_lib.pipeline.queues.durable import nobody_elses
from arion_lib.pipeline.shapes.recipe import Recipe, read_recipe
from arion_lib.pipeline.store import StoreError, open_store
from arion_lib.units import how_many

TOLD = 5
"""Bad lines that are named."""


def run(args: list[str]) -> int:
    """Take the files in; return the exit code."""
    chosen = _parser().parse_args(args)
    try:
        return _store(chosen) if chosen.store else _sum(chosen)
    except (StoreError, ValueError, OSError) as error:
        sys.stderr.write(f"python -m arion_lib ingest: {error}\n")
        return 2


def aggregate_files(
    paths: Sequence[str | os.PathLike[str]],
    keys: Sequence[Part],
    field: str | None = None,
    *,
    figures: Sequence[Figure] = ("sum",),
    workers: int = 1,
    size: int = RANGE,
) -> Answer:
    """Sum files of lines by group, in so many processes; keys, field and figures as in `Groups`.

    `size` is that of a range, in bytes. Decimals are summed exactly, so the answer does not depend on the workers.
    """
    question = partial(aggregate_range, keys=list(keys), field=field, figures=tuple(figures))
    parts = [part for path in paths for part in ranges(path, size)]
    workers = min(workers, len(parts))
    if workers <= 1:
        return merge_answers(map(question, parts))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return merge_answers(pool.map(question, parts))


def _sum(chosen: argparse.Namespace) -> int:
    wishes = _wishes(chosen)
    if not wishes.groups:
        must = "--group-by, --window or --sum-field"
        raise ValueError(f"without --store there must be {must}, got none: what is to be printed?")
    parts: list[Part] = list(wishes.parts())
    answer = aggregate_files(
        chosen.files, parts, wishes.sum_field, figures=("sum", *chosen.figures), workers=chosen.workers
    )
    names = [*wishes.group_by, *wishes.times]
    for key in sorted(answer.groups, key=repr):
        cell = answer.groups[key]
        figures: dict[str, Any] = {name: getattr(cell, name) for name in ("sum", *chosen.figures)}
        told = {name: figure for name, figure in figures.items() if figure is not None}
        line = {"group": dict(zip(names, key, strict=True)), "count": cell.count, **told}
        sys.stdout.buffer.write(encode(line) + b"\n")
    sys.stdout.buffer.flush()
    for letter in answer.dead[:TOLD]:
        sys.stderr.write(f"record at byte {letter.offset}: {letter.reason}\n")
    if answer.malformed:
        sys.stderr.write(f"bad, and counted nowhere: {answer.malformed} of {how_many(answer.records, 'records')}\n")
    return 2 if answer.records and answer.malformed == answer.records else 0


def _store(chosen: argparse.Namespace) -> int:
    recipe, code = _wishes(chosen), 0
    with nobody_elses(), open_store(chosen.store) as store, _pool(chosen.workers) as pool:
        for path in chosen.files:
            name = str(path.resolve())[-500:]
            try:
                receipt = ingest_file(path, store, chosen.stream, recipe, name, pool=pool, workers=chosen.workers)
            except OtherBody as error:
                must = "a file must hold what was taken in under its name before"
                do = "give what is new a file, or a --stream, of its own"
                raise ValueError(f"{must}, got other bytes in {path}: {do}") from error
            dead = how_many(receipt.dead, "dead letters")
            sys.stdout.write(f"{path}: {receipt.accepted} accepted, {receipt.duplicates} known, {dead}\n")
            if receipt.dead and not (receipt.accepted or receipt.duplicates):
                code = 2
                said = f"nothing in {path} was fit: python -m arion_lib letters {chosen.stream} says why"
                sys.stderr.write(f"python -m arion_lib ingest: {said}\n")
    return code


def _pool(workers: int) -> AbstractContextManager[Executor | None]:
    """Return the worker processes, or None where this one is enough."""
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn")) if workers > 1 else nullcontext()


def _wishes(chosen: argparse.Namespace) -> Recipe:
    named = {name: getattr(chosen, name) for name in ("fields", "group_by", "sum_field", "path", "dedupe", "window")}
    if chosen.figures and chosen.sum_field is None:
        raise ValueError(f"--figures must be of a --sum-field, got {','.join(chosen.figures)} alone")
    named["figures"] = [name for name in chosen.figures if name != "mean"] or None  # a sum always has its mean
    return read_recipe({name: wish for name, wish in named.items() if wish is not None})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m arion_lib ingest",
        description="Sum files of JSON lines by group and print the groups, or take the files into a store.",
        epilog="example: python -m arion_lib ingest events.ndjson --group-by type --sum-field amount --workers 2",
    )
    add = parser.add_argument
    add(
        "files", nargs="+", type=Path, metavar="FILE", help="file of JSON lines; with --store also an array or document"
    )
    add("--group-by", help="fields whose values name a group, with commas")
    add("--sum-field", help="field that is summed, exactly")
    add("--window", type=_window, metavar="FIELD:SECONDS", help="group by stretches of time, too: created:3600[:ms]")
    add("--figures", type=_figures, default=(), help="min, max, mean of --sum-field, with commas")
    add("--workers", type=_workers, default=1, help="processes that read (default: %(default)s)")
    add("--store", help="store's URL: rows (or groups) are kept there, and sent on by its service")
    add("--stream", default="files", help="the stream in the store (default: %(default)s)")
    add("--fields", help="fields that a row keeps, with commas (default: all)")
    add("--path", help="where the array is in a JSON document, such as events.item")
    add("--dedupe", help="field that makes an event unique in its stream")
    return parser


def _window(text: str) -> str:
    try:
        Window.of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def _figures(text: str) -> tuple[Figure, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if not set(names) <= {"min", "max", "mean"}:
        raise argparse.ArgumentTypeError(f"must be of min, max and mean, got {text[:60]!r}")
    return cast("tuple[Figure, ...]", names)


def _workers(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= 256):
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to 256, got {text[:40]!r}")
    return int(text)
