"""Records to the sums of their groups; a message tells what one batch adds to one group.

Idea        Groups come together until the batch is due; the store joins what each batch adds.
Invariant   A message names its delivery and its first record, so it can be recognised when it comes twice.
When wrong  A record that cannot be grouped or summed becomes a dead letter and counts nowhere.
See         tests/pipeline/test_ingest.py
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from arion_lib.pipeline.batch import Aggregate, DeadLetter, Key, Record
from arion_lib.pipeline.decoder import encode
from arion_lib.pipeline.deliveries import Delivery
from arion_lib.pipeline.groups import Figure, Groups
from arion_lib.pipeline.shapes.recipe import Recipe
from arion_lib.pipeline.shapes.rows import numbers_of

FIGURES: tuple[Figure, ...] = ("min", "max")


class Sums:
    """Records to partial aggregates; a message tells one group's part of a batch."""

    def __init__(self, recipe: Recipe, most: int) -> None:
        figures = ("sum", *(figure for figure in FIGURES if figure in recipe.figures))
        self._groups = Groups(recipe.parts(), recipe.sum_field, figures=figures, max_keys=most)
        self._names = [*recipe.group_by, *recipe.times]
        self._accepted = 0

    @property
    def full(self) -> bool:
        return self._groups.full

    @property
    def empty(self) -> bool:
        return not len(self._groups)

    def add(self, records: list[Record], seen: int, dead: Sequence[DeadLetter]) -> list[DeadLetter]:
        before = self._groups.records
        self._groups.add(records)
        refused = self._groups.take_dead()
        if refused:
            numbers = numbers_of(len(records), seen, dead)
            refused = [replace(letter, record=numbers[letter.record - before - 1]) for letter in refused]
        self._accepted += len(records) - len(refused)
        return refused

    def take(self, stream: str, deliveries: Sequence[Delivery]) -> dict[str, Any]:
        groups, accepted = self._groups.take(), self._accepted
        self._accepted = 0
        messages = messages_of(stream, self._names, groups, deliveries)
        missing = _missing(self._names, self._groups.field, groups)
        return {"accepted": accepted, "groups": groups, "messages": messages, "missing": missing}


def messages_of(
    stream: str, names: Sequence[str], groups: Mapping[Key, Aggregate], deliveries: Sequence[Delivery]
) -> list[bytes]:
    """Tell what one batch adds to each group. `names` are the fields and times that a key is of."""
    origin = {"delivery": deliveries[0].id, "start": deliveries[0].start} if deliveries else {}
    return [_message(stream, names, key, part, origin) for key, part in groups.items()]


def _missing(names: Sequence[str], field: str | None, groups: Mapping[Key, Aggregate]) -> dict[str, int]:
    """Count the records in which a named field is missing or null; read from the groups, so it costs nothing a record.

    >>> _missing(["type"], "n", {(None,): Aggregate(3, sum=1, values=1), ("paid",): Aggregate(2, sum=5, values=2)})
    {'type': 3, 'n': 2}
    """
    found = {
        name: sum(part.count for key, part in groups.items() if key[place] is None) for place, name in enumerate(names)
    }
    if field is not None:
        found[field] = sum(part.count - (part.values or 0) for part in groups.values())
    return {name: records for name, records in found.items() if records}


def _message(stream: str, names: Sequence[str], key: Key, part: Aggregate, origin: Mapping[str, Any]) -> bytes:
    """Tell what one batch adds to one group; delivery and start make it recognisable when it comes twice."""
    figures = {"count": part.count, "sum": part.sum, "values": part.values}
    asked = {name: figure for name in FIGURES if (figure := getattr(part, name)) is not None}
    return encode({"stream": stream, "group": dict(zip(names, key, strict=True)), **figures, **asked, **origin})
