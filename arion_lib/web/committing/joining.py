"""Many small batches to few: those of one stream's rows are written as one.

Idea        A store checks and writes one batch of a hundred rows much faster than a hundred of one.
Invariant   Each row is there once, in its order within its stream; the indices say whose a joined batch is.
When wrong  Nothing is raised: what cannot be joined stays as it is.
See         tests/web/test_group_commit.py
"""

from __future__ import annotations

from collections.abc import Sequence

from arion_lib.pipeline.batch import Batch, DeadLetter
from arion_lib.pipeline.deliveries import Delivery

Event = tuple[str, bytes, Delivery | None]
"""A single row that goes the short way: its stream, the row, and the delivery that it is all of."""


def join(batches: Sequence[Batch | Event]) -> list[tuple[Batch, list[int]]]:
    """Join batches of rows to one a stream, each with the indices of those it is made of.

    A store checks and writes one batch of a hundred rows much faster than a hundred of one. Batches with groups or
    event ids stay as they are: their rows and messages belong together in other ways.

    >>> rows = [b"1"]
    >>> waiting = [Batch("a", rows, messages=rows), Batch("b"), ("a", b"2", None)]
    >>> [(batch.rows, indices) for batch, indices in join(waiting)]
    [([b'1', b'2'], [0, 2]), ([], [1])]
    """
    plain: dict[str, _Joined] = {}
    joined: list[tuple[Batch, list[int]]] = []
    for index, batch in enumerate(batches):
        if type(batch) is tuple:
            if (together := plain.get(batch[0])) is None:
                together = plain[batch[0]] = _Joined(batch[0])
            together.add_event(index, batch)
        elif isinstance(batch, Batch) and _is_plain(batch):
            plain.setdefault(batch.stream, _Joined(batch.stream)).add(index, batch)
        else:
            joined.append((as_batch(batch), [index]))
    return joined + [(together.batch(), together.indices) for together in plain.values()]


def as_batch(entry: Batch | Event) -> Batch:
    """Return the batch that an entry is or stands for."""
    if isinstance(entry, Batch):
        return entry
    stream, row, delivery = entry
    rows = [row]
    return Batch(stream, rows, messages=rows, deliveries=[delivery] if delivery else ())


def _is_plain(batch: Batch) -> bool:
    if batch.ids is not None or batch.groups or batch.metas is not None or batch.settled:
        return False
    return batch.messages is batch.rows or not (batch.messages or batch.rows)


class _Joined:
    """Rows of one stream, gathered."""

    __slots__ = ("_dead", "_deliveries", "_rows", "_stream", "indices")

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self._rows: list[bytes] = []
        self._dead: list[DeadLetter] = []
        self._deliveries: list[Delivery] = []
        self.indices: list[int] = []

    def add_event(self, index: int, event: Event) -> None:
        _, row, delivery = event
        self._rows.append(row)
        self.indices.append(index)
        if delivery is not None:
            self._deliveries.append(delivery)

    def add(self, index: int, batch: Batch) -> None:
        self._rows += batch.rows
        self._dead += batch.dead
        self._deliveries += batch.deliveries
        self.indices.append(index)

    def batch(self) -> Batch:
        return Batch(self._stream, self._rows, messages=self._rows, dead=self._dead, deliveries=self._deliveries)
