"""Who must be open before whom.

Idea        Names and needs form a graph; the standard library's `graphlib` walks it.
Invariant   A resource comes after everything it needs; between equals the order is that of the definition.
When wrong  A missing name or a cycle is refused when the manager is built, with the cycle spelled out.
See         notebooks/2_resource_manager.ipynb · tests/resources/test_graph.py
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from arion_lib.nearest import near_or_known


class GraphError(ValueError):
    """The resources cannot be put into an order: a name is missing, or they wait for each other."""


def order(needs: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Put the names into an order in which each comes after its needs, and as near the given order as that allows.

    >>> order({"api": ["cache"], "db": [], "cache": ["db"]})
    ('db', 'cache', 'api')

    Raises GraphError for a name that is not there and for a cycle. Cost: linear in names and needs.
    """
    refuse_missing(needs)
    refuse_cycles(needs)
    placed: dict[str, None] = {}
    for first in needs:
        branch = [first]
        while branch:
            waiting = [need for need in needs[branch[-1]] if need not in placed]
            if waiting:
                branch.append(waiting[0])
            else:
                placed.setdefault(branch.pop())
    return tuple(placed)


def refuse_missing(needs: Mapping[str, Sequence[str]]) -> None:
    """Raise GraphError where a name is needed that is not defined."""
    for name, wanted in needs.items():
        for need in wanted:
            if need not in needs:
                raise GraphError(f"{name!r} needs {need!r}, which is not defined{near_or_known(need, needs)}")


def refuse_cycles(needs: Mapping[str, Sequence[str]]) -> None:
    """Raise GraphError where resources wait for each other.

    >>> refuse_cycles({"a": ["b"], "b": ["a"]})
    Traceback (most recent call last):
        ...
    arion_lib.resources.graph.GraphError: resources must not wait for each other, got the cycle a -> b -> a
    """
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        cycle = error.args[1][::-1]
        start = min(range(len(cycle) - 1), key=lambda at: cycle[at])
        spelled = " -> ".join((*cycle[start:-1], *cycle[: start + 1]))
        raise GraphError(f"resources must not wait for each other, got the cycle {spelled}") from None
