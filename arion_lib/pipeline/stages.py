"""Stages: generators that take records and give records.

Idea        `Iterable[Record] -> Iterator[Record]`, so stages nest like functions and run one record at a time.
Invariant   A stage holds one record (a batching stage: one batch) and asks for the next only when it is asked itself.
When wrong  Arguments are checked when the stage is built; an error in the reader's predicate passes through unchanged.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_stages.py
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final

from arion_lib.pipeline.batch import DeadLetter, Record
from arion_lib.pipeline.decoder import Decoder
from arion_lib.pipeline.projection import getter, pick, split_path


def parse(
    chunks: Iterable[bytes], decoder: Decoder, on_dead: Callable[[DeadLetter], None] | None = None
) -> Iterator[Record]:
    r"""Give the records of a body that comes in chunks; each dead letter goes to `on_dead`.

    Without `on_dead`, the first bad record raises ValueError: nothing is dropped silently.

    >>> from arion_lib.pipeline.ndjson import NdjsonDecoder
    >>> list(parse([b'{"a": 1}\n{"a":', b' 2}'], NdjsonDecoder()))
    [{'a': 1}, {'a': 2}]
    """
    # A chain has no Python code per record: for a million records it saves a twentieth of a second.
    return chain.from_iterable(_decoded(chunks, decoder, on_dead))


def _decoded(
    chunks: Iterable[bytes], decoder: Decoder, on_dead: Callable[[DeadLetter], None] | None
) -> Iterator[list[Record]]:
    for chunk in chunks:
        yield decoder.feed(chunk)
        _report(decoder.take_dead(), on_dead)
    yield decoder.close()
    _report(decoder.take_dead(), on_dead)


def _report(dead: Iterable[DeadLetter], on_dead: Callable[[DeadLetter], None] | None) -> None:
    for letter in dead:
        if on_dead is None:
            raise ValueError(f"record {letter.record} at byte {letter.offset}: {letter.reason}")
        on_dead(letter)


def where(records: Iterable[Record], predicate: Callable[[Record], object]) -> Iterator[Record]:
    """Keep the records for which `predicate` is true.

    >>> list(where([{"n": 1}, {"n": 2}], lambda record: record["n"] > 1))
    [{'n': 2}]
    """
    return filter(predicate, records)


def project(records: Iterable[Record], fields: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Copy the named fields, dotted paths too, of each record into a dict; a missing one becomes None.

    A decoder made with a `projection` of the same fields never makes the others and is several times as fast.

    >>> list(project([{"id": 1, "customer": {"country": "DE", "name": "J"}}], ["id", "customer.country"]))
    [{'id': 1, 'customer': {'country': 'DE'}}]
    """
    paths = [fields] if isinstance(fields, str) else list(fields)
    for path in paths:
        split_path(path)
    return (pick(record, paths) for record in records)


def flatten(records: Iterable[Record], field: str) -> Iterator[Record]:
    """Give one record for each element of the list in `field`, with the element in the list's place.

    A record whose list is empty or missing gives none; one whose field holds something else is passed on as it is.
    Records must be dicts; a dotted path copies only the dicts on its way.

    >>> list(flatten([{"id": 1, "items": [{"sku": "a"}, {"sku": "b"}]}], "items"))
    [{'id': 1, 'items': {'sku': 'a'}}, {'id': 1, 'items': {'sku': 'b'}}]
    """
    names, get = split_path(field), getter(field)
    return chain.from_iterable(_elements(record, names, get(record)) for record in records)


def _elements(record: Record, names: Sequence[str], value: Any) -> Iterator[Record]:
    if isinstance(value, list):
        for element in value:
            yield _with(record, names, element)
    elif value is not None:
        yield record


def _with(record: Mapping[str, Any], names: Sequence[str], value: Any) -> dict[str, Any]:
    head, *rest = names
    return {**record, head: _with(record[head], rest, value) if rest else value}


class Tick:
    """What a source that may fall silent yields instead of a record, so that time can pass in the stages behind it."""


TICK: Final = Tick()


class Batcher:
    """Gather records until there are `size` of them, or the oldest has waited for `seconds`.

    No thread and no timer: the caller asks `due` when a record came or when `wait` seconds are over, and takes.
    `clock` gives seconds and never goes back.

    >>> batcher = Batcher(size=2, seconds=5.0, clock=lambda: 0.0)
    >>> batcher.add("a"), batcher.due(), batcher.add("b"), batcher.due(), batcher.take()
    (None, False, None, True, ['a', 'b'])
    """

    def __init__(self, size: int, seconds: float = math.inf, clock: Callable[[], float] = time.monotonic) -> None:
        if size < 1:
            raise ValueError(f"size must be >= 1, got {size}")
        if not seconds > 0:
            raise ValueError(f"seconds must be > 0, got {seconds}")
        self.size = size
        self.seconds = seconds
        self._clock = clock
        self._records: list[Record] = []
        self._since = 0.0

    def __len__(self) -> int:
        return len(self._records)

    def add(self, record: Record) -> None:
        """Take one record in."""
        if not self._records:
            self._since = self._clock()
        self._records.append(record)

    def wait(self) -> float:
        """Say in how many seconds the batch is due: 0.0 when it is, infinity when nothing waits."""
        if not self._records:
            return math.inf
        if len(self._records) >= self.size:
            return 0.0
        return max(0.0, self._since + self.seconds - self._clock())

    def due(self) -> bool:
        """Say whether it is time to take the batch."""
        return self.wait() == 0.0

    def take(self) -> list[Record]:
        """Hand over what came together, due or not, and begin anew."""
        records, self._records = self._records, []
        return records


def batch(
    records: Iterable[Record | Tick],
    size: int,
    seconds: float = math.inf,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[list[Record]]:
    """Yield lists of `size` records, or fewer when the oldest has waited for `seconds`; the last may be short.

    A generator can look at the clock only when something comes: a source that may fall silent yields `TICK` now and
    then, which is in no batch.

    >>> list(batch("abcde", 2))
    [['a', 'b'], ['c', 'd'], ['e']]
    >>> list(batch(["a", TICK, "b"], 9, seconds=1.0, clock=iter([0.0, 0.5, 1.0, 1.0, 1.5]).__next__))
    [['a'], ['b']]
    """
    return _batches(records, Batcher(size, seconds, clock))


def _batches(records: Iterable[Record | Tick], batcher: Batcher) -> Iterator[list[Record]]:
    for record in records:
        if record is not TICK:
            batcher.add(record)
        if batcher.due():
            yield batcher.take()
    if len(batcher):
        yield batcher.take()
