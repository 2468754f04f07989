"""The terminal operations, one class each: what happens to the elements that reach the end of the loop.

Idea        A terminal operation is the last stage: it writes what is done with an element, and what is returned after
            the last.
Invariant   Whatever can be known early (first, any, find ...) leaves the loop at that element; nothing behind it is
            pulled.
When wrong  An empty collection is told from one that holds `None` by a marker no user can have.
See         notebooks/4_lazy_collection.ipynb · tests/lazy/test_random_pipelines.py · arion_lib/lazy/stages.py
"""

from __future__ import annotations

from typing import ClassVar

from arion_lib.lazy.code import Code
from arion_lib.lazy.stages import Stage, labelled


class Sink(Stage):
    """A terminal operation."""

    __slots__ = ()
    whole: ClassVar[str | None] = None
    """What is done with all elements of `{inner}` at once, where a flat_map ends the pipeline; faster than a loop."""

    @property
    def label(self) -> str:
        return labelled(self.name, self.args)


class Each(Sink):
    """Hand the elements out, one at a time: this makes the generated function a generator.

    `label` names the terminal operation that takes them, where it is not a plain loop.
    """

    __slots__ = ("_label",)
    name = "iteration"

    def __init__(self, label: str = "iteration()") -> None:
        super().__init__()
        self._label = label

    @property
    def label(self) -> str:
        return self._label

    @staticmethod
    def emit(code: Code) -> None:
        code.line(f"yield {code.element}")


class EachOf(Sink):
    """Hand out `fn` of the elements."""

    __slots__ = ()
    name = "count_by"

    @staticmethod
    def emit(code: Code) -> None:
        code.line(f"yield {code.param('f')}({code.element})")


class PartOf(Sink):
    """Hand out `fn` of the elements, kept in `part` for the note of an error."""

    __slots__ = ()
    name = "flat_map"

    @staticmethod
    def emit(code: Code) -> None:
        code.line(f"part = {code.param('f')}({code.element})")
        code.line("yield part")


class ToList(Sink):
    """All elements as a list."""

    __slots__ = ()
    name = "to_list"
    whole = "out.extend({inner})"

    @staticmethod
    def emit(code: Code) -> None:
        code.setup.append("out = []")
        code.line(f"out.append({code.element})")
        code.result.append("return out")


class ToSet(Sink):
    """All elements as a set."""

    __slots__ = ()
    name = "to_set"

    @staticmethod
    def emit(code: Code) -> None:
        code.setup.append("out = set_()")
        code.line(f"out.add({code.element})")
        code.result.append("return out")
        code.helper("set_")


class ToDict(Sink):
    """Keys and values of the elements as a dict; of equal keys the last wins."""

    __slots__ = ()
    name = "to_dict"

    @staticmethod
    def emit(code: Code) -> None:
        code.setup.append("out = {}")
        key, value = code.param("key"), code.param("value")
        code.line(f"out[{key}({code.element})] = {value}({code.element})")
        code.result.append("return out")


class Pairs(Sink):
    """Elements that are pairs as a dict."""

    __slots__ = ()
    name = "to_dict"

    @staticmethod
    def emit(code: Code) -> None:
        code.setup.append("out = {}")
        code.line(f"key, value = {code.element}")
        code.line("out[key] = value")
        code.result.append("return out")


class Sum(Sink):
    """The elements added up from `start` on."""

    __slots__ = ()
    name = "sum"

    @staticmethod
    def emit(code: Code) -> None:
        code.setup.append(f"total = {code.param('start')}")
        code.line(f"total = total + {code.element}")
        code.result.append("return total")

    @property
    def label(self) -> str:
        return "sum()"


class Count(Sink):
    """How many elements there are."""

    __slots__ = ()
    name = "count"

    @staticmethod
    def emit(code: Code) -> None:
        code.setup.append("total = 0")
        code.line("total += 1")
        code.result.append("return total")


class Reduce(Sink):
    """One value out of all elements; `initial` may be the marker for none."""

    __slots__ = ()
    name = "reduce"

    @staticmethod
    def emit(code: Code) -> None:
        f, end = code.param("f"), code.helper("END")
        code.setup.append(f"so_far = {code.param('initial')}")
        code.line(f"so_far = {code.element} if so_far is {end} else {f}(so_far, {code.element})")
        code.result.append("return so_far")


class Fold(Sink):
    """`Reduce` with an initial value, which needs no question per element."""

    __slots__ = ()
    name = "reduce"

    @staticmethod
    def emit(code: Code) -> None:
        f = code.param("f")
        code.setup.append(f"so_far = {code.param('initial')}")
        code.line(f"so_far = {f}(so_far, {code.element})")
        code.result.append("return so_far")


class FoldBy(Sink):
    """One `Fold` for each key."""

    __slots__ = ()
    name = "fold_by"

    @staticmethod
    def emit(code: Code) -> None:
        key, f, initial = code.param("key"), code.param("f"), code.param("initial")
        code.setup += ["out = {}", "get = out.get"]
        code.line(f"key = {key}({code.element})")
        code.line(f"out[key] = {f}(get(key, {initial}), {code.element})")
        code.result.append("return out")


class GroupBy(Sink):
    """The elements of each key as a list."""

    __slots__ = ()
    name = "group_by"

    @staticmethod
    def emit(code: Code) -> None:
        code.setup += ["out = {}", "get = out.get"]
        code.line(f"key = {code.param('key')}({code.element})")
        code.line("group = get(key)")
        code.line("if group is None:")
        code.line(f"out[key] = [{code.element}]", 1)
        code.line("else:")
        code.line(f"group.append({code.element})", 1)
        code.result.append("return out")


class Least(Sink):
    """The first of the least elements."""

    __slots__ = ()
    name = "min"
    sign: ClassVar[str] = "<"

    @classmethod
    def emit(cls, code: Code) -> None:
        end = code.helper("END")
        code.setup.append(f"best = {end}")
        code.line(f"if best is {end} or {code.element} {cls.sign} best:")
        code.line(f"best = {code.element}", 1)
        code.result.append(f"return {code.param('default')} if best is {end} else best")


class LeastBy(Sink):
    """The first of the elements with the least key."""

    __slots__ = ()
    name = "min"
    sign: ClassVar[str] = "<"

    @classmethod
    def emit(cls, code: Code) -> None:
        key, end = code.param("key"), code.helper("END")
        code.setup += [f"best = {code.param('default')}", f"best_key = {end}"]
        code.line(f"key = {key}({code.element})")
        code.line(f"if best_key is {end} or key {cls.sign} best_key:")
        code.line(f"best, best_key = {code.element}, key", 1)
        code.result.append("return best")


class Greatest(Least):
    """The first of the greatest elements."""

    __slots__ = ()
    name = "max"
    sign = ">"


class GreatestBy(LeastBy):
    """The first of the elements with the greatest key."""

    __slots__ = ()
    name = "max"
    sign = ">"


class Top(Sink):
    """The `n` greatest elements by key, greatest first; of equal ones those that came first. Holds `n` elements."""

    __slots__ = ()
    name = "top"

    @staticmethod
    def emit(code: Code) -> None:
        n, key = code.param("n"), code.param("key")
        code.setup += ["heap = []", "order = 0"]
        code.line(f"key = {key}({code.element})")
        code.line("order -= 1")
        code.line(f"if {code.helper('len')}(heap) < {n}:")
        code.line(f"{code.helper('heappush')}(heap, (key, order, {code.element}))", 1)
        code.line("elif heap[0][0] < key:")
        code.line(f"{code.helper('heapreplace')}(heap, (key, order, {code.element}))", 1)
        code.result.append(f"return [entry[2] for entry in {code.helper('sorted')}(heap, reverse=True)]")


class First(Sink):
    """The first element."""

    __slots__ = ()
    name = "first"

    @staticmethod
    def emit(code: Code) -> None:
        code.line(f"return {code.element}")
        code.result.append(f"return {code.param('default')}")


class Last(Sink):
    """The last element."""

    __slots__ = ()
    name = "last"

    @staticmethod
    def emit(code: Code) -> None:
        code.setup.append(f"last = {code.param('default')}")
        code.line(f"last = {code.element}")
        code.result.append("return last")


class Find(Sink):
    """The first element for which `fn` is true."""

    __slots__ = ()
    name = "find"

    @staticmethod
    def emit(code: Code) -> None:
        code.line(f"if {code.param('f')}({code.element}):")
        code.line(f"return {code.element}", 1)
        code.result.append(f"return {code.param('default')}")


class Any(Sink):
    """Whether `fn` is true for some element."""

    __slots__ = ()
    name = "any"

    @staticmethod
    def emit(code: Code) -> None:
        code.line(f"if {code.param('f')}({code.element}):")
        code.line("return True", 1)
        code.result.append("return False")


class All(Sink):
    """Whether `fn` is true for every element."""

    __slots__ = ()
    name = "all"

    @staticmethod
    def emit(code: Code) -> None:
        code.line(f"if not {code.param('f')}({code.element}):")
        code.line("return False", 1)
        code.result.append("return True")


class ForEach(Sink):
    """Call `fn` with each element."""

    __slots__ = ()
    name = "for_each"

    @staticmethod
    def emit(code: Code) -> None:
        code.line(f"{code.param('f')}({code.element})")
        code.result.append("return None")
