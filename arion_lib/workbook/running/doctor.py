"""The word `doctor`: what is here, what is missing, and the command that repairs it.

Idea        Ask each thing itself: packages by their metadata, servers by the first words of their own protocol.
Invariant   Nothing is changed or installed, and the standard library is enough to say so; `--try` alone needs more.
When wrong  Something needed is missing: a line with the repair, exit code 1. A server is optional: no fault.
See         README.md, "When something is wrong" · tests/workbook/test_doctor.py
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module, metadata
from urllib.parse import urlsplit

from arion_lib.setup import environment, wheel
from arion_lib.setup.installer import TRIED
from arion_lib.setup.words import unlike, without_gil

LISTS = ("web", "dask", "servers", "notebooks", "peers", "dev")
SUITE = {
    "linux": f"every part's tests have been run on Linux with Python {TRIED}",
    "darwin": "macOS: not yet tried on a real machine, only by stand-ins on Linux; please report what fails",
    "win32": "Windows: not yet tried on a real machine, only by stand-ins on Linux; please report what fails",
}
"""Where the suite has been run, by `sys.platform`."""

SHOWN = ("jupyterlab", "ipykernel", "nbval", "pytest", "msgspec", "ijson", "fastapi", "dask")
PATIENCE = 2.0
"""Seconds that a server gets to answer."""


@dataclass(frozen=True, slots=True)
class Server:
    """An optional server: where it is looked for, what is said to it, and how its answer begins."""

    name: str
    variable: str
    default: str
    port: int
    hello: bytes
    answers: tuple[bytes, ...]
    start: str

    @property
    def url(self) -> str:
        """The address: the environment variable's, else the default on this machine."""
        return os.environ.get(self.variable, self.default)


SERVERS = (
    Server(
        "PostgreSQL",
        "ARION_POSTGRES",
        "postgresql://postgres:postgres@127.0.0.1:5432/test",
        5432,
        b"\x00\x00\x00\x08\x04\xd2\x16\x2f",  # SSLRequest: answered by one letter
        (b"S", b"N"),
        "docker run -d -p 5432:5432 -e POSTGRES_PASSWORD=postgres -e POSTGRES_DB=test postgres:17",
    ),
    Server(
        "Redis",
        "ARION_REDIS",
        "redis://127.0.0.1:6379/0",
        6379,
        b"PING\r\n",
        (b"+PONG", b"-NOAUTH"),
        "docker run -d -p 6379:6379 redis:7",
    ),
    Server(
        "RabbitMQ",
        "ARION_RABBITMQ",
        "amqp://guest:guest@127.0.0.1:5672/%2F",
        5672,
        b"AMQP\x00\x00\x09\x01",  # AMQP 0-9-1: answered by a method frame, connection.start
        (b"\x01\x00\x00",),
        "docker run -d -p 5672:5672 rabbitmq:4",
    ),
)


def answers(server: Server, timeout: float = PATIENCE) -> bool:
    """Whether the server speaks its protocol at its address; opens and closes one connection.

    Args:
        server: what to ask, and where.
        timeout: seconds, for connecting and again for the answer.
    """
    where = urlsplit(server.url)
    try:
        with socket.create_connection(
            (where.hostname or "127.0.0.1", where.port or server.port), timeout
        ) as connection:
            connection.sendall(server.hello)
            return connection.recv(16).startswith(server.answers)
    except OSError:
        return False


def memory() -> str:
    """Return this machine's memory, as far as psutil is there to tell."""
    try:
        psutil = import_module("psutil")
    except ImportError:
        return "unknown (psutil is missing)"
    found = psutil.virtual_memory()
    return f"{found.total / 2**30:.1f} GiB, {found.available / 2**30:.1f} GiB of it available"


def ijson_backend() -> str:
    """Return which of its parsers ijson chose; only yajl2_c is fast."""
    try:
        backend = str(import_module("ijson").backend)
    except ImportError:
        return "missing"
    return backend if backend == "yajl2_c" else f"{backend} (slow: the compiled yajl2_c is not here)"


def version(name: str) -> str:
    """Return an installed distribution's version, or `missing`."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"


def cores() -> str:
    """Return how many cores the machine has and how many this process may use."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{os.cpu_count()}, {allowed} of them for this process"


def tried(platform: str) -> str:
    """Return where the suite has been run, for a reader on `platform`."""
    return SUITE.get(platform, f"{platform}: never tried; please report what fails")


def facts() -> dict[str, str]:
    """Return what is worth knowing of this machine and this environment."""
    return {
        "python": f"{platform.python_version()} at {sys.executable}",
        "system": platform.platform(),
        "tried": unlike(sys.version_info[:2], without_gil()) or tried(sys.platform),
        "cores": cores(),
        "memory": memory(),
        "start method": multiprocessing.get_start_method(allow_none=True) or multiprocessing.get_all_start_methods()[0],
        "ijson backend": ijson_backend(),
        **{name: version(name) for name in SHOWN},
    }


def repair(lacking: list[str]) -> str:
    """Return the command that installs what is lacking, into this environment or into one of its own.

    >>> "dask" in repair(["dask", "ijson"])
    True
    """
    by_word = "python -m arion_lib lab   (makes .venv beside the code, or brings it up to date)"
    own = sys.prefix != sys.base_prefix or sys.prefix == os.environ.get("CONDA_PREFIX")
    locked = ("--only-binary=:all:", "--no-deps", "--require-hashes", "-r", str(environment.LOCK))
    said = wheel.command(*locked) if own and not environment.inside() else by_word
    return f"{said}\nmissing: {', '.join(lacking)}"


def peers_left_out() -> list[str]:
    """Return the peers that this Python goes without: no wheel was found, or the marker in pyproject.toml says so."""
    marked = set(environment.listed(["peers"])) - set(environment.required(["peers"]))
    return sorted({*environment.left_out(), *(name for name in marked if version(name) == "missing")})


def verdict() -> tuple[int, list[str]]:
    """Return the exit code (1: something needed is missing) and the lines that say what, and how to repair it."""
    if not environment.IN_CLONE:
        return _verdict_on_a_wheel()
    lacking = environment.missing(LISTS)
    omitted = environment.left_out() if lacking else peers_left_out()  # before a set-up nobody looked for a wheel
    lines = (
        [f"left out: {', '.join(omitted)} (peers of benchmarks, without a wheel for this Python)"] if omitted else []
    )
    return (1, [*lines, f"\nrepair: {repair(lacking)}"]) if lacking else (0, [*lines, "\nall packages are here"])


def _verdict_on_a_wheel() -> tuple[int, list[str]]:
    extras = LISTS[:-1]  # `dev` is for the tests, which are not in the wheel
    lacking = {
        extra: [name for name in names if version(name) == "missing"] for extra, names in wheel.asked(extras).items()
    }
    lines = [f"extra {extra}: {', '.join(names)} missing" for extra, names in lacking.items() if extra and names]
    if needed := lacking.pop(""):
        return 1, [*lines, f"\nrepair: {wheel.command(wheel.NAME)}\nmissing: {', '.join(needed)}"]
    without = [extra for extra, names in lacking.items() if names]
    if not without:
        return 0, ["\nall packages are here, those of every extra too"]
    said = f"the library's own packages are here; what the extras {', '.join(without)} add is not. To have it:"
    wanted = f"{wheel.NAME}[{','.join(without)}]"
    return 0, [*lines, f"\n{said}\n  {wheel.command(wanted)}"]


def run(args: list[str], say: Callable[[str], None] = print) -> int:
    """Print the report; exit code 1 when something that the workbook needs is missing, or the trial fails."""
    parser = argparse.ArgumentParser(
        prog="python -m arion_lib doctor",
        description="Say what is here, what is missing, and the command that repairs it. Changes nothing.",
        epilog="example: python -m arion_lib doctor --try",
    )
    parser.add_argument(
        "--try", action="store_true", dest="trial", help="also start a kernel and run a few cells in it"
    )
    chosen = parser.parse_args(args)
    for name, fact in facts().items():
        say(f"{name:<14}{fact}")
    for server in SERVERS:
        here = answers(server)
        say(f"{server.name:<14}{'answers' if here else 'not here (optional): ' + server.start}")
    code, lines = verdict()
    for line in lines:
        say(line)
    if chosen.trial:
        works, sentence = import_module("arion_lib.workbook.running.trial").attempt()
        say(sentence)
        return code if works else 1
    return code
