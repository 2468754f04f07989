"""The terminal operations, one class each: what happens to the elements that reach the end of the loop.

Idea        A terminal operation is the last stage: it writes what is done with an element, and what is returned after
            the last.
Invariant   Whatever can be known early (first, any, find ...) leaves the loop at that element; nothing behind it is
            pulled.
When wrong  An empty collection is told from one that holds `None` by a marker no user can have.
See         notebooks/4_lazy_collection.ipynb · tests/lazy/test_random_pipelines.py · arion_lib/lazy/stages.py
"""

from __future__ import annotations

import typing
from typing import ClassVar, Protocol

from arion_lib.lazy.stages import Stage, labelled


class Ordered(Protocol):
    """Something that `<` compares."""

    def __lt__(self, other: typing.Any, /) -> bool: ...


class Sink(Stage):
    """A terminal operation."""

    whole: ClassVar[str] = ""
    """What is done with all elements of `$inner` at once, where a flat_map ends the pipeline; faster than a loop."""

    @property
    def label(self) -> str:
        return labelled(self.name, self.args)


class Each(Sink):
    """Hand the elements out, one at a time: this makes the generated function a generator.

    `label` names the terminal operation that takes them, where it is not a plain loop.
    """

    __slots__ = ("_label",)
    name = "iteration"
    body = "yield $x"

    def __init__(self, label: str = "iteration()") -> None:
        super().__init__()
        self._label = label

    @property
    def label(self) -> str:
        return self._label


EACH = Each()


class ToList(Sink):
    """All elements as a list."""

    name = "to_list"
    setup = "$out = []"
    body = "$out.append($x)"
    whole = "$out.extend($inner)"
    result = "return $out"


class ToSet(Sink):
    """All elements as a set."""

    name = "to_set"
    setup = "$out = $set()"
    body = "$out.add($x)"
    result = "return $out"


class Sum(Sink):
    """The elements added up from `start` on."""

    name, given = "sum", "start"
    setup = "$total = $start"
    body = "$total = $total + $x"
    result = "return $total"

    @property
    def label(self) -> str:
        return "sum()"


class Count(Sink):
    """How many elements there are."""

    name = "count"
    setup = "$total = 0"
    body = "$total += 1"
    result = "return $total"


class Reduce(Sink):
    """One value out of all elements; `initial` may be the marker for none."""

    name, given = "reduce", "f initial"
    setup = "$so_far = $initial"
    body = "$so_far = $x if $so_far is $END else $f($so_far, $x)"
    result = "return $so_far"


class Fold(Sink):
    """`Reduce` with an initial value, which needs no question per element."""

    name, given = "reduce", "f initial"
    setup = "$so_far = $initial"
    body = "$so_far = $f($so_far, $x)"
    result = "return $so_far"


class Least(Sink):
    """The first of the least elements."""

    name, given = "min", "default"
    setup = "$best = $END"
    body = """\
if $best is $END or $x < $best:
    $best = $x"""
    result = "return $default if $best is $END else $best"


class LeastBy(Sink):
    """The first of the elements with the least key."""

    name, given = "min", "key default"
    setup = """\
$best = $default
$least = $END"""
    body = """\
$k = $key($x)
if $least is $END or $k < $least:
    $best, $least = $x, $k"""
    result = "return $best"


class Greatest(Least):
    """The first of the greatest elements."""

    name = "max"
    body = Least.body.replace("<", ">")


class GreatestBy(LeastBy):
    """The first of the elements with the greatest key."""

    name = "max"
    body = LeastBy.body.replace("<", ">")


class First(Sink):
    """The first element."""

    name, given = "first", "default"
    body = "return $x"
    result = "return $default"


class Last(Sink):
    """The last element."""

    name, given = "last", "default"
    setup = "$last = $default"
    body = "$last = $x"
    result = "return $last"


class Find(Sink):
    """The first element for which `f` is true."""

    name, given = "find", "f default"
    body = """\
if $f($x):
    return $x"""
    result = "return $default"


class Any(Sink):
    """Whether `f` is true for some element."""

    name, given = "any", "f"
    body = """\
if $f($x):
    return True"""
    result = "return False"


class All(Sink):
    """Whether `f` is true for every element."""

    name, given = "all", "f"
    body = """\
if not $f($x):
    return False"""
    result = "return True"


class ForEach(Sink):
    """Call `f` with each element."""

    name, given = "for_each", "f"
    body = "$f($x)"
    result = "return None"
