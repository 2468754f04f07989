"""The words of the command line, and where each one leads.

Idea        A word names a function `run(args) -> exit code`, imported once the environment has what the word needs.
Invariant   Before that only the standard library is imported; `--help` and wrong words never install anything.
When wrong  A wrong word exits with 2 and the nearest right one; Ctrl-C exits with 130 and leaves no process behind.
See         README.md · tests/test_setup.py
"""

from __future__ import annotations

import errno
import importlib
import io
import os
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from arion_lib import __version__
from arion_lib.nearest import did_you_mean
from arion_lib.setup import environment, installer, wheel
from arion_lib.setup.installer import SetupError


@dataclass(frozen=True, slots=True)
class Word:
    """One word: what it does, the module whose `run` does it, the lists of pyproject.toml it needs, an example.

    `reads`: the module imports nothing but the standard library, and its `refuse_wrong(args)` leaves by `SystemExit`
    for `--help` and for arguments that `run` would refuse. It is asked before anything is installed.
    `clone`: it works on what only a clone of the project has.
    """

    does: str
    module: str
    needs: tuple[str, ...] | None
    example: str
    reads: bool = False
    clone: bool = False


WORKBOOK = ("web", "dask", "servers", "notebooks", "peers")
WORDS = {
    "lab": Word("open the workbook in JupyterLab", "arion_lib.workbook.copying.lab", WORKBOOK, "lab 1", reads=True),
    "test": Word(
        "run the whole test suite, the notebooks included",
        "arion_lib.workbook.running.suite",
        (*WORKBOOK, "dev"),
        "test tests/pipeline -k killed",
        reads=True,
        clone=True,
    ),
    # None: the standard library is enough, and the doctor, who looks at the environment, must not change it.
    "learner": Word("write your own copy of the notebooks", "arion_lib.workbook.copying.desk", None, "learner 1"),
    "run": Word(
        "execute notebooks, write the results as HTML",
        "arion_lib.workbook.running.notebooks",
        (*WORKBOOK, "dev"),
        "run 1 2",
        reads=True,
        clone=True,
    ),
    "guide": Word(
        "print the teacher's guide of a notebook",
        "arion_lib.workbook.teaching.guide",
        WORKBOOK,
        "guide 1",
        reads=True,
        clone=True,
    ),
    "class": Word(
        "show a class live: who is where, what stalls",
        "arion_lib.web.classroom.board",
        ("web", "notebooks"),
        "class --port 8765",
    ),
    "pack": Word(
        "make a folder to set the workbook up from without a network",
        "arion_lib.workbook.teaching.pack",
        WORKBOOK,
        "pack --to /media/stick",
        clone=True,
    ),
    "site": Word(
        "write the workbook as pages to read in a browser",
        "arion_lib.workbook.site.pages",
        WORKBOOK,
        "site",
        reads=True,
        clone=True,
    ),
    "doctor": Word(
        "say what is here, what is missing, how to repair it", "arion_lib.workbook.running.doctor", None, "doctor"
    ),
    "serve": Word("serve the web application", "arion_lib.web.serve", ("web",), "serve --help"),
    "ingest": Word(
        "sum files of JSON lines, on several cores, or take them into a store",
        "arion_lib.pipeline.files.ingest_files",
        (),
        "ingest events.ndjson --group-by type --workers 2",
    ),
    "consume": Word(
        "print the messages of a queue, a line each", "arion_lib.pipeline.queues.consume", (), "consume --wait forever"
    ),
    "letters": Word(
        "list, replay or delete dead letters", "arion_lib.pipeline.stores.letters", (), "letters payments --replay"
    ),
    "top": Word(
        "show what a running service's scheduler does",
        "arion_lib.web.scheduling.top",
        ("web",),
        "top --interval 0.5",
        reads=True,
    ),
    "bench": Word(
        "measure ours and the peers side by side",
        "arion_lib.bench.command",
        ("web", "dask", "peers"),
        "bench pipeline",
        reads=True,
    ),
}

USAGE = """usage: python -m arion_lib WORD [arguments]

words:
{words}

Each word explains itself: python -m arion_lib WORD --help
example: python -m arion_lib lab 1
"""


def usage() -> str:
    """Return what `--help` prints."""
    return USAGE.format(words="\n".join(f"  {name:<9}{word.does}" for name, word in WORDS.items()))


def short_help(name: str) -> str:
    """Return what `WORD --help` prints as long as the packages are missing that would explain more.

    >>> print(short_help("serve").splitlines()[-1])
    example: python -m arion_lib serve --help
    """
    word = WORDS[name]
    later = "Its arguments are explained here once the environment stands: `lab` and `test` make it when first run."
    use, example = f"usage: python -m arion_lib {name} [arguments]", f"example: python -m arion_lib {word.example}"
    return "\n\n".join([use, word.does, later, example])


def unknown(name: str) -> str:
    """Return the error for a word that is none.

    >>> unknown("labb").splitlines()[0].partition(", got ")[2]
    "'labb'; did you mean `lab`?"
    """
    hint = did_you_mean(name, WORDS, "`{}`".format)
    return f"WORD must be one of {', '.join(WORDS)}, got {name!r}{hint}\n`python -m arion_lib --help` explains them."


def main(arguments: Sequence[str]) -> int:
    """Do what the words say; return the exit code (1: could not, 2: wrong words, 130: interrupted)."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage(), end="")
        return 0 if arguments else 2
    if arguments[0] in ("-V", "--version"):
        print(f"{wheel.NAME} {__version__}, Python {sys.version.split()[0]}")
        return 0
    name, args = arguments[0], list(arguments[1:])
    if name not in WORDS:
        print(unknown(name), file=sys.stderr)
        return 2
    if isinstance(sys.stdout, io.TextIOWrapper) and not sys.stdout.encoding.lower().startswith("utf"):
        sys.stdout.reconfigure(errors="backslashreplace")  # what a terminal's old encoding lacks ends no word
    try:
        return _do(name, args)
    except SetupError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except OSError as error:
        if (sentence := no_place(name, error)) is None:
            raise
        print(f"\n{sentence}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130


FULL = (errno.ENOSPC, errno.EDQUOT)
NO_PLACE = (*FULL, errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR, errno.EISDIR)
"""What a disk or a folder answers when it is not for us: no fault of the code, and the reader can do something."""


def no_place(name: str, error: OSError) -> str | None:
    """Return the sentence for a file or folder that cannot be used or has no room; None for any other fault.

    >>> print(no_place("site", PermissionError(errno.EACCES, "Permission denied", "/etc/x")))
    `site` needs a place that can be read and written, got /etc/x (Permission denied): name another one, \
as `python -m arion_lib site --help` says.
    """
    if error.errno not in NO_PLACE or (error.filename is None and error.errno not in FULL):
        return None
    got = f"{error.filename or 'a disk'} ({error.strerror})"
    if error.errno in FULL:
        return f"`{name}` needs room on the disk, got {got}: free some, then the same again."
    what = f"`{name}` needs a place that can be read and written, got {got}"
    if Path(str(error.filename)).parent == environment.ROOT:
        return f"{what}: copy {environment.ROOT} to a folder of your own, and call it there."
    return f"{what}: name another one, as `python -m arion_lib {name} --help` says."


def command() -> int:
    """Be the console script `arion`, which a wheel brings: `arion WORD` is `python -m arion_lib WORD`."""
    return main(sys.argv[1:])


def unlike(version: tuple[int, int], without_gil: bool = False) -> str | None:
    """Return the sentence for a Python that is newer than those the tests run on, or has no GIL; None for any other.

    >>> unlike((3, 16)), unlike((3, 13))
    ('Python 3.16 is newer than those that the tests run on (3.11 to 3.15): it may work, and is tried.', None)
    """
    if without_gil:
        which = f"Python {version[0]}.{version[1]} is a {installer.FREE_THREADED} one"
        return f"{which}, and not every package has a wheel for it; an ordinary one of {installer.TRIED} has them all."
    if version <= installer.NEWEST:
        return None
    is_newer = f"Python {version[0]}.{version[1]} is newer than those that the tests run on ({installer.TRIED})"
    return f"{is_newer}: it may work, and is tried."


def without_gil() -> bool:
    """Whether this Python was built to run without a GIL."""
    return bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


def _do(name: str, args: list[str]) -> int:
    needs = WORDS[name].needs
    if (sentence := unlike(sys.version_info[:2], without_gil())) and not os.environ.get(environment.ENTERED):
        print(sentence, file=sys.stderr)
    if WORDS[name].clone and not environment.IN_CLONE:
        _before_the_set_up(name, args)
        raise SetupError(wheel.needs_a_clone(name))
    environment.find_project()
    if needs is None:
        environment.enter_if_there([name, *args])
    else:
        if not environment.has(needs):
            _before_the_set_up(name, args)
        environment.enter(needs, [name, *args])
    code: int = importlib.import_module(WORDS[name].module).run(args)
    return code


def _before_the_set_up(name: str, args: list[str]) -> None:
    """Leave by `SystemExit` with an explanation or a refusal where that is what the arguments lead to."""
    if WORDS[name].reads:
        importlib.import_module(WORDS[name].module).refuse_wrong(args)
    if {"-h", "--help"} & set(args):
        print(short_help(name))
        raise SystemExit(0)
