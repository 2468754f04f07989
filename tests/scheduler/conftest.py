"""What the scheduler's tests share: a gate, and a while without the collector of cycles."""

from __future__ import annotations

import gc
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.scheduler.gates import PATIENCE, Gate


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


@pytest.fixture
def without_the_collector() -> Iterator[None]:
    """Keep what waits for the collector of cycles; and a signal's exception that falls into its callbacks is lost."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()
