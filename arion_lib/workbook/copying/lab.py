"""The word `lab`: JupyterLab on the learner's own copies, quiet and ready.

Idea        JupyterLab takes its settings from one folder beside the notebooks: no news, no updates, every cell drawn,
            pages in Markdown shown as pages. Its root is the clone: links from a notebook to the code and tests work.
Invariant   Ctrl-C ends the server and its kernels at once, without asking; the port is the first free one from 8888 on.
When wrong  A number no notebook has is refused before anything starts; JupyterLab says the rest.
See         README.md · tests/workbook/test_lab.py
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from arion_lib.setup.environment import IN_CLONE, ROOT, become
from arion_lib.workbook.copying import desk
from arion_lib.workbook.running import notebooks

SETTINGS = notebooks.FOLDER / ".jupyter"
QUIET = (
    "--ServerApp.answer_yes=True",  # Ctrl-C once, and everything ends
    "--Application.log_level=WARN",  # still prints the address
    "--LabApp.extension_manager=readonly",  # asks no package host what else could be installed
    "--KernelManager.transport_encryption=auto",  # silences ipykernel's warning about its own default
)

FLAGS = frozenset({"--allow-root", "--collaborative", "--debug", "--dev-mode", "--no-browser", "-y"})
"""Options of JupyterLab that have no value: a number behind one is the notebook's."""


def command(root: Path, page: str, extra: Sequence[str]) -> list[str]:
    """Return the command line of a JupyterLab that serves the folder `root`, opened at the file `page` in it."""
    address = quote(page)
    administrator = hasattr(os, "geteuid") and os.geteuid() == 0  # as in most containers: JupyterLab wants to be told
    allowed = ["--ServerApp.allow_root=True"] if administrator else []
    opened = f"--LabApp.default_url=/lab/tree/{address}"
    return [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={root}", *QUIET, *allowed, opened, *extra]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m arion_lib lab",
        description="Open your own copies of the notebooks in JupyterLab: exercises without answers, in work/. "
        "Ctrl-C ends it.",
        usage="%(prog)s [-h] [--teach | --in DIR] [N] [JupyterLab's arguments ...]",
        epilog="example: python -m arion_lib lab 1 --no-browser --port 9000",
    )
    parser.add_argument("number", metavar="N", nargs="?", help="the number of the notebook to open")
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--teach", action="store_true", help="open the complete notebooks: with answers, outputs, instructor's notes"
    )
    which.add_argument("--in", dest="folder", metavar="DIR", type=Path, help="keep your copies in DIR (default: work)")
    return parser


def run(args: list[str]) -> int:
    """Become JupyterLab; arguments it knows and we do not are handed on."""
    parser = _parser()
    options, extra = _divide(parser, args)
    number = [options.number] if options.number else []
    folder = notebooks.FOLDER
    try:
        if not options.teach:
            usual = ROOT / "work" if IN_CLONE else Path("work")  # beside the code, if that is a clone and not a wheel
            folder = (options.folder or usual).expanduser().resolve()
            for line in desk.prepare(number, folder):
                if "changed since" in line:
                    print(line, flush=True)
        page = notebooks.select(number, folder)[0].name if number else desk.START
    except ValueError as error:
        parser.error(str(error))
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(
        path for path in (str(SETTINGS), os.environ.get("JUPYTER_CONFIG_PATH")) if path
    )
    root = ROOT if IN_CLONE and folder.is_relative_to(ROOT) else folder
    if IN_CLONE and folder.parent != ROOT:  # links begin with ../
        print(f"{folder} is not directly in {ROOT}: links to code and tests cannot be followed", flush=True)
    return become(command(root, (folder / page).relative_to(root).as_posix(), extra))


def refuse_wrong(args: list[str]) -> None:
    """Leave by `SystemExit` as `run` would, before anything is made or written; needs only the standard library."""
    parser = _parser()
    options, _ = _divide(parser, args)
    try:
        notebooks.select([options.number] if options.number else [])
    except ValueError as error:
        parser.error(str(error))


def _free(word: str, before: Sequence[str]) -> bool:
    """Say whether no option of JupyterLab's may own a word: the first one of all, or a number behind no such option.

    >>> _free("5", ["--no-browser"]), _free("5", ["--port"]), _free("5", ["--port", "9000"])
    (True, False, True)
    """
    if not before:
        return True
    last = before[-1]
    return word.isdecimal() and (not last.startswith("-") or last in FLAGS or "=" in last)


def _divide(parser: argparse.ArgumentParser, args: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Split our arguments from JupyterLab's: a number is ours only where no option of theirs may own it."""
    ours, rest = [], list(args)
    for flag in ("-h", "--help", "--teach", "--in"):
        while flag in rest:
            place = rest.index(flag)
            ours += [rest.pop(place) for _ in range(1 + (flag == "--in")) if place < len(rest)]
    places = [place for place, word in enumerate(rest) if not word.startswith("-") and _free(word, rest[:place])]
    number = [rest.pop(places[0])] if places else []
    return parser.parse_args([*ours, *number]), rest
