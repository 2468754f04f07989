"""Places where a function looks something up, each with what was there: does it still hold the same?

Idea        One small object for each place: a global, a closure's cell, the parts of a function, the items of a
            collection, the attributes of an object. To look is to compare identities.
Invariant   What was bound there anew is noticed, whatever it is. One exception, for speed: in a collection of more than
            `EXACT` atoms, one item that an equal one has replaced (1 by True, 0.0 by -0.0) counts as the same
            (test_unchanged.py).
When wrong  A comparison that fails is a change.
See         arion_lib/scheduler/calls/unchanged.py · tests/scheduler/test_unchanged.py
"""

from __future__ import annotations

from operator import is_
from types import CellType, FunctionType, MappingProxyType
from typing import Any, Protocol

EXACT = 2_000
"""Items of a collection up to which each is looked at for its identity."""
NOTHING = object()
"""What is in a place where nothing is."""


class Check(Protocol):
    """One place, and what was there."""

    def holds(self) -> bool:
        """Whether the same is there now."""


class Seen:
    """A name among a function's globals."""

    __slots__ = ("name", "space", "value")

    def __init__(self, space: dict[str, Any], name: str) -> None:
        self.space, self.name, self.value = space, name, space.get(name, NOTHING)

    def holds(self) -> bool:
        return self.space.get(self.name, NOTHING) is self.value


class Made:
    """What a function was made of: reloading replaces its code, not the function."""

    __slots__ = ("attributes", "code", "defaults", "function", "keywords")

    def __init__(self, function: FunctionType) -> None:
        self.function, self.code, self.defaults = function, function.__code__, function.__defaults__
        self.keywords, self.attributes = function.__kwdefaults__, not function.__dict__

    def holds(self) -> bool:
        function = self.function
        return (
            function.__code__ is self.code
            and function.__defaults__ is self.defaults
            and function.__kwdefaults__ is self.keywords
            and (not function.__dict__) is self.attributes
        )


class Cell:
    """A variable that a closure shares with the function around it."""

    __slots__ = ("cell", "value")

    def __init__(self, cell: CellType) -> None:
        self.cell, self.value = cell, _content(cell)

    def holds(self) -> bool:
        return _content(self.cell) is self.value


class Items:
    """What lies in a collection."""

    __slots__ = ("collection", "kept")

    def __init__(self, collection: Any) -> None:
        self.collection, self.kept = collection, [list(part) for part in _parts(collection)]

    def holds(self) -> bool:
        return all(map(_same, _parts(self.collection), self.kept))


class Object:
    """The class of an object, where its attributes are, and those that lie in slots."""

    __slots__ = ("kept", "kind", "slots", "space", "value")

    def __init__(self, value: Any, slots: list[str]) -> None:
        self.value, self.kind, self.slots = value, type(value), slots
        self.space, self.kept = getattr(value, "__dict__", None), self.in_slots()

    def in_slots(self) -> list[Any]:
        return [getattr(self.value, name, NOTHING) for name in self.slots]

    def holds(self) -> bool:
        value = self.value
        if type(value) is not self.kind or getattr(value, "__dict__", None) is not self.space:
            return False
        return all(map(is_, self.in_slots(), self.kept))


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # nothing is in it yet
        return NOTHING


def _parts(collection: Any) -> tuple[list[Any], ...]:
    if type(collection) is list:
        return (collection,)
    if type(collection) in (dict, MappingProxyType):
        return list(collection), list(collection.values())
    return (list(collection),)


def _same(now: list[Any], kept: list[Any]) -> bool:
    if len(now) != len(kept):
        return False
    if len(kept) <= EXACT:
        return all(map(is_, now, kept))
    try:
        some = slice(0, None, len(kept) // EXACT)  # where all are converted, or most, these tell
        return now == kept and all(map(is_, now[some], kept[some]))
    except Exception:  # noqa: BLE001  (something new is there whose comparison fails)
        return False
