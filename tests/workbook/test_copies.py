"""A learner's copy: written once, never overwritten, brought up to date without losing a word."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import nbformat
from hypothesis import given
from hypothesis import strategies as st

from arion_lib.workbook.copying import copies, learner
from arion_lib.workbook.running import notebooks


def markdown(name: str, source: str) -> dict[str, Any]:
    return {"id": name, "cell_type": "markdown", "metadata": {}, "source": source}


def code(name: str, source: str) -> dict[str, Any]:
    return {
        "id": name,
        "cell_type": "code",
        "metadata": {},
        "execution_count": 1,
        "outputs": [],
        "source": source,
    }


def notebook(*cells: dict[str, Any]) -> learner.Notebook:
    return {"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


ANSWER = "def area(w, h):\n    ### BEGIN SOLUTION\n    return w * h\n    ### END SOLUTION"
BLANK = "def area(w, h):\n    # your code here\n    raise NotImplementedError"
MINE = "def area(w, h):\n    return h * w"
OLD = notebook(markdown("a", "a story"), code("b", ANSWER), code("c", 'predict("peak", 3, "MB")'), code("d", "x = 1"))
NEW = notebook(
    markdown("a", "a better story"),
    markdown("new", "a new page"),
    code("b", ANSWER),
    code("c", 'predict("peak", 4, "MB")'),
    code("d", "x = 2"),
)


def store(folder: Path, book: learner.Notebook) -> Path:
    path = folder / "1_x.ipynb"
    path.write_text(json.dumps(book), "utf-8")
    return path


def sources(book: learner.Notebook) -> list[str]:
    return [learner.text_of(cell["source"]) for cell in book["cells"]]


def changed(book: learner.Notebook, **by_id: str) -> learner.Notebook:
    book = copy.deepcopy(book)
    for cell in book["cells"]:
        cell["source"] = by_id.get(cell["id"], cell["source"])
    return book


def test_a_learners_file_is_never_overwritten(tmp_path: Path) -> None:
    source = store(tmp_path, OLD)
    assert copies.write(source, tmp_path / "work").startswith("written")
    mine = tmp_path / "work" / "1_x.ipynb"
    mine.write_text("my work", "utf-8")
    assert "--to DIR" in copies.write(source, tmp_path / "work")
    assert "left alone" in copies.update(source, tmp_path / "work")
    assert mine.read_text("utf-8") == "my work"


def test_a_copy_that_is_older_than_its_notebook_says_so_and_how_to_update_it(tmp_path: Path) -> None:
    copies.write(store(tmp_path, OLD), tmp_path / "work")
    assert "it is yours" in copies.write(store(tmp_path, OLD), tmp_path / "work")
    said = copies.write(store(tmp_path, NEW), tmp_path / "work")
    assert "has changed since" in said
    assert "learner 1" in said
    assert "--update" in said


def test_an_update_brings_the_new_text_and_keeps_answers_predictions_and_own_cells(tmp_path: Path) -> None:
    source, mine = store(tmp_path, OLD), tmp_path / "work" / "1_x.ipynb"
    copies.write(source, tmp_path / "work")
    book = changed(json.loads(mine.read_text("utf-8")), b=MINE, c='predict("peak", 99, "MB")')
    book["cells"].insert(2, code("own", "area(2, 3)"))
    mine.write_text(json.dumps(book), "utf-8")
    before = mine.read_text("utf-8")
    assert copies.update(store(tmp_path, NEW), tmp_path / "work").startswith("updated")
    after = json.loads(mine.read_text("utf-8"))
    assert sources(after) == [
        "a better story",
        "a new page",
        MINE,
        "area(2, 3)",
        'predict("peak", 99, "MB")',
        "x = 2",
    ]
    nbformat.validate(after)
    assert (mine.parent / "before-update-1_x.ipynb").read_text("utf-8") == before
    assert "up to date" in copies.update(store(tmp_path, NEW), tmp_path / "work")


def test_a_story_cell_changed_by_both_keeps_the_learners_below_the_new_one() -> None:
    old, new = (copies.stamped(learner.view(book)) for book in (OLD, NEW))
    assert sources(copies.merged(changed(old, d="x = 100"), new))[-2:] == ["x = 2", "x = 100"]
    assert sources(copies.merged(changed(old, d="x = 100"), old))[-1:] == ["x = 100"]


def test_an_answer_is_found_again_when_its_cell_has_another_id() -> None:
    old = copies.stamped(learner.view(OLD))
    new = copies.stamped(learner.view(notebook(code("z", ANSWER))))
    assert sources(copies.merged(changed(old, b=MINE), new)) == [MINE]


TEXTS = st.sampled_from(["x = 1", "x = 2", "y = 3", ANSWER, 'predict("p", 1)', "print('é')"])
BOOKS = st.lists(st.tuples(st.sampled_from("abcdefgh"), TEXTS), unique_by=lambda pair: pair[0], max_size=6).map(
    lambda pairs: notebook(*(code(name, text) for name, text in pairs))
)


@given(old=BOOKS, new=BOOKS, data=st.data())
def test_an_update_loses_nothing_that_the_learner_wrote(
    old: learner.Notebook, new: learner.Notebook, data: st.DataObject
) -> None:
    mine, fresh = (copies.stamped(learner.view(book)) for book in (old, new))
    written = []
    for number in range(data.draw(st.integers(0, 4))):
        text = f"mine_{number} = {number}"
        if mine["cells"] and data.draw(st.booleans()):
            cell = data.draw(st.sampled_from(mine["cells"]))
            if learner.text_of(cell["source"]).startswith("mine_"):
                continue
            cell["source"] = text
        else:
            mine["cells"].insert(data.draw(st.integers(0, len(mine["cells"]))), code(f"own-{number}", text))
        written.append(text)
    result = copies.merged(mine, fresh)
    assert set(written) <= set(sources(result))
    assert len(result["cells"]) <= len(fresh["cells"]) + len(written)
    ids = [cell["id"] for cell in result["cells"]]
    assert len(ids) == len(set(ids))


def test_every_notebooks_copy_is_a_valid_notebook(tmp_path: Path) -> None:
    for path in notebooks.select([]):
        copies.write(path, tmp_path)
        nbformat.validate(nbformat.read(tmp_path / path.name, as_version=4))
