"""The word `lab`: JupyterLab on the notebooks, quiet and ready.

Idea        JupyterLab takes its settings from one folder beside the notebooks: no news, no updates, every cell drawn.
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

from arion_lib.setup.environment import ROOT, become
from arion_lib.workbook import notebooks

SETTINGS = notebooks.FOLDER / ".jupyter"
QUIET = (
    "--ServerApp.answer_yes=True",  # Ctrl-C once, and everything ends
    "--Application.log_level=WARN",  # still prints the address
    "--LabApp.extension_manager=readonly",  # asks no package host what else could be installed
    "--KernelManager.transport_encryption=auto",  # silences ipykernel's warning about its own default
)


def command(root: Path, notebook: str | None, extra: Sequence[str]) -> list[str]:
    """Return the command line of a JupyterLab that shows the folder `root`, opened at `notebook`."""
    page = [f"--LabApp.default_url=/lab/tree/{notebook}"] if notebook else []
    administrator = hasattr(os, "geteuid") and os.geteuid() == 0  # as in most containers: JupyterLab wants to be told
    allowed = ["--ServerApp.allow_root=True"] if administrator else []
    return [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={root}", *QUIET, *allowed, *page, *extra]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m arion_lib lab",
        description="Open the workbook in JupyterLab. Ctrl-C ends it.",
        usage="%(prog)s [-h] [--learner] [N] [JupyterLab's arguments ...]",
        epilog="example: python -m arion_lib lab 1 --no-browser --port 9000",
    )
    parser.add_argument("number", metavar="N", nargs="?", help="the number of the notebook to open")
    parser.add_argument(
        "--learner", action="store_true", help="open your own copy, in work/: exercises without answers"
    )
    return parser


def run(args: list[str]) -> int:
    """Become JupyterLab; arguments it knows and we do not are handed on."""
    parser = _parser()
    options, extra = _divide(parser, args)
    folder = notebooks.FOLDER
    if options.learner:
        from arion_lib.workbook import learner

        if code := learner.run([*([options.number] if options.number else []), "--to", str(ROOT / "work")]):
            return code
        folder = ROOT / "work"
    try:
        notebook = notebooks.select([options.number], folder)[0].name if options.number else None
    except ValueError as error:
        parser.error(str(error))
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(
        path for path in (str(SETTINGS), os.environ.get("JUPYTER_CONFIG_PATH")) if path
    )
    return become(command(folder, notebook, extra))


def refuse_wrong(args: list[str]) -> None:
    """Leave by `SystemExit` as `run` would, before anything is made or written; needs only the standard library."""
    parser = _parser()
    options, _ = _divide(parser, args)
    try:
        notebooks.select([options.number] if options.number else [])
    except ValueError as error:
        parser.error(str(error))


def _divide(parser: argparse.ArgumentParser, args: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Split our arguments from JupyterLab's: a number is ours only where no option of theirs may own it."""
    ours = [arg for arg in args if arg in ("-h", "--help", "--learner")]
    rest = [arg for arg in args if arg not in ours]
    number = [rest.pop(0)] if rest and not rest[0].startswith("-") else []
    return parser.parse_args([*ours, *number]), rest
