"""Blocks inside blocks: which of them a name belongs to, and what is opened for a lookup.

Idea        A name belongs to the nearest block that defines it, from the inside out.
Invariant   What an inner block uses is open before it and is closed after it.
When wrong  A lookup that finds nothing says why: never defined, not opened yet, absent, or closed.
See         notebooks/2_resource_manager.ipynb · tests/resources/test_scopes.py
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from arion_lib.nearest import near_or_known
from arion_lib.resources.entry import AbsentError, AsyncLease, Entry, Lease, ResourceError, clock
from arion_lib.resources.making.wrappers import Callback
from arion_lib.resources.monitoring.metrics import Meter
from arion_lib.resources.plan import plan
from arion_lib.resources.recipe import Recipe, resource


class Scope(Entry):
    """A block that finds its names in itself and in the blocks around it."""

    outer: Scope | None
    waits = False
    """Whether this kind of block can await a release."""

    # Finding --------------------------------------------------------------------------------------------------------

    def owner_of(self, name: str) -> Scope:
        """The block that defines a name: this one, or the nearest around it that does."""
        entry: Scope = self
        while entry.recipe(name) is None and entry.outer is not None:  # no recursion: a thousand levels are allowed
            entry = entry.outer
        return entry

    def value(self, name: str, default: Any) -> Any:
        """The open resource of that name, here or in a block around; opens nothing."""
        lease = self.owner_of(name).leases.get(name)
        return default if lease is None else lease.value

    def find(self, name: str) -> Any:
        """The open resource of that name, here or in a block around; a lazy one is opened where that can be done."""
        owner = self.owner_of(name)
        owner.refuse_over()
        recipe, lease = owner.recipe(name), owner.leases.get(name)
        if recipe is None:
            raise self.why_missing(name)
        if lease is not None:
            return lease.value
        return owner.first_use(name) if recipe.lazy else owner.open_value(name)

    def first_use(self, name: str) -> Any:
        """Open a lazy resource because it is looked up; where opening may wait, the lookup is refused."""
        return self.open_value(name)

    def open_value(self, name: str) -> Any:
        """The open resource of that name, in this block."""
        if name not in self.leases:
            raise self.why_missing(name)
        return self.leases[name].value

    def given(self, recipe: Recipe[Any]) -> dict[str, Any]:
        """The open resources that a recipe's function takes; an absent optional one is None."""
        return {name: self._needed(name) for name in recipe.takes}

    def _needed(self, name: str) -> Any:
        owner = self.owner_of(name)
        return None if name in owner.absent else owner.open_value(name)

    def missing(self, name: str) -> bool:
        """Whether a resource of this block is neither open nor known to be absent."""
        return name not in self.leases and name not in self.absent

    def lazily(self, name: str) -> list[tuple[str, Recipe[Any]]]:
        """What to open in this block before that resource can be used, and it: in order, each once."""
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

    def outside(self, steps: Iterable[tuple[str, Recipe[Any]]]) -> Iterator[tuple[Scope, str]]:
        """What must be opened in the blocks around before these steps, each with the block that defines it."""
        if self.outer is None:
            return
        for name in dict.fromkeys(need for _, recipe in steps for need in recipe.needs if self.recipe(need) is None):
            owner = self.outer.owner_of(name)
            if owner.missing(name):
                yield owner, name

    # Adding and refusing --------------------------------------------------------------------------------------------

    def steps(self, name: str, target: Any) -> list[tuple[str, Recipe[Any]]]:
        """What to open for a lazy resource, or for a new one that `target` describes, which is defined here first."""
        recipe = resource(target) if target is not None and not isinstance(target, Recipe) else target
        with self.lock:
            if recipe is not None:
                if name in self.leases:
                    raise ResourceError(f"{name!r} is open already: release({name!r}) first, or take another name")
                self._define(name, recipe)
            return self.lazily(name)

    def _define(self, name: str, recipe: Recipe[Any]) -> None:
        """Define one more resource, for this block alone; what is wrong with it is refused before it is added."""
        if not isinstance(name, str):
            raise TypeError(f"a resource's name must be a text, got {name!r}")
        plan({**self.plan.recipes, **self.extra, name: recipe}, self.plan.outer)
        self.meters.setdefault(name, Meter())
        self.extra = {**self.extra, name: recipe}

    def call_at_end(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Hold a call as if it were a resource that is open."""
        if not callable(function):
            raise TypeError(f"a callback must be a function, got {function!r}")
        call, at = Callback(function, args, kwargs), clock()
        with self.lock:
            number = 1
            while self.recipe(name := f"callback {number}") is not None:
                number += 1
            self._define(name, resource(call))
        lease = AsyncLease if self.waits else Lease
        self.opened(lease(name, call, function, at), at, 1)

    def refuse_over(self) -> None:
        """Raise ResourceError when the block is being left, or was."""
        if self.over:
            raise not_open(self.label)

    def refuse_used(self, name: str) -> None:
        """Raise ResourceError when another open resource, here or in a block inside, still needs this one."""
        users = [*self.users().get(name, ()), *self._users_inside(name)]
        if users:
            raise ResourceError(f"{name!r} is still used by {', '.join(users)}: release that first")

    def _users_inside(self, name: str) -> list[str]:
        users: list[str] = []
        for entry in list(self.inner):
            if entry.recipe(name) is None:
                users += [f"{user} of {entry.label}" for user in list(entry.leases) if name in entry._needs(user)]
                users += entry._users_inside(name)
        return users

    def may_release(self, name: str) -> bool:
        """Whether a resource is open; refused when it is not of this block, or still used."""
        if name not in self.leases:
            if self.recipe(name) is None:
                raise self.why_missing(name)
            return False
        self.refuse_used(name)
        return True

    def how_to_open(self, name: str) -> str:
        """The call that opens a lazy resource, as this kind of block spells it."""
        return f"call acquire({name!r})"

    def why_missing(self, name: str) -> Exception:
        """The error that says why a name gives no open resource."""
        if name in self.absent:
            error = AbsentError(f"{name!r} is optional and absent: ask `{name!r} in manager` first")
            error.__cause__ = self.absent[name]
            return error
        if self.recipe(name) is not None:
            return ResourceError(f"{name!r} is not open: {self.how_to_open(name)} first")
        known = dict.fromkeys((*self.plan.recipes, *self.extra))
        return ResourceError(f"there is no resource {name!r} here{near_or_known(name, known)}")


def not_open(label: str) -> ResourceError:
    """What is said to a lookup outside the block."""
    return ResourceError(f"{label} is not open: use it inside `with {label.lower()} as r:`")


Block = TypeVar("Block", bound=Scope)


def in_block(entry: Scope, kind: type[Block], call: str, instead: str) -> Block:
    """The entry, when it is of that kind; ResourceError for a call that the other kind of block is made for."""
    if isinstance(entry, kind):
        return entry
    block = "an `async with`" if entry.waits else "a `with`"
    raise ResourceError(f"{call} must not be called in {block} block: {instead} instead")
