"""The learner view: the same notebook with the answers taken out.

Idea        One source, two views: what stands between two delimiters becomes `raise NotImplementedError`.
Invariant   `view` leaks no line of an answer, no output and no instructor cell; Run All reaches the end of its result.
When wrong  A delimiter without its twin, or an answer outside a function, is refused with its cell's number.
See         arion_lib/workbook/copying/copies.py (the files) · tests/workbook/test_learner.py
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any, TypeAlias

Notebook: TypeAlias = dict[str, Any]
"""A notebook as JSON (nbformat 4): `nbformat.NotebookNode` is one too."""

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
HERE = "# your code here"
INSTRUCTOR = "instructor"


def view(notebook: Notebook) -> Notebook:
    """Return a learner's copy of `notebook`; the argument is left as it is.

    Raises `ValueError` with the cell's number for delimiters that do not pair or an answer outside a function.
    """
    copy = deepcopy(notebook)
    copy["cells"] = [c for c in copy["cells"] if INSTRUCTOR not in c["metadata"].get("tags", ())]
    copy["metadata"].pop("widgets", None)
    for number, cell in enumerate(copy["cells"]):
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
            cell["metadata"].pop("execution", None)
            try:
                cell["source"] = _lines(without_predictions(without_answers(text_of(cell["source"]))), cell["source"])
            except ValueError as e:
                e.add_note(f"in cell {number} of the learner view: {text_of(cell['source']).splitlines()[:1]}")
                raise
    return copy


def without_answers(source: str) -> str:
    r"""Return a code cell's source with each answer replaced.

    >>> print(without_answers("def f(x):\n    ### BEGIN SOLUTION\n    return x\n    ### END SOLUTION"))
    def f(x):
        # your code here
        raise NotImplementedError
    """
    lines = source.split("\n")
    for begin, end in reversed(list(_blocks(lines))):
        if not _in_function(source, begin + 2):
            raise ValueError("an answer must stand inside a function, got one outside: Run All would stop at it")
        indent = lines[begin][: len(lines[begin]) - len(lines[begin].lstrip())]
        lines[begin : end + 1] = [indent + HERE, indent + "raise NotImplementedError"]
    return "\n".join(lines)


def answers(source: str) -> list[str]:
    """Return what stands between the delimiters of a code cell, block by block: what a learner must not see."""
    lines = source.split("\n")
    return ["\n".join(lines[begin + 1 : end]) for begin, end in _blocks(lines)]


def without_predictions(source: str) -> str:
    """Return a code cell's source with the number in each `predict(name, number, ...)` replaced by `...`.

    >>> without_predictions('predict("peak", 120, "MB")')
    'predict("peak", ..., "MB")'
    """
    if "predict(" not in source:
        return source
    calls = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Call) and _is_predict(n.func)]
    values = [v for call in calls for v in [*call.args[1:2], *(k.value for k in call.keywords if k.arg == "value")]]
    lines = source.encode().split(b"\n")  # ast counts columns in UTF-8 bytes
    for value in sorted(values, key=lambda v: (v.lineno, v.col_offset), reverse=True):
        first, last = value.lineno - 1, (value.end_lineno or value.lineno) - 1
        joined = lines[first][: value.col_offset] + b"..." + lines[last][value.end_col_offset :]
        lines[first : last + 1] = [joined]
    return b"\n".join(lines).decode()


def _blocks(lines: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield the line numbers (from 0) of each pair of delimiters."""
    begin: int | None = None
    for number, line in enumerate(lines):
        mark = line.strip()
        if mark == BEGIN and begin is None:
            begin = number
        elif mark == END and begin is not None:
            yield begin, number
            begin = None
        elif mark in (BEGIN, END):
            raise ValueError(f"delimiters must come in pairs, got {mark!r} alone in line {number + 1}")
    if begin is not None:
        raise ValueError(f"delimiters must come in pairs, got {BEGIN!r} alone in line {begin + 1}")


def _in_function(source: str, line: int) -> bool:
    """True when the innermost definition around `line` (from 1) is a function, not a class or the module."""
    inner: ast.AST | None = None
    for node in ast.walk(ast.parse(source)):  # breadth first: the last that fits is the innermost
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.lineno < line <= (
            node.end_lineno or 0
        ):
            inner = node
    return isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef)


def _is_predict(func: ast.expr) -> bool:
    return (isinstance(func, ast.Name) and func.id == "predict") or (
        isinstance(func, ast.Attribute) and func.attr == "predict"
    )


def text_of(source: str | list[str]) -> str:
    """Return the source of a cell, which nbformat keeps as one text or as a list of lines."""
    return source if isinstance(source, str) else "".join(source)


def _lines(text: str, like: str | list[str]) -> str | list[str]:
    """Return `text` in the form that `like` has: one string, or a list of lines."""
    return text if isinstance(like, str) else text.splitlines(keepends=True)
