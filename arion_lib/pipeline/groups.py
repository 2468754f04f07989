"""Count, sum, least and greatest for each group, a block of records at a time.

Idea        Sort a block's values into one bucket per key, then fold each bucket with the functions of C.
Invariant   Ints and Decimals are summed exactly, whatever the order and the blocks; memory holds one cell per key
            since the last `take`, so whoever takes often enough bounds it.
When wrong  A record that cannot be grouped or summed is counted nowhere and becomes a dead letter.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_groups.py
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import reduce
from itertools import islice
from typing import Any, Literal, TypeAlias

from arion_lib.pipeline.batch import Aggregate, DeadLetter, Key, Number, Record
from arion_lib.pipeline.decoder import encode
from arion_lib.pipeline.formats.reasons import dead_letter
from arion_lib.pipeline.numbers.columns import total
from arion_lib.pipeline.numbers.exact import check_key, check_number, greatest, least, merge
from arion_lib.pipeline.numbers.windows import Window
from arion_lib.pipeline.projection import fast_getter, getter
from arion_lib.pipeline.shapes.buckets import LOOSE_KEYS, NUMBERS, PLAIN_KEYS, DistinctKey, Read, sort_block

Figure: TypeAlias = Literal["sum", "min", "max", "mean"]
Part: TypeAlias = str | Window
"""One part of a key: a field's path, or a window of time."""

BLOCK = 512
"""Records that the generator stage aggregates at a time."""

FOLD = 4 * BLOCK
"""Values that wait in their buckets before they are folded: a group costs a fold so often, not with every block."""


class Groups:
    """Aggregate records by key: `add` blocks of them, `take` what came together.

    `keys` names fields or windows of time; `field` is what is summed (None: only count); `figures` says which of sum,
    min, max and mean are wanted. A record whose `field` is missing or null is counted but adds nothing, as in SQL; the
    numbers that a sum is of are counted beside it, like SQL's `count(field)`: `part.mean`.
    `full` says that `max_keys` groups have come together: time to take.

    >>> groups = Groups(["type"], "amount")
    >>> groups.add([{"type": "paid", "amount": 5}, {"type": "paid", "amount": 2}, {"type": "sent"}])
    >>> groups.take()
    {('paid',): Aggregate(count=2, sum=7, min=None, max=None, values=2), \
('sent',): Aggregate(count=1, sum=0, min=None, max=None, values=0)}
    """

    def __init__(
        self,
        keys: Sequence[Part],
        field: str | None = None,
        *,
        figures: Iterable[Figure] = ("sum",),
        max_keys: int = 10_000,
    ) -> None:
        if isinstance(keys, str):
            raise TypeError(f"keys must be a sequence of fields, got the string {keys!r}; write [{keys!r}]")
        if max_keys < 1:
            raise ValueError(f"max_keys must be >= 1, got {max_keys}")
        self.figures = frozenset(figures)
        if not self.figures <= {"sum", "min", "max", "mean"}:
            raise ValueError(f"figures must be of sum, min, max and mean, got {sorted(self.figures)}")
        self.keys = tuple(keys)
        self.field = field
        self.max_keys = max_keys
        self.dead: list[DeadLetter] = []
        self.records = 0
        self._sum = field is not None and bool(self.figures & {"sum", "mean"})
        self._min = field is not None and "min" in self.figures
        self._max = field is not None and "max" in self.figures
        self._safe = self._readers(getter)
        self._fast: dict[type, tuple[list[Read], Read | None]] = {}
        self._cells: dict[Key, Aggregate] = {}
        self._buckets: defaultdict[Key, list[Any]] = defaultdict(list)  # one for each key since the last `take`
        self._waiting = 0  # values in them

    def __len__(self) -> int:
        return len(self._buckets)

    @property
    def full(self) -> bool:
        """Whether `max_keys` groups or more have come together since the last `take`."""
        return len(self._buckets) >= self.max_keys

    def add(self, records: Sequence[Record]) -> None:
        """Aggregate a block of records. Cost: about 0.15 microseconds each; memory for the block's keys and values."""
        for key, values in self._collect(records).items():
            self._buckets[key] += values
        self.records += len(records)
        self._waiting += len(records)
        if self._waiting >= FOLD:
            self._fold_buckets()

    def take(self) -> dict[Key, Aggregate]:
        """Hand over the groups since the last call and begin anew."""
        self._fold_buckets()
        cells, self._cells = self._cells, {}
        self._buckets.clear()
        return cells

    def take_dead(self) -> list[DeadLetter]:
        """Hand over the dead letters since the last call.

        Their `record` counts the records that came to this stage, and their `offset` is 0: a record does not know its
        place any more. A `projection` with the right roles has the decoder refuse such records, place included.
        """
        dead, self.dead = self.dead, []
        return dead

    def _collect(self, records: Sequence[Record]) -> Mapping[Key, list[Any]]:
        if not records:
            return {}
        kind = type(records[0])
        if kind not in self._fast:
            self._fast[kind] = self._readers(lambda path: fast_getter(path, kind))
        try:
            buckets = sort_block(records, *self._fast[kind])
            for key in buckets or ():
                if key not in self._buckets:
                    check_key(key)
        except (AttributeError, KeyError, TypeError, ValueError):
            buckets = None  # a field is missing, say; nothing was counted yet
        return self._collect_one_by_one(records) if buckets is None else buckets

    def _collect_one_by_one(self, records: Sequence[Record]) -> Mapping[Key, list[Any]]:
        buckets: defaultdict[Key, list[Any]] = defaultdict(list)
        for number, record in enumerate(records, self.records + 1):
            try:
                key, value = self._checked(record)
            except ValueError as error:
                self.dead.append(dead_letter(number, 0, error, encode(record)))
            else:
                buckets[key].append(value)
        return buckets

    def _checked(self, record: Record) -> tuple[Key, Number | None]:
        parts, read = self._safe
        key = DistinctKey(part(record) for part in parts)
        for part, name in zip(key, self.keys, strict=True):
            if type(part) not in PLAIN_KEYS | LOOSE_KEYS:
                raise ValueError(f"{name} must be a string, a number, a boolean or null, got {part!r:.80}")
        check_key(key)
        value = read(record) if read else None
        if type(value) not in NUMBERS:
            raise ValueError(f"{self.field} must be a number or null, got {value!r:.80}")
        check_number(value)  # refuses what no sum could hold: Decimal("NaN"), a million digits
        return key, value

    def _readers(self, make: Callable[[str], Read]) -> tuple[list[Read], Read | None]:
        parts = [part if isinstance(part, Window) else make(part) for part in self.keys]
        return parts, None if self.field is None else make(self.field)

    def _fold_buckets(self) -> None:
        for key, values in self._buckets.items():
            if values:
                part = self._fold(values)
                known = self._cells.get(key)
                self._cells[key] = part if known is None else merge(known, part)
                values.clear()
        self._waiting = 0

    def _fold(self, values: list[Any]) -> Aggregate:
        count = len(values)
        if type(None) in set(map(type, values)):  # `None in values` would ask each Decimal whether it is None
            values = [value for value in values if value is not None]
        return Aggregate(
            count,
            total(values) if self._sum else None,
            reduce(least, values) if self._min and values else None,
            reduce(greatest, values) if self._max and values else None,
            len(values) if self._sum else None,
        )


def group_by(
    records: Iterable[Record],
    keys: Sequence[Part],
    field: str | None = None,
    *,
    figures: Iterable[Figure] = ("sum",),
    max_keys: int = 10_000,
    on_dead: Callable[[DeadLetter], None] | None = None,
) -> Iterator[dict[Key, Aggregate]]:
    """Yield partial aggregates: one whenever `max_keys` groups have come together, and one at the end.

    Merge them (`exact.merge`, or a store's upsert) for the whole. Memory holds `max_keys` groups and a block of
    records, so it does not follow the number of groups. Without `on_dead`, a record that cannot be grouped raises
    ValueError. The parameters are those of `Groups`.

    >>> list(group_by([{"t": "a", "n": 1}, {"t": "a", "n": 2}], ["t"], "n", figures=["max"]))
    [{('a',): Aggregate(count=2, sum=None, min=None, max=2, values=None)}]
    """
    return _group(records, Groups(keys, field, figures=figures, max_keys=max_keys), on_dead)


def _group(
    records: Iterable[Record], groups: Groups, on_dead: Callable[[DeadLetter], None] | None
) -> Iterator[dict[Key, Aggregate]]:
    records = iter(records)
    while block := list(islice(records, BLOCK)):
        groups.add(block)
        for letter in groups.take_dead():
            if on_dead is None:
                raise ValueError(letter.reason)
            on_dead(letter)
        if groups.full:
            yield groups.take()
    if len(groups):
        yield groups.take()


def merge_all(partials: Iterable[dict[Key, Aggregate]]) -> dict[Key, Aggregate]:
    """Merge partial aggregates into one, in memory: for a look at small results, and as the store's upsert does it.

    >>> merge_all([{("a",): Aggregate(1, sum=2, values=1)}, {("a",): Aggregate(2, sum=3, values=1)}])
    {('a',): Aggregate(count=3, sum=5, min=None, max=None, values=2)}
    """
    merged: dict[Key, Aggregate] = {}
    for partial in partials:
        for key, part in partial.items():
            known = merged.get(key)
            merged[key] = part if known is None else merge(known, part)
    return merged
