"""Many resources as one: opened together or not at all, closed whatever happens.

Idea        A manager is a definition that can be entered; `with` and `async with` read it the same way.
Invariant   The body runs only if every resource that is not optional is open; each release is attempted exactly once.
When wrong  One error is raised and carries the others: see `settle`. Misuse says what to call instead.
See         notebooks/2_resource_manager.ipynb · tests/resources/test_manager.py
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, ClassVar, Self, TypeVar

from arion_lib.nearest import near_or_known
from arion_lib.resources.entry import ResourceError
from arion_lib.resources.guarding.interrupts import uninterrupted
from arion_lib.resources.guarding.watch import Dismissed, Watch
from arion_lib.resources.monitoring.accounts import Accounts
from arion_lib.resources.monitoring.events import Journal
from arion_lib.resources.monitoring.metrics import Meter
from arion_lib.resources.plan import Plan, plan
from arion_lib.resources.recipe import Recipe
from arion_lib.resources.scopes import in_block, not_open
from arion_lib.resources.settle import Phase
from arion_lib.resources.tasks import TaskEntry
from arion_lib.resources.threads import ThreadEntry

Function = TypeVar("Function", bound=Callable[..., Any])


class Resources(Accounts):
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
    _outer: Resources | None = None  # whose `scope` made this one; how blocks lie in each other, their entries know

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
            if name.startswith("_"):
                raise ValueError(f"a resource's name must not begin with an underscore, got {name!r}")
            if hasattr(Resources, name):
                raise ValueError(f"a resource must not be called {name!r}: a method of the manager is")
        self._label, self._entries = label, itertools.count(1)
        self._entry: ThreadEntry | TaskEntry | None = None
        self._plan: Plan = plan(targets, self._outer._plan.visible if self._outer is not None else (), parallel)
        self._meters = {name: self._meter(name, recipe) for name, recipe in self._plan.recipes.items()}
        self._journal = Journal(label)

    def _meter(self, name: str, recipe: Recipe[Any]) -> Meter:
        """What a class declares is counted over all its managers, so that one per request adds up."""
        return self._shared[name] if self.declared.get(name) is recipe else Meter()

    # Entering and leaving -------------------------------------------------------------------------------------------

    def _enter(self, kind: type[ThreadEntry] | type[TaskEntry]) -> Any:
        if self._entry is not None and not self._entry.over:
            raise ResourceError(f"{self._label} is open already: leave it first, or make a second manager")
        outer = self._outer._open_entry() if self._outer is not None else None
        self._entry = entry = kind(self._plan, self._meters, self._journal, next(self._entries), outer)
        self._watch = Watch(self._label, entry)
        return entry

    @uninterrupted
    def __enter__(self) -> Self:
        if self._plan.only_async:
            self._plan.refuse_async()
        entry: ThreadEntry = self._enter(ThreadEntry)
        try:
            entry.open_all()
        except BaseException as error:  # all or nothing: whatever it was, what is open is released
            raised = entry.leave(Phase.ACQUIRE, error)
            self._left()
            if raised is error:
                raise
            raise raised or self._suppressed(error) from error
        return self

    @uninterrupted
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if (entry := self._leaving()) is None:
            return False
        raised = entry.leave(Phase.BODY, error)
        self._left()
        if raised is None or raised is error:
            return raised is None
        raise raised

    async def __aenter__(self) -> Self:
        self._plan.refuse_limits()
        entry: TaskEntry = self._enter(TaskEntry)
        try:
            await entry.open_all()
        except BaseException as error:  # all or nothing, as above
            raised = await entry.leave(Phase.ACQUIRE, error)
            self._left()
            if raised is error:
                raise
            raise raised or self._suppressed(error) from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if (entry := self._leaving()) is None:
            return False
        raised = await entry.leave(Phase.BODY, error)
        self._left()
        if raised is None or raised is error:
            return raised is None
        raise raised

    def _leaving(self) -> Any:
        """The entry to leave; None where the manager around this one has ended first, and has ended it too."""
        if self._entry is not None and self._entry.over:
            self._left()
            return None
        return self._open_entry()

    def _left(self) -> None:
        self._entry = None
        self._watch.__class__ = Dismissed  # type: ignore[assignment]

    def _suppressed(self, error: BaseException) -> ResourceError:
        return ResourceError(f"{self._label}: a resource suppressed the failure to open: {error}")

    # Looking up -----------------------------------------------------------------------------------------------------

    def __getitem__(self, name: str) -> Any:
        entry = self._open_entry()
        lease = entry.leases.get(name)
        return entry.find(name) if lease is None else lease.value

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name]

    def __contains__(self, name: object) -> bool:
        entry = self._entry
        return entry is not None and not entry.over and entry.value(str(name), self) is not self

    def get(self, name: str, default: Any = None) -> Any:
        """The open resource of that name, or `default`: for an optional one that may be absent."""
        return self._open_entry().value(name, default)

    def _open_entry(self) -> Any:
        if self._entry is None or self._entry.over:
            raise not_open(self._label)
        return self._entry

    # Acquiring and releasing inside the block -----------------------------------------------------------------------

    def acquire(self, name: str, target: Any = None) -> Any:
        """Open one more resource now: a lazy one by its name, or a new one that `target` describes.

        Returns the open resource; one that is open already is returned as it is. Many threads may ask at once: it is
        opened once. It is released with the others, or before by `release`.
        """
        block = in_block(self._open_entry(), ThreadEntry, "acquire", f"await aacquire({name!r})")
        return block.open_now(name, target)

    async def aacquire(self, name: str, target: Any = None) -> Any:
        """The same in an `async with` block; many tasks may ask at once, and one that is cancelled stops no other."""
        block = in_block(self._open_entry(), TaskEntry, "aacquire", f"call acquire({name!r})")
        return await block.open_now(name, target)

    def release(self, name: str) -> None:
        """Close one resource before the others. Twice is harmless; one that another still uses is refused."""
        in_block(self._open_entry(), ThreadEntry, "release", f"await arelease({name!r})").release(name)

    async def arelease(self, name: str) -> None:
        """The same in an `async with` block."""
        await in_block(self._open_entry(), TaskEntry, "arelease", f"call release({name!r})").release(name)

    def callback(self, function: Function, /, *args: Any, **kwargs: Any) -> Function:
        """Call a function when the block ends, before what is open already is released, as `ExitStack.callback` does.

        In an `async with` block it may be asynchronous. Returns the function, so that this may be a decorator.
        """
        entry = self._open_entry()
        if inspect.iscoroutinefunction(function) and not entry.waits:
            raise TypeError(f"{function!r} must not be asynchronous in a `with` block: nothing could await it")
        entry.call_at_end(function, *args, **kwargs)
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
            if name not in (known := self._plan.recipes):
                raise ResourceError(f"{name!r} must be a resource of {self._label}{near_or_known(name, known)}")
        copy = type(self).__new__(type(self))
        copy._outer = self._outer
        copy._start(self._plan.parallel, self._label, {**self._plan.recipes, **resources})
        return copy

    def __repr__(self) -> str:
        state = "open" if self._entry is not None else "closed"
        return f"<{self._label} {state}: {', '.join(self._plan.recipes) or 'no resources'}>"
