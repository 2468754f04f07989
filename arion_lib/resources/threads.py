"""The synchronous half: open and close in the caller's thread, or each resource in a thread of its own.

Idea        A resource that may run beside others, or be left behind at a deadline, lives in its own thread from
            acquire to release; the others are opened one after the other, as nested `with` blocks would.
Invariant   Acquire and release of one resource happen in one thread and in one context.
When wrong  The first failure stops what has not begun; what is running is waited for, then everything is released.
See         notebooks/2_resource_manager.ipynb · tests/resources/test_beside.py
"""

from __future__ import annotations

import queue
import threading
from contextvars import copy_context
from graphlib import TopologicalSorter
from typing import Any

from arion_lib.resources.entry import Entry, Lease, ResourceError, acquisition_note, clock
from arion_lib.resources.guarding.interrupts import interrupts
from arion_lib.resources.guarding.shield import ReleaseTimeout
from arion_lib.resources.making.wrappers import warn_if_it_stays_open
from arion_lib.resources.monitoring.events import Step
from arion_lib.resources.recipe import RELEASE_TIMEOUT, Recipe
from arion_lib.resources.settle import Phase, Unwinding, add_note


class AcquireTimeout(TimeoutError):
    """An acquisition took longer than its `timeout`; should it still succeed, it is released at once."""


class Carrier:
    """One daemon thread in which one resource is opened, held and closed."""

    def __init__(self, entry: ThreadEntry, name: str, recipe: Recipe[Any], report: queue.SimpleQueue[Any]) -> None:
        self.name, self.recipe, self.deadline = name, recipe, clock() + (recipe.timeout or float("inf"))
        self._entry, self._report = entry, report
        self._orders: queue.SimpleQueue[tuple[BaseException | None, queue.SimpleQueue[Any]]] = queue.SimpleQueue()
        self._given_up = threading.Lock()  # taken by whoever is first: the thread that opened, or the caller that left
        self.stop = threading.Event()  # no further attempt
        live = copy_context().run
        self._thread = threading.Thread(target=live, args=(self._live,), name=f"resource {name}", daemon=True)
        self._thread.start()

    def _live(self) -> None:
        try:
            lease = self._entry.open(self.name, self.recipe, self)
        except BaseException as error:  # noqa: BLE001  a thread's boundary: any error becomes the caller's
            self._report.put((self, error))
            return
        if lease is None:
            return
        self._report.put((self, None))
        told, done = self._orders.get()
        began = clock()
        try:
            done.put((lease, began, told if close(lease, told) else None, None))
        except BaseException as error:  # noqa: BLE001  likewise
            done.put((lease, began, None, error))

    def keep(self) -> bool:
        """Called by the thread when its resource is open: False when the caller has left it behind."""
        return self._given_up.acquire(blocking=False)

    def give_up(self) -> bool:
        """Called by the caller at the deadline: False when the resource has just been opened."""
        self.stop.set()
        return self._given_up.acquire(blocking=False)

    def close(self, lease: Lease, told: BaseException | None, done: queue.SimpleQueue[Any]) -> None:
        """Order the release. After a fork there is no thread in the child that could do it."""
        if self._thread.is_alive():
            self._orders.put((told, done))
        else:
            text = f"{self.name!r} was opened in a thread that is not of this process: it is released in its own"
            done.put((lease, clock(), None, ResourceError(text)))


def close(lease: Lease, told: BaseException | None) -> bool:
    """Leave the resource's context; returns whether it dealt with the error it was told."""
    if told is None:
        lease.cm.__exit__(None, None, None)
        return False
    return bool(lease.cm.__exit__(type(told), told, told.__traceback__))


class FirstUse:
    """A resource that one thread is opening, while others may wait for it."""

    def __init__(self) -> None:
        self.thread, self.over = threading.get_ident(), threading.Event()


class ThreadEntry(Entry):
    """One `with` block."""

    __slots__ = ("guarded", "left", "lock", "opening", "owner")

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.lock = threading.Lock()  # for the next two
        self.opening: dict[str, FirstUse] = {}
        self.left = False
        self.owner = 0
        self.guarded = False  # in the main thread, where a Ctrl-C may have been deferred

    @property
    def interrupted(self) -> bool:
        """Whether a Ctrl-C waits for this entry to come to an end."""
        return self.guarded and interrupts.deferred

    def acquire_all(self, parallel: bool) -> None:
        """Open everything that is not lazy, or raise; what was opened stays in the table for the unwinding."""
        self.owner = threading.get_ident()
        if parallel:
            self.acquire_beside(dict(self.plan.eager))
            return
        at = clock()
        for name, recipe in self.plan.eager:
            if self.guarded and interrupts.deferred:
                break
            if recipe.plain:
                at = self._acquire_plainly(name, recipe, at)
            else:
                self.acquire(name, recipe)
                at = clock()

    def _acquire_plainly(self, name: str, recipe: Recipe[Any], began: float) -> float:
        """The short way of `acquire`, for what has no retry, deadline or parameters; returns the time of its end."""
        try:
            if self.logged:
                self.journal.log(Step.ACQUIRING, name)
            cm = recipe.make()
            value = cm.__enter__()
            at = clock()
        except BaseException as error:
            if self.not_opened(name, recipe, error):
                return clock()
            acquisition_note(name, self, error)
            raise
        self.opened(Lease(name, cm, value, at), began, 1)
        return at

    def acquire(self, name: str, recipe: Recipe[Any]) -> None:
        """Open one resource in the caller's thread, or in its own when it has a deadline."""
        if recipe.carried or threading.get_ident() != self.owner:
            self.acquire_beside({name: recipe})
            return
        try:
            self.open(name, recipe)
        except BaseException as error:
            if not self.not_opened(name, recipe, error):
                acquisition_note(name, self, error)
                raise

    def acquire_once(self, name: str, recipe: Recipe[Any]) -> bool:
        """Open one resource unless it is open, however many threads ask; each waits for its own resource alone.

        Returns False when the block was left meanwhile. Raises RuntimeError when its function asks for itself.
        """
        while True:
            with self.lock:
                if self.left:
                    return False
                if not self.missing(name):
                    return True
                if (use := self.opening.get(name)) is None:
                    mine = self.opening[name] = FirstUse()
                    break
            if use.thread == threading.get_ident():
                raise RuntimeError(f"{name!r} is being opened here: its function must not ask for {name!r} itself")
            use.over.wait()  # and look again: the other one may have failed
        try:
            self.acquire(name, recipe)
        finally:
            with self.lock:
                del self.opening[name]
            mine.over.set()
        return True

    def end_first_uses(self) -> None:
        """Let nothing more be opened, and wait for other threads that are just opening something."""
        with self.lock:
            self.left = True
            uses = [use for use in self.opening.values() if use.thread != threading.get_ident()]
        for use in uses:
            use.over.wait()

    def open(self, name: str, recipe: Recipe[Any], carrier: Carrier | None = None) -> Lease | None:
        """Open one resource, trying again as its recipe says."""
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
        lease = Lease(name, cm, _enter(name, cm), clock(), False, None, carrier)
        if carrier is not None and not carrier.keep():
            close(lease, None)
            return None
        return self.opened(lease, began, attempt)

    def acquire_beside(self, recipes: dict[str, Recipe[Any]]) -> None:
        """Open resources each in its own thread, as soon as what it needs is open."""
        sorter = TopologicalSorter({name: [n for n in r.needs if n in recipes] for name, r in recipes.items()})
        sorter.prepare()
        report: queue.SimpleQueue[Any] = queue.SimpleQueue()
        running: dict[str, Carrier] = {}
        unwinding = Unwinding()
        while sorter.is_active():
            if not unwinding.failures and not self.interrupted:
                self._start(recipes, sorter, report, running, unwinding)
            elif not running:
                break
            if not running:
                continue
            carrier, error = self._next(report, running)
            running.pop(carrier.name, None)
            if error is None or self.not_opened(carrier.name, carrier.recipe, error):
                sorter.done(carrier.name)
            else:
                acquisition_note(carrier.name, self, error)
                unwinding.failed(Phase.ACQUIRE, carrier.name, error)
                for other in running.values():
                    other.stop.set()
        if (primary := unwinding.told()) is not None:
            raise primary

    def _start(
        self,
        recipes: dict[str, Recipe[Any]],
        sorter: TopologicalSorter[str],
        report: queue.SimpleQueue[Any],
        running: dict[str, Carrier],
        unwinding: Unwinding,
    ) -> None:
        """Start a thread for each resource whose needs are open; thread-bound ones are opened here, last."""
        ready = sorted(sorter.get_ready(), key=lambda name: recipes[name].thread_bound)
        for name in ready:
            if not recipes[name].thread_bound:
                running[name] = Carrier(self, name, recipes[name], report)
            elif not unwinding.failures:
                try:
                    self.acquire(name, recipes[name])
                    sorter.done(name)
                except BaseException as error:  # noqa: BLE001  raised by `acquire_beside` when what runs has ended
                    unwinding.failed(Phase.ACQUIRE, name, error)

    def _next(
        self, report: queue.SimpleQueue[Any], running: dict[str, Carrier]
    ) -> tuple[Carrier, BaseException | None]:
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

    def unwind(self, unwinding: Unwinding, parallel: bool) -> None:
        """Release everything that is open, users before what they use; no error stops it."""
        if parallel:
            self._unwind_beside(unwinding)
            return
        at = clock()
        while self.leases:
            at = self._release(self.leases.popitem()[1], at, unwinding)

    def release(self, name: str, unwinding: Unwinding) -> None:
        """Release one resource; its error goes to the unwinding."""
        self._release(self.leases.pop(name), clock(), unwinding)

    def _release(self, lease: Lease, began: float, unwinding: Unwinding) -> float:
        told = unwinding.told() if unwinding.failures else None
        if lease.carrier is not None:
            done: queue.SimpleQueue[Any] = queue.SimpleQueue()
            lease.carrier.close(lease, told, done)
            self._finish(done, {lease.name: (lease, clock() + _limit(lease))}, unwinding)
            return clock()
        try:
            if close(lease, told) and told is not None:
                unwinding.suppress(told)
        except BaseException as error:  # noqa: BLE001  every other resource is still released; the unwinding keeps this
            return self.not_closed(lease, began, unwinding, error)
        return self.closed(lease, began)

    def _unwind_beside(self, unwinding: Unwinding) -> None:
        """Order each resource's release as soon as its users are released, all that are ready at once."""
        sorter = TopologicalSorter(self.release_order())
        sorter.prepare()
        done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        waiting: dict[str, tuple[Lease, float]] = {}
        while sorter.is_active():
            told = unwinding.told()
            ready = sorted(sorter.get_ready(), key=lambda name: self.leases[name].carrier is None)
            for name in ready:
                lease = self.leases[name]
                if lease.carrier is None:
                    self.release(name, unwinding)
                    sorter.done(name)
                else:
                    self.leases.pop(name).carrier.close(lease, told, done)
                    waiting[name] = (lease, clock() + _limit(lease))
            if waiting:
                sorter.done(self._finish(done, waiting, unwinding))

    def _finish(
        self,
        done: queue.SimpleQueue[Any],
        waiting: dict[str, tuple[Lease, float]],
        unwinding: Unwinding,
    ) -> str:
        """Wait for one of the releases that run, or for its deadline; returns its name."""
        while True:
            name, (lease, deadline) = min(waiting.items(), key=lambda item: item[1][1])
            try:
                lease, began, suppressed, error = done.get(timeout=_capped(deadline))
            except queue.Empty:
                if clock() < deadline:
                    continue
                began, suppressed, limit = deadline - _limit(lease), None, _limit(lease)
                error = ReleaseTimeout(f"releasing {name!r} took longer than release_timeout={limit:g} s; left behind")
            if waiting.pop(lease.name, None):  # else: it was left behind, and ended after all
                break
        if suppressed is not None:  # what it was told when it began, which others may have outranked meanwhile
            unwinding.suppress(suppressed)
        self.account(lease, began, unwinding, error)
        return lease.name


def _capped(deadline: float) -> float:
    """The seconds to wait for a deadline, which may be further away than a thread can wait: it waits again then."""
    return min(max(0.0, deadline - clock()), threading.TIMEOUT_MAX)


def _limit(lease: Lease) -> float:
    return lease.carrier.recipe.release_timeout or RELEASE_TIMEOUT


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
