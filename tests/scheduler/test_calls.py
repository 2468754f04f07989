"""Functions as they travel: known again as long as nothing they use has changed."""

from __future__ import annotations

import contextvars
import functools
import pickle
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arion_lib.scheduler import Scheduler
from arion_lib.scheduler.calls.arguments import arguments
from arion_lib.scheduler.calls.functions import MOST_FUNCTIONS, Functions
from arion_lib.scheduler.errors import NotTransferableError
from tests.scheduler import jobs
from tests.scheduler.gates import PATIENCE
from tests.selection import examples


def cell(text: str, space: dict[str, Any]) -> dict[str, Any]:
    exec(compile(text, "<cell>", "exec"), space)  # noqa: S102
    return space


def notebook(text: str) -> dict[str, Any]:
    return cell(text, {"__name__": "__main__"})


def known_again(functions: Functions, function: Any) -> bool:
    found = functions.find(function)
    functions.pickled(found)
    return functions.find(function) is found


@pytest.mark.parametrize(
    "text",
    [
        "def f(): return 1",
        "import math\ndef f(): return math.pi",
        "k = 2\ndef f(x=(1, 'a')): return k",
        "def g(): return h()\ndef h(): return g()\ndef f(): return g()",
        "def f(): return [len(x) for x in ()]",
        "f = lambda: 1",
    ],
)
def test_a_function_of_a_cell_is_known_again(text: str) -> None:
    assert known_again(Functions(), notebook(text)["f"])


@pytest.mark.parametrize(
    ("text", "change"),
    [
        ("k = 1\ndef f(): return k", "k = 2"),
        ("k = 1\ndef f(): return k", "k = 1.0"),
        ("k = 1\ndef f(): return k", "del k"),
        ("def f(): return k", "k = 1"),
        ("def f(): return len('')", "def len(x): return 3"),
        ("def g(): return 1\ndef f(): return g()", "def g(): return 2"),
        ("k = 1\ndef g(): return k\ndef f(): return g()", "k = 2"),
        ("k = 1\ndef f(): return [k for _ in range(2)]", "k = 2"),
        ("k = 1\ndef f():\n  def inner(): return k\n  return inner()", "k = 2"),
        ("import math as m\ndef f(): return m.pi", "import cmath as m"),
        ("def f(x=1): return x", "f.__defaults__ = (2,)"),
        ("def f(*, x=1): return x", "f.__kwdefaults__ = {'x': 2}"),
        ("def f(): return 1\ndef g(): return 2", "f.__code__ = g.__code__"),
        ("k = (1, 2)\ndef f(): return k", "k = (1, 3)"),
        ("k = [1]\ndef f(): return k", "k.append(2)"),
        ("k = {'a': 1}\ndef f(): return k", "k['a'] = 2"),
        ("class C: x = 1\ndef f(): return C.x", "C.x = 2"),
        ("def f(x=[]): return x", "f.__defaults__[0].append(1)"),
        ("def f(): return f.n\nf.n = 1", "f.n = 2"),
    ],
)
def test_a_function_that_came_to_mean_something_else_is_another(text: str, change: str) -> None:
    space, functions = notebook(text), Functions()
    before = functions.find(space["f"])
    functions.pickled(before)
    assert functions.find(space["f"]) is before
    cell(change, space)
    assert functions.find(space["f"]).number != before.number


def test_the_control_a_cache_by_the_function_alone_sees_no_change() -> None:
    space = notebook("k = 1\ndef f(): return k")
    cache = functools.lru_cache(lambda function: function())
    assert cache(space["f"]) == 1
    cell("k = 2", space)
    assert cache(space["f"]) == 1


def test_what_is_not_used_may_change() -> None:
    space, functions = notebook("k = 1\ndef f(): return 1"), Functions()
    before = functions.find(space["f"])
    cell("k = 2\nother = 3", space)
    assert functions.find(space["f"]) is before


def test_what_cannot_be_looked_into_is_met_anew_each_time() -> None:
    array = np.arange(3)
    for call in (lambda: array, functools.partial(jobs.add, 1), [].append):
        assert not known_again(Functions(), call)
    assert known_again(Functions(), jobs.add)
    assert known_again(Functions(), len)


def test_another_context_of_which_the_same_travels_is_no_other_function() -> None:
    private = contextvars.ContextVar[object]("private")  # as what describes a web request: no module has it
    functions, found = Functions(), []
    for value in (object(), object()):
        context = contextvars.copy_context()
        context.run(private.set, value)
        found.append(context.run(functions.find, jobs.mark))
    assert found[0] is found[1]


def test_the_submitters_context_is_part_of_what_a_call_means() -> None:
    functions, results = Functions(), []
    for value in ("a", "a", "b"):
        context = contextvars.copy_context()
        context.run(jobs.MARK.set, value)
        results.append(context.run(functions.find, jobs.mark))
    assert results[0] is results[1]
    assert results[1] is not results[2]


def test_a_context_of_arrays_is_no_obstacle() -> None:
    functions = Functions()
    for _ in range(2):
        context = contextvars.copy_context()
        variable = contextvars.ContextVar[Any]("variable")
        context.run(variable.set, np.arange(3))
        context.run(functions.find, jobs.add)
        context.run(variable.set, np.arange(3))
        context.run(functions.find, jobs.add)


def test_only_so_many_functions_are_remembered() -> None:
    functions = Functions()
    for _ in range(MOST_FUNCTIONS + 50):
        functions.find(notebook("def f(): return 1")["f"])
    assert len(functions._known) <= MOST_FUNCTIONS


def test_of_too_many_functions_the_one_that_was_met_longest_ago_is_forgotten() -> None:
    functions = Functions()
    first, second, *others = [notebook("def f(): return 1")["f"] for _ in range(MOST_FUNCTIONS + 1)]
    known = [functions.find(call).number for call in (first, second)]
    for call in others:
        functions.find(call)
    assert functions.find(second).number == known[1]
    assert functions.find(first).number != known[0]


def test_a_function_that_was_met_anew_is_not_the_next_to_be_forgotten() -> None:
    functions = Functions()
    cell = notebook("x = 1\ndef f(): return x")
    second, *others = [notebook("def f(): return 1")["f"] for _ in range(MOST_FUNCTIONS)]
    first, before = functions.find(cell["f"]).number, functions.find(second).number
    for call in others[:-1]:
        functions.find(call)
    cell["x"] = 2
    anew = functions.find(cell["f"]).number
    assert anew != first
    functions.find(others[-1])  # one too many
    assert functions.find(cell["f"]).number == anew
    assert functions.find(second).number != before


def test_many_threads_may_look_up_at_once() -> None:
    functions, numbers = Functions(), list[list[int]]()
    cells = [notebook("def f(): return 1")["f"] for _ in range(200)]

    def look() -> None:
        numbers.append([functions.find(one).number for one in cells])

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    again = threading.Thread(target=look)
    again.start()
    again.join()
    assert set(numbers[-1]) <= {number for one in numbers[:-1] for number in one}
    assert len(set(numbers[-1])) == len(cells)


def test_more_functions_than_a_worker_keeps_still_run(no_leaks: None) -> None:
    with Scheduler(1) as scheduler:
        tasks = [scheduler.submit(notebook(f"def f(): return {n}")["f"]) for n in range(1_500)]
        assert [task.result(PATIENCE) for task in tasks] == list(range(1_500))


@settings(max_examples=examples(30))
@given(st.lists(st.integers()), st.dictionaries(st.text(), st.integers()))
def test_arguments_without_tasks_need_nothing(args: list[int], kwargs: dict[str, int]) -> None:
    packed, needs = arguments(tuple(args), kwargs, "f")
    assert packed.unpack() == (tuple(args), kwargs)
    assert not needs


def test_a_task_is_pickled_only_as_an_argument(no_leaks: None) -> None:
    with Scheduler(1) as scheduler:
        task = scheduler.submit(jobs.add, 1)
        with pytest.raises(TypeError, match="argument of another task"):
            pickle.dumps(task)
        error = scheduler.submit(lambda: task).exception(PATIENCE)
        assert isinstance(error, NotTransferableError)


def test_a_task_of_another_scheduler_is_refused(no_leaks: None) -> None:
    with Scheduler(1) as one, Scheduler(1) as other:
        task = one.submit(jobs.add, 1)
        for submit in (
            lambda: other.submit(jobs.add, task),
            lambda: other.submit(jobs.add, [task]),
            lambda: other.with_options(after=task).submit(jobs.add, 1),
            lambda: other.with_options(after=task, lane="threads").submit(jobs.add, 1),
        ):
            with pytest.raises(ValueError, match="own scheduler"):
                submit()
