"""Registered sets of resources: opened and closed on request, with what happened kept for a while.

Idea        A set is a manager with a name; a run enters it, asks every health check, and leaves it.
Invariant   Only registered sets can be run, each by one caller at a time; what is kept of them is bounded.
When wrong  A run that fails is a result with its error, passwords hidden; the next run begins anew.
See         arion_lib/web/pages/resources.py · tests/web/test_resource_pages.py
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from arion_lib.masking import masked
from arion_lib.resources import Resources, errors_of
from arion_lib.resources.connections.cache import Cache
from arion_lib.resources.connections.database import Database
from arion_lib.resources.monitoring.events import Event, Step
from arion_lib.resources.monitoring.health import Health

KEPT_EVENTS = 10_000
KEPT_HOURS = 24 * 7


class UnknownSetError(KeyError):
    """A set that nobody registered."""


class BusyError(RuntimeError):
    """The set is being run by somebody else."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a set: whether all went well, how long it took, what each resource said of its health."""

    number: int
    ok: bool
    began: float  # seconds since the epoch
    seconds: float
    health: Mapping[str, Health] = field(default_factory=dict)
    errors: tuple[str, ...] = ()


@dataclass(slots=True)
class Hour:
    """What happened to one resource in one hour."""

    acquired: int = 0
    released: int = 0
    failed: int = 0
    seconds: float = 0.0  # to acquire, in all


class ResourceSet:
    """One registered set and its recent past."""

    def __init__(self, name: str, managed: Resources, clock: Callable[[], float]) -> None:
        self.name, self.managed = name, managed
        self.last: Run | None = None
        self._clock, self._lock = clock, threading.Lock()
        self._numbers = 0
        self._seen = 0
        self._events: deque[tuple[int, float, Event]] = deque(maxlen=KEPT_EVENTS)
        self._hours: OrderedDict[int, dict[str, Hour]] = OrderedDict()

    def run(self) -> Run:
        """Open everything, check it, close it. Raises BusyError when that is going on already."""
        if not self._lock.acquire(blocking=False):
            raise BusyError(f"{self.name!r} is being run; ask again when it has ended")
        try:
            began, start = self._clock(), time.perf_counter()
            health, errors = self._entered()
            self._numbers += 1
            well = not errors and all(answer.ok for answer in health.values())
            self.last = Run(self._numbers, well, began, time.perf_counter() - start, health, errors)
            self._keep(began, start)
            return self.last
        finally:
            self._lock.release()

    def _entered(self) -> tuple[dict[str, Health], tuple[str, ...]]:
        health: dict[str, Health] = {}

        async def in_a_task() -> None:
            async with self.managed:
                health.update(await self.managed.acheck())

        try:
            if self.managed.only_async:
                asyncio.run(in_a_task())
            else:
                with self.managed:
                    health.update(self.managed.check())
        except Exception as error:  # noqa: BLE001  whatever a set raises is the result of its run
            told = [str(failure) for failure in errors_of(error)] or [f"{type(error).__name__}: {error}"]
            return health, tuple(masked(text) for text in told)
        return health, ()

    def _keep(self, began: float, start: float) -> None:
        """Number the run's events and count them by hour."""
        entry = max((event.entry for event in self.managed.events()), default=0)
        for event in self.managed.events():
            if event.entry == entry and event.at >= start:
                at = began + event.at - start
                self._seen += 1
                self._events.append((self._seen, at, event))
                self._count(int(at // 3600), event)

    def _count(self, hour: int, event: Event) -> None:
        found = self._hours.setdefault(hour, {}).setdefault(event.resource, Hour())
        if event.step is Step.ACQUIRED:
            found.acquired += 1
            found.seconds += event.seconds
        elif event.step is Step.RELEASED:
            found.released += 1
        else:
            found.failed += 1
        while len(self._hours) > KEPT_HOURS:
            self._hours.popitem(last=False)

    def events(self, after: int, limit: int) -> list[dict[str, Any]]:
        """The life-cycle log behind number `after`, oldest first."""
        found = [(seq, at, event) for seq, at, event in list(self._events) if seq > after][:limit]
        return [
            {
                "seq": seq,
                "at": at,
                "run": event.entry,
                "event": event.step.word,
                "resource": event.resource,
                "attempt": event.attempt,
                "seconds": event.seconds,
                "error": event.error,
            }
            for seq, at, event in found
        ]

    def hours(self) -> list[dict[str, Any]]:
        """Counts for each hour and resource, oldest first."""
        return [
            {"hour": hour * 3600, "resource": resource, **asdict(found)}
            for hour, resources in list(self._hours.items())
            for resource, found in resources.items()
        ]


class ResourceRuns:
    """The sets that may be run, by name."""

    def __init__(self, sets: Mapping[str, Resources], clock: Callable[[], float] = time.time) -> None:
        self.sets = {name: ResourceSet(name, managed, clock) for name, managed in sets.items()}

    def find(self, name: str) -> ResourceSet:
        """The set of that name. Raises UnknownSetError."""
        try:
            return self.sets[name]
        except KeyError:
            raise UnknownSetError(f"set must be one of {', '.join(self.sets) or 'none'}, got {name!r}") from None


def local_sets() -> dict[str, Resources]:
    """What `python -m arion_lib serve` registers: a database and a cache that need no server."""
    return {"local": Resources(label="local", db=Database("sqlite:///:memory:"), cache=Cache())}
