"""Why a measured process ended without a result: its bounds, or a death of its own.

Idea        A naive version on a large input must not take the learner's machine down: time and memory have bounds.
Invariant   Each of these exceptions carries the samples seen until then, so a stopped run can still be drawn.
When wrong  A bound that is not positive is refused before anything starts.
See         arion_lib/measure/fresh.py · tests/measure/test_fresh.py
"""

from __future__ import annotations

import signal
from dataclasses import dataclass

from arion_lib.measure.results import Sample
from arion_lib.units import bytes_text, seconds_text


class ChildDied(RuntimeError):
    """The measured process ended without a report.

    `exitcode` is its exit code, `signal` the name of the signal that killed it (or `None`), `samples` what was seen.
    """

    def __init__(self, message: str, exitcode: int, samples: tuple[Sample, ...]) -> None:
        super().__init__(message)
        self.exitcode = exitcode
        self.signal = signal_name(exitcode)
        self.samples = samples


class TimeLimit(TimeoutError):
    """The measured function took longer than `timeout` seconds and was stopped. `samples` show how far it got."""

    def __init__(self, timeout: float, samples: tuple[Sample, ...]) -> None:
        super().__init__(f"the measured function must end within timeout={seconds_text(timeout)}; it was stopped")
        self.timeout = timeout
        self.samples = samples


class MemoryLimit(MemoryError):
    """The measured process grew past `limit` bytes over its baseline and was stopped. `samples` show how."""

    def __init__(self, limit: float, samples: tuple[Sample, ...]) -> None:
        at, growth = samples[-1]
        super().__init__(
            f"growth must stay <= limit={bytes_text(limit)}, got {bytes_text(growth)} after {seconds_text(at)}; "
            "the process was stopped"
        )
        self.limit = limit
        self.samples = samples


@dataclass(frozen=True, slots=True)
class Bounds:
    """When to give up, in seconds from the call and in bytes over the baseline; `None` means never."""

    timeout: float | None = None
    limit: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("timeout", self.timeout), ("limit", self.limit)):
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be > 0 or None, got {value}")


def signal_name(exitcode: int) -> str | None:
    """Name the signal that an exit code of `subprocess` stands for, or `None`.

    >>> signal_name(-9), signal_name(3)
    ('SIGKILL', None)
    """
    if exitcode >= 0:
        return None
    try:
        return signal.Signals(-exitcode).name
    except ValueError:
        return f"signal {-exitcode}"
