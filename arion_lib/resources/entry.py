"""What the synchronous and the asynchronous manager share: one entry's open resources, and their accounts.

Idea        An entry is a table of leases; a lease is one resource that is open, with the way to close it.
Invariant   A lease is in the table from the moment its resource is open until its release begins, and only then.
When wrong  A lookup that finds nothing says why: never defined, not opened yet, absent, or closed.
See         notebooks/2_resource_manager.ipynb · tests/resources/test_manager.py
"""

from __future__ import annotations

import logging
import time
from typing import Any

from arion_lib.masking import masked
from arion_lib.nearest import near_or_known
from arion_lib.resources.monitoring.events import Journal, Step, log
from arion_lib.resources.monitoring.metrics import PENDING, Meter
from arion_lib.resources.plan import Plan
from arion_lib.resources.recipe import Recipe
from arion_lib.resources.settle import Failure, Phase, Unwinding, add_note, error_text

clock = time.perf_counter
ACQUIRED, RELEASED = Step.ACQUIRED, Step.RELEASED  # looked up once: an enum's members are slow to reach on the hot path


class ResourceError(RuntimeError):
    """The manager is used in a way that cannot work; the message says what to call instead."""


class AbsentError(ResourceError):
    """An optional resource was asked for that could not be opened; its error is the cause."""


class Lease:
    """One open resource."""

    __slots__ = ("asynchronous", "carrier", "cm", "limit", "name", "opened", "value")

    def __init__(
        self,
        name: str,
        cm: Any,
        value: Any,
        opened: float,
        asynchronous: bool = False,
        limit: float | None = None,
        carrier: Any = None,
    ) -> None:
        self.name, self.cm, self.value, self.opened, self.asynchronous = name, cm, value, opened, asynchronous
        self.limit = limit  # seconds for its release
        self.carrier = carrier  # the thread or task it lives in, where that is not the caller's


_NONE: dict[Any, Any] = {}  # never written to: what most entries never have is not made for each


class Entry:
    """One `with` block of a manager: its plan, its leases, its accounts."""

    __slots__ = (
        "absent",
        "extra",
        "failures",
        "inner",
        "journal",
        "leases",
        "logged",
        "meters",
        "number",
        "outer",
        "plan",
    )

    def __init__(
        self, plan: Plan, meters: dict[str, Meter], journal: Journal, number: int, outer: Entry | None = None
    ) -> None:
        self.plan, self.meters, self.journal, self.number, self.outer = plan, meters, journal, number, outer
        self.leases: dict[str, Lease] = {}
        self.absent: dict[str, BaseException] = {}
        self.extra: dict[str, Recipe[Any]] = _NONE
        self.failures: list[Failure] | None = []  # of the opening; None once that has succeeded
        self.inner: dict[Entry, Any] = _NONE  # the entries of managers open inside this one, with their managers
        self.logged = log.isEnabledFor(logging.INFO)

    def hold_inside(self, entry: Entry, manager: Any) -> None:
        """Remember a manager that was entered inside this one."""
        if self.inner is _NONE:
            self.inner = {}
        self.inner[entry] = manager

    def recipe(self, name: str) -> Recipe[Any] | None:
        return self.extra.get(name) or self.plan.recipes.get(name)

    def add(self, name: str, recipe: Recipe[Any]) -> None:
        """Define one more resource, for this entry alone."""
        self.extra = {**self.extra, name: recipe}

    def given(self, recipe: Recipe[Any]) -> dict[str, Any]:
        """The open resources that a recipe's function takes; an absent optional one is None."""
        return {name: self._needed(name) for name in recipe.takes}

    def _needed(self, name: str) -> Any:
        found = self.value(name, _NOTHING)
        if found is not _NOTHING:
            return found
        owner = self.owner_of(name)
        if name in owner.absent:
            return None
        raise owner.why_missing(name)

    def owner_of(self, name: str) -> Entry:
        """The entry that defines a name: this one, or the nearest enclosing one that does."""
        entry = self
        while entry.recipe(name) is None and entry.outer is not None:
            entry = entry.outer
        return entry

    def value(self, name: str, default: Any) -> Any:
        """The open resource of that name, here or in an enclosing entry."""
        lease = self.owner_of(name).leases.get(name)
        return default if lease is None else lease.value

    def opened(self, lease: Lease, began: float, attempt: int) -> Lease:
        """Enter a lease into the table and the accounts."""
        name, at = lease.name, lease.opened
        self.leases[name] = lease
        meter = self.meters[name]
        meter.acquired.append(at - began)
        if len(meter.acquired) > PENDING:
            meter.tidy()
        self.journal.note((at, self.number, ACQUIRED, name, attempt, at - began, ""))
        if self.logged:
            self.journal.log(ACQUIRED, name, at - began, attempt)
        return lease

    def note(self, step: Step, name: str, seconds: float = 0.0, attempt: int = 1, error: str = "") -> None:
        """Enter a step that is off the hot path into the journal and the log."""
        self.journal.note((clock(), self.number, step, name, attempt, seconds, error))
        self.journal.log(step, name, seconds, attempt, error)

    def retrying(self, name: str, attempt: int, error: BaseException, seconds: float) -> None:
        """Account for a failed attempt that will be followed by another, `seconds` later."""
        self.meters[name].failed("attempt")
        self.note(Step.RETRYING, name, seconds, attempt, _told(error))

    def not_opened(self, name: str, recipe: Recipe[Any], error: BaseException) -> bool:
        """Account for a failed acquisition; returns whether the entry can do without it."""
        self.meters[name].failed("acquire")
        spared = recipe.optional and isinstance(error, Exception)
        self.note(Step.ABSENT if spared else Step.FAILED, name, error=_told(error))
        if spared:
            self.absent[name] = error
        return spared

    def closed(self, lease: Lease, began: float) -> float:
        """Account for a release that went well; returns the time of its end."""
        name, at = lease.name, clock()
        meter = self.meters[name]
        meter.released.append((began - lease.opened, at - began))
        if len(meter.released) > PENDING:
            meter.tidy()
        self.journal.note((at, self.number, RELEASED, name, 1, at - began, ""))
        if self.logged:
            self.journal.log(RELEASED, name, at - began)
        return at

    def not_closed(self, lease: Lease, began: float, unwinding: Unwinding, error: BaseException) -> float:
        """Account for a release that failed; returns the time of its end."""
        name, at = lease.name, clock()
        meter = self.meters[name]
        meter.released.append((began - lease.opened, at - began))
        meter.tidy()
        meter.failed("release")
        self.journal.note((at, self.number, Step.FAILED, name, 1, at - began, _told(error)))
        self.journal.log(Step.FAILED, name, at - began, error=_told(error))
        unwinding.failed(Phase.RELEASE, name, error)
        return at

    def account(self, lease: Lease, began: float, unwinding: Unwinding, error: BaseException | None) -> None:
        """Account for a release that has ended in a carrier, in an error or not."""
        if error is None:
            self.closed(lease, began)
        else:
            self.not_closed(lease, began, unwinding, error)

    def users(self) -> dict[str, list[str]]:
        """Each open resource with the open ones that need it."""
        users: dict[str, list[str]] = {name: [] for name in self.leases}
        for name in self.leases:
            for need in self._needs(name):
                if need in users:
                    users[need].append(name)
        return users

    def release_order(self) -> dict[str, list[str]]:
        """Each open resource with those to be released before it: its users, and what was added after the opening.

        What was added later may use anything that was open before it, so that it goes last in, first out.
        """
        order = self.users()
        eager = {name for name, _ in self.plan.eager}
        below = [name for name in order if name in eager]
        for name in [name for name in order if name not in eager]:
            for under in below:
                order[under].append(name)
            below = [name]
        return order

    def _needs(self, name: str) -> tuple[str, ...]:
        recipe = self.recipe(name)
        return recipe.needs if recipe else ()

    def refuse_used(self, name: str) -> None:
        """Raise ResourceError when another open resource, here or in an open scope, still needs this one."""
        users = [*self.users().get(name, ()), *self._users_inside(name)]
        if users:
            raise ResourceError(f"{name!r} is still used by {', '.join(users)}: release that first")

    def _users_inside(self, name: str) -> list[str]:
        """Who needs this one in the scopes that are open inside this entry."""
        users: list[str] = []
        for entry, manager in list(self.inner.items()):
            if entry.recipe(name) is None:
                users += [f"{user} of {manager!r}" for user in entry.leases if name in entry._needs(user)]
                users += entry._users_inside(name)
        return users

    def missing(self, name: str) -> bool:
        """Whether a resource of this entry is neither open nor known to be absent."""
        return name not in self.leases and name not in self.absent

    def lazily(self, name: str) -> list[tuple[str, Recipe[Any]]]:
        """What to open before this one can be used, and it: in order, each once."""
        steps: list[tuple[str, Recipe[Any]]] = []
        seen: set[str] = set()
        todo = [(name, False)]  # no recursion: a chain may be long
        while todo:
            at, needs_open = todo.pop()
            recipe = self.recipe(at)
            if recipe is None or not self.missing(at):
                continue
            if needs_open:
                steps.append((at, recipe))
            elif at not in seen:
                seen.add(at)
                todo += [(at, True), *((need, False) for need in reversed(recipe.needs))]
        return steps

    def how_to_open(self, name: str) -> str:
        """The call that opens a lazy resource, as this kind of entry spells it."""
        return f"call acquire({name!r})"

    def why_missing(self, name: str) -> Exception:
        """The error that says why a name gives no open resource."""
        if name in self.absent:
            return _caused(
                AbsentError(f"{name!r} is optional and absent: ask `{name!r} in manager` first"), self.absent[name]
            )
        if self.recipe(name) is not None:
            return ResourceError(f"{name!r} is not open: {self.how_to_open(name)} first")
        known = dict.fromkeys((*self.plan.recipes, *self.extra))
        return ResourceError(f"there is no resource {name!r} here{near_or_known(name, known)}")


_NOTHING = object()


def _told(error: BaseException) -> str:
    return masked(error_text(error))


def _caused(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


def acquisition_note(name: str, entry: Entry, error: BaseException) -> None:
    """Say on the error which acquisition it was, and what is released because of it."""
    if entry.failures is not None:
        entry.failures.append(Failure(Phase.ACQUIRE, name, error))
    eager = [step for step, _ in entry.plan.eager]
    place = f" ({eager.index(name) + 1} of {len(eager)})" if name in eager else ""
    undone = f"; released again: {', '.join(reversed(entry.leases))}" if entry.leases else ""
    add_note(error, f"while acquiring {name!r}{place}{undone}")
