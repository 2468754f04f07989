"""The learner view leaks nothing, overwrites nothing, and runs to its end."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest

from arion_lib.workbook.copying import copies, learner
from arion_lib.workbook.running.hearing import hear_all

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("[0-9]_*.ipynb"))


def code(source: str, *tags: str) -> dict[str, Any]:
    output = {"output_type": "stream", "name": "stdout", "text": "42"}
    return {
        "cell_type": "code",
        "metadata": {"tags": list(tags)},
        "execution_count": 1,
        "outputs": [output],
        "source": source,
    }


def notebook(*cells: dict[str, Any]) -> learner.Notebook:
    return {"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


SOLVED = """\
def area(w: int, h: int) -> int:
    \"\"\"The area.\"\"\"
    ### BEGIN SOLUTION
    secret = w * h
    return secret
    ### END SOLUTION"""


def test_an_answer_becomes_not_implemented_at_its_own_indentation() -> None:
    source = learner.without_answers(f"class A:\n    x = 1\n{indented(SOLVED)}\n\nprint('after')")
    assert source.endswith("        # your code here\n        raise NotImplementedError\n\nprint('after')")
    assert "secret" not in source
    with pytest.raises(NotImplementedError):
        exec(f"{source}\nA.area(1, 2)")  # noqa: S102 - the cell under test


def indented(text: str) -> str:
    return "\n".join("    " + line for line in text.split("\n"))


def test_two_answers_in_a_cell_are_both_taken_out() -> None:
    assert learner.without_answers(f"{SOLVED}\n{SOLVED}").count("raise NotImplementedError") == 2
    assert learner.answers(f"{SOLVED}\n{SOLVED}") == ["    secret = w * h\n    return secret"] * 2


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (f"{learner.BEGIN}\nx = 1\n{learner.END}", "inside a function"),
        (f"class A:\n    {learner.BEGIN}\n    x = 1\n    {learner.END}", "inside a function"),
        (f"def f():\n    {learner.BEGIN}\n    return 1", "BEGIN SOLUTION' alone in line 2"),
        (f"def f():\n    return 1\n    {learner.END}", "END SOLUTION' alone in line 3"),
        (f"def f():\n    {learner.BEGIN}\n    {learner.BEGIN}\n    {learner.END}", "BEGIN SOLUTION' alone in line 3"),
    ],
)
def test_an_answer_that_cannot_be_taken_out_is_refused_with_its_cell(source: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        learner.view(notebook(code("1"), code(source)))
    assert "in cell 1 of the learner view" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    ("source", "blanked"),
    [
        ('predict("peak MB", 120, "MB")', 'predict("peak MB", ..., "MB")'),
        ('predict("größe", 3 * (4 + 5))', 'predict("größe", ...)'),
        ('predict("a", value=-1.5); predict("b", 2)', 'predict("a", value=...); predict("b", ...)'),
        ("predict(\n    'a',\n    sum([1,\n         2]),\n)", "predict(\n    'a',\n    ...,\n)"),
        ("predicted = 3", "predicted = 3"),
    ],
)
def test_predictions_are_blanked(source: str, blanked: str) -> None:
    assert learner.without_predictions(source) == blanked


def test_outputs_and_instructor_cells_are_gone_and_the_original_is_untouched() -> None:
    original = notebook(code("1"), code("'secret plan'", "instructor"), code("2", "nbval-ignore-output"))
    before = json.dumps(original)
    copy = learner.view(original)
    assert [c["source"] for c in copy["cells"]] == ["1", "2"]
    assert all(c["outputs"] == [] and c["execution_count"] is None for c in copy["cells"])
    assert json.dumps(original) == before


def test_the_view_of_a_view_is_the_same() -> None:
    once = learner.view(notebook(code(SOLVED), code('predict("a", 1)')))
    assert learner.view(once) == once


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_no_line_of_an_answer_is_in_the_learners_copy(path: Path) -> None:
    original = json.loads(path.read_text("utf-8"))
    copy = learner.view(original)
    for cell in original["cells"]:
        for answer in learner.answers("".join(cell["source"])) if cell["cell_type"] == "code" else ():
            assert answer not in json.dumps(copy).encode().decode("unicode_escape")
    assert not any("instructor" in c["metadata"].get("tags", ()) for c in copy["cells"])


@pytest.fixture(scope="module")
def executed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Any]:
    """The learner's copies of the notebooks whose tests were chosen, executed two at a time (they mostly wait)."""
    tests = [item for item in request.session.items if isinstance(item, pytest.Function)]  # a notebook's cells are not
    chosen = {item.callspec.params["path"] for item in tests if "executed" in item.fixturenames}
    return asyncio.run(_executed(sorted(chosen), tmp_path_factory.mktemp("learners")))


async def _executed(paths: list[Path], folder: Path) -> dict[Path, Any]:
    two = asyncio.Semaphore(2)

    async def one(path: Path) -> Any:
        copies.write(path, folder)
        book = nbformat.read(folder / path.name, as_version=4)
        where = {"metadata": {"path": str(folder)}}
        waits = {"timeout": 300, "startup_timeout": 300}  # however busy
        client = hear_all(nbclient.NotebookClient(book, resources=where, **waits))
        async with two:
            return await client.async_execute()

    return dict(zip(paths, await asyncio.gather(*map(one, paths), return_exceptions=True), strict=True))


def _some_thorough(paths: list[Path]) -> list[Any]:
    """Leave the second notebook, the first to be through, to the default run; nbval runs the same cells of all five."""
    return [pytest.param(p, id=p.stem, marks=[] if p.name[0] == "2" else pytest.mark.thorough) for p in paths]


@pytest.mark.parametrize("path", _some_thorough(NOTEBOOKS))
def test_run_all_reaches_the_end_of_a_learners_copy(path: Path, executed: dict[Path, Any]) -> None:
    book = executed[path]
    if isinstance(book, BaseException):
        raise book
    cells = [
        c for c in book.cells if c.cell_type == "code" and "\ncheck(" in f"\n{c.source}"
    ]  # contracts say [ no ] too
    said = [o["text"] for c in cells for o in c.outputs if o.get("name") == "stdout"]
    reports = [line for text in said for line in text.splitlines() if line.startswith(("[todo]", "[ ok ]", "[ no ]"))]
    assert reports
    assert all(line.startswith("[todo]") for line in reports)
