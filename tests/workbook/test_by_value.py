"""A function made in a cell reaches the workers of the standard library's pools."""

from __future__ import annotations

import pickle
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from arion_lib.workbook.by_value import by_value

IN_A_CELL: dict[str, object] = {}
exec("def add(a, b=1):\n    return a + b", {"__name__": "__main__"}, IN_A_CELL)  # noqa: S102 - its module cannot be imported
add = IN_A_CELL["add"]
assert callable(add)


def test_a_wrapped_function_reaches_a_spawned_worker_and_a_bare_one_does_not() -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert pool.submit(by_value(add), 3, b=4).result() == 7
        with pytest.raises(Exception, match="add"):
            pool.submit(add, 3).result()


def test_here_it_is_the_function() -> None:
    assert by_value(add)(1) == 2


def test_what_cannot_travel_is_refused_when_it_is_wrapped() -> None:
    lock = threading.Lock()
    with pytest.raises(TypeError, match="pickle"):
        by_value(lambda: lock)


def test_a_later_change_of_the_wrapped_functions_globals_is_not_sent() -> None:
    space: dict[str, object] = {"__name__": "__main__", "n": 1}
    exec("def f():\n    return n", space)  # noqa: S102 - as a cell does
    function = space["f"]
    assert callable(function)
    wrapped = by_value(function)
    space["n"] = 2
    assert (wrapped(), pickle.loads(pickle.dumps(wrapped))()) == (2, 1)
