"""The word `pack`: a folder for a room with bad Wi-Fi: the clone and the wheels of every package, for chosen systems.

Idea        The set-up installs from a folder `wheels/` beside the lock where there is one, hash-checked as ever. So a
            pack is the clone with that folder filled; on a learner's machine the same two commands do the rest.
Invariant   Only what the lock names, with its hashes, is fetched; a pack is a copy, the clone is not changed.
When wrong  A peer without a wheel for a system is left out, as the set-up does; a needed package without one is named.
See         arion_lib/setup/installer.py · tests/workbook/test_pack.py
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from arion_lib.setup import environment, installer
from arion_lib.setup.environment import ROOT

SYSTEMS = ("linux-x86_64", "linux-arm64", "macos-arm64", "macos-x86_64", "windows-x86_64", "windows-arm64")
PYTHONS = tuple(f"3.{minor}" for minor in range(installer.OLDEST[1], installer.NEWEST[1] + 1))
NEVER = {("windows-arm64", "3.11")}
"""Needed packages have no wheel for it."""

LEAVE = (
    ".git",
    ".venv*",
    "work",
    "__pycache__",
    ".*_cache",
    ".hypothesis",
    ".ipynb_checkpoints",
    "*.egg-info",
    "wheels",
)
"""What a learner does not need of a clone."""


@dataclass(frozen=True, slots=True)
class Target:
    """A system and a Python that the pack is for."""

    system: str
    python: str

    def __str__(self) -> str:
        return f"{self.system}, Python {self.python}"

    def marker_values(self) -> dict[str, str]:
        """Return what the lock's markers may ask of such a machine.

        >>> Target("windows-x86_64", "3.14").marker_values()["platform_machine"]
        'AMD64'
        """
        name, _, machine = self.system.partition("-")
        platform, system, os_name = {
            "linux": ("linux", "Linux", "posix"),
            "macos": ("darwin", "Darwin", "posix"),
            "windows": ("win32", "Windows", "nt"),
        }[name]
        others = {("linux", "arm64"): "aarch64", ("windows", "x86_64"): "AMD64", ("windows", "arm64"): "ARM64"}
        spelled = others.get((name, machine), machine)
        return {
            "sys_platform": platform,
            "platform_system": system,
            "os_name": os_name,
            "platform_machine": spelled,
            "python_version": self.python,
            "python_full_version": f"{self.python}.0",
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
        }

    def pip_options(self) -> Iterator[str]:
        """Yield the options that make pip choose wheels for such a machine instead of this one.

        Of several wheels pip takes the one whose platform comes first: the oldest, which runs on every machine.
        """
        name, _, machine = self.system.partition("-")
        if name == "linux":
            cpu = "aarch64" if machine == "arm64" else machine
            tags = [f"manylinux2014_{cpu}"] + [f"manylinux_2_{minor}_{cpu}" for minor in range(17, 35)]
        elif name == "macos":
            tags = ["macosx_10_15_x86_64", "macosx_10_15_universal2"] if machine == "x86_64" else []
            tags += [f"macosx_{major}_0_{cpu}" for major in (11, 12, 13, 14) for cpu in (machine, "universal2")]
        else:
            tags = ["win_amd64" if machine == "x86_64" else "win_arm64"]
        yield from (f"--platform={tag}" for tag in tags)
        version = self.python.replace(".", "")
        yield from ("--implementation=cp", f"--python-version={self.python}")
        yield from (f"--abi={abi}" for abi in (f"cp{version}", "abi3", "none"))


def wanted(lock: str, target: Target) -> str:
    r"""Return the part of the lock that a machine like `target` needs.

    >>> lock = "a==1 ; sys_platform == 'win32' \\\n    --hash=sha256:00\nb==2 \\\n    --hash=sha256:01\n"
    >>> wanted(lock, Target("linux-x86_64", "3.14"))
    'b==2 \\\n    --hash=sha256:01\n'
    """
    from packaging.markers import Marker

    kept = []
    for _, block in installer.blocks(lock):
        first, _, rest = block.partition("\n")
        requirement, _, marker = first.removesuffix("\\").partition(";")
        if not marker.strip() or Marker(marker.strip()).evaluate(target.marker_values()):
            kept.append(f"{requirement.strip()} \\\n{rest}")
    return "".join(kept)


def fetch(target: Target, folder: Path) -> list[str]:
    """Put the wheels for one kind of machine into `folder`; return the peers that have none there.

    Raises `SetupError` for a needed package without a wheel, and for any failure of pip.
    """
    lock = wanted(environment.LOCK.read_text("utf-8"), target)
    omitted: set[str] = set()
    while True:
        text = installer.without(lock, omitted)
        lacking = _download(target, text, folder)
        if lacking is None:
            return sorted(omitted)
        more = installer.left_out(text, lacking, environment.needed())
        if not more:
            raise installer.SetupError(f"{lacking} must have a wheel for {target}, got none, and it is needed")
        omitted |= more


def _download(target: Target, text: str, folder: Path) -> str | None:
    """Let pip fetch what `text` locks; return the package that has no wheel, or None when all are there."""
    folder.mkdir(parents=True, exist_ok=True)
    (path := folder / "fetching.txt").write_text(text, "utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--only-binary=:all:", "--no-deps", "--require-hashes", "--requirement", str(path)]
    done = subprocess.run(
        [*command, "--dest", str(folder), *target.pip_options()], capture_output=True, encoding="utf-8", check=False
    )
    path.unlink()
    if done.returncode == 0:
        return None
    said = done.stdout + done.stderr
    if (lacking := installer.lacks_wheel(said)) is not None:
        return lacking
    raise installer.SetupError("\n".join(said.strip().splitlines()[-15:]))


def pack(folder: Path, targets: list[Target]) -> Path:
    """Write the pack for `targets` into `folder`, which must not exist yet or be a pack; return the clone in it."""
    clone = folder / "arion-workbook"
    usual = shutil.ignore_patterns(*LEAVE)

    def left(place: str, names: list[str]) -> set[str]:
        return usual(place, names) | {name for name in names if (Path(place) / name).resolve() == folder.resolve()}

    shutil.copytree(ROOT, clone, ignore=left, dirs_exist_ok=True)
    for number, target in enumerate(targets, start=1):
        print(f"{number} of {len(targets)}: {target} ...", file=sys.stderr, flush=True)
        omitted = fetch(target, clone / installer.WHEELS)
        if omitted:
            print(f"  without {', '.join(omitted)} (peers of benchmarks)", file=sys.stderr, flush=True)
        installer.note_made_for(clone / installer.WHEELS, str(target))
    return clone


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m arion_lib pack",
        description="Make a folder from which the workbook is set up without a network: the clone and all wheels. "
        "About 260 MB a system and Python, and two minutes on a good line: first ask which the room has. A machine "
        "installs from it only with one of these Pythons.",
        epilog="example: python -m arion_lib pack --to /media/stick --system windows-x86_64 --python 3.13 3.14",
    )
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    parser.add_argument("--to", type=Path, default=ROOT / "work" / "pack", metavar="DIR", help="default: work/pack")
    parser.add_argument(
        "--system", nargs="+", choices=SYSTEMS, default=SYSTEMS, metavar="SYSTEM", help=", ".join(SYSTEMS)
    )
    parser.add_argument(
        "--python",
        nargs="+",
        default=[here],
        choices=PYTHONS,
        metavar="X.Y",
        help=f"{', '.join(PYTHONS)} (default: {here})",
    )
    return parser


def _targets(args: list[str]) -> list[Target]:
    """Return what the arguments ask for; leave by `SystemExit` for what cannot be had."""
    parser = _parser()
    options = parser.parse_args(args)
    asked = [(system, python) for system in options.system for python in options.python]
    if (impossible := [pair for pair in asked if pair in NEVER]) and "--system" in args:
        system, python = impossible[0]
        parser.error(f"{system} must have a newer Python, got {python}: needed packages have no wheel for it")
    return [Target(system, python) for system, python in asked if (system, python) not in NEVER]


def run(args: list[str]) -> int:
    """Make the pack and say how to use it; return the exit code."""
    targets = _targets(args)
    if subprocess.run([sys.executable, "-c", "import pip"], check=False, capture_output=True).returncode:
        installer.run_quietly([sys.executable, "-m", "ensurepip", "--default-pip"])
    clone = pack(_parser().parse_args(args).to, targets)
    size = sum(path.stat().st_size for path in clone.rglob("*") if path.is_file())
    print(f"{clone}: {size / 1e6:,.0f} MB. Copy it to each machine; there, in it: python -m arion_lib lab")
    return 0
