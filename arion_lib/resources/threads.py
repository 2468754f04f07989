"""The synchronous half: open and close one after the other in the caller's thread, as nested `with` blocks would.

Idea        What has a deadline, or may run beside others, gets a thread of its own: see `carriers`.
Invariant   Acquire and release of one resource happen in one thread and in one context.
When wrong  The first failure stops the opening; then `unwinding` says what to release, and this drives it.
See         notebooks/2_resource_manager.ipynb · tests/resources/test_manager.py · tests/resources/test_beside.py
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from arion_lib.resources.carriers.by_thread import Carrier, Releases, open_beside
from arion_lib.resources.entry import Lease, ResourceError, SpecialLease, clock
from arion_lib.resources.fast_path.in_turn import close_in_turn
from arion_lib.resources.guarding.interrupts import in_main_thread, interrupts, uninterrupted
from arion_lib.resources.making.first_use import FirstUse, open_once, wait_for_first_uses
from arion_lib.resources.making.wrappers import warn_if_it_stays_open
from arion_lib.resources.monitoring.events import Step
from arion_lib.resources.recipe import Recipe
from arion_lib.resources.scopes import Scope, in_block
from arion_lib.resources.settle import Phase, add_note
from arion_lib.resources.unwinding import Ended, Unwinding, begun


class ThreadEntry(Scope):
    """One `with` block."""

    owner = 0  # the thread that entered it
    guarded = False  # in the main thread, where a Ctrl-C may have been deferred
    left = False  # nothing more may be opened
    opening: dict[str, FirstUse] | None = None  # what threads are opening for a first use, as `first_use` says

    @property
    def interrupted(self) -> bool:
        """Whether a Ctrl-C waits for this block to come to an end."""
        return self.guarded and interrupts.deferred

    # Opening --------------------------------------------------------------------------------------------------------

    def open_all(self) -> None:
        """Open everything that is not lazy, or raise; what was opened stays in the table for the unwinding."""
        self.owner = threading.get_ident()
        if in_main_thread(self.owner):
            self.guarded = True
            interrupts.hold(self)
        if self.outer is not None:
            self._open_outside(self.plan.eager)
        if self.plan.parallel:
            open_beside(self, dict(self.plan.eager))
        else:
            self._open_in_turn()
        self.failures = None
        if self.guarded:
            interrupts.deliver()

    def _open_outside(self, steps: Sequence[tuple[str, Recipe[Any]]]) -> None:
        """Open what is lazy in the blocks around, and needed here."""
        for owner, name in self.outside(steps):
            in_block(owner, ThreadEntry, "acquire", f"await aacquire({name!r})").open_now(name)

    def _open_in_turn(self) -> None:
        at = clock()
        for name, recipe in self.plan.eager:
            if self.guarded and interrupts.deferred:
                break
            if recipe.plain:
                at = self._open_plainly(name, recipe, at)
            else:
                self.acquire(name, recipe)
                at = clock()

    def _open_plainly(self, name: str, recipe: Recipe[Any], began: float) -> float:
        """The short way of `acquire`, for what has no retry, deadline or parameters; returns the time of its end."""
        try:
            if self.logged:
                self.journal.log(Step.ACQUIRING, name)
            cm = recipe.make()
            value = cm.__enter__()
            at = clock()
        except BaseException as error:
            if self.not_opened(name, recipe, began, error):
                return clock()
            raise
        self.opened(Lease(name, cm, value, at), began, 1)
        return at

    def acquire(self, name: str, recipe: Recipe[Any]) -> None:
        """Open one resource in the caller's thread, or in its own when it has a deadline."""
        if recipe.carried or threading.get_ident() != self.owner:
            open_beside(self, {name: recipe})
            return
        began = clock()
        try:
            self.open(name, recipe)
        except BaseException as error:
            if not self.not_opened(name, recipe, began, error):
                raise

    def open(self, name: str, recipe: Recipe[Any], carrier: Carrier | None = None) -> Lease | None:
        """Open one resource, trying again as its recipe says; None when its carrier was left behind meanwhile."""
        if recipe.retry is None:
            return self._attempt(name, recipe, carrier, 1)
        attempt, waits = 1, recipe.retry.waits()
        while True:
            try:
                return self._attempt(name, recipe, carrier, attempt)
            except recipe.retry.on as error:
                wait = next(waits, None)
                if wait is None or self._stopped(wait, carrier):
                    add_note(error, f"attempt {attempt} of {recipe.retry.attempts} was the last")
                    raise
                self.retrying(name, attempt, error, wait)
            attempt += 1

    def _stopped(self, wait: float, carrier: Carrier | None) -> bool:
        """Wait before the next attempt, unless there will be none."""
        if carrier is not None:
            return carrier.stop.wait(wait)
        if self.guarded and threading.get_ident() == self.owner:
            return interrupts.arrived.wait(wait)
        return threading.Event().wait(wait)

    def _attempt(self, name: str, recipe: Recipe[Any], carrier: Carrier | None, attempt: int) -> Lease | None:
        began = clock()
        if self.logged:
            self.journal.log(Step.ACQUIRING, name, attempt=attempt)
        cm = recipe.make(**self.given(recipe)) if recipe.takes else recipe.make()
        warn_if_it_stays_open(cm)
        lease = SpecialLease(name, cm, _enter(name, cm), clock(), False, recipe.release_timeout, carrier)
        if carrier is not None and not carrier.keep():
            lease.close(None)
            return None
        return self.opened(lease, began, attempt)

    # Opening later --------------------------------------------------------------------------------------------------

    @uninterrupted
    def open_now(self, name: str, target: Any = None) -> Any:
        """Open a lazy resource, here or in the block around that defines it, or a new one that `target` describes."""
        self.refuse_over()
        if target is None and (owner := self.owner_of(name)) is not self:
            return in_block(owner, ThreadEntry, "acquire", f"await aacquire({name!r})").open_now(name)
        steps = self.steps(name, target)
        self._open_outside(steps)
        here = threading.get_ident() == self.owner
        for step, recipe in steps:
            if recipe.thread_bound and not here:
                raise ResourceError(f"{step!r} is thread_bound: open it in the thread that entered {self.label}")
            if not open_once(self, step, partial(self.acquire, step, recipe)):
                raise ResourceError(f"{self.label} was left meanwhile: open {name!r} in a new block")
        if self.guarded and here:
            interrupts.deliver()
        return self.open_value(name)

    first_use = open_now

    # Closing --------------------------------------------------------------------------------------------------------

    def leave(self, phase: Phase, error: BaseException | None) -> BaseException | None:
        """Release everything, the blocks inside first, and return what is to be raised."""
        unwinding = begun(self, phase, error)
        with self.lock:
            self.left = True
        if self.opening:
            wait_for_first_uses(self)
        self.over = True
        for inner in reversed(self.inner.copy()) if self.inner else ():
            if isinstance(inner, ThreadEntry):
                unwinding.ended_early(inner, self, inner.leave(Phase.BODY, unwinding.told()))
            else:
                text = f"{inner.label} must be left before {self.label}, which cannot await its releases: it stays open"
                unwinding.failed(Phase.RELEASE, inner.label, ResourceError(text))
        self._drive(unwinding, self.release_order())
        if self.outer is not None:
            self.outer.inner.pop(self, None)
        if self.guarded:
            interrupts.free(self)
            try:
                if threading.get_ident() == self.owner:  # in another thread it would strike what is not the program's
                    interrupts.deliver()
            except BaseException as late:  # noqa: BLE001  the Ctrl-C that waited: it outranks every other error
                unwinding.failed(Phase.BODY, None, late)
        return unwinding.outcome()

    @uninterrupted
    def release(self, name: str) -> None:
        """Release one resource before the others; its error is raised."""
        if self.may_release(name):
            unwinding = Unwinding()
            self._drive(unwinding, {name: ()})
            if (outcome := unwinding.outcome()) is not None:
                raise outcome
        if self.guarded and threading.get_ident() == self.owner:
            interrupts.deliver()

    def _drive(self, unwinding: Unwinding, order: Mapping[str, Sequence[str]] | None) -> None:
        """Release what the unwinding yields; no error stops it."""
        if order is None and not unwinding.failures:
            close_in_turn(self, unwinding)
            if not self.leases:
                return
        steps = unwinding.releases(self, order)
        beside: Releases | None = None
        ended: Ended | None = None
        while True:
            try:
                step = steps.send(ended)
            except StopIteration:
                return
            if step is None:
                ended = beside.next_ended() if beside is not None else None
                continue
            lease, told = step
            if lease.carrier is not None:
                beside, ended = beside or Releases(), None
                beside.begin(lease, told)
                continue
            began = clock()
            try:
                ended = lease, began, lease.close(told), None
            except BaseException as late:  # noqa: BLE001  every other resource is still released; the unwinding keeps this
                ended = lease, began, None, late


def _enter(name: str, cm: Any) -> Any:
    try:
        enter = type(cm).__enter__
    except AttributeError:
        hint = (
            ": enter the manager with `async with`" if hasattr(type(cm), "__aenter__") else ": return a context manager"
        )
        raise TypeError(
            f"{name} must open as a synchronous context manager, got {type(cm).__qualname__}{hint}"
        ) from None
    return enter(cm)
