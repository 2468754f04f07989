"""A file of lines into a store, decoded by many workers and committed here, in the order of the file.

Idea        A worker makes rows or sums of a range; the one who commits numbers what came before it, so a range is a
            batch of the file's one delivery. *Where the work runs is an argument*: any `Executor`, a Dask client's too.
Invariant   The store holds what one process would have put there: the same rows, sums, dead letters and numbers, and a
            delivery that counts once. Memory holds a few ranges, whatever the file's length.
When wrong  Whatever is not plain - a file that broke off before, an array, a body that is mostly bad - goes on in one
            process, from where the last committed range ended.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_ingest_ranges.py

    from dask.distributed import Client                             # the same function on a cluster
    with Client() as client:
        ingest_file(path, store, "s", Recipe(), "path", pool=client.get_executor(), workers=8)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

from arion_lib.pipeline.batch import Batch, DeadLetter
from arion_lib.pipeline.decoder import MAX_BAD, Decoder
from arion_lib.pipeline.deliveries import BodyCheck, Delivery
from arion_lib.pipeline.files.ranges import CHUNK, Range, line_behind, lines_until, ranges
from arion_lib.pipeline.files.sample import read_chunks
from arion_lib.pipeline.formats.records import open_decoder, sniff
from arion_lib.pipeline.ingest import Receipt, ingest
from arion_lib.pipeline.ndjson import NdjsonDecoder
from arion_lib.pipeline.shapes.recipe import Recipe
from arion_lib.pipeline.shapes.rows import Rows, record_type
from arion_lib.pipeline.shapes.sums import Sums, messages_of
from arion_lib.pipeline.store import Store

SIZE = 4 << 20
"""Bytes of a range that becomes one batch, about."""

_T = TypeVar("_T")
_NO_BOUND = 1 << 62  # a range is a bound already


@dataclass(frozen=True, slots=True)
class Shaped:
    """What a worker made of a range: `contents` are a batch's; letters are numbered from the range's first record."""

    contents: dict[str, Any]
    dead: list[DeadLetter]
    records: int
    too_long: int
    end: int  # the byte behind its last line
    plain: bool  # it was read to its end


def ingest_file(
    path: Path,
    store: Store,
    stream: str,
    recipe: Recipe,
    delivery: str,
    *,
    pool: Executor | None = None,
    workers: int = 1,
    size: int = SIZE,
) -> Receipt:
    """Take a file in as one delivery, its ranges decoded by `workers` of `pool`; return what became of its records.

    Without a pool, and wherever a file is no fresh one of lines, it is `ingest` in this process; its errors are raised.
    """
    if pool and not recipe.path and _is_lines(path) and store.done(stream, delivery) is None:
        shaped = _ahead(pool, partial(shape_range, recipe=recipe), ranges(path, size), 2 * workers)
        receipt, complete = _commit(path, store, stream, recipe, delivery, shaped)
        if complete:
            return receipt
    return ingest(read_chunks(path), store, stream, recipe, partial(_decoder, recipe), delivery=delivery)


def shape_range(part: Range, recipe: Recipe) -> Shaped:
    """Make rows or sums of the lines that begin in a range."""
    gather: Rows | Sums = Sums(recipe, _NO_BOUND) if recipe.groups else Rows(recipe, _NO_BOUND)
    dead: list[DeadLetter] = []
    with Path(part.path).open("rb", buffering=0) as file:
        start = line_behind(file.seek, file.read, part.start)
        file.seek(start)
        decoder = NdjsonDecoder(record_type(recipe), offset=start)
        end = start
        for chunk in lines_until(file.read, part.end - start):
            end += len(chunk)
            _gather(decoder, decoder.feed(chunk), gather, dead)
        _gather(decoder, decoder.close(), gather, dead)
    contents = gather.take("", ())
    return Shaped(contents, dead, decoder.records, decoder.too_long, end, decoder.broken is None)


def _gather(decoder: Decoder, records: list[Any], gather: Rows | Sums, dead: list[DeadLetter]) -> None:
    refused = decoder.take_dead()
    if records:
        refused += gather.add(records, decoder.records, refused)
    dead += sorted(refused, key=attrgetter("record"))


def _commit(
    path: Path, store: Store, stream: str, recipe: Recipe, delivery: str, answers: Iterable[Shaped]
) -> tuple[Receipt, bool]:
    """Commit the ranges in their order; say whether all of them were plain and are there."""
    receipt, check, done, bad = Receipt(), BodyCheck(), 0, 0
    total = path.stat().st_size
    with path.open("rb", buffering=0) as file:
        for shaped in answers:
            bad += len(shaped.dead)
            if not shaped.plain or (bad > MAX_BAD and bad * 10 > done + shaped.records):
                return receipt, False
            while (missing := shaped.end - check.so_far.length) > 0 and (chunk := file.read(min(CHUNK, missing))):
                check.feed(chunk)
            complete = shaped.end >= total
            if not shaped.records and not complete:
                continue  # a range inside one long line
            step = Delivery(delivery, done + shaped.records, complete, done, check.so_far)
            receipt.leave_out(store.commit(_batch(stream, recipe, shaped, step, receipt)))
            done += shaped.records
            if complete:
                return receipt, True
    return receipt, False


def _batch(stream: str, recipe: Recipe, shaped: Shaped, step: Delivery, receipt: Receipt) -> Batch:
    contents = dict(shaped.contents)
    receipt.accepted += contents.pop("accepted")
    receipt.miss(contents.pop("missing", {}))
    receipt.dead += len(shaped.dead)
    receipt.too_long += shaped.too_long
    if recipe.groups:
        receipt.groups += len(contents["groups"])
        names = [*recipe.group_by, *recipe.times]
        contents["messages"] = messages_of(stream, names, contents["groups"], [step])
    dead = [replace(letter, record=letter.record + step.start) for letter in shaped.dead]
    return Batch(stream, dead=dead, deliveries=[step], **contents)


def _ahead(pool: Executor, function: Callable[[Range], _T], parts: Iterable[Range], window: int) -> Iterator[_T]:
    """Yield each part's answer in order, at most `window` of them asked for and not yet taken: memory stays flat."""
    waiting: deque[Future[_T]] = deque()
    try:
        for part in parts:
            waiting.append(pool.submit(function, part))
            if len(waiting) >= window:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _is_lines(path: Path) -> bool:
    with path.open("rb") as file:
        return sniff(file.read(CHUNK)) == "lines"


def _decoder(recipe: Recipe, kind: Any, skip: int) -> Decoder:
    return open_decoder(None, kind, path=recipe.items, skip=skip)
