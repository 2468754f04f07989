"""Rows for pandas and polars, where they are installed.

Idea        The elements are rows already: dicts, tuples, dataclasses or single values. Building the frame is the
            library's job.
Invariant   A frame has a row for each element, in order; single values stand in a column called `value`.
When wrong  A library that is not installed raises `ImportError` with the command that installs it.
See         tests/lazy/test_tables.py
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any, TypeAlias, TypeVar

from arion_lib.lazy.terminal import Terminal

T_co = TypeVar("T_co", covariant=True)

Frame: TypeAlias = Any
"""A `pandas.DataFrame` or `polars.DataFrame`: both are optional, so their types are not known here."""


class Tabled(Terminal[T_co]):
    """The operations that give a table."""

    __slots__ = ()

    def to_pandas(self) -> Frame:
        """Return a `pandas.DataFrame` with a row for each element.

        Raises `ImportError` where pandas is not installed.
        """
        return pandas_frame(self.to_list())

    def to_polars(self) -> Frame:
        """Return a `polars.DataFrame` with a row for each element.

        Raises `ImportError` where polars is not installed.
        """
        return polars_frame(self.to_list())


def pandas_frame(rows: Sequence[object]) -> Any:
    """Return `rows` as a `pandas.DataFrame`."""
    pandas = _library("pandas")
    return pandas.DataFrame(_records(rows)) if rows else pandas.DataFrame()


def polars_frame(rows: Sequence[object]) -> Any:
    """Return `rows` as a `polars.DataFrame`."""
    polars = _library("polars")
    return polars.from_dicts(_records(rows), infer_schema_length=None) if rows else polars.DataFrame()


def _records(rows: Sequence[object]) -> list[dict[str, object]]:
    """Return each row as a dict of columns.

    >>> _records([(1, "a")]), _records([{"x": 1}]), _records([5])
    ([{'column_0': 1, 'column_1': 'a'}], [{'x': 1}], [{'value': 5}])
    """
    return [_record(row) for row in rows]


def _record(row: object) -> dict[str, object]:
    if isinstance(row, Mapping):
        return dict(row)
    if is_dataclass(row) and not isinstance(row, type):
        return asdict(row)
    if isinstance(row, tuple):
        names = getattr(row, "_fields", None) or [f"column_{i}" for i in range(len(row))]
        return dict(zip(names, row, strict=True))
    return {"value": row}


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as e:
        raise ImportError(f"{name} must be installed for to_{name}(): python -m pip install {name}") from e
