"""The scheduler's own errors: they say what happened, carry it as data, and survive pickling."""

from __future__ import annotations

import pickle
from concurrent.futures import TimeoutError as FutureTimeoutError

import pytest

from arion_lib.scheduler.errors import (
    DependencyFailedError,
    NotTransferableError,
    QuarantinedError,
    QueueFullError,
    SchedulerError,
    ShutDownError,
    TaskTimeoutError,
    WorkerDiedError,
)

ERRORS = [
    SchedulerError("a"),
    ShutDownError("b"),
    QueueFullError("c"),
    NotTransferableError("d"),
    DependencyFailedError("child", "parent"),
    TaskTimeoutError("slow", 1.5),
    TaskTimeoutError("slow", 2.0, "submission"),
    WorkerDiedError("victim", -9),
    WorkerDiedError("victim", None),
    QuarantinedError("poison", 3),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_each_survives_pickling_with_its_data(error: Exception) -> None:
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert vars(back) == vars(error)
    assert isinstance(back, SchedulerError)


def test_they_are_also_what_callers_expect_of_such_errors() -> None:
    assert isinstance(ShutDownError(), RuntimeError)
    assert isinstance(NotTransferableError(), TypeError)
    assert isinstance(TaskTimeoutError("a", 1.0), FutureTimeoutError)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "exited with code 0"),
        (3, "exited with code 3"),
        (-9, "SIGKILL"),
        (-11, "SIGSEGV"),
        (-63, "signal 63"),
        (None, "ended"),
    ],
)
def test_a_death_is_told_in_words(code: int | None, words: str) -> None:
    error = WorkerDiedError("resize", code)
    assert words in str(error)
    assert "'resize'" in str(error)
    assert (error.task, error.exit_code) == ("resize", code)


def test_a_time_limit_says_since_when() -> None:
    assert "0.5 s of its start" in str(TaskTimeoutError("t", 0.5))
    assert "2 s of its submission" in str(TaskTimeoutError("t", 2.0, "submission"))


def test_a_quarantine_says_how_many_deaths() -> None:
    assert "3 workers died" in str(QuarantinedError("poison", 3))
