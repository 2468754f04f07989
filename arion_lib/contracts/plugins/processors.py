"""The contract Processor: rows in, rows out; and plugins that keep it.

Idea        A processor changes a batch of rows as a whole: it filters, orders, groups, leaves out.
Invariant   `process` returns new rows and leaves those it was given as they were.
When wrong  A row without the field a processor works on is named in a `KeyError` with its number.
See         notebooks/3_contracts_and_plugins.ipynb · tests/contracts/test_shipped.py
"""

from __future__ import annotations

import csv
import io
from abc import abstractmethod
from collections.abc import Hashable
from typing import Any, Literal, TypeAlias

from arion_lib.contracts.contract import Contract

Row: TypeAlias = dict[str, Any]


class Processor(Contract, kind="processors", metrics=True):
    """Turn a batch of rows into another."""

    version: str
    level: Literal["low", "high"] = "low"
    """How much a processor costs: "high" ones look at rows more than once."""

    @abstractmethod
    def process(self, rows: list[Row], scale: int = 1) -> list[Row]:
        """Return new rows. `scale` is how many times the rows' weight counts, for processors that weigh."""


class Deduplicate(Processor, name="deduplicate", tags=["rows"]):
    """Keep the first row of each key.

    >>> Deduplicate("id").process([{"id": 1, "n": 1}, {"id": 1, "n": 2}])
    [{'id': 1, 'n': 1}]
    """

    version = "1.0"

    def __init__(self, field: str) -> None:
        self.field = field

    def process(self, rows: list[Row], scale: int = 1) -> list[Row]:  # noqa: ARG002 - the contract's
        seen: dict[Hashable, Row] = {}
        for number, row in enumerate(rows):
            seen.setdefault(_field(row, self.field, number), row)
        return list(seen.values())


class Totals(Processor, name="totals", tags=["rows", "numbers"]):
    """Sum a field by another, times `scale`.

    >>> Totals("shop", "eur").process([{"shop": "a", "eur": 2}, {"shop": "b", "eur": 1}, {"shop": "a", "eur": 3}])
    [{'shop': 'a', 'eur': 5}, {'shop': 'b', 'eur': 1}]
    """

    version = "1.1"
    level = "high"

    def __init__(self, by: str, field: str) -> None:
        self.by, self.field = by, field

    def process(self, rows: list[Row], scale: int = 1) -> list[Row]:
        sums: dict[Hashable, Any] = {}
        for number, row in enumerate(rows):
            key = _field(row, self.by, number)
            sums[key] = sums.get(key, 0) + _field(row, self.field, number) * scale
        return [{self.by: key, self.field: total} for key, total in sums.items()]


class CsvProcessor(Processor, name="csv", tags=["text"]):
    """Replace the rows' field `text`, a CSV document with a header line, by one row for each of its lines.

    >>> CsvProcessor().process([{"text": "a,b\\n1,2\\n"}])
    [{'a': '1', 'b': '2'}]
    """

    version = "1.0"

    def process(self, rows: list[Row], scale: int = 1) -> list[Row]:  # noqa: ARG002 - the contract's
        documents = (_field(row, "text", number) for number, row in enumerate(rows))
        return [line for document in documents for line in csv.DictReader(io.StringIO(document))]


def _field(row: Row, name: str, number: int) -> Any:
    if name not in row:
        raise KeyError(f"row {number} must have the field {name!r}, got {', '.join(row) or 'an empty row'}")
    return row[name]
