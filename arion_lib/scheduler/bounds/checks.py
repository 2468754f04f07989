"""What a scheduler is opened with, checked where it is written.

Idea        One function for each kind of number; words of `ProcessPoolExecutor` stand for ours.
Invariant   A scheduler that exists was opened with valid arguments.
When wrong  The error says `name must be rule, got value`.
See         tests/scheduler/test_options.py · tests/scheduler/test_drop_in.py
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")

DESCRIPTORS = 3
"""Of this process, for each worker at least: its two pipes, and its status page or what tells of its end."""
MOST_WORKERS = 10_000
"""Where the system names no limit: more than any machine of today has cores."""
MOST_ON_WINDOWS = 250
"""There `select` waits for 512 sockets at most: one of each worker, and of those that are just being replaced."""


def one_of(**words: T | None) -> T | None:
    """Return the value given under one of two words for the same thing."""
    given = {word: value for word, value in words.items() if value is not None}
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)} must not be given together: they say the same")
    return next(iter(given.values()), None)


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_count(name: str, value: int | None, least: int) -> None:
    if value is not None and (type(value) is not int or value < least):
        raise ValueError(f"{name} must be an int >= {least}, got {value!r}")


def check_workers(value: int, least: int = 0) -> None:
    """Raise `ValueError` for what is no number of worker processes, and for more than this process can hold open."""
    check_count("workers", value, least)
    if value > (most := most_workers()):
        why = f"each takes {DESCRIPTORS} at least of the files that this process may have open (`ulimit -n`)"
        if sys.platform == "win32":
            why = "Windows waits for 512 connections at most"
        raise ValueError(f"workers must be <= {most}, got {value}: {why}")


def most_workers() -> int:
    """Return how many worker processes this process can hold open at the very most."""
    if sys.platform == "win32":
        return MOST_ON_WINDOWS
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_WORKERS if soft == resource.RLIM_INFINITY else min(MOST_WORKERS, soft // DESCRIPTORS)


def check_settings(counts: Mapping[str, int | None], grace: float, when_full: str) -> None:
    """Raise `ValueError` for a number of something below one, and for what else a scheduler cannot be opened with."""
    for name, value in counts.items():
        check_count(name, value, 1)
    if not grace >= 0:
        raise ValueError(f"grace must be seconds >= 0, got {grace!r}")
    if when_full not in ("wait", "refuse"):
        raise ValueError(f"when_full must be 'wait' or 'refuse', got {when_full!r}")
