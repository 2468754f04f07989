"""Every system call that the supervisor makes fails once, in turn; innocent tasks end right all the same."""

from __future__ import annotations

import errno
import mmap
import os
import selectors
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from arion_lib.scheduler import Scheduler
from tests.scheduler import jobs
from tests.scheduler.gates import PATIENCE

pytestmark = [
    pytest.mark.usefixtures("no_leaks"),
    pytest.mark.posix("the calls are those of POSIX"),
]
CALLS: list[tuple[Any, str]] = [
    (os, "pipe"),
    (os, "read"),
    (os, "readv"),
    (os, "write"),
    (os, "writev"),
    (os, "kill"),
    (os, "killpg"),
    (os, "set_blocking"),
    (os, "ftruncate"),
    (mmap, "mmap"),
    (socket, "send_fds"),
    (selectors.DefaultSelector, "register"),
    (selectors.DefaultSelector, "select"),
    (threading.Thread, "start"),
]
if hasattr(os, "memfd_create"):
    CALLS.append((os, "memfd_create"))


class Injection:
    """Counts the calls of one supervisor; the one of number `fail_at` raises instead of being made."""

    def __init__(self, fail_at: int) -> None:
        self.fail_at, self.count, self.failed = fail_at, 0, ""

    def wrapped(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            if threading.current_thread().name == "arion-injected":
                self.count += 1
                if self.count == self.fail_at:
                    self.failed = name
                    error = RuntimeError if name == "start" else OSError
                    raise error(errno.ENOMEM, f"injected into {name}")
            return real(*arguments, **named)

        return call


@contextmanager
def injected(fail_at: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Injection]:
    injection = Injection(fail_at)
    with monkeypatch.context() as patched:
        for place, name in CALLS:
            patched.setattr(place, name, injection.wrapped(name, getattr(place, name)))
        yield injection


def everything(scheduler: Scheduler) -> None:
    """Use most of a scheduler. Tasks may run twice: a worker whose pipe fails is lost, and so is its attempt."""
    lane = scheduler.with_options(retries=3)
    first = lane.submit(jobs.add, 1, 2)
    chain = first
    for _ in range(5):
        chain = lane.submit(jobs.add, chain, 1)
    many = lane.map(jobs.add, range(40), range(40), timeout=PATIENCE)
    large = lane.submit(jobs.identity, b"x" * 300_000)
    there = lane.with_options(lane="threads").submit(jobs.add, 3, 4)
    told = threading.Event()
    there.add_done_callback(lambda _: told.set())
    stopped = scheduler.submit(jobs.spin_quietly)
    stopped.cancel()
    assert stopped.cancelled()
    assert (first.result(PATIENCE), chain.result(PATIENCE), there.result(PATIENCE)) == (3, 8, 7)
    assert list(many) == [2 * number for number in range(40)]
    assert large.result(PATIENCE) == b"x" * 300_000
    try:
        scheduler.scale(3)
    except OSError as error:
        assert "injected" in str(error)  # noqa: PT017  (an error is allowed, no other one is)
    scheduler.scale(1)
    assert [task.result(PATIENCE) for task in [lane.submit(jobs.add, n) for n in range(5)]] == [*range(5)]
    assert scheduler.wait_idle(PATIENCE)


def run_with_a_failure(fail_at: int, monkeypatch: pytest.MonkeyPatch) -> Injection:
    with injected(fail_at, monkeypatch) as injection:
        try:
            scheduler = Scheduler(2, name="injected", grace=0.1, preload=[jobs.__name__])
        except (OSError, RuntimeError) as error:  # opening may fail, with that error
            assert "injected" in str(error)  # noqa: PT017
            return injection
        try:
            with scheduler:
                everything(scheduler)
        except BaseException as error:
            error.add_note(f"call {fail_at} failed: {injection.failed}")
            raise
    return injection


@pytest.mark.parametrize("fail_at", [1, 5, 11, 18, 26, 35])
def test_a_call_may_fail(fail_at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_with_a_failure(fail_at, monkeypatch).failed


@pytest.mark.thorough
def test_each_call_may_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    fail_at = 1
    while run_with_a_failure(fail_at, monkeypatch).failed:
        fail_at += 1
    assert fail_at > 50
