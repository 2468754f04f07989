"""Install the locked packages, hash-checked and with visible progress.

Idea        `uv` where it is on the path (seconds), else pip; the number of packages in the lock is the bar's length.
Invariant   Every file is checked against a hash in the lock, whichever tool installs it.
When wrong  `SetupError` with the last lines the installer said; where uv fails, pip gets its chance.
See         README.md · tests/test_setup.py
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import deque
from pathlib import Path

from arion_lib.setup.interrupts import SetupError, started

__all__ = ["SetupError", "install", "run_quietly"]

ADVICE = "Behind a proxy set HTTPS_PROXY; with a package mirror set PIP_INDEX_URL."


def install(python: Path, lock: Path) -> None:
    """Install everything the lock holds into `python`'s environment; progress goes to standard error.

    Raises:
        SetupError: with the installer's last words.
    """
    what = ["--require-hashes", "--requirement", str(lock)]
    if (uv := shutil.which("uv")) is not None:
        with started([uv, "pip", "install", "--python", str(python), *what], captured=False) as process:
            code = process.wait()
        if code == 0:
            return
        print("uv could not: pip tries", file=sys.stderr, flush=True)
    if subprocess.run([python, "-c", "import pip"], check=False, capture_output=True).returncode:
        run_quietly([str(python), "-m", "ensurepip", "--default-pip"])
    # Never --no-cache-dir: a set-up that was killed finds what it had fetched in pip's own cache.
    quiet = ["--disable-pip-version-check", "--no-input", "--progress-bar=off"]
    _watch([str(python), "-m", "pip", "install", *quiet, *what], count(lock.read_text(encoding="utf-8")))


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
        said, _ = process.communicate()
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


def _watch(command: list[str], total: int) -> None:
    """Run pip, showing how many of the `total` packages it has come to."""
    last: deque[str] = deque(maxlen=15)
    with started(command, captured=True) as process:
        seen = 0
        for line in process.stdout or ():
            last.append(line.rstrip())
            if (package := package_of(line)) is not None:
                seen += 1
                show(seen, total, package)
            elif line.startswith("Installing collected"):
                show(total, total, "fetched and checked; installing them")
    if sys.stderr.isatty():
        print(file=sys.stderr)
    if process.returncode:
        said = "\n".join(last)
        raise SetupError(f"{said}\npip must succeed, got exit code {process.returncode}. {ADVICE}")


def show(seen: int, total: int, what: str) -> None:
    """Draw the progress: one line drawn again and again on a terminal, every twentieth package elsewhere."""
    if sys.stderr.isatty():
        bar = "#" * (30 * seen // max(total, 1))
        print(f"\r[{bar:<30}] {seen}/{total} {what:<40.40}", end="", file=sys.stderr, flush=True)
    elif seen % 20 == 0 or seen == total:
        print(f"  {seen}/{total} {what}", file=sys.stderr, flush=True)
