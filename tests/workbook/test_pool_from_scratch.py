"""The pool that notebook 5 builds keeps what everybody tries with it: no task leaves a future without an end."""

from __future__ import annotations

import ast
import itertools
import json
import linecache
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.rules import text_of

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "5_task_scheduler.ipynb"
POOL = "answer work PROGRAM Worker close attempt jobs serve Served Pool again_or_failed"
NAMES = {*POOL.split(), "cloudpickle", "PIPE"}
"""What the cells define of the pool; the last definition of each counts, as in a notebook that was run to its end."""
pytestmark = [
    pytest.mark.posix("a task kills its own process as the notebook does"),
    pytest.mark.usefixtures("no_leaks"),
]


@pytest.fixture(scope="module")
def cells() -> Iterator[ModuleType]:
    """The notebook's own definitions, each executed as a cell; nothing else of it runs."""
    module = ModuleType("from_scratch")
    sys.modules[module.__name__] = module
    cells = [c for c in json.loads(NOTEBOOK.read_text("utf-8"))["cells"] if c["cell_type"] == "code"]
    for number, source in enumerate(text_of(cell["source"]) for cell in cells):
        file, tree = f"<cell {number}>", ast.parse(source)
        linecache.cache[file] = (len(source), None, source.splitlines(True), file)
        tree.body = [each for each in tree.body if number == 0 or NAMES & set(defined(each))]
        exec(compile(tree, file, "exec"), vars(module))  # noqa: S102 - our own notebook
    module.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # as if cells had defined the tasks
    yield module
    module.cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    del sys.modules[module.__name__]


def defined(statement: ast.stmt) -> list[str]:
    match statement:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Assign(targets=[ast.Name(id=name)]):
            return [name]
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            return [alias.name for alias in names]
    return []


def prints() -> str:
    print("this must not land among the answers")  # noqa: T201
    return "printed"


def unpicklable() -> Any:
    return lambda: 0


def dies() -> None:
    os.kill(os.getpid(), 9)


def dies_in_the_middle_of_its_answer() -> None:
    os.write(3, b"\x80\x05")  # the first bytes of a pickle; 3 is the copy of stdout that answers go to
    os.kill(os.getpid(), 9)


def stuck() -> None:
    sum(itertools.repeat(0))  # one call of C that keeps the GIL


def exits() -> None:
    sys.exit(3)


@pytest.mark.parametrize(
    ("task", "ends"),
    [
        (prints, "'printed'"),
        (unpicklable, "RuntimeError"),
        (dies, "RuntimeError('the worker that ran it died')"),
        (dies_in_the_middle_of_its_answer, "RuntimeError('the worker that ran it died')"),
        (exits, "RuntimeError('the worker that ran it died')"),
    ],
)
def test_every_task_has_an_end_and_the_next_one_runs(cells: ModuleType, task: Any, ends: str) -> None:
    with cells.Pool(workers=1) as pool:
        job = pool.submit(task)
        error = job.exception(timeout=60)
        assert repr(error or job.result()).startswith(ends)
        assert pool.submit(pow, 2, 5).result(timeout=60) == 32


def test_a_job_that_is_cancelled_while_it_waits_is_skipped(cells: ModuleType) -> None:
    with cells.Pool(workers=1) as pool:
        first, second, third = (pool.submit(cells.time.sleep, seconds) for seconds in (0.3, 60, 0))
        assert second.cancel()
        assert third.result(timeout=60) is None
    assert (first.done(), second.cancelled()) == (True, True)


def test_what_cannot_be_sent_is_refused_at_once(cells: ModuleType) -> None:
    with cells.Pool(workers=1) as pool:
        with pytest.raises(TypeError, match="cannot pickle"):
            pool.submit(print, cells.threading.Lock())
        assert pool.submit(pow, 2, 5).result(timeout=60) == 32


def test_what_never_ends_is_ended_at_its_time(cells: ModuleType) -> None:
    with cells.Pool(workers=1) as pool:
        job = pool.submit(stuck, timeout=0.3)
        assert "died" in str(job.exception(timeout=60))
        assert pool.submit(pow, 2, 5).result(timeout=60) == 32
