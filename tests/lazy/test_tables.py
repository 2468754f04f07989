"""Frames of pandas and polars, where they are installed."""

from __future__ import annotations

import sys
from collections import namedtuple
from dataclasses import dataclass
from typing import Any

import pytest

from arion_lib.lazy import lazy


@dataclass
class Row:
    name: str
    price: int


Pair = namedtuple("Pair", "name price")
ROWS: list[Any] = [
    [{"name": "a", "price": 1}, {"name": "b", "price": 2}],
    [Row("a", 1), Row("b", 2)],
    [Pair("a", 1), Pair("b", 2)],
]


@pytest.mark.parametrize("rows", ROWS)
def test_rows_become_a_frame_with_their_columns(rows: list[Any]) -> None:
    for library in ("pandas", "polars"):
        pytest.importorskip(library)
        frame = getattr(lazy(rows), f"to_{library}")()
        assert list(frame.columns) == ["name", "price"]
        assert list(frame["price"]) == [1, 2]


def test_tuples_and_single_values_get_names() -> None:
    pytest.importorskip("polars")
    assert lazy([(1, "a")]).to_polars().columns == ["column_0", "column_1"]
    assert lazy([1.5, 2.5]).to_polars()["value"].to_list() == [1.5, 2.5]
    assert lazy([]).to_polars().is_empty()


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_missing_library_is_named_with_its_command(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=f"{library} must be installed for to_{library}.*pip install {library}"):
        getattr(lazy([1]), f"to_{library}")()
