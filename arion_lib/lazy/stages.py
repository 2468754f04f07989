"""The transformations, one class each: what it is called, what it is given, and the lines it adds to the loop.

Idea        A stage is a value: a template and its arguments. Pipelines of equal templates share one generated function.
            A new stage is a new class of three or four lines; `LazyCollection` gets a method that makes it.
Invariant   A stage never runs user code when it is made, and never changes afterwards.
When wrong  Arguments are checked by the collection's methods before a stage is made.
See         notebooks/4_lazy_collection.ipynb · tests/lazy/test_fuse.py · arion_lib/lazy/template.py (its language)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Protocol, TypeVar

from arion_lib.lazy.source import name_of
from arion_lib.lazy.template import END, Code

T = TypeVar("T")


class Shape(Protocol):
    """What writes a stage's lines; equal shapes write equal lines."""

    def emit(self, code: Code) -> None:
        """Write the stage into `code`."""


class Stage:
    """A transformation or terminal operation: `args` are handed to the generated function, in the order of `given`."""

    __slots__ = ("args",)

    name: ClassVar[str]
    given: ClassVar[str] = ""
    setup: ClassVar[str] = ""
    body: ClassVar[str] = ""
    after: ClassVar[str] = ""
    stop: ClassVar[str] = ""
    result: ClassVar[str] = ""

    plain: ClassVar[bool] = True  # needs nothing but its lines: no push-down, no second loop
    one_to_one: ClassVar[bool] = False  # as many elements out as in, in the same places: "the first n" may go below
    element_wise: ClassVar[bool] = False  # and each depends on its own element alone: "all but the first n" may, too
    waits: ClassVar[bool] = False  # for threads, processes or an event loop
    shape: Shape

    def __init__(self, *args: object) -> None:
        self.args = args

    def __init_subclass__(cls) -> None:
        if "shape" not in vars(cls):  # one that pastes an expression has a shape for each instance
            cls.shape = cls

    @property
    def label(self) -> str:
        """The call as a person would write it, without running anything."""
        return f"{self.name}({', '.join(map(_short, self.args))})"

    @classmethod
    def emit(cls, code: Code) -> None:
        """Write the stage into `code`."""
        code.write(cls)


class Map(Stage):
    """`f` of each element."""

    name, given = "map", "f"
    body = "$x = $f($x)"
    one_to_one = element_wise = True


class Filter(Stage):
    """Elements for which `f` is true."""

    name, given = "filter", "f"
    body = "keep if $f($x)"


class Reject(Stage):
    """Elements for which `f` is false."""

    name, given = "reject", "f"
    body = "keep if (not $f($x))"


class FlatMap(Stage):
    """The elements of `f(element)`, one after the other."""

    name, given = "flat_map", "f"
    body = "each of $f($x)"


class Flatten(Stage):
    """The elements of each element, one after the other."""

    name = "flatten"
    body = "each of $x"


class Skip(Stage):
    """All but the first `n` elements, counted in the loop: where a cut could not be pushed into the source."""

    name, given = "skip", "n"
    setup = "$skip = $n"
    body = """\
if $skip:
    $skip -= 1
    drop"""


class Take(Stage):
    """The first `n` elements; the loop ends with the n-th, so that an n + 1st is never pulled."""

    name, given = "take", "n"
    setup = """\
$take = $n
if not $take:
    source = ()"""
    after = """\
$take -= 1
if not $take:
    break"""
    stop = "not $take"


class SkipWhile(Stage):
    """Elements from the first on for which `f` is false."""

    name, given = "skip_while", "f"
    setup = "$skipping = True"
    body = """\
if $skipping and $f($x):
    drop
$skipping = False"""


class TakeWhile(Stage):
    """Elements up to the first one for which `f` is false."""

    name, given = "take_while", "f"
    body = "stop unless $f($x)"


class Window(Stage):
    """Each `n` consecutive elements as a tuple."""

    name, given = "window", "n"
    setup = "$last = $deque(maxlen=$n)"
    body = """\
$last.append($x)
keep if $len($last) == $n
$x = $tuple($last)"""


class Enumerate(Stage):
    """Tuples of a number, counted from `n`, and the element."""

    name, given = "enumerate", "n"
    setup = "$number = $n"
    body = """\
$x = ($number, $x)
$number += 1"""
    one_to_one = True


class Distinct(Stage):
    """Elements that have not come before."""

    name = "distinct"
    setup = "$seen = $set()"
    body = """\
keep if ($x not in $seen)
$seen.add($x)"""


class DistinctBy(Stage):
    """Elements whose key has not come before."""

    name, given = "distinct", "f"
    setup = "$seen = $set()"
    body = """\
$key = $f($x)
keep if ($key not in $seen)
$seen.add($key)"""


class Scan(Stage):
    """Running results of `f(result so far, element)`."""

    name, given = "scan", "f initial"
    setup = "$so_far = $initial"
    body = """\
$so_far = $x if $so_far is $END else $f($so_far, $x)
$x = $so_far"""
    one_to_one = True

    @property
    def label(self) -> str:
        return labelled(self.name, self.args)


class Tap(Stage):
    """The elements as they are, after `f` has seen each."""

    name, given = "tap", "f"
    body = "$f($x)"
    one_to_one = True


class Barrier(Stage):
    """A stage that no single loop can hold: it takes the iterator of what is above it and gives another one."""

    plain = False

    def attach(self, upstream: Iterable[object], blame: Blame) -> Iterable[object]:
        """Return what comes out of the stage when `upstream` goes in; `blame` names the element of an error."""
        raise NotImplementedError


class Blame(Protocol):
    """Adds to an error the stage it came from."""

    def __call__(self, error: BaseException, element: object = ...) -> None:
        """Add the note; `element` is what the stage was given."""


def itself(x: T) -> T:
    """Return the argument: the key, or the value, where none is given."""
    return x


def labelled(name: str, args: Iterable[object]) -> str:
    """Write a call, leaving out what was not given.

    >>> labelled("reduce", [max, END])
    'reduce(max)'
    """
    return f"{name}({', '.join(_short(a) for a in args if a is not END and a is not None and a is not itself)})"


def _short(value: object) -> str:
    if callable(value):
        return name_of(value)
    text = repr(value) if isinstance(value, int | float | str | bool | None) else type(value).__name__
    return text if len(text) <= 40 else f"{text[:37]}..."
