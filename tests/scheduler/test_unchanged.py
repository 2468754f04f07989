"""A function is known again only while all that it uses is the same: every change, wherever it is, is noticed."""

from __future__ import annotations

import dataclasses
import enum
import threading
import types
from typing import Any

import numpy as np
import pytest

from arion_lib.scheduler.calls.places import EXACT
from arion_lib.scheduler.calls.unchanged import MOST_CHECKS, holds, watched


def cell(text: str, space: dict[str, Any]) -> dict[str, Any]:
    exec(compile(text, "<cell>", "exec"), space)  # noqa: S102
    return space


def notebook(text: str) -> dict[str, Any]:
    return cell(text, {"__name__": "__main__"})


COUNTER = """
def made(n):
    values = [n]
    def f(): return n, values
    def change(): nonlocal n; n += 1
    def append(): values.append(1)
    return f, change, append
f, change, append = made(1)
"""
SHOP = """
class Base:
    rate = 1
class Shop(Base):
    def __init__(self): self.stock, self.owner = [1, 2], None
    def f(self, n): return self.rate * n
    @property
    def size(self): return len(self.stock)
    @classmethod
    def make(cls): return cls()
    @staticmethod
    def other(): return 1
shop = Shop()
f = shop.f
"""
SLOTS = """
class Point:
    __slots__ = ("x", "y")
point = Point()
point.x = [1]
def f(): return point.x
"""
DATA = """
import dataclasses
@dataclasses.dataclass
class Point:
    x: int
    y: list[int] = dataclasses.field(default_factory=list)
points = {"a": Point(1), "b": Point(2)}
def f(): return points["a"].x
"""


@pytest.mark.parametrize(
    ("text", "change"),
    [
        ("k = [1]\ndef f(): return k", "k.append(2)"),
        ("k = [1]\ndef f(): return k", "k[0] = 2"),
        ("k = [1]\ndef f(): return k", "k[0] = True"),
        ("k = [1]\ndef f(): return k", "k = [1]"),
        ("k = [0.0]\ndef f(): return k", "k[0] = -0.0"),
        ("k = [[1]]\ndef f(): return k", "k[0].append(2)"),
        ("k = ([1], 2)\ndef f(): return k", "k[0].append(2)"),
        ("k = {'a': 1}\ndef f(): return k", "k['a'] = 2"),
        ("k = {'a': 1, 'b': 2}\ndef f(): return k", "k['a'] = k.pop('a')"),
        ("k = {'a': {'b': [1]}}\ndef f(): return k", "k['a']['b'][0] = 2"),
        ("k = {1}\ndef f(): return k", "k.add(2)"),
        ("k = bytearray(b'a')\ndef f(): return k", "k[0] = 98"),
        (f"k = list(range({3 * EXACT}))\ndef f(): return k", "k[5001] = -1"),
        (f"k = list(range({3 * EXACT}))\ndef f(): return k", "k[:] = map(float, k)"),
        (f"k = dict.fromkeys(range({3 * EXACT}), 1)\ndef f(): return k", "k[5001] = 2"),
        (f"k = list(range({3 * EXACT}))\ndef f(): return k", "import numpy; k[7] = numpy.arange(3)"),
        (COUNTER, "change()"),
        (COUNTER, "append()"),
        (SHOP, "shop.stock.append(3)"),
        (SHOP, "shop.stock = [1, 2]"),
        (SHOP, "shop.new = 1"),
        (SHOP, "shop.__dict__ = {}"),
        (SHOP, "shop.__class__ = Base"),
        (SHOP, "Shop.rate = 2"),
        (SHOP, "Base.rate = 2"),
        (SHOP, "Shop.f = lambda self, n: n"),
        (SHOP, "Shop.size.fget.__code__ = (lambda self: 1).__code__"),
        (SHOP, "Shop.other.__defaults__ = (1,)"),
        (SLOTS, "point.x = 2"),
        (SLOTS, "point.x.append(2)"),
        (SLOTS, "point.y = 2"),
        (SLOTS, "del point.x"),
        (DATA, "points['b'].x = 3"),
        (DATA, "points['a'].y.append(3)"),
        (DATA, "Point.extra = 3"),
        ("def f(*, x=[1]): return x", "f.__kwdefaults__['x'].append(1)"),
        ("def f(x=[1]): return x", "f.__defaults__[0].append(1)"),
        ("def f(): return 1", "f.n = 1"),
        ("def f(): return f.n\nf.n = [1]", "f.n.append(2)"),
    ],
)
def test_a_change_anywhere_is_noticed(text: str, change: str) -> None:
    space = notebook(text)
    checks = watched(space["f"])
    assert checks is not None
    assert holds(checks)
    cell(change, space)
    assert not holds(checks)


def test_the_control_equality_takes_an_equal_item_for_the_same() -> None:
    now, kept = [True], [1]
    assert now == kept  # what `holds` would say, did it compare by ==


def test_a_long_collection_of_atoms_is_compared_by_equality() -> None:
    """The one exception, which the docstring names: an equal item in the place of one of thousands."""
    space = notebook(f"k = [1] * {3 * EXACT}\ndef f(): return k")
    checks = watched(space["f"])
    assert checks is not None
    space["k"][5_002 if 5_002 % 3 else 5_003] = True
    assert holds(checks)
    space["k"][0] = True  # one of those that are looked at
    assert not holds(checks)


class Own:
    def __getstate__(self) -> object:
        return object()


class Word(str):
    __slots__ = ()


@pytest.mark.parametrize(
    "value",
    [
        types.ModuleType("made_here"),
        np.arange(3),
        threading.Lock(),
        Own(),
        Word("a"),
        iter([1]),
        [Own()],
        {"a": [np.arange(3)]},
        [()] * (EXACT + 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_looked_into_is_not_taken_for_unchanged(value: object) -> None:
    space = notebook("def f(): return k")
    space["k"] = value
    assert watched(space["f"]) is None


def test_too_many_places_are_not_looked_at() -> None:
    space = notebook("def f(): return k")
    space["k"] = [[number] for number in range(MOST_CHECKS + 10)]
    assert watched(space["f"]) is None


class Color(enum.Enum):
    RED = 1


@dataclasses.dataclass(frozen=True)
class Setting:
    color: Color = Color.RED
    names: tuple[str, ...] = ("a",)


@pytest.mark.parametrize("value", [Setting(), Color.RED, range(3), frozenset({1}), (Setting(), [Setting])], ids=str)
def test_plain_objects_can_be_looked_into(value: object) -> None:
    space = notebook("def f(): return k")
    space["k"] = value
    checks = watched(space["f"])
    assert checks is not None
    assert holds(checks)


def test_only_what_is_fixed_is_listed_where_that_is_asked_for() -> None:
    assert watched(notebook("k = (1, 'a')\ndef f(): return k")["f"], only_fixed=True) is not None
    for text in ("k = [1]\ndef f(): return k", COUNTER, SHOP, "def f(x=[]): return x"):
        assert watched(notebook(text)["f"], only_fixed=True) is None
