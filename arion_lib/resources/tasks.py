"""The asynchronous half: open and close in the caller's task, or each resource in a task of its own.

Idea        The same two ways as in `threads`, with tasks; a synchronous resource is opened in between, without waiting.
Invariant   Acquire and release of one resource happen in one task and in one context; releases are shielded.
When wrong  The first failure cancels what is being opened; when all of it has ended, everything open is released.
See         notebooks/2_resource_manager.ipynb · tests/resources/test_beside.py
"""

from __future__ import annotations

import asyncio
import math
from graphlib import TopologicalSorter
from types import CoroutineType
from typing import Any

from arion_lib.resources.entry import Entry, Lease, ResourceError, acquisition_note, clock
from arion_lib.resources.guarding.shield import Shield, anyio_scope, go_on
from arion_lib.resources.making.wrappers import warn_if_it_stays_open
from arion_lib.resources.monitoring.events import Step
from arion_lib.resources.plan import unlimited
from arion_lib.resources.recipe import RELEASE_TIMEOUT, Recipe
from arion_lib.resources.settle import Phase, Unwinding, add_note
from arion_lib.resources.threads import AcquireTimeout, close


class TaskCarrier:
    """One task in which one resource is opened, held and closed."""

    def __init__(self, entry: TaskEntry, name: str, recipe: Recipe[Any], report: asyncio.Queue[Any]) -> None:
        loop = asyncio.get_running_loop()
        self.name, self.recipe = name, recipe
        self._entry, self._report = entry, report
        self._order: tuple[BaseException | None, asyncio.Queue[Any]] | None = None
        self._ordered_now: asyncio.Future[None] | None = None  # a future is a tenth of a queue, and one order comes
        self.told = False
        self.task = loop.create_task(self._live(), name=f"resource {name}")
        self.task.add_done_callback(self._ended)

    def _tell(self, error: BaseException | None) -> None:
        self.told = True
        self._report.put_nowait((self, error))

    def _ended(self, _: asyncio.Task[None]) -> None:
        """A task that is cancelled before its first step never runs any of its code: this still tells the caller."""
        if not self.told:
            self._tell(asyncio.CancelledError())

    async def _live(self) -> None:
        try:
            lease = await self._entry.open(self.name, self.recipe, self)
        except BaseException as error:  # noqa: BLE001  a task's boundary: any error becomes the caller's
            self._tell(error)
            return
        self._tell(None)
        told, done = await self._ordered()
        with Shield(scoped=True) as shield:  # no anyio scope outside reaches this task
            shield.up()
            began = clock()
            try:
                suppressed = told if await aclose(lease, told, shield) else None
            except BaseException as error:  # noqa: BLE001  likewise
                done.put_nowait((lease, began, None, error))
            else:
                done.put_nowait((lease, began, suppressed, None))

    async def _ordered(self) -> tuple[BaseException | None, asyncio.Queue[Any]]:
        """Wait for the order to release. A loop that shuts down cancels the owner too, which then gives it."""
        while self._order is None:
            self._ordered_now = asyncio.get_running_loop().create_future()
            try:
                await self._ordered_now
            except asyncio.CancelledError as error:
                if self._order is None and (self._entry.owner is None or self._entry.owner.done()):
                    return error, asyncio.Queue()
        return self._order

    def close(self, told: BaseException | None, done: asyncio.Queue[Any]) -> None:
        self._order = told, done
        if self._ordered_now is not None and not self._ordered_now.done():
            self._ordered_now.set_result(None)


async def aclose(lease: Lease, told: BaseException | None, shield: Shield) -> bool:
    """Leave the resource's context within its deadline; returns whether it dealt with the error it was told."""
    if not lease.asynchronous:
        return close(lease, told)
    kind, trace = (None, None) if told is None else (type(told), told.__traceback__)
    release = coroutine_of(lease.cm.__aexit__(kind, told, trace))
    try:
        waiting = release.send(None)
    except StopIteration as stop:
        return bool(stop.value)
    return bool(await go_on(lease.name, release, waiting, _limit(lease), shield))


def coroutine_of(release: Any) -> Any:
    """A coroutine for what `__aexit__` returned, which may be any awaitable."""
    return release if type(release) is CoroutineType else _awaiting(release)


async def _awaiting(awaitable: Any) -> Any:
    return await awaitable


class TaskEntry(Entry):
    """One `async with` block."""

    __slots__ = ("loop", "opening", "owner", "scoped")

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.owner: asyncio.Task[Any] | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.opening: dict[str, asyncio.Task[None]] = {}
        self.scoped = False  # whether a resource holds an anyio scope open in this task

    def how_to_open(self, name: str) -> str:
        return f"`await r.aacquire({name!r})`, as an attribute cannot wait,"

    async def acquire_all(self, parallel: bool) -> None:
        """Open everything that is not lazy, or raise; what was opened stays in the table for the unwinding."""
        self.owner, self.loop = asyncio.current_task(), asyncio.get_running_loop()
        if parallel:
            await self.acquire_beside(dict(self.plan.eager))
            return
        before = anyio_scope(self.owner)
        try:
            await self._acquire_in_turn()
        finally:
            self.scoped = anyio_scope(self.owner) is not before

    async def _acquire_in_turn(self) -> None:
        at = clock()
        for name, recipe in self.plan.eager:
            if recipe.plain and not self.logged:  # the short way of `acquire`: no call more than opening takes
                try:
                    cm = recipe.make()
                    value = await cm.__aenter__() if recipe.asynchronous else cm.__enter__()
                except BaseException as error:  # noqa: BLE001  `_refuse` raises it again
                    self._refuse(name, recipe, error)
                else:
                    at = self.opened(Lease(name, cm, value, clock(), recipe.asynchronous), at, 1).opened
            else:
                await self.acquire(name, recipe)
                at = clock()

    def _refuse(self, name: str, recipe: Recipe[Any], error: BaseException) -> None:
        """Raise the error of an acquisition, unless the entry can do without it."""
        if not self.not_opened(name, recipe, error):
            acquisition_note(name, self, error)
            raise error

    async def acquire(self, name: str, recipe: Recipe[Any]) -> None:
        """Open one resource in the caller's task."""
        try:
            await self.open(name, recipe)
        except BaseException as error:  # noqa: BLE001  likewise
            self._refuse(name, recipe, error)

    async def acquire_once(self, name: str, recipe: Recipe[Any]) -> None:
        """Open one resource in a task of its own, however many tasks ask; the wait of each can be cancelled alone."""
        if name not in self.opening:
            self.opening[name] = asyncio.get_running_loop().create_task(self.acquire_beside({name: recipe}))
        opening = self.opening[name]
        try:
            await asyncio.shield(opening)
        finally:
            if opening.done():
                self.opening.pop(name, None)

    async def open(self, name: str, recipe: Recipe[Any], carrier: TaskCarrier | None = None) -> Lease:
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

    async def _tries(self, name: str, recipe: Recipe[Any], carrier: TaskCarrier | None) -> Lease:
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

    async def _attempt(self, name: str, recipe: Recipe[Any], carrier: TaskCarrier | None, attempt: int) -> Lease:
        began = clock()
        if self.logged:
            self.journal.log(Step.ACQUIRING, name, attempt=attempt)
        cm = recipe.make(**self.given(recipe)) if recipe.takes else recipe.make()
        warn_if_it_stays_open(cm)
        asynchronous = hasattr(type(cm), "__aenter__")
        if not asynchronous and recipe.limited:
            raise TypeError(unlimited(name))
        value = await cm.__aenter__() if asynchronous else _enter(name, cm)
        lease = Lease(name, cm, value, clock(), asynchronous, recipe.release_timeout, carrier)
        return self.opened(lease, began, attempt)

    async def acquire_beside(self, recipes: dict[str, Recipe[Any]]) -> None:
        """Open resources each in its own task, as soon as what it needs is open."""
        sorter = TopologicalSorter({name: [n for n in r.needs if n in recipes] for name, r in recipes.items()})
        sorter.prepare()
        report: asyncio.Queue[Any] = asyncio.Queue()
        running: dict[str, TaskCarrier] = {}
        try:
            while sorter.is_active():
                for name in sorter.get_ready():
                    running[name] = TaskCarrier(self, name, recipes[name], report)
                carrier, error = await report.get()
                del running[carrier.name]
                if error is not None and not self.not_opened(carrier.name, carrier.recipe, error):
                    acquisition_note(carrier.name, self, error)
                    raise error  # noqa: TRY301  it takes the same way as a cancellation of the wait
                sorter.done(carrier.name)
        except BaseException:  # cancellation too: what is being opened is called off first
            await self._call_off(running, report)
            raise

    async def _call_off(self, running: dict[str, TaskCarrier], report: asyncio.Queue[Any]) -> None:
        """Cancel what is being opened and wait until all of it has ended, one way or the other."""
        with Shield() as shield:
            shield.up()
            for carrier in running.values():
                if not carrier.told:
                    carrier.task.cancel()
            while running:
                carrier, error = await report.get()
                del running[carrier.name]
                if isinstance(error, Exception) and not self.not_opened(carrier.name, carrier.recipe, error):
                    acquisition_note(carrier.name, self, error)
            await shield.deliver()  # counted; what called off is raised

    async def unwind(self, unwinding: Unwinding, parallel: bool) -> None:
        """Release everything that is open, users before what they use; neither an error nor cancellation stops it."""
        if self.loop is not asyncio.get_running_loop():
            self._give_up_tasks(unwinding)
        with Shield(self.scoped) as shield:
            if shield.late:
                await shield.absorb()
            if self.opening:
                shield.up()
                await self._call_off_first_uses()
            if parallel:
                shield.up()
                await self._unwind_beside(unwinding, shield)
            else:
                await self._unwind_in_turn(unwinding, shield)
            await self._deliver(shield, unwinding)

    def _give_up_tasks(self, unwinding: Unwinding) -> None:
        """What lives in a task of another event loop cannot be released from here: report it, and go on."""
        for name in [name for name, lease in self.leases.items() if lease.carrier is not None]:
            text = f"{name!r} lives in a task of another event loop: leave the block in the loop that entered it"
            self.not_closed(self.leases.pop(name), clock(), unwinding, ResourceError(text))

    async def _deliver(self, shield: Shield, unwinding: Unwinding) -> None:
        """Count a cancellation that waited for the releases among the errors."""
        if (held := await shield.deliver()) is not None:
            unwinding.failed(Phase.BODY, None, held)

    async def _unwind_in_turn(self, unwinding: Unwinding, shield: Shield) -> None:
        at = clock()
        while self.leases:
            lease = self.leases.popitem()[1]
            if unwinding.failures or lease.carrier is not None or not lease.asynchronous:
                at = await self._release(lease, at, unwinding, shield)
                continue
            try:  # the short way of `_release`: most releases never wait and have no error to be told
                release = coroutine_of(lease.cm.__aexit__(None, None, None))
                waiting = release.send(None)
            except StopIteration:
                at = self.closed(lease, at)
            except BaseException as error:  # noqa: BLE001  as in `_release`
                at = self.not_closed(lease, at, unwinding, error)
            else:
                at = await self._go_on(lease, release, waiting, at, unwinding, shield)

    async def _call_off_first_uses(self) -> None:
        """Cancel what is being opened for the first time, and wait until it has ended one way or the other."""
        for opening in self.opening.values():
            opening.cancel()
        await asyncio.wait(self.opening.values())

    async def _go_on(
        self, lease: Lease, release: Any, waiting: Any, began: float, unwinding: Unwinding, shield: Shield
    ) -> float:
        """Finish a release that waits."""
        try:
            await go_on(lease.name, release, waiting, _limit(lease), shield)
        except BaseException as error:  # noqa: BLE001  as in `_release`
            return self.not_closed(lease, began, unwinding, error)
        return self.closed(lease, began)

    async def release(self, name: str, unwinding: Unwinding) -> None:
        """Release one resource; its error goes to the unwinding."""
        with Shield(self.scoped) as shield:
            await self._release(self.leases.pop(name), clock(), unwinding, shield)
            await self._deliver(shield, unwinding)

    async def _release(self, lease: Lease, began: float, unwinding: Unwinding, shield: Shield) -> float:
        told = unwinding.told() if unwinding.failures else None
        if lease.carrier is not None:
            shield.up()
            done: asyncio.Queue[Any] = asyncio.Queue()
            lease.carrier.close(told, done)
            await self._finish(done, unwinding)
            return clock()
        try:
            if await aclose(lease, told, shield) and told is not None:
                unwinding.suppress(told)
        except BaseException as error:  # noqa: BLE001  every other resource is still released; the unwinding keeps this
            return self.not_closed(lease, began, unwinding, error)
        return self.closed(lease, began)

    async def _unwind_beside(self, unwinding: Unwinding, shield: Shield) -> None:
        """Order each resource's release as soon as its users are released, all that are ready at once."""
        sorter = TopologicalSorter(self.release_order())
        sorter.prepare()
        done: asyncio.Queue[Any] = asyncio.Queue()
        running = 0
        while sorter.is_active():
            told = unwinding.told()
            for name in sorter.get_ready():
                if self.leases[name].carrier is None:
                    await self._release(self.leases.pop(name), clock(), unwinding, shield)
                    sorter.done(name)
                else:
                    self.leases.pop(name).carrier.close(told, done)
                    running += 1
            if running:
                sorter.done(await self._finish(done, unwinding))
                running -= 1

    async def _finish(self, done: asyncio.Queue[Any], unwinding: Unwinding) -> str:
        lease, began, suppressed, error = await done.get()
        if suppressed is not None:  # what it was told when it began, which others may have outranked meanwhile
            unwinding.suppress(suppressed)
        self.account(lease, began, unwinding, error)
        return str(lease.name)


def _limit(lease: Lease) -> float | None:
    """Seconds for a release; None for no limit."""
    seconds = lease.limit or RELEASE_TIMEOUT
    return None if seconds == math.inf else seconds


def _enter(name: str, cm: Any) -> Any:
    if not hasattr(type(cm), "__enter__"):
        raise TypeError(
            f"{name} must open as a context manager, got {type(cm).__qualname__}: return one from its function"
        )
    return cm.__enter__()
