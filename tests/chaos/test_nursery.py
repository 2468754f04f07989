"""Children that start fast: one that is not ready is an error, and none outlives the block."""

from __future__ import annotations

import threading

import psutil
import pytest

from tests.chaos.nursery import ChildFailed, Nursery

pytestmark = pytest.mark.usefixtures("no_leaks")


def fails(args: list[str]) -> int:
    raise SystemExit(3)


def waits(args: list[str]) -> int:
    print("here", flush=True)  # noqa: T201  the line to the parent
    threading.Event().wait()
    return 0


def test_a_child_that_ends_before_it_is_ready_is_an_error() -> None:
    with Nursery() as nursery, pytest.raises(ChildFailed, match="must say when it is ready"):
        nursery.start(fails, [])


def test_a_child_that_is_left_is_killed() -> None:
    with Nursery() as nursery:
        pid = nursery.start(waits, []).pid
        assert psutil.pid_exists(pid)
    assert not psutil.pid_exists(pid)
