"""One `with` block: what is open in it, what must be closed before what, and its accounts.

Idea        An entry is a table of leases; a lease is one resource that is open, with the way to close it.
Invariant   A lease is in the table from the moment its resource is open until its release begins, and only then.
When wrong  A failed acquisition or release is counted, logged without secrets, and says on the error where it was.
See         notebooks/2_resource_manager.ipynb · tests/resources/test_manager.py
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from arion_lib.masking import masked
from arion_lib.resources.monitoring.events import Journal, Step, log
from arion_lib.resources.monitoring.metrics import PENDING, Meter
from arion_lib.resources.plan import Plan
from arion_lib.resources.recipe import RELEASE_TIMEOUT, Recipe
from arion_lib.resources.settle import Failure, Phase, add_note, error_text

clock = time.perf_counter
ACQUIRED, RELEASED = Step.ACQUIRED, Step.RELEASED  # looked up once: an enum's members are slow to reach on the hot path


class ResourceError(RuntimeError):
    """The manager is used in a way that cannot work; the message says what to call instead."""


class AbsentError(ResourceError):
    """An optional resource was asked for that could not be opened; its error is the cause."""


class AcquireTimeout(TimeoutError):
    """An acquisition took longer than its `timeout`; should it still succeed, it is released at once."""


class Lease:
    """One open resource, closed in the caller's thread or task and without a limit of its own."""

    __slots__ = ("cm", "name", "opened", "value")

    asynchronous: bool = False
    limit: float | None = None  # seconds for its release; None: RELEASE_TIMEOUT, where it can be left behind
    carrier: Any = None  # the thread or task it lives in, where that is not the caller's

    def __init__(self, name: str, cm: Any, value: Any, opened: float) -> None:
        self.name, self.cm, self.value, self.opened = name, cm, value, opened

    @property
    def seconds(self) -> float:
        """The seconds that its release may take; infinity for no limit."""
        return self.limit or RELEASE_TIMEOUT

    def close(self, told: BaseException | None) -> BaseException | None:
        """Leave a synchronous resource's context; returns the error that it was told where it has dealt with that."""
        if told is None:
            self.cm.__exit__(None, None, None)
            return None
        return told if self.cm.__exit__(type(told), told, told.__traceback__) else None


class AsyncLease(Lease):
    """One that is closed by `__aexit__`."""

    __slots__ = ()
    asynchronous = True


class SpecialLease(Lease):
    """One with a limit or a carrier of its own; apart, because the others should not pay for making it."""

    __slots__ = ("asynchronous", "carrier", "limit")

    def __init__(
        self, name: str, cm: Any, value: Any, opened: float, asynchronous: bool, limit: float | None, carrier: Any
    ) -> None:
        super().__init__(name, cm, value, opened)
        self.asynchronous, self.limit, self.carrier = asynchronous, limit, carrier


_NONE: dict[Any, Any] = {}  # never written to: what most entries never have is not made for each


class Entry:
    """One block of a manager: its plan, its leases, its accounts."""

    # What most blocks never set stands on the class: nothing is made for each of them.
    outer: Entry | None = None
    absent: dict[str, BaseException] = _NONE
    extra: dict[str, Recipe[Any]] = _NONE  # defined for this block alone
    failures: tuple[Failure, ...] | None = ()  # of the opening; None once that has succeeded
    inner: dict[Any, None] = _NONE  # the blocks open inside this one
    over = False  # being left, or left

    def __init__(
        self, plan: Plan, meters: dict[str, Meter], journal: Journal, number: int, outer: Entry | None = None
    ) -> None:
        self.plan, self.meters, self.journal, self.number = plan, meters, journal, number
        self.leases: dict[str, Lease] = {}
        self.lock = threading.Lock()  # many threads may add resources at once
        self.logged = log.isEnabledFor(logging.INFO)
        if outer is not None:
            self.outer = outer
            with outer.lock:  # many threads may enter scopes at once
                if outer.inner is _NONE:
                    outer.inner = {}
                outer.inner[self] = None

    @property
    def label(self) -> str:
        """What the log calls the manager."""
        return self.journal.scope

    def recipe(self, name: str) -> Recipe[Any] | None:
        return self.extra.get(name) or self.plan.recipes.get(name)

    # Order ----------------------------------------------------------------------------------------------------------

    def users(self) -> dict[str, list[str]]:
        """Each open resource with the open ones that need it."""
        users: dict[str, list[str]] = {name: [] for name in list(self.leases)}  # other threads may open more meanwhile
        for name in users:
            for need in self._needs(name):
                if need in users:
                    users[need].append(name)
        return users

    def _needs(self, name: str) -> tuple[str, ...]:
        recipe = self.recipe(name)
        return recipe.needs if recipe else ()

    def release_order(self) -> dict[str, list[str]] | None:
        """Each open resource with those to be released before it; None for the last opened first.

        In a parallel block these are its users, and what was added after the opening: that may use anything that was
        open before it, so it goes last in, first out.
        """
        if not self.plan.parallel:
            return None
        order = self.users()
        eager = {name for name, _ in self.plan.eager}
        below = [name for name in order if name in eager]
        for name in [name for name in order if name not in eager]:
            for under in below:
                order[under].append(name)
            below = [name]
        return order

    # Accounts -------------------------------------------------------------------------------------------------------

    def opened(self, lease: Lease, began: float, attempt: int) -> Lease:
        """Enter a lease into the table and the accounts."""
        name, at = lease.name, lease.opened
        self.leases[name] = lease
        seconds, acquired = at - began, self.meters[name].acquired
        acquired.append(seconds)
        if len(acquired) > PENDING:
            self.meters[name].tidy()
        self.journal.note((at, self.number, ACQUIRED, name, attempt, seconds, ""))
        if self.logged:
            self.journal.log(ACQUIRED, name, seconds, attempt)
        return lease

    def note(self, step: Step, name: str, seconds: float = 0.0, attempt: int = 1, error: str = "") -> None:
        """Enter a step that is off the hot path into the journal and the log."""
        self.journal.note((clock(), self.number, step, name, attempt, seconds, error))
        self.journal.log(step, name, seconds, attempt, error)

    def retrying(self, name: str, attempt: int, error: BaseException, seconds: float) -> None:
        """Account for a failed attempt that will be followed by another, `seconds` later."""
        self.meters[name].failed("attempt")
        self.note(Step.RETRYING, name, seconds, attempt, _told(error))

    def not_opened(self, name: str, recipe: Recipe[Any], began: float, error: BaseException) -> bool:
        """Account for a failed acquisition; returns whether the block can do without it. Else the error says where."""
        self.meters[name].failed("acquire")
        spared = recipe.optional and isinstance(error, Exception)
        self.note(Step.ABSENT if spared else Step.FAILED, name, clock() - began, error=_told(error))
        if spared:
            with self.lock:  # other threads may open other resources for the first time
                self.absent = {**self.absent, name: error}
        else:
            self._say_where(name, error)
        return spared

    def _say_where(self, name: str, error: BaseException) -> None:
        """Say on the error which acquisition it was, and what is released because of it."""
        if self.failures is not None:
            self.failures = (*self.failures, Failure(Phase.ACQUIRE, name, error))
        eager = [step for step, _ in self.plan.eager]
        place = f" ({eager.index(name) + 1} of {len(eager)})" if name in eager else ""
        beside = ["whatever was being opened beside it"] if self.plan.parallel and name in eager else []
        undone = (
            "; released again: " + ", ".join([*reversed(list(self.leases)), *beside]) if self.leases or beside else ""
        )
        add_note(error, f"while acquiring {name!r}{place}{undone}")

    def closed(self, lease: Lease, began: float) -> float:
        """Account for a release that went well; returns when it ended."""
        at, name = clock(), lease.name
        seconds, released = at - began, self.meters[name].released
        released.append((began - lease.opened, seconds))
        if len(released) > PENDING:
            self.meters[name].tidy()
        self.journal.note((at, self.number, RELEASED, name, 1, seconds, ""))
        if self.logged:
            self.journal.log(RELEASED, name, seconds)
        return at

    def not_closed(self, lease: Lease, began: float, error: BaseException) -> None:
        """Account for a release that failed."""
        name, at = lease.name, clock()
        meter = self.meters[name]
        meter.released.append((began - lease.opened, at - began))
        meter.tidy()
        meter.failed("release")
        self.journal.note((at, self.number, Step.FAILED, name, 1, at - began, _told(error)))
        self.journal.log(Step.FAILED, name, at - began, error=_told(error))


def _told(error: BaseException) -> str:
    return masked(error_text(error))
