"""What travels to a Dask cluster and back: sealed values, and calls whose every end is a value."""

from __future__ import annotations

import pickle
import sys
from typing import Any

import numpy as np
import pytest

from arion_lib.scheduler.calls.failures import TaskInterrupted
from arion_lib.scheduler.calls.values import encode
from arion_lib.scheduler.dask.wire import Answer, CallFailed, Kind, Sealed, opened, run, seal, size_of


def sealed(value: Any) -> Any:
    return seal(encode(value, "value"))


def calling(function: Any, *args: Any, needs: tuple[Any, ...] = ()) -> Answer:
    return run(pickle.dumps(function), None, sealed((args, {})), needs, True)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_sealed_value_survives_every_pickler(protocol: int) -> None:
    array = np.arange(10_000)
    there = pickle.loads(pickle.dumps(sealed([array, "x"]), protocol))
    back, text = there.open()
    assert (back == array).all()
    assert text == "x"
    back[0] = 7  # what a call gets it may change


def test_atoms_are_not_sealed() -> None:
    assert [sealed(value) for value in (3, "x", None)] == [3, "x", None]
    assert isinstance(sealed([3]), Sealed)


def test_what_is_opened_as_a_copy_shares_nothing() -> None:
    there = sealed(np.zeros(10_000))
    opened(there, copy=True)[0] = 1.0
    assert opened(there, copy=True)[0] == 0.0


def test_a_sealed_value_tells_dask_its_size() -> None:
    there = sealed(np.zeros(100_000))
    assert 800_000 <= size_of(there) < 810_000
    assert sys.getsizeof(there) >= size_of(there)


def test_what_a_call_comes_to_is_a_value() -> None:
    good = calling(sorted, [3, 1, 2])
    assert (good.kind, opened(good.value)) == (Kind.RETURNED, [1, 2, 3])
    bad = calling(int, "three")
    assert bad.kind is Kind.FAILED
    assert isinstance(bad.value.exception(), ValueError)
    assert calling(sys.exit, 3).kind is Kind.FAILED


def interrupt() -> None:
    raise TaskInterrupted


def test_an_interruption_passes() -> None:
    with pytest.raises(TaskInterrupted):
        calling(interrupt)


def test_an_answer_travels_as_an_exception_with_its_words() -> None:
    there = pickle.loads(pickle.dumps(CallFailed(Answer(Kind.DIED, 3), "it exited with code 3")))
    assert there.answer == Answer(Kind.DIED, 3)
    assert str(there) == "it exited with code 3"
