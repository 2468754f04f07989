"""The word `test`: the whole suite by pytest, from wherever it is called.

Idea        Nothing of its own: pytest's settings stand in pyproject.toml, so plain `pytest` runs the same.
Invariant   The exit code is pytest's; without paths the suite is the whole one, whatever the working folder.
When wrong  pytest says it.
See         README.md · tests/test_setup.py
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from arion_lib.setup.environment import ROOT, become


def run(args: list[str]) -> int:
    """Hand `args` to pytest; change to the project's folder first unless they name a path from here."""
    refuse_wrong(args)
    if not any(Path(word.split("::")[0]).exists() for word in args if not word.startswith("-")):
        os.chdir(ROOT)
    return become([sys.executable, "-m", "pytest", *args])


def refuse_wrong(args: list[str]) -> None:
    """Explain the word and leave by `SystemExit` where its first argument asks for that; pytest refuses the rest."""
    parser = argparse.ArgumentParser(
        prog="python -m arion_lib test",
        usage="%(prog)s [-h] [pytest's arguments ...]",
        description="Run the whole test suite: library, doctests, and the notebooks with their outputs compared.",
        epilog="example: python -m arion_lib test tests/pipeline -k killed",
    )
    if args and args[0] in ("-h", "--help"):
        parser.parse_args(["--help"])
