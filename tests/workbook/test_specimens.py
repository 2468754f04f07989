"""The broken classes that tools are compared on: each is broken, in one way; the whole one is not."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from arion_lib.contracts.violations import ContractError
from arion_lib.workbook.tables.specimens import MOMENTS, MYPY, SPECIMENS, TOOLS, WHOLE, define, moment


@pytest.mark.parametrize("tool", TOOLS)
def test_the_whole_class_passes_everywhere(tool: str) -> None:
    assert moment(tool, WHOLE) == "never"


@pytest.mark.parametrize("what", [what for what in SPECIMENS if "silently" not in what])
def test_a_contract_refuses_each_specimen_at_its_class_statement_and_no_other_tool_is_earlier(what: str) -> None:
    with pytest.raises(ContractError):
        define(SPECIMENS[what])
    moments = {tool: moment(tool, SPECIMENS[what]) for tool in TOOLS}
    assert moments["ours"] == "class"
    assert all(MOMENTS.index(other) > 0 for tool, other in moments.items() if tool != "ours")


def test_what_no_signature_shows_is_noticed_at_the_first_call() -> None:
    silent = SPECIMENS["returns nothing, silently"]
    assert (moment("ours", silent), moment("nothing", silent)) == ("call", "use")


@pytest.mark.thorough
def test_mypy_reports_what_the_table_says_of_it(tmp_path: Path) -> None:
    head = [
        "from abc import ABC, abstractmethod",
        "from typing import Literal",
        "Row = dict[str, int]",
        "class Exporter(ABC):",
        "    suffix: str",
        '    mode: Literal["text", "binary"] = "text"',
        "    @abstractmethod",
        "    def export(self, rows: list[Row], limit: int = 10) -> str: ...",
    ]
    lines, where = list(head), {}
    for number, (what, source) in enumerate(SPECIMENS.items()):
        first = len(lines) + 1
        lines += [*source.replace("Broken", f"Broken{number}").rstrip().splitlines(), f"Broken{number}()"]
        where |= dict.fromkeys(range(first, len(lines) + 1), what)
    path = tmp_path / "specimens.py"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file=", "--strict", "--disable-error-code", "no-untyped-def",
         "--cache-dir", str(tmp_path / "cache"), path],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = {where[int(number)] for number in re.findall(r"specimens\.py:(\d+): error", done.stdout)}
    assert found == MYPY, done.stdout
