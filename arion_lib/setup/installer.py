"""Install the locked packages, hash-checked and with visible progress.

Idea        `uv` where it is on the path (seconds), else pip; the number of packages in the lock is the bar's length.
Invariant   Only wheels are installed, each checked against a hash in the lock: nothing is built, no compiler is needed.
When wrong  A package without a wheel is left out where only benchmarks compare with it; else `SetupError` names it.
            Any other failure is `SetupError` with the last lines that pip printed; where uv fails, pip tries.
See         README.md · tests/test_setup.py
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from arion_lib.setup.interrupts import SetupError, ended, lines, started

__all__ = ["SetupError", "install", "run_quietly"]

ADVICE = "Behind a proxy set HTTPS_PROXY; with a package mirror set PIP_INDEX_URL."
TROUBLE = (
    "connection broken by",
    "Could not fetch URL",
    "Connection",
    "timed out",
    "Proxy",
    "No matching distribution",
)
"""Words by which pip's output tells of the network."""

SETTINGS = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "PIP_PROXY", "PIP_INDEX_URL", "PIP_NO_INDEX")
"""Variables that decide where pip asks. Only the names are shown: a value may hold a password."""

HERE = ("--no-user", "--target=")
"""Into this environment, whatever pip.conf says: `user = true` is common there, and fails in `.venv`."""

PIP_ITSELF = 5
"""How often pip asks again where nothing says so."""

OLDEST, NEWEST = (3, 11), (3, 15)
"""The Pythons that the test suite runs on, first and last."""

TRIED = f"{OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]}"

FREE_THREADED = "free-threaded"
"""A Python without a GIL, python3.14t say: it takes wheels of its own, which many packages do not have."""

ROOT = Path(__file__).resolve().parents[2]
WHEELS = "wheels"
"""A folder of the clone: where it is there, packages come from it and from nowhere else (see the word `pack`)."""

MADE_FOR = "made-for.txt"
"""In that folder: the systems and Pythons that it holds wheels for, a line each."""

NO_WHEEL = re.compile(
    r"No matching distribution found for ([\w.-]+?)==|Because ([\w.-]+?)==\S+ (?:\{[^}]*\} )?has no (?:usable )?wheels"
)
"""How pip says that it found no wheel, and how uv does."""


def install(python: Path, lock: Path, needed: Collection[str]) -> list[str]:
    """Install what the lock holds into `python`'s environment; progress goes to standard error.

    Args:
        python: the environment's interpreter.
        lock: the file with every package and its hashes.
        needed: the names that the workbook cannot do without, and with them whatever they depend on.

    Returns:
        The names that were left out: packages without a wheel for this Python that only peers are or need.

    Raises:
        SetupError: with the package that is needed and has no wheel, or with the last lines that pip printed.
    """
    text = lock.read_text(encoding="utf-8")
    omitted: set[str] = set()
    while True:
        with _locked(lock, without(text, omitted)) as path:
            lacking = _try_once(python, path)
        if lacking is None:
            return sorted(omitted)
        more = left_out(text, lacking, needed) - omitted
        if not more:
            raise SetupError(no_wheel(python, lacking))
        omitted |= more
        for name in sorted(more):
            why = f"no wheel for {_version(python)}" if name == lacking else f"no use without {lacking}"
            print(f"left out: {name} (peer of benchmarks) has {why}", file=sys.stderr, flush=True)


def _try_once(python: Path, lock: Path) -> str | None:
    """Install by uv, else by pip; return the package that has no wheel, or None when all are installed."""
    # The lock holds all that its packages need. Left to look for that, pip before 23.3 wants the newest release of what
    # is needed with an extra, not the locked one, and refuses it for want of a hash.
    what = ["--no-deps", "--require-hashes", "--requirement", str(lock)]
    if (wheels := ROOT / WHEELS).is_dir():
        what += ["--no-index", "--find-links", str(wheels)]
    if (uv := shutil.which("uv")) is not None:
        command = [uv, "pip", "install", "--python", str(python), "--only-binary", ":all:", *what]
        with started(command, captured=False) as process:
            code = ended(process)
        if code == 0:
            return None
        if (lacking := _reason([*command, "--dry-run"])) is not None:
            return lacking
        print("uv could not: pip tries", file=sys.stderr, flush=True)
    if subprocess.run([python, "-c", "import pip"], check=False, capture_output=True).returncode:
        run_quietly([str(python), "-m", "ensurepip", "--default-pip"])
    # Never --no-cache-dir: a set-up that was killed finds what it had fetched in pip's own cache.
    quiet = ["--disable-pip-version-check", "--no-input", "--progress-bar=off", "--only-binary=:all:"]
    # pip tells of the network only when it tries again (see `_unreachable`): never 0, in its configuration too.
    quiet.append(f"--retries={retries()}")
    return _watch([str(python), "-m", "pip", "install", *quiet, *HERE, *what], count(lock.read_text(encoding="utf-8")))


def retries() -> int:
    """Return how often pip asks again: as often as `PIP_RETRIES` says, or pip itself would, but once at least."""
    wanted = os.environ.get("PIP_RETRIES", "")
    return max(1, int(wanted)) if wanted.isdigit() else PIP_ITSELF


def _reason(command: list[str]) -> str | None:
    """Ask a failed uv again, listening this time: return the package that has no wheel, if that is the reason."""
    with started(command, captured=True) as process:
        said = "".join(lines(process))
    return lacks_wheel(said) if process.returncode else None


def lacks_wheel(said: str) -> str | None:
    r"""Return the package that an installer found no wheel for; None for any other failure, such as the network's.

    >>> lacks_wheel("ERROR: No matching distribution found for pysimdjson==7.0.2")
    'pysimdjson'
    >>> lacks_wheel("  cause: Because orjson==3.13.0 has no usable wheels and you require orjson==3.13.0, we can")
    'orjson'
    >>> lacks_wheel("connection broken by 'X': /simple/idna/\nERROR: No matching distribution found for idna==3.10")
    """
    found = NO_WHEEL.search(" ".join(said.split()))
    name = next(filter(None, found.groups()), None) if found else None
    return None if name is None or _unreachable(name, said) else name


def _unreachable(name: str, said: str) -> bool:
    """Whether pip could not even ask for the package: it then says "no matching distribution" all the same."""
    asked = [line for line in said.splitlines() if f"/{name}/" in line and "404" not in line]
    signs = ("connection broken by", "Could not fetch URL", "is ignored")  # ignored: the index has no usable address
    return any(sign in line for line in asked for sign in signs)


def no_wheel(python: Path, name: str, wheels: Path = ROOT / WHEELS) -> str:
    """Return the sentence for a needed package that has no wheel here."""
    lacks = f"{name} must have a wheel for {_version(python)} on {sysconfig.get_platform()}, got none"
    if wheels.is_dir():
        note = wheels / MADE_FOR
        made_for = "; ".join(note.read_text("utf-8").splitlines()) if note.exists() else "other machines"
        python_there = next(iter(re.findall(r"Python (3\.\d+)", made_for)), f"3.{NEWEST[1]}")
        return (
            f"{lacks} in {wheels}, which was made for {made_for}: use a Python named there"
            f" (`python{python_there} -m arion_lib lab`, say), or take that folder away and install from the network."
        )
    if FREE_THREADED in lacks:
        return f"{lacks}, and it is needed: use an ordinary Python, one with a GIL, {TRIED}, for `lab` and `test`."
    return (
        f"{lacks}, and it is needed: "
        f"use Python {TRIED} (`python3.13 -m arion_lib lab`, say); if yours is one of these, your package mirror may "
        "lack it (`pip config list` names the mirror); without one, please file an issue."
    )


def note_made_for(wheels: Path, target: str) -> None:
    """Add a line to what the folder of wheels says that it was made for; one that stands there stays one."""
    wheels.mkdir(parents=True, exist_ok=True)
    note = wheels / MADE_FOR
    lines = note.read_text("utf-8").splitlines() if note.exists() else []
    note.write_text("\n".join([*dict.fromkeys([*lines, target])]) + "\n", "utf-8")


def _version(python: Path) -> str:
    kind = f"{FREE_THREADED} Python"
    code = (
        "import sys, sysconfig; "
        f"kind = '{kind}' if sysconfig.get_config_var('Py_GIL_DISABLED') else 'Python'; "
        "print(kind + ' {0[0]}.{0[1]}'.format(sys.version_info))"
    )
    return subprocess.run([python, "-c", code], capture_output=True, encoding="utf-8", check=True).stdout.strip()


def blocks(lock: str) -> list[tuple[str, str]]:
    """Return the lock's lines package by package, by name; one that differs by Python stands there more than once."""
    blocks = re.split(r"^(?=[^\s#])", lock, flags=re.MULTILINE)
    return [(block.split("==", 1)[0], block) for block in blocks if "==" in block]


def without(lock: str, names: Collection[str]) -> str:
    r"""Return the lock's text without the named packages.

    >>> without("idna==3.10 \\\n    --hash=sha256:00\npika==1.3.2 \\\n    --hash=sha256:01\n", {"pika"})
    'idna==3.10 \\\n    --hash=sha256:00\n'
    """
    return "".join(block for name, block in blocks(lock) if name not in names) if names else lock


def left_out(lock: str, lacking: str, needed: Collection[str]) -> set[str]:
    r"""Return what must go when `lacking` cannot be had: itself and all that needs it; nothing if that is needed.

    >>> lock = "numpy==2.1\n    # via\n    #   pandas\npandas==2.2\n    # via small (pyproject.toml)\n"
    >>> sorted(left_out(lock, "numpy", needed=[])), left_out(lock, "numpy", needed=["pandas"])
    (['numpy', 'pandas'], set())
    """
    every = blocks(lock)
    gone, new = set[str](), {lacking}
    while new:
        gone |= new
        lines = [line for name, block in every if name in new for line in block.splitlines()]
        comments = [line for line in lines if line.lstrip().startswith("#")]
        named = {word for line in comments for word in line.replace("#", " ").split()}
        new = (named & {name for name, _ in every}) - gone
    return set() if gone & set(needed) else gone


@contextmanager
def _locked(lock: Path, text: str) -> Iterator[Path]:
    """Give the lock itself while nothing is left out of it, else a copy with `text` that goes with the block."""
    if text == lock.read_text(encoding="utf-8"):
        yield lock
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / lock.name
        path.write_text(text, encoding="utf-8")
        yield path


def count(lock: str) -> int:
    r"""Return how many packages the lock's text names: an upper bound, as markers may leave some out.

    >>> count("idna==3.10 \\\n    --hash=sha256:00\n    # via httpx\npika==1.3.2 \\\n    --hash=sha256:01\n")
    2
    """
    return sum("==" in line and not line.startswith((" ", "#")) for line in lock.splitlines())


def run_quietly(command: list[str]) -> None:
    """Run a command to its end without a word.

    Raises:
        SetupError: when it fails, with what it printed.
    """
    with started(command, captured=True) as process:
        said = "".join(lines(process))
    if process.returncode:
        raise SetupError(f"{said.strip()}\n`{' '.join(command)}` must succeed, got exit code {process.returncode}")


def package_of(line: str) -> str | None:
    """Return the package that a line of pip's output has come to, if it has come to one.

    >>> package_of("Collecting idna==3.10 (from httpx)"), package_of("Processing /wheels/pika-1.3.2-py3-none-any.whl")
    ('idna', 'pika')
    >>> package_of("Ignoring appnope: markers 'os_name == 0' don't match your environment")
    'appnope'
    """
    found = re.match(r"(?:Collecting|Ignoring|Processing)\s+(?:\S*/)?([\w.]+(?:-(?=[a-zA-Z])[\w.]+)*)", line)
    return found.group(1) if found else None


def _watch(command: list[str], total: int) -> str | None:
    """Run pip, showing how many of the `total` packages it has come to; return the one that has no wheel, if any."""
    printed: list[str] = []
    with started(command, captured=True) as process:
        seen = 0
        for line in lines(process):
            printed.append(line.rstrip())
            if (package := package_of(line)) is not None:
                seen += 1
                show(seen, total, package)
            elif line.startswith("Installing collected"):
                show(total, total, "fetched and checked; installing them")
    if sys.stderr.isatty():
        print(file=sys.stderr)
    if not process.returncode:
        return None
    said = "\n".join(printed)
    if (lacking := lacks_wheel(said)) is not None:
        return lacking
    advice = advice_on(os.environ) if any(word in said for word in TROUBLE) else ""
    if "No space left on device" in said:
        advice = "Where the clone is and where temporary files go (TMPDIR), free 1.5 GB; then the same again."
    last = "\n".join([line for line in printed if not line.startswith("Ignoring ")][-15:])
    raise SetupError(f"{last}\npip must succeed, got exit code {process.returncode}. {advice}".rstrip())


def advice_on(variables: Mapping[str, str]) -> str:
    """Return what to do when the network fails, with the names of the settings that are there already.

    >>> advice_on({"HTTPS_PROXY": "http://ada:secret@proxy"}).partition("PIP_INDEX_URL. ")[2]
    'Set here, and perhaps wrong: HTTPS_PROXY.'
    """
    there = [name for name in SETTINGS if variables.get(name)]
    return f"{ADVICE} Set here, and perhaps wrong: {', '.join(there)}." if there else ADVICE


def show(seen: int, total: int, what: str) -> None:
    """Draw the progress: one line drawn again and again on a terminal, every twentieth package elsewhere."""
    if sys.stderr.isatty():
        bar = "#" * (30 * seen // max(total, 1))
        print(f"\r[{bar:<30}] {seen}/{total} {what:<40.40}", end="", file=sys.stderr, flush=True)
    elif seen % 20 == 0 or seen == total:
        print(f"  {seen}/{total} {what}", file=sys.stderr, flush=True)
