"""Open and close resources beside each other on an event loop: each in its own task.

Idea        Some resources (time-outs, cancel scopes) insist on being left by the task that entered them; so one task
            opens, holds and closes one resource.
Invariant   However a carrier's task ends, it reports once that it opened or failed, and once that it closed.
When wrong  The first failure cancels what is being opened, and all of it is waited for.
See         tests/resources/test_beside.py
"""

from __future__ import annotations

import asyncio
import math
from graphlib import TopologicalSorter
from types import CoroutineType
from typing import Any, Protocol

from arion_lib.resources.entry import Lease, clock
from arion_lib.resources.guarding.shield import Shield, go_on
from arion_lib.resources.recipe import Recipe
from arion_lib.resources.settle import Failure, Phase, settle
from arion_lib.resources.unwinding import Ended


class Opener(Protocol):
    """What is needed of a block to open resources for it."""

    owner: asyncio.Task[Any] | None
    failures: tuple[Failure, ...] | None

    async def open(self, name: str, recipe: Recipe[Any], carrier: Carrier | None = None) -> Lease:
        """Open one resource in the task that calls this."""

    def not_opened(self, name: str, recipe: Recipe[Any], began: float, error: BaseException) -> bool:
        """Account for a failure; returns whether the block can do without the resource."""


class Carrier:
    """One task in which one resource is opened, held and closed."""

    def __init__(self, block: Opener, name: str, recipe: Recipe[Any], report: asyncio.Queue[Any]) -> None:
        loop = asyncio.get_running_loop()
        self.name, self.recipe, self.began = name, recipe, clock()
        self._block, self._report = block, report
        self._order: tuple[BaseException | None, asyncio.Queue[Ended]] | None = None
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
            lease = await self._block.open(self.name, self.recipe, self)
        except BaseException as error:  # noqa: BLE001  a task's boundary: any error becomes the caller's
            self._tell(error)
            return
        self._tell(None)
        told, done = await self._ordered()
        with Shield(scoped=True) as shield:  # no anyio scope outside reaches this task
            shield.up()
            began = clock()
            try:
                done.put_nowait((lease, began, await aclose(lease, told, shield), None))
            except BaseException as error:  # noqa: BLE001  likewise
                done.put_nowait((lease, began, None, error))

    async def _ordered(self) -> tuple[BaseException | None, asyncio.Queue[Ended]]:
        """Wait for the order to release. A loop that shuts down cancels the owner too, which then gives it."""
        while self._order is None:
            self._ordered_now = asyncio.get_running_loop().create_future()
            try:
                await self._ordered_now
            except asyncio.CancelledError as error:
                if self._order is None and (self._block.owner is None or self._block.owner.done()):
                    return error, asyncio.Queue()
        return self._order

    def close(self, told: BaseException | None, done: asyncio.Queue[Ended]) -> None:
        """Order the release."""
        self._order = told, done
        if self._ordered_now is not None and not self._ordered_now.done():
            self._ordered_now.set_result(None)


async def aclose(lease: Lease, told: BaseException | None, shield: Shield) -> BaseException | None:
    """Leave the resource's context within its deadline; returns the error that it was told where it dealt with that."""
    if not lease.asynchronous:
        return lease.close(told)
    kind, trace = (None, None) if told is None else (type(told), told.__traceback__)
    release = coroutine_of(lease.cm.__aexit__(kind, told, trace))
    try:
        waiting = release.send(None)
    except StopIteration as stop:
        return told if stop.value else None
    return told if await go_on(lease.name, release, waiting, limit_of(lease), shield) else None


def coroutine_of(release: Any) -> Any:
    """A coroutine for what `__aexit__` returned, which may be any awaitable."""
    return release if type(release) is CoroutineType else _awaiting(release)


async def _awaiting(awaitable: Any) -> Any:
    return await awaitable


def limit_of(lease: Lease) -> float | None:
    """Seconds that an awaited release may take; None for no limit."""
    return None if lease.seconds == math.inf else lease.seconds


async def open_beside(block: Opener, recipes: dict[str, Recipe[Any]]) -> None:
    """Open resources each in its own task, as soon as what it needs is open."""
    sorter = TopologicalSorter({name: [n for n in r.needs if n in recipes] for name, r in recipes.items()})
    sorter.prepare()
    report: asyncio.Queue[Any] = asyncio.Queue()
    running: dict[str, Carrier] = {}
    try:
        while sorter.is_active():
            for name in sorter.get_ready():
                running[name] = Carrier(block, name, recipes[name], report)
            carrier, error = await report.get()
            del running[carrier.name]
            if error is not None and not block.not_opened(carrier.name, carrier.recipe, carrier.began, error):
                raise error  # noqa: TRY301  it takes the same way as a cancellation of the wait
            sorter.done(carrier.name)
    except BaseException as error:  # cancellation too: what is being opened is called off first
        failures = await _call_off(block, running, report)
        if block.failures is None and failures:  # of a first use: nobody else keeps them
            failures.insert(0, Failure(Phase.BODY, None, error))
            raise settle(failures) or error from None
        raise


async def _call_off(block: Opener, running: dict[str, Carrier], report: asyncio.Queue[Any]) -> list[Failure]:
    """Cancel what is being opened and wait until all of it has ended; returns what failed all the same."""
    failures: list[Failure] = []
    with Shield() as shield:
        shield.up()
        for carrier in running.values():
            if not carrier.told:
                carrier.task.cancel()
        while running:
            carrier, error = await report.get()
            del running[carrier.name]
            if isinstance(error, Exception) and not block.not_opened(
                carrier.name, carrier.recipe, carrier.began, error
            ):
                failures.append(Failure(Phase.ACQUIRE, carrier.name, error))
        await shield.deliver()  # counted; what called off is raised
    return failures
