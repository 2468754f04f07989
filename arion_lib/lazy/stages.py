"""The transformations, one class each: what it is called, what it is given, and the lines it adds to the loop.

Idea        A stage is a value: a shape (its lines) and arguments. Pipelines of equal shape share one generated
            function.
Invariant   A stage never runs user code when it is made, and never changes afterwards.
When wrong  Arguments are checked by the collection's methods before a stage is made.
See         notebooks/4_lazy_collection.ipynb · tests/lazy/test_fuse.py · arion_lib/lazy/code.py
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import repeat
from typing import ClassVar, Protocol, TypeVar

from arion_lib.lazy.code import Code
from arion_lib.lazy.source import describe, name_of, waits

Function = Callable[..., object]
T = TypeVar("T")


class Shape(Protocol):
    """What writes a stage's lines; equal shapes write equal lines."""

    def emit(self, code: Code) -> None:
        """Write the stage into `code`."""


class Stage:
    """A transformation or terminal operation: `args` are handed to the generated function, in order."""

    __slots__ = ("args",)

    name: ClassVar[str]
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

    @staticmethod
    def emit(code: Code) -> None:
        """Write the stage into `code`."""
        raise NotImplementedError


class Map(Stage):
    """`fn` of each element."""

    __slots__ = ()
    name = "map"
    one_to_one = element_wise = True

    @staticmethod
    def emit(code: Code) -> None:
        code.line(f"{code.element} = {code.param('f')}({code.element})")


class Filter(Stage):
    """Elements for which `fn` is true."""

    __slots__ = ()
    name = "filter"

    @staticmethod
    def emit(code: Code) -> None:
        code.require(f"{code.param('f')}({code.element})")


class Reject(Stage):
    """Elements for which `fn` is false."""

    __slots__ = ()
    name = "reject"

    @staticmethod
    def emit(code: Code) -> None:
        code.require(f"(not {code.param('f')}({code.element}))")


class FlatMap(Stage):
    """The elements of `fn(element)`, one after the other."""

    __slots__ = ()
    name = "flat_map"

    @staticmethod
    def emit(code: Code) -> None:
        code.loop(f"{code.param('f')}({code.element})")


class Skip(Stage):
    """All but the first `n` elements, counted in the loop: where a cut could not be pushed into the source."""

    __slots__ = ()
    name = "skip"

    @staticmethod
    def emit(code: Code) -> None:
        left = code.local("skip")
        code.setup.append(f"{left} = {code.param('n')}")
        code.line(f"if {left}:")
        code.line(f"{left} -= 1", 1)
        _else(code)


class Take(Stage):
    """The first `n` elements; the loop ends with the n-th, so that an n + 1st is never pulled."""

    __slots__ = ()
    name = "take"

    @staticmethod
    def emit(code: Code) -> None:
        left = code.local("take")
        code.setup += [f"{left} = {code.param('n')}", f"if not {left}:", "    source = ()"]
        code.after(f"{left} -= 1", f"if not {left}:", "    break")
        code.stop_when(f"not {left}")


class Every(Stage):
    """Each `step`-th element, from the first on."""

    __slots__ = ()
    name = "every"
    plain = False

    @staticmethod
    def emit(code: Code) -> None:
        left, step = code.local("every"), code.param("n")
        code.setup.append(f"{left} = 0")
        code.line(f"if {left}:")
        code.line(f"{left} -= 1", 1)
        _else(code)
        code.line(f"{left} = {step} - 1")

    @property
    def label(self) -> str:
        return f"[::{self.args[0]}]"


class SkipWhile(Stage):
    """Elements from the first on for which `fn` is false."""

    __slots__ = ()
    name = "skip_while"

    @staticmethod
    def emit(code: Code) -> None:
        skipping = code.local("skipping")
        code.setup.append(f"{skipping} = True")
        code.line(f"if {skipping} and {code.param('f')}({code.element}):")
        code.line("pass", 1)
        _else(code)
        code.line(f"{skipping} = False")


class TakeWhile(Stage):
    """Elements up to the first one for which `fn` is false."""

    __slots__ = ()
    name = "take_while"

    @staticmethod
    def emit(code: Code) -> None:
        code.stop_unless(f"{code.param('f')}({code.element})", code.local("stop"))


class Window(Stage):
    """Each `size` consecutive elements as a tuple."""

    __slots__ = ()
    name = "window"

    @staticmethod
    def emit(code: Code) -> None:
        last, size = code.local("last"), code.param("n")
        code.setup.append(f"{last} = {code.helper('deque')}(maxlen={size})")
        code.line(f"{last}.append({code.element})")
        code.require(f"{code.helper('len')}({last}) == {size}")
        code.line(f"{code.element} = {code.helper('tuple')}({last})")


class Others:
    """The iterables that are zipped with the elements; each pass opens all of them."""

    __slots__ = ("sources",)

    def __init__(self, sources: tuple[Iterable[object], ...]) -> None:
        self.sources = sources

    def __iter__(self) -> Iterator[tuple[object, ...]]:
        if not self.sources:
            return repeat(())
        return zip(*self.sources, strict=False)


class Zip(Stage):
    """Tuples of an element and one of each other iterable; ends with the shortest."""

    __slots__ = ()
    name = "zip"

    @staticmethod
    def emit(code: Code) -> None:
        other, beside = code.local("other"), code.local("beside")
        code.setup.append(f"{other} = {code.helper('iter')}({code.param('other')})")
        code.line(f"{beside} = {code.helper('next')}({other}, {code.helper('END')})")
        code.stop_unless(f"({beside} is not {code.helper('END')})", code.local("stop"))
        code.line(f"{code.element} = ({code.element}, *{beside})")

    @property
    def waits(self) -> bool:  # type: ignore[override]
        (others,) = self.args
        assert isinstance(others, Others)  # noqa: S101 - so it was made
        return any(map(waits, others.sources))

    @property
    def label(self) -> str:
        (others,) = self.args
        assert isinstance(others, Others)  # noqa: S101 - so it was made
        return f"zip({', '.join(map(describe, others.sources))})"


class Enumerate(Stage):
    """Tuples of a number, counted from `start`, and the element."""

    __slots__ = ()
    name = "enumerate"
    one_to_one = True

    @staticmethod
    def emit(code: Code) -> None:
        number = code.local("number")
        code.setup.append(f"{number} = {code.param('n')}")
        code.line(f"{code.element} = ({number}, {code.element})")
        code.line(f"{number} += 1")


class Distinct(Stage):
    """Elements that have not come before."""

    __slots__ = ()
    name = "distinct"

    @staticmethod
    def emit(code: Code) -> None:
        seen = code.local("seen")
        code.setup.append(f"{seen} = {code.helper('set')}()")
        code.require(f"({code.element} not in {seen})")
        code.line(f"{seen}.add({code.element})")


class DistinctBy(Stage):
    """Elements whose key has not come before."""

    __slots__ = ()
    name = "distinct"

    @staticmethod
    def emit(code: Code) -> None:
        seen, key = code.local("seen"), code.local("key")
        code.setup.append(f"{seen} = {code.helper('set')}()")
        code.line(f"{key} = {code.param('f')}({code.element})")
        code.require(f"({key} not in {seen})")
        code.line(f"{seen}.add({key})")


class Scan(Stage):
    """Running results of `fn(result so far, element)`."""

    __slots__ = ()
    name = "scan"
    one_to_one = True

    @staticmethod
    def emit(code: Code) -> None:
        f, so_far = code.param("f"), code.local("so_far")
        code.setup.append(f"{so_far} = {code.param('initial')}")
        code.line(f"{so_far} = {code.element} if {so_far} is {code.helper('END')} else {f}({so_far}, {code.element})")
        code.line(f"{code.element} = {so_far}")

    @property
    def label(self) -> str:
        return labelled(self.name, self.args)


class Tap(Stage):
    """The elements as they are, after `fn` has seen each."""

    __slots__ = ()
    name = "tap"
    one_to_one = True

    @staticmethod
    def emit(code: Code) -> None:
        code.line(f"{code.param('f')}({code.element})")


class Cut(Stage):
    """Elements `start` up to `stop`: skip, take, a slice or a page. Push-down moves it towards the source."""

    __slots__ = ("text",)
    name = "cut"
    plain = False

    def __init__(self, start: int, stop: int | None, text: str) -> None:
        super().__init__(start, stop)
        self.text = text

    @property
    def bounds(self) -> tuple[int, int | None]:
        """(start, stop)."""
        start, stop = self.args
        return start, stop  # type: ignore[return-value]

    @property
    def label(self) -> str:
        return self.text


class Barrier(Stage):
    """A stage that no single loop can hold: it takes the iterator of what is above it and gives another one."""

    __slots__ = ()
    plain = False

    def attach(self, upstream: Iterable[object], blame: Blame) -> Iterable[object]:
        """Return what comes out of the stage when `upstream` goes in; `blame` names the element of an error."""
        raise NotImplementedError


class Blame(Protocol):
    """Adds to an error the stage it came from."""

    def __call__(self, error: BaseException, element: object = ...) -> None:
        """Add the note; `element` is what the stage was given."""


class Marker:
    """A value that no user's value can be."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text

    def __reduce__(self) -> str:
        return "END"  # pickled by its name, so that a copy of a pipeline has the same marker


END = Marker("nothing")


def itself(x: T) -> T:
    """Return the argument: the key, or the value, where none is given."""
    return x


def labelled(name: str, args: Iterable[object]) -> str:
    """Write a call, leaving out what was not given.

    >>> labelled("reduce", [max, END])
    'reduce(max)'
    """
    return f"{name}({', '.join(_short(a) for a in args if a is not END and a is not None and a is not itself)})"


def _else(code: Code) -> None:
    """Go on with the element in the other case of the `if` that was just written."""
    if code.nested:
        code.line("else:")
        code.indent += 1
    else:
        code.line("continue", 1)


def _short(value: object) -> str:
    if callable(value):
        return name_of(value)
    text = repr(value) if isinstance(value, int | float | str | bool | None) else type(value).__name__
    return text if len(text) <= 40 else f"{text[:37]}..."
