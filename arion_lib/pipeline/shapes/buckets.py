"""A block of records sorted into buckets of values, one for each key.

Idea        Read each field of the whole block as a column, then deal the values out by key: Python runs one line a
            record, C the rest.
Invariant   Keys that JSON holds apart stay apart: 1, 1.0 and true are three groups.
When wrong  None, for a block in which a key or a number is of a kind that needs a closer look.
See         tests/pipeline/test_groups.py
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import repeat
from typing import Any, TypeAlias, TypeVar

from arion_lib.pipeline.batch import Key, Record
from arion_lib.pipeline.numbers.columns import check_numbers

Read: TypeAlias = Callable[[Record], Any]
_K = TypeVar("_K")

PLAIN_KEYS = {str, int, type(None)}
LOOSE_KEYS = {bool, float}
NUMBERS = {int, float, Decimal, type(None)}


class DistinctKey(tuple[Any, ...]):
    """A key in which 1, 1.0 and True stay three different things, as they are in JSON.

    >>> (True,) == (1,), DistinctKey([True]) == (1,), DistinctKey([1]) == (1,)
    (True, False, True)
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return tuple.__eq__(self, other) is True and list(map(type, self)) == list(map(type, other))  # type: ignore[call-overload]

    __hash__ = tuple.__hash__


def sort_block(records: Sequence[Record], parts: Sequence[Read], read: Read | None) -> Mapping[Key, list[Any]] | None:
    """Sort a block's values into buckets by key; None when a record needs a closer look.

    `parts` read the key of a record, `read` its value (None: there is none). Raises what they raise, and ValueError
    for a number that no sum could keep.

    >>> sort_block([{"t": "a", "n": 1}, {"t": "b", "n": 2}], [lambda r: r["t"]], lambda r: r["n"])
    {('a',): [1], ('b',): [2]}
    """
    columns = [list(map(part, records)) for part in parts]
    values: Iterable[Any] = repeat(None)
    if read is not None:
        values = column = list(map(read, records))
        if not set(map(type, column)) <= NUMBERS:
            return None
        check_numbers(column)
    kinds = {kind for column in columns for kind in set(map(type, column))}
    if not kinds <= PLAIN_KEYS | LOOSE_KEYS:
        return None
    if len(columns) == 1 and kinds <= PLAIN_KEYS:
        return {(key,): bucket for key, bucket in _sorted(columns[0], values).items()}
    keys: Iterable[Key] = zip(*columns, strict=True) if columns else repeat((), len(records))
    return _sorted(map(DistinctKey, keys) if kinds & LOOSE_KEYS else keys, values)


def _sorted(keys: Iterable[_K], values: Iterable[Any]) -> dict[_K, list[Any]]:
    buckets: dict[_K, list[Any]] = defaultdict(list)
    for key, value in zip(keys, values, strict=False):
        buckets[key].append(value)
    return buckets
