"""What a learner meets in a notebook: words explained first, failures announced, diagrams that are shown.

Each rule has a control: a notebook that breaks it.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.rules import text_of

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("[0-9]_*.ipynb"))
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)

SHOWN_AS_A_VALUE = {"flow", "show_source", "plugin_table", "Monitor", "SchedulerMonitor"}
"""What is seen only where it is the value of its cell."""

TERMS = re.findall(
    r"[^|]+",
    "NDJSON|outbox|relay|interleaved rounds|projection|idempotency key|back-pressure|dead letter|context manager|"
    "exit stack|unwind|exception group|barrier|driver|guard|mixin|coroutine|entry point|MRO|metaclass|registry|eager|"
    "fuse|stage|template|one-shot|materialise|spawn|supervisor|grace|quarantine|poison task|sentinel|zombie|ledger",
)
"""Words that stopped a reader because they came before their explanation."""


def load(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return loaded


def not_seen(notebook: dict[str, Any]) -> list[str]:
    """Return the calls whose value would be shown if they stood last in their cell."""
    found = []
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            *before, _ = ast.parse(text_of(cell["source"])).body
            calls = [each.value for each in before if isinstance(each, ast.Expr) and isinstance(each.value, ast.Call)]
            found += [ast.unparse(call.func) for call in calls if ast.unparse(call.func) in SHOWN_AS_A_VALUE]
    return found


def too_wide(notebook: dict[str, Any]) -> list[str]:
    """Return the lines of blocks in the prose that JupyterLab would break, with its file browser open."""
    texts = [text_of(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "markdown"]
    blocks = [block for text in texts for block in re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)]
    return [line for block in blocks for line in block.splitlines() if len(line) > 90]


def unannounced(notebook: dict[str, Any]) -> list[str]:
    """Return the cells that fail on purpose without being announced by the text above them."""
    found, above = [], ""
    for cell in notebook["cells"]:
        text = text_of(cell["source"])
        above = text if cell["cell_type"] == "markdown" else above
        if "raises-exception" in cell["metadata"].get("tags", ()) and "fails on purpose" not in " ".join(above.split()):
            found.append(text)
    return found


def unexplained(notebook: dict[str, Any]) -> list[str]:
    """Return the terms that the prose uses (up to "More") and neither the vocabulary nor their first use explains."""
    texts = [
        text_of(cell["source"])
        for cell in notebook["cells"]
        if cell["cell_type"] == "markdown" and "instructor" not in cell["metadata"].get("tags", ())
    ]
    optional = next((n for n, text in enumerate(texts) if re.search(r"^## More", text, re.MULTILINE)), len(texts))
    lines = "\n\n".join(texts[:optional]).splitlines()
    table = " ".join(line.split("|")[1] for line in lines if line.startswith("|"))
    words = re.sub(r"`[^`]*`|\]\([^)]*\)|^\|.*$", "", "\n".join(lines), flags=re.MULTILINE)
    found = []
    for term in TERMS:
        used = re.search(rf"(?i)\b{term}", words)
        if used and not re.search(rf"(?i)\b{term}", table):
            marked = re.search(rf"(?i)\*{term}\w*\*|\b{term}\w* \(|another notebook's|notebook \d's {term}", words)
            found += [] if marked else [term]
    return found


@each_notebook
def test_what_is_a_cells_value_stands_last_in_it(path: Path) -> None:
    assert not_seen(load(path)) == []


@each_notebook
def test_a_block_in_the_prose_is_shown_on_whole_lines(path: Path) -> None:
    assert too_wide(load(path)) == []


@each_notebook
def test_a_cell_that_fails_on_purpose_is_announced(path: Path) -> None:
    assert unannounced(load(path)) == []


@each_notebook
def test_a_term_is_explained_before_it_is_used(path: Path) -> None:
    assert unexplained(load(path)) == []


def cell(kind: str, source: str, *tags: str) -> dict[str, Any]:
    return {"cell_type": kind, "source": source, "metadata": {"tags": list(tags)}}


def test_notebooks_that_break_these_rules_are_found() -> None:
    hidden = {"cells": [cell("code", "flow('a', 'b')\nprint(1)"), cell("code", "x = 1\nflow('a', 'b')")]}
    assert not_seen(hidden) == ["flow"]
    wide = "x" * 91
    assert too_wide({"cells": [cell("markdown", f"```text\n{wide}\n{wide[1:]}\n```\n{wide}")]}) == [wide]
    red = [cell("markdown", "Read on."), cell("code", "1 / 0", "raises-exception")]
    assert unannounced({"cells": red}) == ["1 / 0"]
    assert unannounced({"cells": [cell("markdown", "*This cell fails on purpose.*"), red[1]]}) == []
    table = "| word | here it means |\n|---|---|\n| mixin | a class to be inherited |\n"
    prose = "A mixin has an MRO, and a *barrier* waits."
    assert unexplained({"cells": [cell("markdown", table), cell("markdown", prose)]}) == ["MRO"]
    assert unexplained({"cells": [cell("markdown", table), cell("markdown", "## More\n\n" + prose)]}) == []
