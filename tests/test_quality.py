"""The tools agree: formatted, linted, typed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from arion_lib.setup.environment import ROOT

pytestmark = pytest.mark.thorough
CODE = ("arion_lib", "tests", "conftest.py")
# The platforms are named: which branch of `if sys.platform` is checked must not depend on who runs it.
MYPY = ("mypy", "--strict", "--platform", "linux", "--no-error-summary")
TYPED = ("arion_lib", "tests/typing_examples.py", "tests/leaks.py", "tests/rules.py")


def tool(*arguments: str, folder: Path = ROOT) -> tuple[int, str]:
    """Run a tool of this environment; return its exit code and what it said."""
    done = subprocess.run([sys.executable, "-m", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def elsewhere(platform: str) -> tuple[str, ...]:
    """Return mypy's command for a system: the rest of a function is unreachable where the system has left it early."""
    cache = f".mypy_cache/{platform}"  # of its own: one cache would be made anew at each turn
    return (*MYPY, "--platform", platform, "--no-warn-unreachable", "--cache-dir", cache)


def test_the_code_is_formatted() -> None:
    code, said = tool("ruff", "format", "--check", "--quiet", *CODE)
    assert code == 0, said


def test_the_linter_is_content() -> None:
    code, said = tool("ruff", "check", "--output-format=concise", *CODE)
    assert code == 0, said


def test_the_library_is_strictly_typed_and_says_so_to_its_users() -> None:
    code, said = tool(*MYPY, *TYPED)
    assert code == 0, said
    assert (ROOT / "arion_lib" / "py.typed").exists()


@pytest.mark.parametrize("platform", ["win32", "darwin"])
def test_the_branches_for_other_systems_are_typed_too(platform: str) -> None:
    code, said = tool(*elsewhere(platform), *TYPED)
    assert code == 0, said


@pytest.mark.parametrize(
    ("arguments", "source"),
    [
        (("ruff", "format", "--check", "--quiet", "--isolated"), "x = {  }\n"),
        (("ruff", "check", "--isolated"), "import os\n"),
        (MYPY, "def f(x):\n    return x\n"),
        (MYPY, "from typing import assert_type\nassert_type(1, str)\n"),
        (elsewhere("win32"), "import os\nos.fork()\n"),
        (elsewhere("darwin"), "import sys\nif sys.platform == 'darwin':\n    x: int = ''\n"),
    ],
    ids=["unformatted", "unused import", "untyped", "wrong type", "not on Windows", "wrong on macOS"],
)
def test_each_tool_would_complain(arguments: tuple[str, ...], source: str, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(source)
    assert tool(*arguments, "bad.py", folder=tmp_path)[0] == 1
