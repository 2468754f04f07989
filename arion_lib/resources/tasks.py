"""The asynchronous half: open and close one after the other in the caller's task, as nested `async with` blocks would.

Idea        The same two ways as in `threads`, with tasks; a synchronous resource is opened in between, without waiting.
Invariant   Acquire and release of one resource happen in one task and in one context; releases are shielded.
When wrong  The first failure stops the opening; then `unwinding` says what to release, and this drives it.
See         notebooks/2_resource_manager.ipynb · tests/resources/test_manager.py · tests/resources/test_beside.py
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from arion_lib.resources.carriers.by_task import Carrier, aclose, limit_of, open_beside
from arion_lib.resources.entry import AcquireTimeout, AsyncLease, Lease, ResourceError, SpecialLease, clock
from arion_lib.resources.fast_path.in_turn import Waiting, aclose_in_turn
from arion_lib.resources.guarding.shield import Shield, anyio_scope, go_on
from arion_lib.resources.making.first_use import aopen_once, call_off
from arion_lib.resources.making.wrappers import warn_if_it_stays_open
from arion_lib.resources.monitoring.events import Step
from arion_lib.resources.plan import unlimited
from arion_lib.resources.recipe import Recipe
from arion_lib.resources.scopes import Scope, in_block
from arion_lib.resources.settle import Phase, add_note
from arion_lib.resources.threads import ThreadEntry
from arion_lib.resources.unwinding import Ended, Unwinding, begun


class TaskEntry(Scope):
    """One `async with` block."""

    waits = True
    owner: asyncio.Task[Any] | None = None
    loop: asyncio.AbstractEventLoop | None = None
    opening: dict[str, asyncio.Task[None]] | None = None  # what is being opened for a first use
    scoped = False  # whether a resource holds an anyio scope open in this task

    def how_to_open(self, name: str) -> str:
        return f"`await r.aacquire({name!r})`, as an attribute cannot wait,"

    # Opening --------------------------------------------------------------------------------------------------------

    async def open_all(self) -> None:
        """Open everything that is not lazy, or raise; what was opened stays in the table for the unwinding."""
        self.owner, self.loop = asyncio.current_task(), asyncio.get_running_loop()
        if self.outer is not None:
            await self._open_outside(self.plan.eager)
        if self.plan.parallel:
            await open_beside(self, dict(self.plan.eager))
        else:
            before = anyio_scope(self.owner)
            try:
                await self._open_in_turn()
            finally:
                self.scoped = anyio_scope(self.owner) is not before
        self.failures = None

    async def _open_outside(self, steps: Sequence[tuple[str, Recipe[Any]]]) -> None:
        """Open what is lazy in the blocks around, and needed here."""
        for owner, name in self.outside(steps):
            await _open_in(owner, name)

    async def _open_in_turn(self) -> None:
        at = clock()
        for name, recipe in self.plan.eager:
            if recipe.plain and not self.logged:  # the short way of `acquire`: no call more than opening takes
                try:
                    cm = recipe.make()
                    value = await cm.__aenter__() if recipe.asynchronous else cm.__enter__()
                except BaseException as error:
                    if not self.not_opened(name, recipe, at, error):
                        raise
                else:
                    lease = AsyncLease if recipe.asynchronous else Lease
                    at = self.opened(lease(name, cm, value, clock()), at, 1).opened
            else:
                await self.acquire(name, recipe)
                at = clock()

    async def acquire(self, name: str, recipe: Recipe[Any]) -> None:
        """Open one resource in the caller's task."""
        began = clock()
        try:
            await self.open(name, recipe)
        except BaseException as error:
            if not self.not_opened(name, recipe, began, error):
                raise

    async def open(self, name: str, recipe: Recipe[Any], carrier: Carrier | None = None) -> Lease:
        """Open one resource, trying again as its recipe says."""
        if recipe.timeout is None:
            return await self._tries(name, recipe, carrier)
        try:
            async with asyncio.timeout(recipe.timeout) as limit:
                return await self._tries(name, recipe, carrier)
        except TimeoutError as error:
            if limit.expired():
                seconds = recipe.timeout
                raise AcquireTimeout(f"acquiring {name!r} took longer than timeout={seconds:g} s") from error
            raise

    async def _tries(self, name: str, recipe: Recipe[Any], carrier: Carrier | None) -> Lease:
        if recipe.retry is None:
            return await self._attempt(name, recipe, carrier, 1)
        attempt, waits = 1, recipe.retry.waits()
        while True:
            try:
                return await self._attempt(name, recipe, carrier, attempt)
            except recipe.retry.on as error:
                wait = next(waits, None)
                if wait is None:
                    add_note(error, f"attempt {attempt} of {recipe.retry.attempts} was the last")
                    raise
                self.retrying(name, attempt, error, wait)
            await asyncio.sleep(wait)
            attempt += 1

    async def _attempt(self, name: str, recipe: Recipe[Any], carrier: Carrier | None, attempt: int) -> Lease:
        began = clock()
        if self.logged:
            self.journal.log(Step.ACQUIRING, name, attempt=attempt)
        cm = recipe.make(**self.given(recipe)) if recipe.takes else recipe.make()
        warn_if_it_stays_open(cm)
        asynchronous = hasattr(type(cm), "__aenter__")
        if not asynchronous and recipe.limited:
            raise TypeError(unlimited(name))
        value = await cm.__aenter__() if asynchronous else _enter(name, cm)
        lease = SpecialLease(name, cm, value, clock(), asynchronous, recipe.release_timeout, carrier)
        return self.opened(lease, began, attempt)

    # Opening later --------------------------------------------------------------------------------------------------

    async def open_now(self, name: str, target: Any = None) -> Any:
        """Open a lazy resource, here or in the block around that defines it, or a new one that `target` describes."""
        self.refuse_over()
        if target is None and (owner := self.owner_of(name)) is not self:
            return await _open_in(owner, name)
        steps = self.steps(name, target)
        await self._open_outside(steps)
        for step, recipe in steps:
            if self.missing(step):  # another task may have opened it meanwhile
                if self.opening is None:
                    self.opening = {}
                await aopen_once(self.opening, step, partial(open_beside, self, {step: recipe}))
        return self.open_value(name)

    # Closing --------------------------------------------------------------------------------------------------------

    async def leave(self, phase: Phase, error: BaseException | None) -> BaseException | None:
        """Release everything, the blocks inside first, and return what is to be raised."""
        unwinding = begun(self, phase, error)
        self.over = True
        for inner in reversed(self.inner.copy()) if self.inner else ():
            ended = inner.leave(Phase.BODY, unwinding.told())
            unwinding.ended_early(inner, self, ended if isinstance(inner, ThreadEntry) else await ended)
        if self.loop is not asyncio.get_running_loop():
            self._give_up_tasks(unwinding)
        with Shield(self.scoped) as shield:
            if shield.late:
                await shield.absorb()
            if self.opening:
                shield.up()
                for name, lost in await call_off(self.opening):
                    unwinding.failed(Phase.ACQUIRE, name, lost)
            await self._drive(unwinding, self.release_order(), shield)
            if shield.holds:
                await self._deliver(shield, unwinding)
        if self.outer is not None:
            self.outer.inner.pop(self, None)
        return unwinding.outcome()

    def _give_up_tasks(self, unwinding: Unwinding) -> None:
        """What lives in a task of another event loop cannot be released from here: report it, and go on."""
        for name in [name for name, lease in self.leases.items() if lease.carrier is not None]:
            text = f"{name!r} lives in a task of another event loop: leave the block in the loop that entered it"
            unwinding.account(self, (self.leases.pop(name), clock(), None, ResourceError(text)))

    async def _deliver(self, shield: Shield, unwinding: Unwinding) -> None:
        """Count a cancellation that waited for the releases among the errors."""
        if (held := await shield.deliver()) is not None:
            unwinding.failed(Phase.BODY, None, held)

    async def release(self, name: str) -> None:
        """Release one resource before the others; its error is raised."""
        if self.may_release(name):
            unwinding = Unwinding()
            with Shield(self.scoped) as shield:
                await self._drive(unwinding, {name: ()}, shield)
                await self._deliver(shield, unwinding)
            if (outcome := unwinding.outcome()) is not None:
                raise outcome

    async def _drive(self, unwinding: Unwinding, order: Mapping[str, Sequence[str]] | None, shield: Shield) -> None:
        """Release what the unwinding yields; neither an error nor a cancellation stops it."""
        if order is None and not unwinding.failures:
            if (waits := aclose_in_turn(self, unwinding)) is not None:
                await self._finish(unwinding, waits, shield)
            if not self.leases:
                return
        steps = unwinding.releases(self, order)
        done: asyncio.Queue[Ended] | None = None
        ended: Ended | None = None
        while True:
            try:
                step = steps.send(ended)
            except StopIteration:
                return
            if step is None:
                ended = await done.get() if done is not None else None
                continue
            lease, told = step
            if lease.carrier is not None:
                shield.up()
                done, ended = done or asyncio.Queue(), None
                lease.carrier.close(told, done)
                continue
            began = clock()
            try:
                ended = lease, began, await aclose(lease, told, shield), None
            except BaseException as late:  # noqa: BLE001  every other resource is still released; the unwinding keeps this
                ended = lease, began, None, late

    async def _finish(self, unwinding: Unwinding, waits: Waiting, shield: Shield) -> None:
        """Await a release that the fast path began, and account for it."""
        lease, began, release, waiting = waits
        error: BaseException | None = None
        try:
            await go_on(lease.name, release, waiting, limit_of(lease), shield)
        except BaseException as late:  # noqa: BLE001  as above
            error = late
        unwinding.account(self, (lease, began, None, error))


async def _open_in(owner: Scope, name: str) -> Any:
    """Open a lazy resource of a block around this one, which may be of either kind."""
    if isinstance(owner, TaskEntry):
        return await owner.open_now(name)
    return in_block(owner, ThreadEntry, "aacquire", f"call acquire({name!r})").open_now(name)


def _enter(name: str, cm: Any) -> Any:
    if not hasattr(type(cm), "__enter__"):
        raise TypeError(
            f"{name} must open as a context manager, got {type(cm).__qualname__}: return one from its function"
        )
    return cm.__enter__()
