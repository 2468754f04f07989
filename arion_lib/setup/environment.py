"""The environment the workbook runs in: found, or made in `.venv` beside the code.

Idea        A mark in the folder says how far it came: written first as unfinished, last as the lock's fingerprint.
Invariant   An unfinished `.venv` is never taken for a finished one; one that somebody else made is never removed.
When wrong  `SetupError` says in a sentence what to do; an interrupted set-up takes its processes and its folder away.
See         README.md · tests/test_setup.py
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path

from arion_lib.setup import wheel
from arion_lib.setup.installer import SetupError, install, run_quietly
from arion_lib.setup.interrupts import alone, remove

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements.lock"
VENV = ROOT / ".venv"
MARK = VENV / "arion-setup"
LEFT_OUT = VENV / "arion-left-out"
"""The peers that this environment goes without: they have no wheel for its Python."""

DEEPEST = 95
"""Characters of a clone's path at most, where Windows allows 260: the longest path inside `.venv` has 160."""

IN_CLONE = LOCK.exists()
"""Whether this is a clone of the project; else `arion_lib` was installed from a wheel."""

NOTEBOOKS = ROOT / "notebooks" if IN_CLONE else ROOT / "arion_lib" / "notebooks"
"""The notebooks as they are kept."""

UNFINISHED = "unfinished"
ENTERED = "ARION_ENTERED"
"""Set in the process that was sent into `.venv`, so that it is not sent there again."""


def find_project() -> None:
    """Let every process started from here import the clone's `arion_lib`, whatever its working folder.

    It prints in UTF-8, and so does this one.
    """
    if LOCK.exists():
        others = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path not in ("", str(ROOT))]
        os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *others])
    if sys.platform == "win32":  # else they print in the code page of the machine, and cannot print the rest
        os.environ.setdefault("PYTHONUTF8", "1")
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper) and "PYTHONIOENCODING" not in os.environ:
                stream.reconfigure(encoding="utf-8", errors=stream.errors)


def too_deep(root: Path, long_paths: bool) -> str | None:
    """Return the sentence for a clone so deep that Windows cannot hold the longest path of `.venv`; None for any other.

    >>> too_deep(Path("C:/" + "x" * 100), long_paths=True) is None
    True
    """
    if long_paths or len(str(root)) <= DEEPEST:
        return None
    return (
        f"The clone's path must be at most {DEEPEST} characters long, got {len(str(root))} ({root}): Windows allows "
        "260 for the files inside. Move the clone to a shorter one, or switch long paths on (as administrator):\n"
        r"  reg add HKLM\SYSTEM\CurrentControlSet\Control\FileSystem /v LongPathsEnabled /t REG_DWORD /d 1 /f"
    )


def _long_paths() -> bool:
    """Whether paths of more than 260 characters are possible: Windows has to be told."""
    if sys.platform == "win32":
        import winreg

        try:
            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"SYSTEM\CurrentControlSet\Control\FileSystem") as key:
                return bool(winreg.QueryValueEx(key, "LongPathsEnabled")[0])
        except OSError:
            return False
    else:
        return True


def required(lists: Iterable[str], project: Path = ROOT / "pyproject.toml") -> list[str]:
    """Return the names of the distributions in pyproject's `dependencies` and in the named optional lists.

    Those with a marker are left out: only an installer knows whether they are wanted here.
    """
    table = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
    groups = [table["dependencies"], *(table["optional-dependencies"][name] for name in lists)]
    return list(dict.fromkeys(name_of(line) for group in groups for line in group if ";" not in line))


def listed(lists: Iterable[str], project: Path = ROOT / "pyproject.toml") -> list[str]:
    """Return the names of the distributions in pyproject's named optional lists, those with a marker too."""
    table = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    return [name_of(line) for name in lists for line in table[name]]


def needed(project: Path = ROOT / "pyproject.toml") -> list[str]:
    """Return what no set-up can do without: all that pyproject names but the peers, which only benchmarks need."""
    table = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
    lists = [
        table["dependencies"],
        *(lines for name, lines in table["optional-dependencies"].items() if name != "peers"),
    ]
    return [name_of(line) for lines in lists for line in lines]


def left_out() -> list[str]:
    """Return the peers that the environment around this process goes without."""
    return LEFT_OUT.read_text(encoding="utf-8").split() if inside() and LEFT_OUT.exists() else []


def name_of(requirement: str) -> str:
    """Return the distribution's name.

    >>> name_of("psycopg[binary,pool]>=3.2")
    'psycopg'
    """
    return re.split(r"[\s\[<>=!~;]", requirement, maxsplit=1)[0]


def missing(lists: Iterable[str]) -> list[str]:
    """Return the distributions that the named lists of pyproject.toml ask for and this Python does not have."""
    if not LOCK.exists():
        return [name for names in wheel.asked(lists).values() for name in names if not _installed(name)]
    omitted = left_out()
    return [name for name in required(lists) if name not in omitted and not _installed(name)]


def _installed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def python_of(venv: Path) -> Path:
    """Return the interpreter of a virtual environment."""
    return venv / "Scripts" / "python.exe" if sys.platform == "win32" else venv / "bin" / "python"


def fingerprint() -> str:
    """Return what `MARK` holds once everything in the lock is installed."""
    return hashlib.sha256(LOCK.read_bytes()).hexdigest()


def stands() -> bool:
    """Whether `.venv` was finished with the lock as it is now."""
    return LOCK.exists() and _mark() == fingerprint() and python_of(VENV).exists()


def has(lists: Iterable[str]) -> bool:
    """Whether the lists' packages are here, or in a finished `.venv`: nothing would have to be installed."""
    return stands() or not missing(lists)


def _mark() -> str | None:
    return MARK.read_text(encoding="utf-8") if MARK.exists() else None


def inside() -> bool:
    """Whether this Python is the one of the clone's own `.venv`."""
    return Path(sys.prefix).resolve() == VENV.resolve()


def enter(lists: Sequence[str], arguments: list[str]) -> None:
    """Return when this Python has what the lists ask for; else make `.venv` and go on in there, not coming back.

    Raises:
        SetupError: with the sentence to show; from a wheel, that names the extras to install.
    """
    lacking = missing(lists)
    if lacking and not LOCK.exists():
        extras = [extra for extra, names in wheel.asked(lists).items() if extra and set(names) & set(lacking)]
        raise SetupError(wheel.lacks(arguments[0], extras, lacking))
    if inside():
        _bring_up_to_date(lists, lacking, arguments)
    elif lacking and os.environ.get(ENTERED):
        raise SetupError(
            f"{sys.prefix} must have every package, got none of {', '.join(lacking)}: remove .venv, repeat"
        )
    elif lacking:
        if not (_somebody_elses() or stands()):
            make()
        _go_on_inside(arguments)


def enter_if_there(arguments: list[str]) -> None:
    """Go on inside `.venv` where one stands; never make one."""
    if (stands() or _somebody_elses()) and not inside() and not os.environ.get(ENTERED) and missing(()):
        _go_on_inside(arguments)


def _somebody_elses() -> bool:
    return _mark() is None and python_of(VENV).exists()


def _bring_up_to_date(lists: Sequence[str], lacking: list[str], arguments: list[str]) -> None:
    """Bring the `.venv` around this process up to date with the lock; a half-made one is made again from outside."""
    if _mark() == UNFINISHED:
        os.environ.pop(ENTERED, None)
        base = str(getattr(sys, "_base_executable", None) or sys.executable)
        raise SystemExit(become([base, "-m", "arion_lib", *arguments]))
    if lacking or _mark() not in (None, fingerprint()):
        make()
        if still := missing(lists):
            said = "its installer reported success, so its settings send packages elsewhere (`pip config list`)"
            raise SetupError(f"{sys.prefix} must have {', '.join(still)} now, got none: {said}. Mend them, repeat.")


def _go_on_inside(arguments: list[str]) -> None:
    os.environ[ENTERED] = "1"
    raise SystemExit(become([str(python_of(VENV)), "-m", "arion_lib", *arguments]))


def become(command: list[str]) -> int:
    """Replace this process by `command`; on Windows, which cannot, wait for it and return its exit code."""
    sys.stdout.flush()
    sys.stderr.flush()
    return os.execv(command[0], command) if sys.platform != "win32" else wait_for(command)


def wait_for(command: list[str]) -> int:
    """Run `command` and return its exit code; a Ctrl-C is left to it."""
    with subprocess.Popen(command) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue  # Ctrl-C reached the command as well: it decides when it ends


def make() -> None:
    """Make `.venv`, or bring it up to date, with exactly what the lock holds. Only one process at a time does.

    Raises:
        SetupError: with the sentence to show.
    """
    with alone(ROOT / ".venv-lock"):
        if stands() and not inside():
            return  # another process made it while this one waited
        ours = not _somebody_elses()
        try:
            _build(ours)
        except BaseException:
            # An interruption at any point must not leave a folder that looks like an environment. One that this process
            # runs in stays, marked as unfinished: Windows cannot remove it, and the next set-up makes it again.
            if ours and not inside():
                remove(VENV)
            raise


def _build(ours: bool) -> None:
    if ours and (_mark() == UNFINISHED or not python_of(VENV).exists()):
        remove(VENV)
    if not python_of(VENV).exists():
        _create()
    if ours:
        MARK.write_text(UNFINISHED, encoding="utf-8")
    omitted = install(python_of(VENV), LOCK, needed())
    LEFT_OUT.write_text("\n".join(omitted), encoding="utf-8")
    _add_project()
    if ours:
        MARK.write_text(fingerprint(), encoding="utf-8")
    print(f"ready: {VENV}", file=sys.stderr, flush=True)


def _create() -> None:
    uv = shutil.which("uv")
    if importlib.util.find_spec("ensurepip") is None and not uv:
        raise SetupError(
            "This Python has no `venv` (Debian and Ubuntu keep it in a package): "
            f"run `sudo apt install python{sys.version_info[0]}.{sys.version_info[1]}-venv`, then this again."
        )
    if sentence := too_deep(ROOT, _long_paths()):
        raise SetupError(sentence)
    print(f"making {VENV} (once; half a minute to some minutes, by your line)", file=sys.stderr, flush=True)
    VENV.mkdir()
    MARK.write_text(UNFINISHED, encoding="utf-8")
    run_quietly([sys.executable, "-m", "venv", *(["--without-pip"] if uv else []), str(VENV)])


def _add_project() -> None:
    """Make the clone importable inside; by a relative path, so that the clone can be moved."""
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    answer = subprocess.run([python_of(VENV), "-c", code], capture_output=True, encoding="utf-8", check=True)
    site = Path(answer.stdout.strip())
    (site / "arion_workbook.pth").write_text(os.path.relpath(ROOT, site) + "\n", encoding="utf-8")
