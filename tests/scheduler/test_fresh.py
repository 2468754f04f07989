"""Functions that travel by value, submitted again and again: each call sees what was there at its submit."""

from __future__ import annotations

import pickle

import pytest

from arion_lib.scheduler import Scheduler
from arion_lib.scheduler.calls.fresh import Fresh
from arion_lib.scheduler.calls.functions import MOST_BYTES, MOST_WATCHED, Functions
from arion_lib.scheduler.calls.values import by_value
from tests.scheduler.gates import PATIENCE
from tests.scheduler.test_unchanged import cell, notebook

CHANGING = {
    "a global list": "k = []\ndef f():\n  k.append(1)\n  return len(k)",
    "a global dict": "k = {}\ndef f():\n  k[len(k)] = 1\n  return len(k)",
    "a cell": "def made(n):\n  def f():\n    nonlocal n\n    n += 1\n    return n\n  return f\nf = made(0)",
    "a default": "def f(x=[]):\n  x.append(1)\n  return len(x)",
    "an attribute of the function": "def f():\n  f.n += 1\n  return f.n\nf.n = 0",
    "an object": "class C:\n  n = 0\n  def f(self):\n    self.n += 1\n    return self.n\nf = C().f",
    "a class": "class C:\n  n = 0\ndef f():\n  C.n += 1\n  return C.n",
    "a list, and it fails": "k = []\ndef f():\n  k.append(1)\n  if len(k) > 1: raise OSError('many')\n  return 1",
}


@pytest.mark.parametrize("what", CHANGING)
def test_no_call_sees_what_another_has_changed(what: str, no_leaks: None) -> None:
    function = notebook(CHANGING[what])["f"]
    with Scheduler(1) as scheduler:
        tasks = [scheduler.submit(function) for _ in range(20)]
        assert [task.result(PATIENCE) for task in tasks] == [1] * 20
        assert scheduler.submit(function).result(PATIENCE) == 1


@pytest.mark.parametrize("what", CHANGING)
def test_the_control_without_the_look_a_call_sees_what_another_has_changed(what: str) -> None:
    loaded = pickle.loads(by_value(notebook(CHANGING[what])["f"], "function"))
    assert loaded() == 1
    if "fails" in what:
        with pytest.raises(OSError, match="many"):
            loaded()
    else:
        assert loaded() == 2


def test_a_call_sees_what_was_there_at_its_submit_whatever_comes_after(no_leaks: None) -> None:
    space = notebook(f"k = list(range({5_000}))\nd = {{'a': [1]}}\ndef f(n): return k[n], d['a'][-1], len(k)")
    with Scheduler(2) as scheduler:
        tasks = []
        for n in range(100):
            space["k"][7] = -n
            if n % 3 == 0:
                space["d"]["a"].append(n)
            if n % 10 == 0:
                space["k"].append(0)
            tasks.append((scheduler.submit(space["f"], 7), (-n, n - n % 3, 5_001 + n // 10)))
        assert [task.result(PATIENCE) for task, _ in tasks] == [wanted for _, wanted in tasks]


def test_a_class_that_two_functions_share_is_each_ones_own(no_leaks: None) -> None:
    space = notebook("class C: n = 0\ndef f():\n  C.n += 1\n  return C.n\ndef g():\n  C.n += 10\n  return C.n")
    with Scheduler(1) as scheduler:
        tasks = [scheduler.submit(space[name]) for name in "fgffggfg"]
        assert [task.result(PATIENCE) for task in tasks] == [1, 10, 1, 1, 10, 10, 1, 10]


def test_a_map_of_a_closure_sees_no_change_of_its_other_calls(no_leaks: None) -> None:
    function = notebook(
        "def made():\n  k = []\n  def f(n):\n    k.append(n)\n    return len(k)\n  return f\nf = made()"
    )["f"]
    with Scheduler(2) as scheduler:
        assert set(scheduler.map(function, range(200))) == {1}


def test_what_is_known_again_is_pickled_once(no_leaks: None) -> None:
    functions = Functions()
    for text in (*CHANGING.values(), f"k = list(range({200_000}))\ndef f(): return k"):
        function = notebook(text)["f"]
        found = functions.find(function)
        functions.pickled(found)
        assert functions.find(function) is found


def test_only_so_much_is_kept_alive_for_functions_that_may_be_known_again() -> None:
    functions = Functions()
    for number in range(MOST_WATCHED + 20):
        functions.pickled(functions.find(notebook(f"k = [{number}]\ndef f(): return k")["f"]))
    assert len(functions._watched) == len(functions._known) == MOST_WATCHED
    functions.pickled(functions.find(notebook(f"k = ['a' * {MOST_BYTES // 2}]\ndef f(): return k")["f"]))
    functions.pickled(functions.find(notebook(f"k = ['a' * {MOST_BYTES // 2}]\ndef f(): return k")["f"]))
    assert len(functions._watched) == 1
    functions.pickled(functions.find(notebook(f"k = ['a' * {MOST_BYTES + 2}]\ndef f(): return k")["f"]))
    assert len(functions._watched) == 1
    assert functions._bytes <= MOST_BYTES


def test_a_function_that_keeps_changing_is_counted_once() -> None:
    space, functions = notebook("k = [1]\ndef f(): return k"), Functions()
    for _ in range(50):
        functions.pickled(functions.find(space["f"]))
        cell("k.append(1)", space)
    assert len(functions._watched) == len(functions._known) == 1
    assert functions._bytes == functions._watched[space["f"]]


def test_what_a_worker_cannot_look_into_is_loaded_for_each_call() -> None:
    fresh = Fresh(by_value(notebook(CHANGING["a global list"])["f"], "function"))
    fresh._checks = None
    assert fresh() == 1
    fresh._checks = None
    assert fresh() == 1
    assert pickle.loads(pickle.dumps(fresh))() == 1
