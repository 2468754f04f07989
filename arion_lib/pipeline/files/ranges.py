"""Files in parallel: ranges of whole lines, aggregated anywhere, merged here.

Idea        A range of bytes needs no coordination: its owner begins behind the first newline and ends behind the last
            line that begins inside. *Where the work runs is an argument*: `map`, a process pool's, a Dask client's.
Invariant   Each line belongs to exactly one range; sums of ints and Decimals do not depend on the ranges.
When wrong  A bad line is counted in the answer with its place in the file; a worker's error is raised here.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_ranges.py

    from dask.distributed import Client                             # the same function on a cluster
    with Client() as client:
        aggregate_file("events.ndjson", ["type"], "amount", map=lambda f, parts: client.gather(client.map(f, parts)))
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path

from arion_lib.pipeline.batch import Aggregate, DeadLetter, Key
from arion_lib.pipeline.decoder import parse
from arion_lib.pipeline.groups import Figure, Part, group_by, merge_all
from arion_lib.pipeline.ndjson import NdjsonDecoder
from arion_lib.pipeline.numbers.windows import Window
from arion_lib.pipeline.projection import projection

RANGE = 32 << 20
"""Bytes of a range, about: some tens of milliseconds of work."""

CHUNK = 1 << 16
DEAD_KEPT = 1_000
"""Dead letters that a range hands back; the rest is only counted."""


@dataclass(frozen=True, slots=True)
class Range:
    """A part of a file: the lines that begin at a byte from `start` to before `end`."""

    path: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found: the groups, how many records there were, how many of them bad, and the first of those."""

    groups: dict[Key, Aggregate]
    records: int
    malformed: int
    dead: tuple[DeadLetter, ...]


def ranges(path: str | PathLike[str], size: int = RANGE) -> list[Range]:
    """Divide a file into ranges of `size` bytes; none for an empty one."""
    if size < 1:
        raise ValueError(f"size must be >= 1 byte, got {size}")
    total = Path(path).stat().st_size
    return [Range(str(path), start, min(start + size, total)) for start in range(0, total, size)]


def aggregate_file(
    path: str | PathLike[str],
    keys: Sequence[Part],
    field: str | None = None,
    *,
    figures: Iterable[Figure] = ("sum",),
    size: int = RANGE,
    map: Callable[[Callable[[Range], Answer], Sequence[Range]], Iterable[Answer]] = builtins.map,  # noqa: A002
) -> Answer:
    """Aggregate a file of lines, its ranges wherever `map` runs them; keys, field and figures as in `Groups`.

    Cost: a worker holds one chunk, one record and its groups; here all groups are merged in memory.
    """
    question = partial(aggregate_range, keys=list(keys), field=field, figures=tuple(figures))
    return merge_answers(map(question, ranges(path, size)))


def aggregate_range(part: Range, keys: Sequence[Part], field: str | None, figures: Iterable[Figure]) -> Answer:
    """Aggregate one range: the same stages as everywhere."""
    with Path(part.path).open("rb", buffering=0) as file:
        start = line_behind(file.seek, file.read, part.start)
        named = [key for key in keys if isinstance(key, str)]
        times = [key.field for key in keys if isinstance(key, Window)]
        decoder = NdjsonDecoder(
            projection(keys=named, times=times, numbers=[field] if field else (), decimal=True), offset=start
        )
        dead: list[DeadLetter] = []
        count = _Counter(dead)
        file.seek(start)
        records = parse(lines_until(file.read, part.end - start), decoder, count)
        groups = merge_all(group_by(records, keys, field, figures=figures, on_dead=count))
    return Answer(groups, decoder.records, count.seen, tuple(dead))


def merge_answers(answers: Iterable[Answer]) -> Answer:
    """Merge the answers of ranges, in order.

    >>> whole = merge_answers([Answer({("a",): Aggregate(1)}, 1, 0, ()), Answer({("a",): Aggregate(1)}, 2, 1, ())])
    >>> whole.groups["a",].count, whole.records, whole.malformed
    (2, 3, 1)
    """
    groups: dict[Key, Aggregate] = {}
    records = malformed = 0
    dead: tuple[DeadLetter, ...] = ()
    for answer in answers:
        groups = merge_all([groups, answer.groups])
        records += answer.records
        malformed += answer.malformed
        dead += answer.dead[: DEAD_KEPT - len(dead)]
    return Answer(groups, records, malformed, dead)


class _Counter:
    """Count dead letters and keep the first ones."""

    def __init__(self, kept: list[DeadLetter]) -> None:
        self.seen = 0
        self._kept = kept

    def __call__(self, letter: DeadLetter) -> None:
        self.seen += 1
        if len(self._kept) < DEAD_KEPT:
            self._kept.append(letter)


def line_behind(seek: Callable[[int], int], read: Callable[[int], bytes], place: int) -> int:
    """Give the place of the first line that begins at `place` or behind it."""
    if place == 0:
        return 0
    place = seek(place - 1)
    while chunk := read(CHUNK):
        found = chunk.find(b"\n")
        if found >= 0:
            return place + found + 1
        place += len(chunk)
    return place


def lines_until(read: Callable[[int], bytes], left: int) -> Iterator[bytes]:
    """Yield chunks up to the end of the last line that begins within `left` bytes."""
    while left > 0 and (chunk := read(CHUNK)):
        if len(chunk) >= left:
            # The line that is open at the last of our bytes is ours to its end, however many chunks that takes.
            behind = chunk.find(b"\n", left - 1)
            while behind < 0:
                yield chunk
                if not (chunk := read(CHUNK)):
                    return
                behind = chunk.find(b"\n")
            yield chunk[: behind + 1]
            return
        yield chunk
        left -= len(chunk)
