"""A short repr is bounded, never fails, and leaves alone what fits."""

from __future__ import annotations

import tracemalloc
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from arion_lib.short_repr import short_repr

values = st.recursive(
    st.none() | st.integers() | st.text() | st.binary() | st.floats(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(values, st.integers(20, 200))
def test_it_is_the_whole_repr_where_that_fits_and_bounded_otherwise(value: Any, limit: int) -> None:
    whole, short = repr(value), short_repr(value, limit)
    assert short == whole if len(whole) <= limit else len(short) <= limit


def test_the_cost_does_not_grow_with_the_length_of_a_container() -> None:
    table = {"a": list(range(10**6)), "b": dict.fromkeys(range(10**6))}
    tracemalloc.start()
    short_repr(table)
    _, peak = tracemalloc.get_traced_memory()
    repr(table["a"])
    _, whole = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000 < whole


def test_an_object_whose_repr_raises_is_named_by_its_type() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise ValueError("no")

    assert short_repr(Broken()) == "<Broken whose repr raises ValueError>"
    assert short_repr([1, Broken()]) == "<list whose repr raises ValueError>"
