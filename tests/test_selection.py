"""How much of the suite a run takes, in which order, and that Ctrl-C ends it however it was started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

from arion_lib.setup.environment import ROOT
from tests import selection

SMALL = """
import signal

def test_ctrl_c_is_heard():
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
"""


@pytest.mark.posix("Windows starts nothing that is deaf to Ctrl-C")
@pytest.mark.parametrize(("plugins", "code"), [(("-p", "tests.selection"), 0), ((), 1)], ids=["ours", "control"])
def test_a_run_in_the_background_of_a_script_hears_ctrl_c(plugins: tuple[str, ...], code: int, tmp_path: Path) -> None:
    (tmp_path / "test_small.py").write_text(SMALL)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = alone\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *plugins, "test_small.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),  # as `script &` does
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr


def test_what_is_said_of_a_file_is_said_of_one_that_exists() -> None:
    for path in (*selection.ALONE, *selection.LONGEST, *selection.SLOW):
        assert (ROOT / selection.path_of(path)).exists(), path


def test_processes_that_share_the_files_begin_with_the_longest() -> None:
    counts = {"tests/a.py": 300, selection.LONGEST[1]: 1, "tests/b.py": 5, selection.LONGEST[0]: 9}
    rank = {path: number for number, path in enumerate(selection.LONGEST)}
    taken = sorted(counts, key=lambda path: selection.place(path, rank, counts))
    assert taken == [*selection.LONGEST[:2], "tests/a.py", "tests/b.py"]


@pytest.mark.parametrize(("profile", "tried"), [("quick", 75), ("usual", 300), ("thorough", 1_200)])
def test_a_test_that_says_how_many_examples_it_takes_takes_fewer_in_a_quick_run(profile: str, tried: int) -> None:
    before = settings.get_current_profile_name()
    settings.load_profile(profile)
    try:
        assert selection.examples(300) == tried
    finally:
        settings.load_profile(before)


@pytest.mark.parametrize("marks", ["alone", "not alone"])
def test_of_the_two_runs_one_imports_what_measures_and_the_other_the_rest(marks: str) -> None:
    files = [path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("test_*.py")]
    taken = {name for name in files if not selection.unasked(ROOT / name, name, quick=False, marks=marks)}
    assert (marks == "alone") is all(name in taken for name in files if name.startswith(selection.ALONE))
    assert "tests/test_portability.py" in taken  # some of its tests are alone, some are not
    assert (marks == "alone") is ("tests/test_lock.py" not in taken)


DYING = """
import os, time

def test_a():
    time.sleep(0.1)

def test_b():
    os._exit(1)

def test_c():
    pass
"""

DYING_LATE = """
import os
from pathlib import Path

def test_dies_when_the_other_process_is_done():
    while len(list(Path(__file__).parent.glob("*.done"))) < 48:
        pass
    os._exit(1)
"""


@pytest.mark.parametrize(
    ("last", "said"),
    [
        ({"test_last.py": DYING}, "1 failed, 50 passed"),
        (
            {"test_last.py": DYING_LATE, **{f"test_next_{n}.py": "def test_it():\n    pass\n" for n in range(2)}},
            "1 failed, 50 passed",
        ),
    ],
    ids=["in the last file", "in front of files with one test each"],
)
def test_a_process_that_dies_ends_its_test_and_not_the_run(last: dict[str, str], said: str, tmp_path: Path) -> None:
    for number in range(8):
        tests = [
            f"def test_{n}():\n    time.sleep(0.02)\n    Path(__file__).with_suffix('.{n}.done').touch()\n"
            for n in range(6)
        ]
        (tmp_path / f"test_{number}.py").write_text("import time\nfrom pathlib import Path\n\n" + "\n".join(tests))
    for name, text in last.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = alone\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n2", "--dist=loadfile"]
    with subprocess.Popen(
        [*command, "-p", "tests.selection", "--no-loadscope-reorder"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as run:
        try:
            told, _ = run.communicate(timeout=300)
        except subprocess.TimeoutExpired:
            run.kill()
            raise
    assert said in told


@pytest.mark.parametrize(
    ("sharing", "again"),
    [
        (selection.WholeFiles, {"b.py": ["b.py::3"], "c.py": ["c.py::1"]}),
        (LoadFileScheduling, {"a.py": [], "b.py": ["b.py::2", "b.py::3"], "c.py": ["c.py::1"]}),
    ],
    ids=["ours", "control"],
)
def test_of_a_process_that_died_only_what_it_had_not_begun_is_run(
    sharing: type[LoadFileScheduling], again: dict[str, list[str]]
) -> None:
    """A file without a test to run, or with the one that kills, is what keeps xdist's own sharing from its end."""
    dead: Any = "the node"
    shared = sharing.__new__(sharing)
    shared.workqueue = OrderedDict()
    files = {"a.py": {"a.py::1": True}, "b.py": {"b.py::1": True, "b.py::2": False, "b.py::3": False}}
    shared.assigned_work = {dead: {**files, "c.py": {"c.py::1": False}}}
    assert shared.remove_node(dead) == "b.py::2"
    assert {file: [one for one, done in tests.items() if not done] for file, tests in shared.workqueue.items()} == again


RECORDING = """
def test_a_property_is_recorded(record_property):
    record_property("books", "seven of them")
"""


def test_a_report_is_written_of_tests_that_record_properties(tmp_path: Path) -> None:
    """pytest's newer form of a report has no place for them: it warns, and a warning is an error here."""
    (tmp_path / "test_small.py").write_text(RECORDING)
    report = tmp_path / "report.xml"
    options = ["-c", str(ROOT / "pyproject.toml"), "-p", "no:cacheprovider", f"--junitxml={report}"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *options, "test_small.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "seven of them" in report.read_text(encoding="utf-8")
