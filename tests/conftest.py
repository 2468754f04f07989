"""What every test may lean on: nothing leaks, servers are real or honestly absent."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest

from tests.leaks import Snapshot

pytest_plugins = ["tests.services.servers"]


@pytest.fixture(scope="module", autouse=True)
def each_file_clears_up_after_itself() -> Iterator[None]:
    """Collect what a file's tests left, so that it is told of there and not in a later one.

    What stands before is not looked through again: a measurement collects often, each time for 0.4 s late in the suite.
    """
    gc.freeze()
    yield
    gc.collect()


@pytest.fixture
def no_leaks() -> Iterator[None]:
    """Fail the test that leaves a thread, a child process or a file descriptor behind.

    Ask for it first (`def test_x(no_leaks, tmp_path)`) or for a whole module with
    `pytestmark = pytest.mark.usefixtures("no_leaks")`, so that it is the last to be torn down.
    """
    before = Snapshot.take()
    yield
    left = before.leaked()
    assert not left, "left behind:\n  " + "\n  ".join(left)


@pytest.fixture(scope="session", autouse=True)
def no_process_outlives_the_session() -> Iterator[None]:
    """Fail the run, at its very end, that leaves a child process behind."""
    before = Snapshot.take()
    yield
    gc.unfreeze()
    left = before.leaked_children()
    assert not left, f"child processes of process {os.getpid()} outlive the tests:\n  " + "\n  ".join(left)
