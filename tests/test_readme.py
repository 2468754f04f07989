"""The README is true: its commands run, its snippets print what it says, its links lead somewhere."""

from __future__ import annotations

import doctest
import importlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from arion_lib.setup import words
from arion_lib.setup.environment import ROOT
from arion_lib.workbook.checking.checks import Mark, judge
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


def test_the_exercise_that_contributing_shows_can_be_pasted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / ".github" / "CONTRIBUTING.md").read_text("utf-8")
    (shown,) = re.findall(r"^ *```python\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    (tmp_path / "pasted.py").write_text(textwrap.dedent(shown), "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    exercise = importlib.import_module("pasted").PAIRS
    assert judge(exercise, exercise.solution).mark is Mark.OK
    for wrong in exercise.wrong:
        assert judge(exercise, exercise.answer_of(wrong)).misconception == wrong.misconception
    assert f'check("{exercise.id}", {exercise.name})' in text


def test_the_readme_says_how_to_open_a_fork_on_binder_in_the_form_that_the_site_links_to() -> None:
    shown = (
        "OWNER/REPOSITORY"
        if not address.known_source()
        else address.known_source().split("/", 3)[3][: -len("/blob/main")]
    )
    link = re.findall(r"\]\(https://(.*)\)", address.binder(shown, "HEAD"))[0]
    assert link in " ".join(README.split())


@pytest.mark.posix("Binder runs postBuild by bash")
def test_what_binder_runs_puts_the_page_there_that_the_link_opens(tmp_path: Path) -> None:
    for name in ("arion_lib", "notebooks", "postBuild", "pyproject.toml", "requirements.lock"):
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, tmp_path / name)
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin" / "python"  # pip installs nothing, and the settings of this Python's Jupyter stay
    instead = f'"-m pip") ;; "-c "*) echo "{tmp_path}/prefix" ;; *) exec "{sys.executable}" "$@" ;;'
    python.write_text(f'#!/bin/sh\ncase "$1 $2" in {instead} esac\n')
    python.chmod(0o755)
    path = os.pathsep.join([str(python.parent), os.environ["PATH"]])
    subprocess.run(
        [tmp_path / "postBuild"], cwd=tmp_path, env={**os.environ, "PATH": path}, check=True, capture_output=True
    )
    page = re.findall(r"urlpath=lab/tree/([^`)]+)", address.binder("o/r"))[0]
    assert (tmp_path / page).exists()
    assert len(list((tmp_path / page).parent.glob("*.ipynb"))) == 5
    assert (tmp_path / "prefix/etc/jupyter/labconfig/default_setting_overrides.json").exists()


def test_the_dev_container_lets_its_own_pages_reach_the_kernels_and_no_others() -> None:
    """Codespaces shows JupyterLab under a name of its own; the server refuses names that it does not know."""
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text("utf-8"))
    folder = container["containerEnv"]["JUPYTER_CONFIG_PATH"].replace("${containerWorkspaceFolder}", str(ROOT))
    settings = json.loads((Path(folder) / "jupyter_server_config.json").read_text("utf-8"))
    allowed = re.compile(settings["ServerApp"]["allow_origin_pat"])
    assert allowed.fullmatch("https://fuzzy-waffle-x5j9-8888.app.github.dev")
    for other in (
        "https://app.github.dev.evil.org",
        "http://a-8888.app.github.dev",
        "https://evil.org/.app.github.dev",
    ):
        assert not allowed.fullmatch(other)
    assert set(container["portsAttributes"]) == {str(port) for port in container["forwardPorts"]}
    image, _, python = container["image"].rpartition(":")
    assert image == "mcr.microsoft.com/devcontainers/python"
    assert python in re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text("utf-8"))
