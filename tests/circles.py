"""Which files of the package import one another in a circle: functions of the text alone, like rules.py."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping

PACKAGE = "arion_lib"


def imported(source: str, known: Mapping[str, str]) -> set[str]:
    """Return the files that a source imports anywhere, for the type checker too; `known`: the file of each module."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {known[alias.name] for alias in node.names if alias.name in known}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                name = name if name in known else node.module
                found |= {known[name]} if name in known else set()
    return found


def circles(modules: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Return the groups of files (path, source) of which each reaches each other by imports, each group sorted."""
    modules = list(modules)
    known = {module_of(path): path for path, _ in modules}
    arrows = {path: imported(source, known) - {path} for path, source in modules}
    reached = {path: _reached(path, arrows) for path in arrows}
    groups = {
        frozenset(one for one in reached[path] if path in reached[one]) for path in arrows if path in reached[path]
    }
    return sorted(sorted(group) for group in groups)


def module_of(path: str) -> str:
    """Return the dotted name of a file.

    >>> module_of("lazy/engine.py"), module_of("lazy/__init__.py")
    ('arion_lib.lazy.engine', 'arion_lib.lazy')
    """
    return ".".join([PACKAGE, *path.removesuffix(".py").removesuffix("__init__").strip("/").split("/")]).rstrip(".")


def _reached(start: str, arrows: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    stack = [*arrows[start]]
    while stack:
        one = stack.pop()
        if one not in found:
            found.add(one)
            stack += arrows[one]
    return found
