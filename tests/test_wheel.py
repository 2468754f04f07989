"""The project as a wheel: every word works, or says in a sentence what it needs."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from arion_lib.setup import wheel, words
from arion_lib.setup.environment import ROOT, python_of
from tests.test_lock import the_uv

pytestmark = pytest.mark.skipif(importlib.util.find_spec("hatchling") is None, reason="hatchling builds the wheel")


class Installed:
    """A fresh environment with the wheel in it, without its clone, and a reader who calls `arion` there."""

    def __init__(self, built: Path, folder: Path, *, packages: bool) -> None:
        self.folder = folder
        venv = folder / "a venv"
        pip = importlib.util.find_spec("pip") is None  # an environment made by uv has none: then one of its own
        subprocess.run([sys.executable, "-m", "venv", *([] if pip else ["--without-pip"]), str(venv)], check=True)
        self.python = python_of(venv)
        installer = (
            [str(self.python), "-m", "pip"] if pip else [sys.executable, "-m", "pip", "--python", str(self.python)]
        )
        options = ["--no-deps", "--no-index", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*installer, "install", *options, str(built)], check=True)
        self.script = self.python.with_name("arion.exe" if sys.platform == "win32" else "arion")
        if packages:  # those of the environment that these tests run in; its own .pth files do not count there
            found = subprocess.run(
                [self.python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
                capture_output=True,
                text=True,
                check=True,
            ).stdout.strip()
            (Path(found) / "zz-others.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "ARION_"))}
        return subprocess.run(
            [self.script, *arguments],
            cwd=self.folder,
            env=kept,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def bare(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel, and nothing that it needs."""
    return Installed(built, tmp_path_factory.mktemp("bare"), packages=False)


@pytest.fixture(scope="module")
def full(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel, and all that its extras need."""
    return Installed(built, tmp_path_factory.mktemp("full"), packages=True)


@pytest.mark.parametrize("word", words.WORDS)
def test_each_word_explains_itself_with_and_without_the_extras(word: str, bare: Installed, full: Installed) -> None:
    for installed in (bare, full):
        done = installed.run(word, "--help")
        assert (done.returncode, done.stderr) == (0, "")
        assert "example: python -m arion_lib" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("typed", "extra", "lacking"),
    [
        ("serve", "web", "fastapi"),
        ("top", "web", "rich"),
        ("bench lazy", "dask", "distributed"),
        ("lab 1", "notebooks", "jupyterlab"),
    ],
)
def test_a_word_without_its_extra_names_it_and_the_command(
    typed: str, extra: str, lacking: str, bare: Installed
) -> None:
    done = bare.run(*typed.split())
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    named = done.stderr.strip().splitlines()[0]
    assert extra in named
    assert lacking in named
    assert "install" in done.stderr
    assert f"{wheel.NAME}[" in done.stderr


@pytest.mark.parametrize("word", ["test", "run"])
def test_a_word_that_works_on_the_tests_says_that_it_needs_a_clone(word: str, full: Installed) -> None:
    done = full.run(word)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.strip() == wheel.needs_a_clone(word)


def test_the_learners_notebooks_are_in_the_wheel(bare: Installed) -> None:
    done = bare.run("learner", "--to", "mine")
    assert done.returncode == 0, done.stderr
    copies = sorted((bare.folder / "mine").glob("*.ipynb"))
    assert [path.name for path in copies] == [path.name for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]
    assert "instructor" not in str([cell["metadata"] for cell in json.loads(copies[0].read_text("utf-8"))["cells"]])


def test_lab_opens_copies_in_the_folder_where_it_is_called(full: Installed) -> None:
    done = full.run("lab", "1", "--version")  # JupyterLab prints its version and ends
    assert done.returncode == 0, done.stderr
    assert list((full.folder / "work").glob("1_*.ipynb"))


def test_the_doctor_tells_the_truth_about_packages_and_extras(bare: Installed, full: Installed) -> None:
    done = bare.run("doctor")
    assert done.returncode == 1
    assert "extra web: fastapi" in done.stdout
    assert "missing: aiosqlite" in done.stdout
    assert "all packages" not in done.stdout
    done = full.run("doctor")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "all packages are here, those of every extra too")


def test_with_its_extras_a_benchmark_is_listed_and_a_service_that_is_not_there_is_a_sentence(full: Installed) -> None:
    assert "benchmarks: contracts" in full.run("bench").stdout
    done = full.run("top", "--once", "http://127.0.0.1:9")
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)


@pytest.mark.thorough
def test_uv_runs_it_without_installing_it(built: Path, tmp_path: Path) -> None:
    command = [the_uv(), "tool", "run", "--python", sys.executable, "--from", str(built), "arion", "learner", "1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode and ("error sending request" in done.stderr or "Failed to fetch" in done.stderr):
        pytest.skip("the package index cannot be reached from here")
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "work").glob("1_*.ipynb"))
