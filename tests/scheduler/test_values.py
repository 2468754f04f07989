"""Values on their way: there and back, each alone, large buffers beside the pickle."""

from __future__ import annotations

import array
import pickle
import threading
from contextvars import ContextVar
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arion_lib.scheduler.calls.values import ASIDE, ATOMS, Packed, by_value, decode, encode, pack
from arion_lib.scheduler.errors import NotTransferableError
from tests.scheduler import jobs

atoms = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.binary())
values = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=3), inner, max_size=4), st.tuples(inner, inner)
    ),
    max_leaves=12,
)


@given(values)
def test_there_and_back(value: Any) -> None:
    back = decode(encode(value, "value"))
    assert back == value
    assert type(back) is type(value)


@given(atoms)
def test_atoms_travel_as_they_are(value: Any) -> None:
    assert encode(value, "value") is value


def test_only_exact_atoms_do_so() -> None:
    class Count(int):
        pass

    assert type(Count(3)) not in ATOMS
    assert type(decode(encode(Count(3), "value"))).__name__ == "Count"


@given(st.lists(st.integers(), max_size=5))
def test_each_reader_has_a_copy_of_its_own(value: list[int]) -> None:
    packed = pack(value, "value")
    one, two = packed.unpack(), packed.unpack()
    one.append(0)
    assert two == value


@pytest.mark.parametrize("size", [0, 10, ASIDE // 8 - 1, ASIDE // 8, 100_000])
def test_arrays_of_any_size(size: int) -> None:
    value = np.arange(size, dtype=float)
    packed = pack({"a": value}, "value")
    assert bool(packed.buffers) == (value.nbytes >= ASIDE)
    assert np.array_equal(packed.unpack()["a"], value)
    assert len(packed.data) < 20_000


def test_a_large_buffer_is_not_copied() -> None:
    value = np.zeros(100_000)
    packed = pack(value, "value")
    value[0] = 7.0
    assert packed.unpack()[0] == 7.0


def test_what_is_not_contiguous_travels_in_the_pickle() -> None:
    value = np.arange(90_000, dtype=float).reshape(300, 300)[::2, ::3]
    packed = pack(value, "value")
    assert np.array_equal(packed.unpack(), value)


def test_other_buffers_travel_too() -> None:
    value = array.array("d", range(5_000))
    assert pack([value], "value").unpack() == [value]
    large = bytearray(100_000)
    assert pack(pickle.PickleBuffer(large), "value").unpack() == large


@pytest.mark.parametrize("value", [threading.Lock(), jobs.Opaque(), (i for i in ()), [{"deep": threading.Lock()}]])
def test_what_cannot_travel_says_what_and_why(value: Any) -> None:
    with pytest.raises(NotTransferableError, match=f"the result must be .* got {type(value).__name__}"):
        pack(value, "result")


def test_lambdas_and_their_kind_travel_by_value() -> None:
    base = 5
    assert pack({"f": lambda x: x + base}, "value").unpack()["f"](1) == 6
    assert pickle.loads(by_value(lambda: base, "function"))() == 5


def test_the_control_plain_pickle_cannot() -> None:
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(lambda: 3)


def test_a_context_variable_travels_by_its_place() -> None:
    own = ContextVar[int]("own")
    assert pack([jobs.MARK], "value").unpack() == [jobs.MARK]
    assert pack([own], "value").unpack() == [own]


def test_a_packed_value_is_immutable() -> None:
    with pytest.raises(AttributeError):
        Packed(b"").data = b"x"  # type: ignore[misc]
