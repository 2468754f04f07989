"""The README is true: its commands run, its snippets print what it says, its links lead somewhere."""

from __future__ import annotations

import doctest
import re
import shlex
import subprocess
import sys

import pytest

from arion_lib.setup import words
from arion_lib.setup.environment import ROOT
from arion_lib.workbook.site import address

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
COMMANDS = [line.partition("#")[0].strip() for kind, text in BLOCKS if kind == "bash" for line in text.splitlines()]
INLINE = re.findall(r"`(python -m arion_lib [^`]*)`", README)
LINKS = re.findall(r"\]\(([^)#]+)\)", README)


def test_the_two_commands_and_every_other_word_are_shown() -> None:
    assert COMMANDS[:2] == ["python -m arion_lib lab", "python -m arion_lib test"]
    assert {command.split()[3] for command in COMMANDS} == set(words.WORDS)


@pytest.mark.parametrize("command", sorted({*COMMANDS, *INLINE}))
def test_a_command_is_understood(command: str) -> None:
    """Ask each command for help: its word is known, its module is there. What it does has tests of its own."""
    python, *arguments = shlex.split(command)
    assert python == "python"
    done = subprocess.run([sys.executable, *arguments, "--help"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "example: python -m arion_lib" in " ".join(done.stdout.split())
    said = set(re.findall(r"(?<!\S)--[a-z][a-z-]*", done.stdout))
    assert {argument for argument in arguments if argument.startswith("--")} <= said


def test_the_snippets_print_what_the_readme_says() -> None:
    snippets = [text for kind, text in BLOCKS if kind == "python"]
    assert snippets
    for text in snippets:
        test = doctest.DocTestParser().get_doctest(text, {}, "README.md", "README.md", 0)
        assert test.examples
        assert doctest.DocTestRunner(verbose=False).run(test).failed == 0


@pytest.mark.parametrize("link", LINKS)
def test_a_link_leads_somewhere(link: str) -> None:
    assert link.startswith("https://") or (ROOT / link).exists()


def test_the_table_is_as_far_as_the_workbook_is() -> None:
    """Whatever exists is linked, and whatever does not is said to be in preparation."""
    parts = ("pipeline", "resources", "contracts", "lazy", "scheduler")
    rows = [line for line in README.splitlines() if line.startswith("| ") and "?" in line]
    assert len(rows) == len(parts)
    for number, (part, row) in enumerate(zip(parts, rows, strict=True), start=1):
        notebooks = list((ROOT / "notebooks").glob(f"{number}_*.ipynb"))
        missing = [not notebooks, not (ROOT / "arion_lib" / part).is_dir(), not (ROOT / "tests" / part).is_dir()]
        assert row.count("in preparation") == sum(missing), row


def test_the_picture_is_a_png_with_alt_text() -> None:
    (alt, path), *_ = re.findall(r"!\[([^\]]+)\]\(([^)]+)\)", README)
    picture = (ROOT / path).read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) < 100_000
    assert len(alt.split()) > 10


def test_the_readme_has_a_badge_where_the_repositorys_address_is_known_and_no_other() -> None:
    """The one place for the address is `repository-code` in CITATION.cff."""
    known = re.fullmatch(r"https://github\.com/([^/]+/[^/]+)/blob/main", address.known_source())
    badges = re.findall(r"https://mybinder\.org/v2/gh/([^/]+/[^/]+)/", README)
    assert badges == ([known.group(1)] if known else [])
