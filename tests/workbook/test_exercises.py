"""Every registered exercise: the solution passes, each wrong answer is rejected with its own misconception."""

from __future__ import annotations

import ast
import dataclasses
import gc
import heapq
import inspect
import json
import logging
import sqlite3
import sys
import threading
import time
import tracemalloc
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from arion_lib.resources import Resources
from arion_lib.workbook.checking import catalogue
from arion_lib.workbook.checking.checks import Mark, judge
from arion_lib.workbook.checking.exercise import Exercise, Wrong
from arion_lib.workbook.checking.outcome import OutOfTime
from arion_lib.workbook.copying.learner import BEGIN, view
from arion_lib.workbook.exercises import streaming_pipeline

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
EXERCISES = catalogue.every()
FOUND = {int(path.name[0]): path for path in sorted(NOTEBOOKS.glob("[0-9]_*.ipynb"))}


def code_of(path: Path) -> list[str]:
    notebook = json.loads(path.read_text("utf-8"))
    return sources_of(notebook)


def sources_of(notebook: dict[str, Any]) -> list[str]:
    """The code cells that run through: not those that show a failure."""
    cells = [c for c in notebook["cells"] if c["cell_type"] == "code"]
    return ["".join(c["source"]) for c in cells if "raises-exception" not in c["metadata"].get("tags", [])]


def checked(source: str) -> dict[str, str]:
    """The id and the answer's name of each `check(id, name)` in a cell."""
    if "check(" not in source:
        return {}
    calls = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Call) and ast.unparse(n.func) == "check"]
    return {ast.literal_eval(c.args[0]): ast.unparse(c.args[1]) for c in calls}


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.id)
def test_the_reference_solution_is_accepted(exercise: Exercise) -> None:
    verdict = judge(exercise, exercise.solution)
    assert verdict.mark is Mark.OK, str(verdict)


@pytest.mark.parametrize(
    ("exercise", "wrong"),
    [pytest.param(e, w, id=f"{e.id}-{number}") for e in EXERCISES for number, w in enumerate(e.wrong, 1)],
)
def test_a_wrong_answer_is_rejected_with_its_own_misconception(exercise: Exercise, wrong: Wrong) -> None:
    verdict = judge(exercise, exercise.answer_of(wrong))
    assert verdict.mark is Mark.NO
    assert verdict.misconception == wrong.misconception
    assert verdict.case
    assert verdict.expected != verdict.got


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.id)
def test_a_mistyped_name_is_shown_as_python_says_it(exercise: Exercise) -> None:
    def mistyped(*_: Any, **__: Any) -> NoReturn:
        raise NameError("name 'rset' is not defined")

    answer = mistyped
    if isinstance(exercise.solution, type):
        methods = [name for name in vars(exercise.solution) if inspect.isfunction(getattr(exercise.solution, name))]
        answer = type(exercise.name, (exercise.solution,), dict.fromkeys(set(methods) - {"__init__"}, mistyped))
    verdict = judge(exercise, answer)
    assert "NameError: name 'rset' is not defined" in str(verdict)
    assert not verdict.misconception, "a typing error is none"


def test_a_mistake_in_an_answers_own_sql_is_no_kill() -> None:
    def mistyped(db: sqlite3.Connection, delivery: str, records: object) -> None:
        db.execute("SELECT done FROM delivery WHERE id = ?", [delivery])

    assert judge(catalogue.find("1.3"), mistyped).got == "'OperationalError: no such table: delivery'"


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.id)
def test_a_report_is_the_same_twice(exercise: Exercise) -> None:
    wrong = exercise.answer_of(exercise.wrong[0])
    assert str(judge(exercise, wrong)) == str(judge(exercise, wrong))


@pytest.mark.skipif(sys.version_info < (3, 13), reason="says nothing of a database that is left open")
def test_a_check_whose_time_is_up_as_a_database_is_opened_leaves_none_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def time_is_up(db: sqlite3.Connection) -> NoReturn:
        raise OutOfTime

    with pytest.warns(ResourceWarning, match="unclosed database"):  # noqa: PT031  (the control: it is dropped at once)
        sqlite3.connect(":memory:")
        gc.collect()
    monkeypatch.setattr(streaming_pipeline, "closing", time_is_up)
    exercise = catalogue.find("1.3")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with pytest.raises(OutOfTime):
            exercise.cases[0].probe(exercise.solution)
        gc.collect()
    assert said == []


class Stuck:
    """Answers that never end, and that nothing ends: they wait in one call of C."""

    def __init__(self) -> None:
        self.gate = threading.Lock()
        self.gate.acquire()

    def wait(self, *_: object) -> Iterator[Any]:
        with self.gate:
            return iter(())

    def shop(self, db: Any, cache: Any, api: Any) -> Resources:
        def opening() -> Iterator[None]:
            self.wait()
            yield

        return Resources(db=opening)

    def queue(self) -> Any:
        return SimpleNamespace(push=self.wait)


def whole_process() -> dict[str, object]:
    log = logging.getLogger("arion_lib.resources")
    return {
        "sleep": time.sleep,
        "heapify": heapq.heapify,
        "tracing": tracemalloc.is_tracing(),
        "log": (log.propagate, list(log.handlers), log.level),
    }


@pytest.mark.parametrize(
    ("number", "case", "answer"),
    [
        ("1.1", "4 MB", Stuck.wait),
        ("1.2", "4 MB", Stuck.wait),
        ("2.4", "with shop", Stuck.shop),
        ("5.2", "99 tasks", Stuck.queue),
        ("5.3", "a process", Stuck.wait),
    ],
)
def test_an_answer_that_never_ends_leaves_the_process_as_it_was(number: str, case: str, answer: Any) -> None:
    exercise, stuck = catalogue.find(number), Stuck()
    held = next((one for one in exercise.cases if one.show.startswith(case)), None)
    assert held is not None, f"no case of exercise {number} begins with {case!r}: got {exercise.cases}"
    seen: list[dict[str, object]] = []

    def looking(*args: Any) -> Any:
        seen.append(whole_process())
        return answer(stuck, *args)

    before = whole_process()
    try:
        verdict = judge(dataclasses.replace(exercise, cases=[held], seconds=0.1), looking)
        assert verdict.got == "no end after 0.1 s"
        assert whole_process() == before
        assert seen[0] != before  # the control: meanwhile it was not
    finally:
        stuck.gate.release()
        for thread in threading.enumerate():
            if thread.name == "check":
                thread.join()


@pytest.mark.parametrize("number", FOUND)
def test_a_notebook_and_its_exercises_name_each_other(number: int) -> None:
    in_notebook = [i for source in code_of(FOUND[number]) for i in checked(source)]
    assert in_notebook == [e.id for e in EXERCISES if e.notebook == number]


@pytest.mark.parametrize("exercise", [e for e in EXERCISES if e.notebook in FOUND], ids=lambda e: e.id)
def test_the_answer_in_the_notebook_is_accepted_and_the_learners_is_todo(exercise: Exercise) -> None:
    path = FOUND[exercise.notebook]
    assert judge(exercise, answer_in(code_of(path), exercise)).mark is Mark.OK
    learners = view(json.loads(path.read_text("utf-8")))
    sources = sources_of(learners)
    todo = judge(exercise, answer_in(sources, exercise))
    assert todo.mark is Mark.TODO
    assert len(str(todo)) <= 100, "JupyterLab would break the line inside a word"
    assert not any(BEGIN in source for source in sources)


@pytest.mark.parametrize("exercise", [e for e in EXERCISES if e.notebook in FOUND], ids=lambda e: e.id)
def test_no_cell_above_an_exercise_answers_it(exercise: Exercise) -> None:
    above = definitions(sources_of(view(json.loads(FOUND[exercise.notebook].read_text("utf-8")))), exercise.name)
    assert exercise.name in above, "the control: this one stands there, unwritten"
    quick = dataclasses.replace(exercise, wrong=exercise.wrong[:1])
    alike = {name: answer for name, answer in above.items() if could_stand_for(answer, exercise.solution)}
    assert exercise.name in alike
    assert [name for name, answer in alike.items() if judge(quick, answer).mark is Mark.OK] == []


def could_stand_for(other: Any, solution: Any) -> bool:
    """Whether it takes what the solution takes, or has its methods: nothing else is called, it may kill its process."""
    if isinstance(solution, type):
        methods = {name for name in vars(solution) if inspect.isfunction(getattr(solution, name))} - {"pull"}
        return isinstance(other, type) and methods <= set(dir(other))
    return not isinstance(other, type) and len(inspect.signature(other).parameters) == len(
        inspect.signature(solution).parameters
    )


def answer_in(sources: list[str], exercise: Exercise) -> object:
    """The answer as a reader's kernel has it: the cell that defines it, with the definitions and imports it uses."""
    named = [names[exercise.id] for names in map(checked, sources) if exercise.id in names]
    assert named, (
        f"no cell of notebook {exercise.notebook} checks exercise {exercise.id}: put back check({exercise.id!r}, ...)"
    )
    return definitions(sources, named[0])[named[0]]


def test_a_cell_that_is_missing_is_named() -> None:
    with pytest.raises(AssertionError, match=r"no cell of notebook 1 checks exercise 1\.1: put back check\('1\.1'"):
        answer_in(["1 + 1"], catalogue.find("1.1"))
    with pytest.raises(AssertionError, match="no cell defines lost"):
        answer_in(["check('1.1', lost)"], catalogue.find("1.1"))


def definitions(sources: list[str], name: str) -> dict[str, object]:
    """What the cells define up to the one that defines `name`; nothing else of them is executed."""
    namespace: dict[str, object] = {}
    found: dict[str, object] = {}
    for source in sources:
        try:
            tree = ast.parse(source)
        except SyntaxError:  # a magic: no cell an answer needs
            continue
        wanted = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        names = {n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
        tree.body = [n for n in tree.body if isinstance(n, wanted)]
        exec(compile(tree, "<notebook>", "exec"), namespace)  # noqa: S102 - our own notebook
        found |= {each: namespace[each] for each in names}
        if name in names:
            return found
    raise AssertionError(f"no cell defines {name}")
