"""Ours and the type checkers on the same overrides: they agree, or the reason is written down."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from arion_lib.contracts.contract import Contract
from arion_lib.contracts.registry import Registry
from arion_lib.contracts.violations import ContractError
from tests.contracts.override_pairs import DISAGREEMENTS, PAIRS, PRELUDE


def accepted(promised: str, offered: str, future: str = "") -> bool:
    space: dict[str, Any] = {"Contract": Contract, "registry": Registry(), "__name__": "pairs"}
    exec(compile(PRELUDE, "pairs.py", "exec", dont_inherit=True), space)  # noqa: S102 - the text is ours
    text = f"{future}\nclass P(Contract, registry=registry):\n{textwrap.indent(promised, '    ')}\n"
    text += f"class O(P):\n{textwrap.indent(offered, '    ')}\n"
    try:
        exec(compile(text, "pairs.py", "exec", dont_inherit=True), space)  # noqa: S102
    except ContractError:
        return False
    return True


@pytest.mark.parametrize("future", ["", "from __future__ import annotations"], ids=["evaluated", "strings"])
@pytest.mark.parametrize("name", PAIRS)
def test_ours_agrees_with_mypy_or_the_reason_is_listed(name: str, future: str) -> None:
    promised, offered, mypy, _ = PAIRS[name]
    assert (accepted(promised, offered, future) is mypy) is (name not in DISAGREEMENTS)


def test_the_list_of_reasons_is_about_the_corpus_and_the_corpus_is_large() -> None:
    assert set(DISAGREEMENTS) <= set(PAIRS)
    assert len(PAIRS) >= 120
    refused = [name for name, (*_, mypy, _) in PAIRS.items() if not mypy]
    assert min(len(refused), len(PAIRS) - len(refused)) >= 50  # neither "always" nor "never" would pass


def test_what_only_ours_refuses_another_checker_refuses_too() -> None:
    assert all(PAIRS[name][2] <= PAIRS[name][3] or not PAIRS[name][3] for name in DISAGREEMENTS)
    assert [name for name in DISAGREEMENTS if PAIRS[name][2] and PAIRS[name][3]] == []


def _all_in_one(tmp_path: Path) -> tuple[Path, dict[int, str]]:
    lines, names = PRELUDE.splitlines(), {}
    for number, (name, (promised, offered, *_)) in enumerate(PAIRS.items()):
        lines += [f"class P{number}:", *textwrap.indent(promised, "    ").splitlines()]
        first = len(lines) + 1
        lines += [f"class O{number}(P{number}):", *textwrap.indent(offered, "    ").splitlines()]
        names |= dict.fromkeys(range(first, len(lines) + 1), name)
    path = tmp_path / "pairs.py"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path, names


@pytest.mark.thorough
def test_mypy_says_what_the_corpus_says_of_it(tmp_path: Path) -> None:
    path, names = _all_in_one(tmp_path)
    words = ["--config-file=", "--check-untyped-defs", "--disable-error-code", "empty-body", "--python-version", "3.11"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *words, "--cache-dir", str(tmp_path / "cache"), path],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = [int(found[1]) for found in re.finditer(r"pairs\.py:(\d+): error:", done.stdout)]
    refused = {names[line] for line in lines if line in names}
    assert refused == {name for name, (*_, mypy, _) in PAIRS.items() if not mypy}, done.stdout


@pytest.mark.thorough
@pytest.mark.skipif(importlib.util.find_spec("basedpyright") is None, reason="basedpyright is not installed")
def test_pyright_says_what_the_corpus_says_of_it(tmp_path: Path) -> None:
    path, names = _all_in_one(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "basedpyright", "--outputjson", path], capture_output=True, text=True, check=False
    )
    found = json.loads(done.stdout)["generalDiagnostics"]
    lines = [x["range"]["start"]["line"] + 1 for x in found if "ncompatible" in x.get("rule", "")]
    refused = {names[line] for line in lines if line in names}
    assert refused == {name for name, (*_, pyright) in PAIRS.items() if not pyright}
