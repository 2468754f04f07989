"""Whatever of a run hangs, the run ends and says where; alone and with processes that share the files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from arion_lib.setup.environment import ROOT

HANGS = """
import threading
import pytest

def for_ever():
    threading.Event().wait()

"""

WHERE = {
    "a test": "def test_hangs():\n    for_ever()\n",
    "a fixture's end, after a failure": """
@pytest.fixture
def resource():
    yield
    for_ever()

def test_hangs(resource):
    assert False
""",
    "the end of the file": """
@pytest.fixture(autouse=True, scope="module")
def resource():
    yield
    for_ever()

def test_hangs():
    assert False
""",
    "the end of the session": """
@pytest.fixture(autouse=True, scope="session")
def resource():
    yield
    for_ever()

def test_hangs():
    pass
""",
    "the end of the process": "def test_hangs():\n    threading.Thread(target=for_ever).start()\n",
}


SHARED = [where for where in WHERE if where not in ("a test", "the end of the process")]
"""What can keep one of several processes: the one that shares out the tests ends one that does not end itself."""

MANY = ("-n2", "--dist=loadfile")


@pytest.mark.parametrize(
    ("where", "processes"),
    [
        pytest.param("a test", MANY, id="two processes: a test"),
        *(pytest.param(where, (), marks=pytest.mark.thorough, id=where) for where in WHERE),
        *(pytest.param(where, MANY, marks=pytest.mark.thorough, id=f"two processes: {where}") for where in SHARED),
    ],
)
def test_a_run_in_which_something_hangs_ends_and_shows_where(
    where: str, processes: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "test_hanging.py").write_text(HANGS + WHERE[where])
    (tmp_path / "test_other.py").write_text("def test_other():\n    pass\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = alone\n")
    plugins = ["-p", "tests.selection", "-p", "tests.hangs", "-p", "no:cacheprovider", "-p", "no:typeguard"]
    plugins += [f"--basetemp={tmp_path / 'own'}"]  # else it clears up after other runs, for as long as that takes
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, *processes, "--longest=10", "test_hanging.py", "test_other.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    told = done.stdout + done.stderr
    assert "Timeout (0:00:10)!" in told, told
    assert "in for_ever" in told, told
    if "assert False" in WHERE[where]:
        assert "test_hanging.py::test_hangs failed (call): assert False" in told, told
    if processes:
        assert "1 passed" in told or "2 passed" in told, told
