"""`run` executes notebooks as the tests do and stores outputs that stay as they are."""

from __future__ import annotations

import copy
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbconvert import HTMLExporter
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from arion_lib.setup.environment import ROOT
from arion_lib.workbook.running import notebooks

SOURCES = [
    "print('one'); print('two')",
    "import arion_lib.setup.environment as e; 6 * 7",
    "e.required(['nosuchlist'])",
    "import os; os.path.basename(os.getcwd())",
]


def run_on(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the word in a process of its own, on another folder of notebooks."""
    code = (
        "import sys; from pathlib import Path; from arion_lib.workbook.running import notebooks\n"
        f"notebooks.FOLDER = Path({str(folder)!r})\n"
        "notebooks.select.__defaults__ = (notebooks.FOLDER,)\n"
        "sys.exit(notebooks.run(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stored") / "notebooks"
    folder.mkdir()
    cells = [new_code_cell(source) for source in SOURCES]
    cells[2].metadata["tags"] = ["raises-exception"]
    cells[0].metadata["execution"] = {"iopub.status.busy": "2026-01-01T00:00:00Z"}
    nbformat.write(new_notebook(cells=[new_markdown_cell("# Sample"), *cells]), folder / "1_sample.ipynb")
    nbformat.write(new_notebook(cells=[new_code_cell("1 / 0")]), folder / "2_broken.ipynb")
    return folder


def test_stored_outputs_are_what_nbval_compares_and_storing_twice_changes_nothing(folder: Path) -> None:
    path = folder / "1_sample.ipynb"
    first = run_on(folder, "1", "--update")
    assert (first.returncode, "stored" in first.stdout) == (0, True), first.stdout + first.stderr
    stored = path.read_bytes()
    again = run_on(folder, "1", "--update")
    assert "unchanged" in again.stdout
    assert path.read_bytes() == stored
    assert str(ROOT).encode() not in stored
    cells = [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == [1, 2, 3, 4]
    assert cells[0].outputs[0].text == "one\ntwo\n"
    assert "execution" not in cells[0].metadata
    assert cells[1].outputs[0].execution_count == 2
    assert cells[2].outputs[0].ename == "KeyError"
    assert cells[3].outputs[0].data["text/plain"] == "'notebooks'"
    command = [sys.executable, "-m", "pytest", "-c", "pyproject.toml", "-q", "-p", "no:cacheprovider", str(path)]
    usual = {name: value for name, value in os.environ.items() if name not in notebooks.WARNINGS}
    assert subprocess.run(command, cwd=ROOT, env=usual, capture_output=True, timeout=100, check=False).returncode == 0


def test_what_python_was_asked_to_warn_of_is_not_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONWARNDEFAULTENCODING", "1")
    path = tmp_path / "1_warned.ipynb"
    code = "import pathlib\nlen(pathlib.Path(pathlib.__file__).read_text()) > 0"
    nbformat.write(new_notebook(cells=[new_code_cell(code)]), path)
    done = run_on(tmp_path, "1", "--update")
    assert (done.returncode, "stored" in done.stdout) == (0, True), done.stdout + done.stderr
    outputs = nbformat.read(path, 4).cells[0].outputs
    assert [output.get("data", output) for output in outputs] == [{"text/plain": "True"}]


def test_a_notebook_that_fails_is_shown_as_html_but_never_stored(folder: Path, tmp_path: Path) -> None:
    path = folder / "2_broken.ipynb"
    before = path.read_bytes()
    done = run_on(folder, "2", "--update")
    assert (done.returncode, path.read_bytes()) == (1, before)
    assert "ZeroDivisionError" in done.stderr
    done = run_on(folder, "2", "--out", str(tmp_path))
    assert done.returncode == 1
    assert "ZeroDivisionError" in (tmp_path / "2_broken.html").read_text(encoding="utf-8")


def test_the_html_page_loads_nothing_from_anywhere(tmp_path: Path) -> None:
    output = new_output("display_data", {"text/html": "<b>bold</b>", notebooks.WIDGET: {"model_id": "0"}})
    state = {"application/vnd.jupyter.widget-state+json": {"version_major": 2, "version_minor": 0, "state": {"0": {}}}}
    sample = new_notebook(
        cells=[new_markdown_cell("# Title $x^2$"), new_code_cell("show()", outputs=[output])],
        metadata={"widgets": state},
    )
    notebooks.to_html(sample, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<b>bold</b>" in page
    assert "Title" in page
    assert loaded_by(page) == []
    usual, _ = HTMLExporter().from_notebook_node(sample)
    assert len(loaded_by(usual)) >= 3  # control: nbconvert's own page asks several hosts


def loaded_by(page: str) -> list[str]:
    """The addresses that a browser would fetch for this page: of scripts, style sheets, pictures and imports."""
    attribute = r"""<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)\s*=\s*["']?((?:https?:)?//[^"'\s>]+)"""
    return re.findall(attribute, page) + re.findall(r"""(?:import\s*\(?|url\()\s*["']?(https?://[^"')]+)""", page)


def test_an_unknown_number_is_refused_with_the_known_ones(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"N must be one of 1, 2, got '9'"):
        notebooks.select(["9"], folder)
    assert [path.name for path in notebooks.select([], folder)] == ["1_sample.ipynb", "2_broken.ipynb"]


def test_making_uniform_is_idempotent() -> None:
    outputs = [
        new_output("execute_result", {"text/plain": "slider", notebooks.WIDGET: {"model_id": "0"}}, execution_count=9),
        new_output("error", ename="E", evalue="e", traceback=["File /home/me/x/arion_lib/a.py:1, Cell In[3], line 1"]),
    ]
    once = notebooks.uniform(new_notebook(cells=[new_code_cell("x", outputs=outputs)], metadata={"widgets": {}}))
    assert notebooks.WIDGET not in once.cells[0].outputs[0].data
    assert once.cells[0].outputs[1].traceback == ["File arion_lib/a.py:1, Cell In[1], line 1"]
    assert notebooks.uniform(copy.deepcopy(once)) == once


@pytest.mark.parametrize("notebook", notebooks.select([]), ids=lambda path: path.stem)
def test_every_link_into_the_repository_leads_to_a_file(notebook: Path) -> None:
    cells = nbformat.read(notebook, as_version=4).cells
    texts = [cell.source for cell in cells if cell.cell_type == "markdown"]
    links = [link for text in texts for link in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text)]
    assert links
    wrong = [link for link in links if not (notebook.parent / link).is_file()]
    assert wrong == [], "JupyterLab opens files; of a folder it says `File Load Error`"
