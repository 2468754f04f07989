"""Many resources as one: opened together or not at all, closed whatever happens.

Idea        A manager is a definition that can be entered; `with` and `async with` read it the same way.
Invariant   The body runs only if every resource that is not optional is open; each release is attempted exactly once.
When wrong  One error is raised and carries the others: see `settle`. Misuse says what to call instead.
See         notebooks/2_resource_manager.ipynb · tests/resources/test_manager.py
"""

from __future__ import annotations

import inspect
import itertools
import threading
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, ClassVar, Self, TypeVar

from arion_lib.nearest import near_or_known
from arion_lib.resources.entry import Entry, Lease, ResourceError, clock
from arion_lib.resources.guarding.interrupts import in_main_thread, interrupts, uninterrupted
from arion_lib.resources.guarding.watch import Dismissed, Watch
from arion_lib.resources.making.wrappers import Callback
from arion_lib.resources.monitoring.events import Event, Journal
from arion_lib.resources.monitoring.health import Health, acheck_all, check_all
from arion_lib.resources.monitoring.metrics import Figures, Meter
from arion_lib.resources.monitoring.show import table_html
from arion_lib.resources.monitoring.timeline import Span, timeline
from arion_lib.resources.plan import Plan, plan
from arion_lib.resources.recipe import Recipe, resource
from arion_lib.resources.scopes import all_names, aopen_for, end_with_outer, keep, open_for, owner_of
from arion_lib.resources.settle import Phase, Unwinding
from arion_lib.resources.tasks import TaskEntry
from arion_lib.resources.threads import ThreadEntry

Function = TypeVar("Function", bound=Callable[..., Any])


class Resources:
    """Open several resources for the length of a `with` or `async with` block.

    >>> from contextlib import nullcontext
    >>> with Resources(db=nullcontext("a database"), cache=nullcontext({})) as r:
    ...     r.db, r.cache
    ('a database', {})

    A class body gives the same with types: `class Shop(Resources): db = resource(Database(url))` makes `shop.db`
    what `Database` opens, for a type checker too.

    `parallel=True` opens and closes everything at once that does not wait for something else: synchronous resources
    in a thread each, asynchronous ones in a task each. A definition may be entered again after it was left, not before.

    Raises, when it is made: GraphError for a missing name or a cycle, TypeError for what is no resource.
    Cost: about three times `contextlib.ExitStack` per resource, metrics included.
    """

    declared: ClassVar[dict[str, Recipe[Any]]] = {}
    _shared: ClassVar[dict[str, Meter]] = {}
    _outer: Resources | None = None
    _ended_by_outer = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        own = {name: value for name, value in vars(cls).items() if isinstance(value, Recipe)}
        cls.declared = {**cls.declared, **own}
        plan(cls.declared)  # a wrong definition is refused where it is written
        cls._shared = {name: Meter() for name in cls.declared}

    def __init__(self, /, *, parallel: bool = False, label: str = "", **resources: Any) -> None:
        if not isinstance(parallel, bool):
            raise TypeError(f"parallel must be True or False, got {parallel!r}: give the resource another name")
        self._start(parallel, label or type(self).__name__, {**self.declared, **resources})

    def _start(self, parallel: bool, label: str, targets: dict[str, Any]) -> None:
        for name in targets:
            if name.startswith("_") or hasattr(Resources, name):
                raise ValueError(f"a resource must not be called {name!r}: a method of the manager is")
        self.parallel, self._label, self._targets = parallel, label, targets
        self._entry: ThreadEntry | TaskEntry | None = None
        self._entries = itertools.count(1)
        self._adding = threading.Lock()
        self._plan: Plan = plan(targets, all_names(self._outer))
        self._meters = {name: self._meter(name, recipe) for name, recipe in self._plan.recipes.items()}
        self._journal = Journal(self._label)

    def _meter(self, name: str, recipe: Recipe[Any]) -> Meter:
        """What a class declares is counted over all its managers, so that one per request adds up."""
        return self._shared[name] if self.declared.get(name) is recipe else Meter()

    # Entering and leaving -------------------------------------------------------------------------------------------

    def _enter(self, kind: type[ThreadEntry] | type[TaskEntry]) -> Any:
        if self._entry is not None:
            raise ResourceError(f"{self._label} is open already: leave it first, or make a second manager")
        outer = self._outer._open_entry() if self._outer is not None else None
        self._entry = entry = kind(self._plan, self._meters, self._journal, next(self._entries), outer)
        self._watch = Watch(self._label, entry)
        if outer is not None:
            self._ended_by_outer = False
            outer.hold_inside(entry, self)
        return entry

    @uninterrupted
    def __enter__(self) -> Self:
        self._plan.refuse_async()
        entry: ThreadEntry = self._enter(ThreadEntry)
        try:
            if in_main_thread():
                entry.guarded = True
                interrupts.hold(entry)
            if self._outer is not None:
                open_for(self._outer, self._plan.eager, self._plan.recipes)
            entry.acquire_all(self.parallel)
            entry.failures = None
            if entry.guarded:
                interrupts.deliver()
        except BaseException as error:  # all or nothing: whatever it was, what is open is released
            raised = self._leave(entry, Phase.ACQUIRE, error)
            if raised is error:
                raise
            raise raised or ResourceError(
                f"{self._label}: a resource suppressed the failure to open: {error}"
            ) from error
        return self

    @uninterrupted
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if self._ended_by_outer:
            return False
        entry = self._open_entry()
        raised = self._leave(entry, Phase.BODY, error)
        if raised is None or raised is error:
            return raised is None
        raise raised

    def _leave(self, entry: Any, phase: Phase, error: BaseException | None) -> BaseException | None:
        """Release everything and say what is to be raised."""
        unwinding = _begun(entry, phase, error)
        entry.end_first_uses()  # a thread that is just opening something for the first time ends before
        self._entry = None
        for own, inner in reversed(list(entry.inner.items())):
            end_with_outer(inner, own, self, unwinding)
        entry.unwind(unwinding, self.parallel)
        self._left(entry)
        if entry.guarded:
            interrupts.free(entry)
            try:
                interrupts.deliver()
            except BaseException as late:  # noqa: BLE001  the Ctrl-C that waited: it outranks every other error
                unwinding.failed(Phase.BODY, None, late)
        return unwinding.outcome()

    async def __aenter__(self) -> Self:
        self._plan.refuse_limits()
        entry: TaskEntry = self._enter(TaskEntry)
        try:
            if self._outer is not None:
                await aopen_for(self._outer, self._plan.eager, self._plan.recipes)
            await entry.acquire_all(self.parallel)
            entry.failures = None
        except BaseException as error:  # all or nothing, as above
            raised = await self._aleave(entry, Phase.ACQUIRE, error)
            if raised is error:
                raise
            raise raised or ResourceError(
                f"{self._label}: a resource suppressed the failure to open: {error}"
            ) from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if self._ended_by_outer:
            return False
        entry = self._open_entry()
        raised = await self._aleave(entry, Phase.BODY, error)
        if raised is None or raised is error:
            return raised is None
        raise raised

    async def _aleave(self, entry: Any, phase: Phase, error: BaseException | None) -> BaseException | None:
        unwinding = _begun(entry, phase, error)
        self._entry = None
        for own, inner in reversed(list(entry.inner.items())):
            if isinstance(own, TaskEntry):
                keep(inner, await inner._aleave(own, Phase.BODY, unwinding.told()), self, unwinding)
            else:
                end_with_outer(inner, own, self, unwinding)
        await entry.unwind(unwinding, self.parallel)
        self._left(entry)
        return unwinding.outcome()

    def _left(self, entry: Any) -> None:
        self._watch.__class__ = Dismissed  # type: ignore[assignment]
        if entry.outer is not None:
            entry.outer.inner.pop(entry, None)

    # Looking up -----------------------------------------------------------------------------------------------------

    def __getitem__(self, name: str) -> Any:
        entry = self._open_entry()
        try:
            return entry.leases[name].value
        except KeyError:
            return self._find(entry, name)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name]

    def __contains__(self, name: object) -> bool:
        return self._entry is not None and self._entry.value(str(name), _NOTHING) is not _NOTHING

    def get(self, name: str, default: Any = None) -> Any:
        """The open resource of that name, or `default`: for an optional one that may be absent."""
        return self._open_entry().value(name, default)

    def _find(self, entry: Any, name: str) -> Any:
        """A lookup that is not in the table: lazy, of an enclosing manager, or an error that says why."""
        if isinstance(entry, ThreadEntry) and (recipe := entry.recipe(name)) is not None and recipe.lazy:
            return self.acquire(name)
        if (owner := owner_of(self, name)) is not self and owner._open_entry().recipe(name) is not None:
            return owner[name]
        raise entry.why_missing(name)

    def _open_entry(self) -> Any:
        if self._entry is None:
            raise ResourceError(f"{self._label} is not open: use it inside `with {self._label.lower()} as r:`")
        return self._entry

    # Acquiring and releasing inside the block -----------------------------------------------------------------------

    @uninterrupted
    def acquire(self, name: str, target: Any = None) -> Any:
        """Open one more resource now: a lazy one by its name, or a new one that `target` describes.

        Returns the open resource; one that is open already is returned as it is. Many threads may ask at once: it is
        opened once. It is released with the others, or before by `release`.
        """
        entry = self._open_entry()
        if not isinstance(entry, ThreadEntry):
            raise ResourceError(
                f"acquire must not be called in an `async with` block: await aacquire({name!r}) instead"
            )
        if target is None and (owner := owner_of(self, name)) is not self:
            return owner.acquire(name)
        with self._adding:
            steps = self._steps(entry, name, target)
        if self._outer is not None:
            open_for(self._outer, steps, self._defined(entry))
        for step, recipe in steps:
            if recipe.thread_bound and threading.get_ident() != entry.owner:
                raise ResourceError(f"{step!r} is thread_bound: open it in the thread that entered {self._label}")
            if not entry.acquire_once(step, recipe):
                raise ResourceError(f"{self._label} was left meanwhile: open {name!r} in a new block")
        if entry.guarded and threading.get_ident() == entry.owner:
            interrupts.deliver()
        return self._acquired(entry, name)

    async def aacquire(self, name: str, target: Any = None) -> Any:
        """The same in an `async with` block; many tasks may ask at once, and one that is cancelled stops no other."""
        entry = self._open_entry()
        if not isinstance(entry, TaskEntry):
            raise ResourceError(f"aacquire must not be called in a `with` block: call acquire({name!r}) instead")
        if target is None and (owner := owner_of(self, name)) is not self:
            return await owner.aacquire(name)
        steps = self._steps(entry, name, target)
        if self._outer is not None:
            await aopen_for(self._outer, steps, self._defined(entry))
        for step, recipe in steps:
            if entry.missing(step):  # another task may have opened it meanwhile
                await entry.acquire_once(step, recipe)
        return self._acquired(entry, name)

    def _steps(self, entry: Entry, name: str, target: Any) -> list[tuple[str, Recipe[Any]]]:
        if target is not None:
            if name in entry.leases:
                raise ResourceError(f"{name!r} is open already: release({name!r}) first, or take another name")
            recipe = target if isinstance(target, Recipe) else resource(target)
            plan({**self._targets, **entry.extra, name: recipe}, all_names(self._outer))  # refused before it is added
            self._meters.setdefault(name, Meter())
            entry.add(name, recipe)
        return entry.lazily(name)

    def _defined(self, entry: Entry) -> set[str]:
        return {*entry.plan.recipes, *entry.extra}

    def _acquired(self, entry: Any, name: str) -> Any:
        if name not in entry.leases:
            raise entry.why_missing(name)
        return entry.leases[name].value

    @uninterrupted
    def release(self, name: str) -> None:
        """Close one resource before the others. Twice is harmless; one that another still uses is refused."""
        entry = self._open_entry()
        if not isinstance(entry, ThreadEntry):
            raise ResourceError(
                f"release must not be called in an `async with` block: await arelease({name!r}) instead"
            )
        if self._may_release(entry, name):
            unwinding = Unwinding()
            entry.release(name, unwinding)
            self._raise(unwinding)
        if entry.guarded and threading.get_ident() == entry.owner:
            interrupts.deliver()

    async def arelease(self, name: str) -> None:
        """The same in an `async with` block."""
        entry = self._open_entry()
        if not isinstance(entry, TaskEntry):
            raise ResourceError(f"arelease must not be called in a `with` block: call release({name!r}) instead")
        if self._may_release(entry, name):
            unwinding = Unwinding()
            await entry.release(name, unwinding)
            self._raise(unwinding)

    def _may_release(self, entry: Any, name: str) -> bool:
        if name not in entry.leases:
            if entry.recipe(name) is None:
                raise entry.why_missing(name)
            return False
        entry.refuse_used(name)
        return True

    def _raise(self, unwinding: Unwinding) -> None:
        if (outcome := unwinding.outcome()) is not None:
            raise outcome

    def callback(self, function: Function, /, *args: Any, **kwargs: Any) -> Function:
        """Call a function when the block ends, before what is open already is released, as `ExitStack.callback` does.

        In an `async with` block it may be asynchronous. Returns the function, so that this may be a decorator.
        """
        entry = self._open_entry()
        asynchronous = isinstance(entry, TaskEntry)
        if inspect.iscoroutinefunction(function) and not asynchronous:
            raise TypeError(f"{function!r} must not be asynchronous in a `with` block: nothing could await it")
        with self._adding:
            name = next(name for number in itertools.count(1) if entry.recipe(name := f"callback {number}") is None)
            call = Callback(function, args, kwargs)
            self._meters.setdefault(name, Meter())
            entry.add(name, resource(call))
            at = clock()
            entry.opened(Lease(name, call, function, at, asynchronous), at, 1)
        return function

    @classmethod
    async def per_request(cls) -> AsyncIterator[Self]:
        """Open this class's resources for a request of FastAPI: `shop: Annotated[Shop, Depends(Shop.per_request)]`."""
        async with cls() as opened:
            yield opened

    # Scopes and variants --------------------------------------------------------------------------------------------

    def scope(self, /, *, parallel: bool = False, label: str = "", **resources: Any) -> Resources:
        """A manager inside this one: it sees what is open here, may override it, and releases only its own."""
        child = Resources.__new__(Resources)
        child._outer = self
        child._start(parallel, label or f"{self._label.removesuffix('.scope')}.scope", resources)
        return child

    def override(self, **resources: Any) -> Self:
        """A copy of this definition with other resources under the same names: for tests.

        Raises ResourceError for a name that the definition does not have.
        """
        for name in resources:
            if name not in self._targets:
                raise ResourceError(f"{name!r} must be a resource of {self._label}{near_or_known(name, self._targets)}")
        copy = type(self).__new__(type(self))
        copy._outer = self._outer
        copy._start(self.parallel, self._label, {**self._targets, **resources})
        return copy

    # Health ---------------------------------------------------------------------------------------------------------

    def check(self) -> dict[str, Health]:
        """Ask every open resource's health check; what a check raises is its answer."""
        return check_all(self._open_entry())

    async def acheck(self) -> dict[str, Health]:
        """The same where checks are asynchronous."""
        return await acheck_all(self._open_entry())

    # Accounts -------------------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Figures]:
        """The figures of every resource, over all entries so far; what a class declares, over all its managers."""
        return {name: meter.figures() for name, meter in self._meters.items()}

    def events(self) -> list[Event]:
        """The last 10,000 events, oldest first."""
        return list(self._journal)

    def timeline(self, entry: int | None = None) -> dict[str, list[Span]]:
        """The last entry (or the one with that number) as (start, end, kind) in seconds for each resource."""
        return timeline(self._journal, entry)

    @property
    def label(self) -> str:
        """What the log calls this manager: its scope."""
        return self._label

    @property
    def only_async(self) -> str:
        """The name of a resource that only `async with` can open; empty when `with` will do."""
        return self._plan.only_async

    def _repr_html_(self) -> str:
        return table_html(repr(self), self.snapshot())

    def __repr__(self) -> str:
        state = "open" if self._entry is not None else "closed"
        return f"<{self._label} {state}: {', '.join(self._plan.recipes) or 'no resources'}>"


def _begun(entry: Entry, phase: Phase, error: BaseException | None) -> Unwinding:
    """The unwinding of an entry that ends with an error or without."""
    unwinding = Unwinding()
    if phase is Phase.ACQUIRE:
        unwinding.failures.extend(entry.failures or ())
    if error is not None:
        unwinding.failed(phase, None, error)
    return unwinding


_NOTHING = object()
