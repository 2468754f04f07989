"""The suite on other systems: no test leans unguarded on what Windows lacks, and a part of it runs as if there."""

from __future__ import annotations

import ast
import doctest
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator

import pytest
from packaging.requirements import Requirement

from arion_lib.setup.environment import ROOT
from arion_lib.setup.installer import NEWEST, OLDEST
from tests.elsewhere import HIDDEN

LACKING = {
    "os": {
        "fork",
        "killpg",
        "mkfifo",
        "setsid",
        "getsid",
        "waitpid",
        "WNOHANG",
        "getuid",
        "geteuid",
        "writev",
        "readv",
    },
    "signal": {"SIGKILL", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGCHLD", "SIGHUP", "setitimer", "pthread_kill"},
}
"""What Windows lacks of two modules."""
GUARDS = ("win32", "posix", "POSIX", "linux", "hasattr(os", "hasattr(signal", "/proc/", "importorskip")
"""Words of a condition that keeps a test from running there."""


def unguarded(source: str) -> list[str]:
    """Return the functions that use what Windows lacks, without a word of guard in them, their marks or the module's.

    >>> unguarded("def test_x():\\n    os.fork()")
    ['test_x: os.fork']
    >>> unguarded("@posix\\ndef test_x():\\n    os.fork()")
    []
    """
    tree = ast.parse(source)
    marks = [ast.unparse(node) for node in tree.body if isinstance(node, ast.Assign)]
    if any(text.startswith("pytestmark") and _guards(text) for text in marks):
        return []
    return [
        f"{node.name}: {use}"
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not _guards(ast.unparse(node))
        for use in _uses(node)
    ]


def _guards(text: str) -> bool:
    return any(word in text for word in GUARDS)


def _uses(node: ast.AST) -> Iterator[str]:
    for one in ast.walk(node):
        match one:
            case ast.Attribute(ast.Name(module), name) if name in LACKING.get(module, ()):
                yield f"{module}.{name}"


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("*.py")), ids=lambda path: path.stem)
def test_no_test_leans_unguarded_on_what_windows_lacks(path: object) -> None:
    assert unguarded(path.read_text("utf-8")) == []  # type: ignore[attr-defined]


def beyond_windows(docstring: str) -> list[str]:
    """Return the examples of a docstring that name what Windows lacks.

    >>> beyond_windows(">>> f()\\nSIGHUP"), beyond_windows(">>> f()\\nSIGTERM")
    (['f()'], [])
    """
    examples = doctest.DocTestParser().get_examples(docstring)
    return [one.source.strip() for one in examples if NOT_THERE.search(one.source + one.want)]


NOT_THERE = re.compile(rf"\b(os\.({'|'.join(LACKING['os'])})|{'|'.join(LACKING['signal'])})\b")


def test_no_example_of_the_library_names_what_windows_lacks() -> None:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    found = {}
    for path in (ROOT / "arion_lib").rglob("*.py"):
        nodes = ast.walk(ast.parse(path.read_text("utf-8")))
        texts = [ast.get_docstring(node) or "" for node in nodes if isinstance(node, kinds)]
        if examples := [example for text in texts for example in beyond_windows(text)]:
            found[path.name] = examples
    assert found == {}


def test_what_windows_keeps_no_list_of_is_installed_there_with_the_library_alone() -> None:
    """Time zones, for `cron`: other systems have a folder of them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [Requirement(line) for line in project["dependencies"]]
    for system, expected in (("win32", True), ("linux", False)):
        names = {one.name for one in wanted if one.marker is None or one.marker.evaluate({"sys_platform": system})}
        assert ("tzdata" in names) is expected


def suite(*arguments: str, **variables: str) -> str:
    """Run a part of the suite in a process of its own; return its last words. Fails when the part does."""
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **variables}, capture_output=True, check=False)
    said = done.stdout.decode("utf-8", "replace")
    assert done.returncode == 0, said[-8_000:] + done.stderr.decode("utf-8", "replace")[-2_000:]
    return said.strip().splitlines()[-1]


PARTS = (
    "tests/contracts",
    "tests/ground",
    "tests/lazy",
    "tests/measure/test_fresh.py",
    "tests/resources",
    "tests/scheduler/test_pipes.py",
    "tests/scheduler/test_processes.py",
)


@pytest.mark.thorough
@pytest.mark.alone
@pytest.mark.parametrize("option", ["--as-windows", "--as-macos"])
def test_the_parts_hold_as_if_on_another_system(option: str) -> None:
    """On this one: what the other lacks is hidden, its clock and its ways to start a process are put in place."""
    said = suite(option, *PARTS)
    assert int(re.search(r"(\d+) passed", said).group(1)) > 1_000, said  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "forgot", ["import os; os.fork", "import signal; signal.SIGKILL", "import fcntl", "from os import fork"]
)
def test_a_test_that_forgot_its_mark_fails_as_if_on_windows(forgot: str) -> None:
    """And nothing else does: only what the tests' own modules import is without it."""
    code = f"""
from tests.elsewhere import HIDDEN, hide
hide(HIDDEN["--as-windows"])
exec({forgot!r}, {{"__name__": "arion_lib.some_module"}})
try:
    exec({forgot!r}, {{"__name__": "tests.some_module"}})
except (AttributeError, ImportError) as error:
    print(type(error).__name__)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout.strip() in ("AttributeError", "ImportError", "ModuleNotFoundError")


@pytest.mark.thorough
def test_no_file_or_child_of_ours_is_read_in_the_code_page_of_the_machine() -> None:
    """In a locale that knows ASCII alone, with an error (pyproject's) where the library leaves the encoding to it."""
    ascii_alone = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONWARNDEFAULTENCODING": "1"}
    suite("tests/workbook", "tests/pipeline", "tests/test_readme.py", **ascii_alone)


def test_what_is_run_or_compared_has_the_same_line_ends_on_every_system() -> None:
    """Windows' git would write `\\r\\n`, which no shell takes and no hash or stored output equals."""
    lines = (ROOT / ".gitattributes").read_text(encoding="utf-8").splitlines()
    kept = {line.split()[0] for line in lines if "eol=lf" in line.split()}
    folders = [ROOT / name for name in ("arion_lib", "notebooks", "tests", ".ci", ".github", ".devcontainer")]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    run = [path for path in (*files, ROOT / "postBuild") if path.read_bytes().startswith(b"#!")]
    for path in (*run, *files, ROOT / "requirements.lock"):
        if path in run or path.suffix in (".py", ".ipynb", ".lock"):
            assert kept & {f"*{path.suffix}", path.name, path.relative_to(ROOT).as_posix()}, path
            assert b"\r\n" not in path.read_bytes(), path


WORKFLOWS = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / ".github" / "workflows").glob("*.yml")}


def test_the_workflow_runs_every_promised_python_on_every_system_from_an_awkward_path() -> None:
    text = WORKFLOWS["test.yml"]
    promised = [f"3.{minor}" for minor in range(OLDEST[1], NEWEST[1] + 1)]
    lists = [re.findall(r'"(3\.\d+)"', found) for found in re.findall(r"python: \[(.*)\]", text)]
    assert lists == [promised, promised]
    assert "os: [macos-latest, windows-latest]" in text
    (folder,) = re.findall(r"working-directory: (.*?)(?: #.*)?$", text, re.MULTILINE)
    assert " " in folder
    assert not folder.isascii()
    assert f"path: {folder}\n" in text
    runs = [line for line in text.splitlines() if "arion_lib test" in line]
    assert all("--durations=25" in line for line in runs if "--as-" not in line)


def test_the_workflow_runs_all_parts_as_if_on_another_system() -> None:
    """`PARTS` is what a machine of one's own has the time for."""
    (line,) = [line for line in WORKFLOWS["test.yml"].splitlines() if "matrix.as" in line and "run:" in line]
    parts = {path.parent.relative_to(ROOT).as_posix() for path in (ROOT / "tests").glob("*/test_*.py")}
    assert set(re.findall(r"tests/\w+", line)) == parts - {"tests/bench", "tests/chaos"}  # peers, and kills by signal
    options = re.findall(r"as: \[(.*)\]", WORKFLOWS["test.yml"])
    assert options == [", ".join(f'"{option}"' for option in HIDDEN)]


def test_every_workflow_uses_the_same_version_of_an_action() -> None:
    used = {found for text in WORKFLOWS.values() for found in re.findall(r"uses: (\S+)", text)}
    assert len({one.split("@")[0] for one in used}) == len(used), sorted(used)
