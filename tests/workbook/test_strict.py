"""The tests' way of running notebooks refuses what plain nbval lets pass."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook, new_output

from arion_lib.setup.environment import ROOT


def cell(source: str, printed: str = "", *tags: str, count: int | None = 1) -> NotebookNode:
    outputs = [new_output("stream", name="stdout", text=printed)] if printed else []
    return new_code_cell(source, execution_count=count, outputs=outputs, metadata={"tags": list(tags)})


GAPS = {
    "an output that was never stored": (cell("print(1)", count=None), "not compared"),
    "an unknown magic in an ignored cell": (cell("%nosuchmagic", "", "nbval-ignore-output"), "nosuchmagic"),
    "an exception announced that does not come": (
        cell("1", "", "nbval-ignore-output", "raises-exception"),
        "nothing was raised",
    ),
    "a warning in an ignored cell": (
        cell("import warnings; warnings.warn('getting old')", "", "nbval-ignore-output"),
        "getting old",
    ),
}
NOTEBOOKS = {
    "gaps": [gap for gap, _ in GAPS.values()],
    "good": [
        cell("print(object())", "<object object at 0x7f00>\n"),
        cell("import arion_lib; print(arion_lib.__file__)", f"{ROOT / 'arion_lib' / '__init__.py'}\n"),
        cell("1 / 0", "", "raises-exception", "nbval-ignore-output"),
    ],
    "changed": [cell("print(2)", "2\n"), cell("print(3)", "4\n")],
    "dead": [cell("import os; os._exit(1)"), cell("print(2)", "2\n")],
    "endless": [cell("while True: pass")],
}
Outcomes = dict[str, str]
"""For each `notebook Cell n` why it failed; empty when it passed."""


def outcomes(folder: Path, names: list[str], *options: str) -> Outcomes:
    """Run notebooks by nbval in a pytest of its own, far from the project's settings."""
    (folder / "notebooks").mkdir()
    (folder / "pytest.ini").write_text("[pytest]\n")
    for name in names:
        nbformat.write(new_notebook(cells=NOTEBOOKS[name]), folder / "notebooks" / f"{name}.ipynb")
    command = [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", "--junitxml=report.xml", "--color=no"]
    subprocess.run([*command, *options], cwd=folder, capture_output=True, timeout=120, check=False)
    return {_name(case): _failure(case) for case in ElementTree.parse(folder / "report.xml").iter("testcase")}


def _name(case: ElementTree.Element) -> str:
    return f"{case.get('classname', '').split('.')[-2]} {case.get('name')}"


def _failure(case: ElementTree.Element) -> str:
    found = [node for kind in ("failure", "error", "skipped") for node in case.iter(kind)]
    return "".join(f"{node.get('message')} {node.text}" for node in found)


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    folder = tmp_path_factory.mktemp("strict")
    return outcomes(folder, list(NOTEBOOKS), "-p", "arion_lib.workbook.running.strict", "--nbval-cell-timeout=4")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    return outcomes(tmp_path_factory.mktemp("plain"), ["gaps"])


@pytest.mark.parametrize("gap", GAPS)
def test_a_silent_gap_of_nbval_is_closed(gap: str, strict: Outcomes, plain: Outcomes) -> None:
    key = f"gaps Cell {list(GAPS).index(gap)}"
    assert GAPS[gap][1] in strict[key]
    assert plain[key] == ""  # the control: nbval alone lets it pass


def test_a_good_notebook_passes_with_addresses_made_uniform_and_the_clone_importable(strict: Outcomes) -> None:
    assert [strict[f"good Cell {number}"] for number in range(3)] == ["", "", ""]


def test_a_changed_output_fails_its_own_cell_only(strict: Outcomes) -> None:
    assert strict["changed Cell 0"] == ""
    assert "Cell outputs differ" in strict["changed Cell 1"]


def test_a_kernel_that_dies_is_noticed_before_the_cells_time_is_up(strict: Outcomes) -> None:
    assert "the kernel died in this cell" in strict["dead Cell 0"]
    assert "dead" in strict["dead Cell 1"]


def test_a_cell_that_never_ends_fails_when_its_time_is_up(strict: Outcomes) -> None:
    assert "Timeout of 4 seconds" in strict["endless Cell 0"]
