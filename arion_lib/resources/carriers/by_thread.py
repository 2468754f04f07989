"""Open and close synchronous resources beside each other, or within a deadline: each in its own thread.

Idea        Only a thread can be left behind; so what has a deadline, or may run beside others, gets one.
Invariant   A thread opens, holds and closes one resource, with a copy of the context variables of the block's start.
When wrong  The first failure stops what has not begun; what is running is waited for.
See         tests/resources/test_beside.py
"""

from __future__ import annotations

import queue
import threading
from contextvars import copy_context
from graphlib import TopologicalSorter
from typing import Any, Protocol

from arion_lib.resources.entry import AcquireTimeout, Lease, ResourceError, clock
from arion_lib.resources.guarding.shield import ReleaseTimeout
from arion_lib.resources.recipe import Recipe
from arion_lib.resources.settle import Phase
from arion_lib.resources.unwinding import Ended, Unwinding


class Opener(Protocol):
    """What is needed of a block to open resources for it."""

    @property
    def interrupted(self) -> bool:
        """Whether a Ctrl-C waits for the block to come to an end."""

    def open(self, name: str, recipe: Recipe[Any], carrier: Carrier | None = None) -> Lease | None:
        """Open one resource where this is called; None when the caller has left it behind."""

    def acquire(self, name: str, recipe: Recipe[Any]) -> None:
        """Open one resource in the block's own thread, and account for it."""

    def not_opened(self, name: str, recipe: Recipe[Any], began: float, error: BaseException) -> bool:
        """Account for a failure; returns whether the block can do without the resource."""


class Carrier:
    """One daemon thread in which one resource is opened, held and closed."""

    def __init__(self, block: Opener, name: str, recipe: Recipe[Any], report: queue.SimpleQueue[Any]) -> None:
        self.name, self.recipe, self.began = name, recipe, clock()
        self.deadline = self.began + (recipe.timeout or float("inf"))
        self._block, self._report = block, report
        self._orders: queue.SimpleQueue[tuple[BaseException | None, queue.SimpleQueue[Ended]]] = queue.SimpleQueue()
        self._given_up = threading.Lock()  # taken by whoever is first: the thread that opened, or the caller that left
        self.stop = threading.Event()  # no further attempt
        live = copy_context().run
        self._thread = threading.Thread(target=live, args=(self._live,), name=f"resource {name}", daemon=True)
        self._thread.start()

    def _live(self) -> None:
        try:
            lease = self._block.open(self.name, self.recipe, self)
        except BaseException as error:  # noqa: BLE001  a thread's boundary: any error becomes the caller's
            self._report.put((self, error))
            return
        if lease is None:
            return
        self._report.put((self, None))
        told, done = self._orders.get()
        began = clock()
        try:
            done.put((lease, began, lease.close(told), None))
        except BaseException as error:  # noqa: BLE001  likewise
            done.put((lease, began, None, error))

    def keep(self) -> bool:
        """Called by the thread when its resource is open: False when the caller has left it behind."""
        return self._given_up.acquire(blocking=False)

    def give_up(self) -> bool:
        """Called by the caller at the deadline: False when the resource has just been opened."""
        self.stop.set()
        return self._given_up.acquire(blocking=False)

    def close(self, lease: Lease, told: BaseException | None, done: queue.SimpleQueue[Ended]) -> None:
        """Order the release. After a fork there is no thread in the child that could do it."""
        if self._thread.is_alive():
            self._orders.put((told, done))
        else:
            text = f"{self.name!r} was opened in a thread that is not of this process: it is released in its own"
            done.put((lease, clock(), None, ResourceError(text)))


def open_beside(block: Opener, recipes: dict[str, Recipe[Any]]) -> None:
    """Open resources each in its own thread, as soon as what it needs is open."""
    sorter = TopologicalSorter({name: [n for n in r.needs if n in recipes] for name, r in recipes.items()})
    sorter.prepare()
    report: queue.SimpleQueue[Any] = queue.SimpleQueue()
    running: dict[str, Carrier] = {}
    unwinding = Unwinding()
    while sorter.is_active():
        if not unwinding.failures and not block.interrupted:
            _start(block, recipes, sorter, report, running, unwinding)
        elif not running:
            break
        if not running:
            continue
        carrier, error = _next(report, running)
        running.pop(carrier.name, None)
        if error is None or block.not_opened(carrier.name, carrier.recipe, carrier.began, error):
            sorter.done(carrier.name)
        else:
            unwinding.failed(Phase.ACQUIRE, carrier.name, error)
            for other in running.values():
                other.stop.set()
    if (primary := unwinding.told()) is not None:
        raise primary


def _start(
    block: Opener,
    recipes: dict[str, Recipe[Any]],
    sorter: TopologicalSorter[str],
    report: queue.SimpleQueue[Any],
    running: dict[str, Carrier],
    unwinding: Unwinding,
) -> None:
    """Start a thread for each resource whose needs are open; thread-bound ones are opened here, last."""
    for name in sorted(sorter.get_ready(), key=lambda name: recipes[name].thread_bound):
        if not recipes[name].thread_bound:
            running[name] = Carrier(block, name, recipes[name], report)
        elif not unwinding.failures:
            try:
                block.acquire(name, recipes[name])
                sorter.done(name)
            except BaseException as error:  # noqa: BLE001  raised by `open_beside` when what runs has ended
                unwinding.failed(Phase.ACQUIRE, name, error)


def _next(report: queue.SimpleQueue[Any], running: dict[str, Carrier]) -> tuple[Carrier, BaseException | None]:
    """The next carrier that opened, failed, or ran out of time."""
    while True:
        soonest = min(running.values(), key=lambda carrier: carrier.deadline)
        try:
            carrier, error = report.get(timeout=_capped(soonest.deadline))
        except queue.Empty:
            if clock() < soonest.deadline or not soonest.give_up():
                continue
            seconds = soonest.recipe.timeout
            return soonest, AcquireTimeout(f"acquiring {soonest.name!r} took longer than timeout={seconds:g} s")
        return carrier, error


class Releases:
    """The releases that run in threads, each until its own deadline."""

    def __init__(self) -> None:
        self._done: queue.SimpleQueue[Ended] = queue.SimpleQueue()
        self._waiting: dict[str, tuple[Lease, float]] = {}

    def begin(self, lease: Lease, told: BaseException | None) -> None:
        """Order a release."""
        lease.carrier.close(lease, told, self._done)
        self._waiting[lease.name] = (lease, clock() + lease.seconds)

    def next_ended(self) -> Ended:
        """Wait until one has ended, or its deadline has passed: then it is left behind."""
        while True:
            name, (lease, deadline) = min(self._waiting.items(), key=lambda item: item[1][1])
            try:
                ended = self._done.get(timeout=_capped(deadline))
            except queue.Empty:
                if clock() < deadline:
                    continue
                text = f"releasing {name!r} took longer than release_timeout={lease.seconds:g} s; left behind"
                ended = lease, deadline - lease.seconds, None, ReleaseTimeout(text)
            if self._waiting.pop(ended[0].name, None):  # else: it was left behind, and ended after all
                return ended


def _capped(deadline: float) -> float:
    """The seconds to wait for a deadline, which may be further away than a thread can wait: it waits again then."""
    return min(max(0.0, deadline - clock()), threading.TIMEOUT_MAX)
