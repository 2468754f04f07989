"""The word `test`: the whole suite by pytest, from wherever it is called.

Idea        Two runs of pytest: first every core takes whole files, then what measures time or memory runs alone
            (by `--quick` not at all).
Invariant   The exit code is the worse of both; pytest's settings stand in pyproject.toml: plain `pytest` runs the same.
When wrong  pytest says it; a run that was interrupted or could not begin is the last one.
See         README.md · tests/test_setup.py · tests/selection.py
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from arion_lib.setup.environment import ROOT, become, wait_for

WHOLE = {"--quick", "--thorough", "-q", "-v", "-vv", "-ra"}
"""What leaves the suite whole, with `--durations=N`: with any other pytest gets all of them, in one process."""

MOST = 4
"""Processes at most: beyond, the longest file decides how long it takes."""

PASSED, FAILED, NONE_COLLECTED = 0, 1, 5


def run(args: list[str]) -> int:
    """Run the whole suite on every core, or hand `args` to pytest as they are."""
    refuse_wrong(args)
    cores = min(MOST, _cores())
    if all(word in WHOLE or word.startswith("--durations=") for word in args) and cores > 1:
        os.chdir(ROOT)
        return _in_two_runs(args, cores)
    if not any(Path(word.split("::")[0]).exists() for word in args if not word.startswith("-")):
        os.chdir(ROOT)
    return become([sys.executable, "-m", "pytest", *args])


def _cores() -> int:
    allowed = getattr(os, "sched_getaffinity", None)  # what a container leaves us; not every system has it
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def _in_two_runs(args: list[str], cores: int) -> int:
    began, codes, total = time.monotonic(), [], dict.fromkeys(("passed", "failed", "error", "skipped"), 0)
    beside = ["-m", "not alone", f"--numprocesses={cores}", "--dist=loadfile", "--no-loadscope-reorder"]
    runs = [beside] if "--quick" in args else [beside, ["-m", "alone"]]
    for chosen in runs:
        with tempfile.TemporaryDirectory() as folder:
            counts = Path(folder) / "counts.json"
            codes.append(wait_for([sys.executable, "-m", "pytest", *args, *chosen, f"--counts={counts}"]))
            if counts.exists():
                for name, number in json.loads(counts.read_text(encoding="utf-8")).items():
                    total[name] += number
        if codes[-1] not in (PASSED, FAILED, NONE_COLLECTED):
            break
    said = ", ".join(f"{number} {name}" for name, number in total.items() if number or name in ("passed", "failed"))
    print(f"{'both runs' if len(runs) > 1 else 'in all'}: {said} in {time.monotonic() - began:.0f} s")
    return max(code for code in codes if code != NONE_COLLECTED) if set(codes) != {NONE_COLLECTED} else NONE_COLLECTED


def refuse_wrong(args: list[str]) -> None:
    """Explain the word and leave by `SystemExit` where its first argument asks for that; pytest refuses the rest."""
    parser = argparse.ArgumentParser(
        prog="python -m arion_lib test",
        usage="%(prog)s [-h] [--quick | --thorough] [pytest's arguments ...]",
        description="Run the whole test suite: library, doctests, and the notebooks with their outputs compared.",
        epilog="example: python -m arion_lib test tests/pipeline -k killed",
    )
    parser.add_argument("--quick", action="store_true", help="leave out what is slow, measures or needs a server")
    parser.add_argument(
        "--thorough",
        action="store_true",
        help="also kills, chaos and gigabytes in full, all learner copies, other machines' wheels, lint, types",
    )
    if args and args[0] in ("-h", "--help"):
        parser.parse_args(["--help"])
