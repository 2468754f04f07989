"""What the scheduler's tests share: a gate, and a stack trace instead of a hang."""

from __future__ import annotations

import faulthandler
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from _pytest.faulthandler import fault_handler_stderr_fd_key

from tests.scheduler.gates import PATIENCE, Gate

LONGEST = 300.0
"""Seconds after which a test counts as hanging: every thread's stack is shown and the run ends."""


@pytest.fixture(autouse=True, scope="module")
def no_hang_at_the_end(request: pytest.FixtureRequest) -> Iterator[None]:
    """Show the stacks, too, when what a module shares cannot be closed."""
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture(autouse=True)
def no_hang(request: pytest.FixtureRequest, no_hang_at_the_end: None) -> None:
    """End the run with every thread's stack when a test, or the end of its module, hangs."""
    where = request.config.stash.get(fault_handler_stderr_fd_key, 2)
    faulthandler.dump_traceback_later(LONGEST, exit=True, file=where)


@pytest.fixture
def make_gate(tmp_path: Path) -> Iterator[Callable[[], Gate]]:
    """Return what makes gates; they are closed, and whoever waits there is let through, after the test."""
    if not hasattr(os, "mkfifo"):
        pytest.skip("Windows has no named pipes in the file system")
    made: list[Gate] = []
    numbers = itertools.count()

    def make() -> Gate:
        made.append(Gate(tmp_path / f"gate{next(numbers)}"))
        return made[-1]

    def give_up() -> None:
        for gate in made:
            gate.open(64)

    # A test that fails inside `with Scheduler(...)` waits there for whoever stands at its gate: for this long, no more.
    late = threading.Timer(1.5 * PATIENCE, give_up)
    late.daemon = True
    late.start()
    yield make
    late.cancel()
    late.join()
    for gate in made:
        gate.close()


@pytest.fixture
def gate(make_gate: Callable[[], Gate]) -> Gate:
    """Return a gate."""
    return make_gate()


@pytest.fixture
def notes(tmp_path: Path) -> str:
    """Return the path of a file that tasks append lines to; see `jobs.note`."""
    return str(tmp_path / "notes")
