"""The word `learner`: your own copies of the notebooks, brought up to date, and how far you are.

Idea        A folder (`work/`) holds what is yours: the copies, the start page, the record of your checks.
Invariant   Nothing but the standard library is imported, and no file of yours is overwritten.
When wrong  A number no notebook has is refused with those there are.
See         arion_lib/workbook/copying/copies.py, progress.py · tests/workbook/test_desk.py
"""

from __future__ import annotations

import argparse
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from arion_lib.units import how_many
from arion_lib.workbook.copying import copies
from arion_lib.workbook.record import progress
from arion_lib.workbook.running import notebooks

START = "START.md"


def prepare(numbers: Sequence[str], folder: Path, *, update: bool = False) -> list[str]:
    """Write what is missing of a learner's folder: the copies, the start page, the record. Return the sentences.

    Raises `ValueError` for a number that no notebook has.
    """
    chosen = notebooks.select(numbers)
    put = copies.update if update else copies.write
    said = [put(notebook, folder) for notebook in chosen]
    if (notebooks.FOLDER / START).exists() and (update or not (folder / START).exists()):
        shutil.copyfile(notebooks.FOLDER / START, folder / START)  # a page to read: a newer one takes its place
    progress.begin(folder)
    return said


def status(folder: Path) -> str:
    """Return how far the learner of `folder` is, as a table: a line a notebook, a line an exercise that was tried."""
    done = progress.read(folder)
    lines = []
    for notebook in notebooks.select([]):
        ids = exercises_in(notebook)
        right = [name for name in ids if done.checks.get(name, progress.NOTHING).right]
        predictions = f", {how_many(n, 'predictions')} made" if (n := done.predictions(notebook.name)) else ""
        lines.append(f"{notebook.stem}: {len(right)} of {how_many(len(ids), 'exercises')}{predictions}")
        for name in ids:
            if (found := done.checks.get(name)) is not None:
                tries = f"{how_many(found.tries, 'tries')}"
                lines.append(f"  {'[ ok ]' if found.right else '[ no ]'} {name}  {tries}")
    return "\n".join(lines)


def exercises_in(notebook: Path) -> list[str]:
    """Return the ids of the exercises that the notebook checks, in its order."""
    found = re.findall(r'check\(\\"(\d+\.\d+)\\"', notebook.read_text("utf-8"))
    return list(dict.fromkeys(found))


def run(args: list[str]) -> int:
    """Write the copies named by `args` (all without any), or say how far you are; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m arion_lib learner",
        description="Write the notebooks without their answers, for a learner to work in. Files that exist are kept.",
        epilog="example: python -m arion_lib learner 1 --to ~/course",
    )
    parser.add_argument("number", nargs="*", help="a notebook's number, 1 to 5 (default: every notebook)")
    parser.add_argument(
        "--to", type=Path, default=Path("work"), metavar="DIR", help="the folder to write to (default: work)"
    )
    parser.add_argument(
        "--update", action="store_true", help="bring copies up to date with their notebooks; your answers are kept"
    )
    parser.add_argument("--status", action="store_true", help="say which exercises are done; write nothing")
    chosen = parser.parse_args(args)
    if chosen.status:
        print(status(chosen.to))
        return 0
    try:
        print("\n".join(prepare(chosen.number, chosen.to, update=chosen.update)))
    except ValueError as error:
        parser.error(str(error))
    return 0
