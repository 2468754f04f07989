"""Run a script in a process of its own: what happens at the end of a program cannot be tried from inside."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.scheduler.gates import PATIENCE, until

ROOT = Path(__file__).parents[2]
HEAD = """
import os, signal, sys, threading, time
from arion_lib.scheduler import Scheduler, State
def tell(*words): sys.__stdout__.write(" ".join(map(str, words)) + "\\n"); sys.__stdout__.flush()
def spin():
    while True: pass
"""


@contextmanager
def running(tmp_path: Path, body: str) -> Iterator[subprocess.Popen[str]]:
    """Start the script; whatever is left of it afterwards is killed."""
    script = tmp_path / "script.py"
    script.write_text(HEAD + textwrap.dedent(body))
    process = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=PATIENCE)


def run(tmp_path: Path, body: str) -> tuple[int, str, str]:
    """Run the script to its end; return its exit code and what it wrote."""
    with running(tmp_path, body) as process:
        out, err = process.communicate(timeout=PATIENCE * 2)
        return process.returncode, out, err


def line(process: subprocess.Popen[str]) -> list[str]:
    """Return the words of the next line that the script tells."""
    assert process.stdout is not None
    return process.stdout.readline().split()


def gone(pids: list[int]) -> bool:
    """Whether none of the processes is alive; a zombie is not."""
    return not [pid for pid in pids if alive(pid)]


def alive(pid: int) -> bool:
    import psutil

    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def wait_until_gone(pids: list[int]) -> None:
    """Fail when one of them outlives the patience."""
    assert pids
    until(lambda: gone(pids), f"the end of {pids}")
