"""`doctor --try` starts the kernel that the notebooks ask for, and says what does not work."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from arion_lib.workbook.running import doctor, trial


def test_a_kernel_runs_a_cell_of_each_part_and_the_doctor_says_so(capfd: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []
    assert doctor.run(["--try"], said.append) == 0
    assert all(name in said[-1] for name in trial.CELLS)
    assert said[-1].endswith("The workbook works.")
    assert capfd.readouterr().err == ""


def test_a_cell_that_fails_is_named_with_its_error() -> None:
    works, sentence = trial.attempt(cells={"one": "1", "division": "1/0", "never reached": "2"})
    assert not works
    assert sentence == "a kernel started, but this failed: division (ZeroDivisionError: division by zero)"


def test_what_the_kernel_says_is_shown_when_something_fails_and_only_then(capfd: pytest.CaptureFixture[str]) -> None:
    says = "import os; os.write(2, b'said by the kernel')"
    assert trial.attempt(cells={"says": says})[0]
    assert capfd.readouterr().err == ""
    assert not trial.attempt(cells={"says": says, "fails": "1/0"})[0]
    assert "said by the kernel" in capfd.readouterr().err


def test_a_kernel_that_is_not_there_is_named_with_the_command_that_makes_it() -> None:
    works, sentence = trial.attempt("arion-none")
    assert not works
    assert "there is no kernel 'arion-none'" in sentence
    assert "-m ipykernel install --sys-prefix" in sentence


def test_a_kernel_of_another_python_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `python3` that another environment registered for the user goes before this environment's own."""
    other = "import sys; sys.prefix = '/'; from ipykernel.kernelapp import launch_new_instance as go; go()"
    folder = tmp_path / "kernels" / "arion-other"
    folder.mkdir(parents=True)
    argv = [sys.executable, "-c", other, "-f", "{connection_file}"]
    (folder / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "x", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    works, sentence = trial.attempt("arion-other", cells={})
    assert not works
    assert "runs another Python, the one in /" in sentence
    assert "jupyter kernelspec remove arion-other" in sentence


def test_without_the_notebooks_packages_it_says_which_one_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nbclient", None)
    assert trial.attempt() == (False, "no kernel can be started: nbclient is missing")
