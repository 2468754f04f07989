"""What happened to a resource, when: for the log, the timeline and whoever listens.

Idea        Each step of a resource's life is one record with the same fields, in a bounded ring and in `logging`.
Invariant   Nothing is configured at import, no message is built that nobody reads, no secret of a URL is shown.
When wrong  A failure is logged with its error where it happens, whether or not it is raised in the end.
See         notebooks/2_resource_manager.ipynb · tests/resources/test_events.py
"""

from __future__ import annotations

import contextlib
import enum
import logging
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from arion_lib.listed import listed

log = logging.getLogger("arion_lib.resources")


class Step(enum.Enum):
    """The steps of a resource's life, in the words of the log, each with its log level."""

    ACQUIRING = "acquiring", logging.DEBUG
    ACQUIRED = "acquired", logging.INFO
    RETRYING = "retrying", logging.WARNING
    ABSENT = "absent", logging.WARNING
    RELEASED = "released", logging.INFO
    FAILED = "failed", logging.ERROR

    @property
    def word(self) -> str:
        return str(self.value[0])

    @property
    def level(self) -> int:
        return int(self.value[1])


Raw: TypeAlias = tuple[float, int, Step, str, int, float, str]


@dataclass(frozen=True, slots=True)
class Event:
    """One step: when (monotonic seconds), in which entry of the manager, what, how long it took, what went wrong."""

    at: float
    entry: int
    step: Step
    resource: str
    attempt: int = 1
    seconds: float = 0.0
    error: str = ""


class Journal:
    """The last `size` events of one manager; a full ring forgets the oldest."""

    __slots__ = ("_events", "note", "scope")

    def __init__(self, scope: str, size: int = 10_000) -> None:
        self.scope = scope
        self._events: deque[Raw] = deque(maxlen=size)
        self.note = self._events.append
        """Remember a step, as a tuple in the order of `Event`'s fields: on the hot path nothing is made of it."""

    def log(self, step: Step, resource: str, seconds: float = 0.0, attempt: int = 1, error: str = "") -> None:
        """Write a step to `logging`, with its fields on the record."""
        if not log.isEnabledFor(step.level):
            return
        fields = {
            "event": step.word,
            "resource": resource,
            "scope": self.scope,
            "attempt": attempt,
            "seconds": round(seconds, 6),
            "error": error,
        }
        text, values = "%s %s/%s attempt=%d seconds=%.6f", [step.word, self.scope, resource, attempt, seconds]
        if error:
            text, values = text + " error=%s", [*values, error]
        # Of a foreign filter or handler: an error here would keep other resources from being released.
        with contextlib.suppress(Exception):
            log.log(step.level, text, *values, extra=fields)

    def __iter__(self) -> Iterator[Event]:
        return iter([Event(*raw) for raw in listed(self._events)])

    def __len__(self) -> int:
        return len(self._events)
