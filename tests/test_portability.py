"""The suite itself on other systems: no test leans unguarded on what Windows lacks."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from arion_lib.setup.environment import ROOT

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
