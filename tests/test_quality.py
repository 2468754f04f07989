"""The tools agree: formatted, linted, typed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from arion_lib.setup.environment import ROOT

CODE = ("arion_lib", "tests", "conftest.py")
# One platform for everybody: which branch of `if sys.platform` is checked must not depend on who runs it.
MYPY = ("mypy", "--strict", "--platform", "linux", "--no-error-summary")


def tool(*arguments: str, folder: Path = ROOT) -> tuple[int, str]:
    """Run a tool of this environment; return its exit code and what it said."""
    done = subprocess.run([sys.executable, "-m", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_the_code_is_formatted() -> None:
    code, said = tool("ruff", "format", "--check", "--quiet", *CODE)
    assert code == 0, said


def test_the_linter_is_content() -> None:
    code, said = tool("ruff", "check", "--output-format=concise", *CODE)
    assert code == 0, said


def test_the_library_is_strictly_typed_and_says_so_to_its_users() -> None:
    code, said = tool(*MYPY, "arion_lib", "tests/typing_examples.py", "tests/leaks.py", "tests/rules.py")
    assert code == 0, said
    assert (ROOT / "arion_lib" / "py.typed").exists()


@pytest.mark.parametrize(
    ("arguments", "source"),
    [
        (("ruff", "format", "--check", "--quiet", "--isolated"), "x = {  }\n"),
        (("ruff", "check", "--isolated"), "import os\n"),
        (MYPY, "def f(x):\n    return x\n"),
        (MYPY, "from typing import assert_type\nassert_type(1, str)\n"),
    ],
    ids=["unformatted", "unused import", "untyped", "wrong type"],
)
def test_each_tool_would_complain(arguments: tuple[str, ...], source: str, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(source)
    assert tool(*arguments, "bad.py", folder=tmp_path)[0] == 1
