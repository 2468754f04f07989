"""The workbook installed from a wheel: what that brings, and a sentence for what it does not.

Idea        A wheel carries the library and the notebooks; its own metadata says which packages each extra adds.
Invariant   Nothing is installed or fetched: the reader gets the command.
When wrong  `SetupError` names the word, the extras it needs and the packages that are missing.
See         README.md · tests/test_wheel.py
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from importlib import metadata, util

NAME = "arion-workbook"
IN_EXTRA = re.compile(r"""([\w.-]+)[^;]*(?:;\s*extra\s*==\s*["']([\w.-]+)["'])?""")
"""A requirement without a marker of its own, and the extra that brings it."""


def asked(lists: Iterable[str], lines: Iterable[str] | None = None) -> dict[str, list[str]]:
    """Return what the installed wheel asks for, by extra; what it always needs stands under `""`.

    Requirements that depend on the machine are left out: only an installer can tell whether they are wanted here.

    >>> asked(["web"], ["ijson>=3.4", "rich>=13.9; extra == 'web'", "uvloop; os_name == 'nt' and extra == 'web'"])
    {'': ['ijson'], 'web': ['rich']}
    """
    if lines is None:
        try:
            lines = metadata.requires(NAME) or ()
        except metadata.PackageNotFoundError:  # the folder was copied: nothing says what it needs
            lines = ()
    found: dict[str, list[str]] = {"": [], **{name: [] for name in lists}}
    for line in lines:
        if (match := IN_EXTRA.fullmatch(line)) and (match[2] or "") in found:
            found[match[2] or ""].append(match[1])
    return found


def lacks(word: str, extras: Sequence[str], lacking: Sequence[str]) -> str:
    """Return the sentence for a word whose packages the wheel was installed without.

    >>> print(lacks("top", ["web"], ["rich"]).splitlines()[0])
    `top` needs the extra web of arion-workbook, and rich is missing here. This installs it:
    """
    extra = f"extra{'s' * (len(extras) > 1)} {', '.join(extras)} of " if extras else ""
    verb, what = ("is", "it") if len(lacking) == 1 else ("are", "them")
    wanted = f"{NAME}[{','.join(extras)}]" if extras else NAME
    return (
        f"`{word}` needs the {extra}{NAME}, and {', '.join(lacking)} {verb} missing here. This installs {what}:\n"
        f"  {command(wanted)}"
    )


def needs_a_clone(word: str) -> str:
    """Return the sentence for a word that a wheel cannot do.

    >>> needs_a_clone("test").startswith("`test` needs a clone")
    True
    """
    return (
        f"`{word}` needs a clone of the project: this is a wheel, which carries the library and the notebooks, "
        "not the tests. `learner` writes the notebooks for you to work in, `lab` opens them."
    )


def command(*what: str, python: str = sys.executable) -> str:
    """Return the command line that installs `what` into the environment of `python`: by pip, or by uv without pip."""
    if util.find_spec("pip") is None and (uv := shutil.which("uv")):
        words = [uv, "pip", "install", "--python", python, *what]
    elif util.find_spec("pip") is None:
        return f"{_quoted([python, '-m', 'ensurepip', '--default-pip'])}\n  {_quoted([python, *PIP, *what])}"
    else:
        words = [python, *PIP, *what]
    return _quoted(words)


PIP = ("-m", "pip", "install")


def _quoted(words: Sequence[str]) -> str:
    return subprocess.list2cmdline(words) if sys.platform == "win32" else shlex.join(words)
