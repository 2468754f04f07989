"""Managers inside managers: who defines a name, what is opened for whom, and what happens when the outer one ends.

Idea        A name belongs to the nearest manager that defines it, from the inside out.
Invariant   What an inner manager uses is open before it and is closed after it.
When wrong  An inner manager that is still open when its outer one ends is released first, and the misuse is reported.
See         notebooks/2_resource_manager.ipynb · tests/resources/test_scopes.py
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

from arion_lib.resources.entry import ResourceError
from arion_lib.resources.recipe import Recipe
from arion_lib.resources.settle import Phase, Unwinding
from arion_lib.resources.tasks import TaskEntry
from arion_lib.resources.threads import ThreadEntry

if TYPE_CHECKING:
    from arion_lib.resources.manager import Resources

Steps: TypeAlias = Iterable[tuple[str, Recipe[Any]]]


def all_names(manager: Resources | None) -> set[str]:
    """Every name that can be looked up in a manager, those of the enclosing ones included."""
    names: set[str] = set()
    while manager is not None:  # no recursion: scopes may be a thousand levels deep
        names.update(manager._plan.recipes)
        manager = manager._outer
    return names


def owner_of(manager: Resources, name: str) -> Resources:
    """The manager that defines a name: this one, or the nearest enclosing one that does."""
    while manager._open_entry().recipe(name) is None and manager._outer is not None:
        manager = manager._outer
    return manager


def open_for(outer: Resources, steps: Steps, own: Collection[str]) -> None:
    """Open what is lazy in `outer` and needed by the resources of a manager inside it, which defines `own` itself."""
    for name in _wanted(outer, steps, own):
        owner_of(outer, name).acquire(name)


async def aopen_for(outer: Resources, steps: Steps, own: Collection[str]) -> None:
    """The same in an `async with` block."""
    for name in _wanted(outer, steps, own):
        owner = owner_of(outer, name)
        if isinstance(owner._entry, ThreadEntry):
            owner.acquire(name)
        else:
            await owner.aacquire(name)


def _wanted(outer: Resources, steps: Steps, own: Collection[str]) -> Iterator[str]:
    for name in dict.fromkeys(need for _, recipe in steps for need in recipe.needs if need not in own):
        owner = outer._open_entry().owner_of(name)
        if name not in owner.leases and name not in owner.absent:
            yield name


def end_with_outer(inner: Resources, entry: Any, outer: Resources, unwinding: Unwinding) -> None:
    """The enclosing manager ends first: what is open inside goes before what it may use, and the misuse is told."""
    if isinstance(entry, TaskEntry):
        misuse = f"{inner.label} must be left before {outer.label}, which cannot await its releases: it stays open"
        unwinding.failed(Phase.RELEASE, inner.label, ResourceError(misuse))
        return
    keep(inner, inner._leave(entry, Phase.BODY, unwinding.told()), outer, unwinding)


def keep(inner: Resources, raised: BaseException | None, outer: Resources, unwinding: Unwinding) -> None:
    """Keep what came of ending an inner manager early."""
    inner._ended_by_outer = True
    misuse = f"{inner.label} was still open when {outer.label} ended: leave it first"
    unwinding.failed(Phase.RELEASE, inner.label, ResourceError(misuse))
    if raised is not None:
        unwinding.failed(Phase.RELEASE, inner.label, raised)
