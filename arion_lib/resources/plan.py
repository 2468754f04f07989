"""A manager's definition, checked: which resources, in which order, by which protocol.

Idea        Everything that can be wrong with a definition is wrong before anything is opened.
Invariant   A plan never changes; every entry of the manager reads the same one.
When wrong  A `GraphError` or `TypeError` names the resource, the rule and what to write instead.
See         notebooks/2_resource_manager.ipynb · tests/resources/test_plan.py
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from arion_lib.resources.graph import order
from arion_lib.resources.recipe import Kind, Recipe, resource


@dataclass(frozen=True, slots=True)
class Plan:
    """Recipes by name, in the order in which one after the other they can be opened."""

    recipes: Mapping[str, Recipe[Any]]
    eager: tuple[tuple[str, Recipe[Any]], ...]  # those opened on entry, in order
    only_async: str = ""  # one that a `with` block cannot open
    limited: str = ""  # one whose limit an `async with` block cannot keep
    outer: Collection[str] = ()  # what the managers around this one define
    parallel: bool = False  # open and close at once what does not wait for something else

    @property
    def visible(self) -> set[str]:
        """Every name that can be looked up here, those of the managers around included."""
        return {*self.outer, *self.recipes}

    def refuse_async(self) -> None:
        """Raise TypeError when something here can only be opened with `async with`."""
        if name := self.only_async:
            raise TypeError(
                f"{name} must be a synchronous resource in a `with` block, got the asynchronous"
                f" {self.recipes[name].label}: enter the manager with `async with`"
            )

    def refuse_limits(self) -> None:
        """Raise TypeError when an `async with` block could not keep a time limit that is asked for."""
        if name := self.limited:
            raise TypeError(unlimited(name))


def plan(targets: Mapping[str, Any], outer: Collection[str] = (), parallel: bool = False) -> Plan:
    """Make recipes of all targets and put them in order; `outer` names what an enclosing manager provides.

    >>> from contextlib import nullcontext
    >>> [name for name, _ in plan({"api": resource(nullcontext(), after=["db"]), "db": nullcontext()}).eager]
    ['db', 'api']
    """
    recipes = {name: target if isinstance(target, Recipe) else resource(target) for name, target in targets.items()}
    _refuse_twice(recipes)
    needed = {need for recipe in recipes.values() for need in recipe.needs}
    inside: dict[str, tuple[str, ...]] = {name: () for name in outer if name in needed and name not in recipes}
    inside |= {name: recipe.needs for name, recipe in recipes.items()}
    ordered = tuple((name, recipes[name]) for name in order(inside) if name in recipes)
    wanted = _wanted_on_entry(recipes)
    only_async = next((name for name, recipe in recipes.items() if recipe.kind == Kind.ASYNC), "")
    limited = next((name for name, r in recipes.items() if r.kind == Kind.SYNC and r.limited), "")
    eager = tuple(step for step in ordered if step[0] in wanted)
    return Plan(recipes, eager, only_async, limited, outer, parallel)


def _refuse_twice(recipes: Mapping[str, Recipe[Any]]) -> None:
    """Raise ValueError where two names stand for one recipe, or for one object that can be entered only once."""
    seen: dict[int, str] = {}
    for name, recipe in recipes.items():
        one = recipe if recipe.itself is None else recipe.itself
        if (first := seen.setdefault(id(one), name)) != name:
            raise ValueError(f"a resource must be listed once, got the same object as {first!r} and {name!r}")


def unlimited(name: str) -> str:
    """What to say of a synchronous resource that shall have a deadline in a block that cannot give it one."""
    return (
        f"{name} must have no timeout and no release_timeout in an `async with` block, because it is synchronous: it"
        " would stop the event loop itself. Give the limit to an asynchronous resource, or use a `with` block"
    )


def _wanted_on_entry(recipes: Mapping[str, Recipe[Any]]) -> set[str]:
    """All that are not lazy, and the lazy ones that these need."""
    wanted: set[str] = set()
    waiting = [name for name, recipe in recipes.items() if not recipe.lazy]
    while waiting:
        name = waiting.pop()
        if name not in wanted and name in recipes:
            wanted.add(name)
            waiting.extend(recipes[name].needs)
    return wanted
