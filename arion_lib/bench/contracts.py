"""What a contract costs, and what the tools one would use instead cost: calls, classes, attributes, instances.

Idea        Each measure repeats one operation in a loop, the same text for every contender; ratios are to the bare one.
Invariant   All contenders of a measure do the same work and return the same; the operation is the body of the loop.
When wrong  A peer that is not installed is named and left out.
See         arion_lib/contracts · tests/bench/test_contracts.py

The loop itself costs the bare contender too, so a ratio is a little kinder than the operation alone; `repeat` keeps
that part small. Of the tools with a similar aim two are left out: overrides (no release since January 2024) and
icontract (it holds IPython's asttokens below 3).
"""

# ruff: noqa: ARG002 - the methods measured do nothing with their arguments
# No `from __future__ import annotations` here: evaluating strings is not what is measured.

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial, wraps
from itertools import repeat
from pkgutil import resolve_name
from time import perf_counter_ns
from types import MethodType
from typing import Any, Protocol, runtime_checkable

from arion_lib.bench.command import finish, options
from arion_lib.bench.compare import Comparison, at_most, compare
from arion_lib.bench.verdicts import Bounds
from arion_lib.contracts.contract import Contract
from arion_lib.contracts.registry import Registry

LOOP = 1_000
CLOSE = 3
"""A ratio that must be near its target takes so many times the rounds."""

Contender = Callable[[], object]
Maker = Callable[..., Any]


def run(args: list[str]) -> int:
    """Measure and print. Returns the exit code."""
    parser = options("contracts", "Calls, class statements, attributes and instances under a contract.")
    chosen = parser.parse_args(args)
    peers = ("beartype", "typeguard", "pydantic", "pure_interface", "attrs", "traitlets")
    return finish((measure(row, chosen.rounds) for row in ROWS), chosen, peers)


@dataclass(frozen=True)
class Row:
    """One operation, on what each contender makes; or, without an operation, what each makes is called itself."""

    title: str
    makers: Mapping[str, Maker]
    targets: Bounds = field(default_factory=dict)
    operation: str = ""
    rounds: int = 1


def measure(row: Row, rounds: int) -> Comparison:
    """Measure a row in so many rounds."""
    contenders = {name: _contender(make, row.operation) for name, make in row.makers.items()}
    return compare(
        contenders,
        "bare",
        rounds=rounds * row.rounds,
        targets=row.targets,
        work=LOOP if row.operation else 1,
        unit="op",
        title=row.title,
        pause_gc=True,
    )


def _contender(make: Maker, operation: str) -> Contender | None:
    try:
        made: Contender = make()
    except ImportError:
        return None
    return repeated(operation, made) if operation else made


TEXT = """
def make(target, numbers, value, cls, repeat):
    def loop():
        found = None
        for _ in repeat(None, {loop}):
            {operation}
        return str(getattr(found, "other", found))
    return loop
"""


def repeated(operation: str, target: Any) -> Contender:
    """Return a function that does the operation on the target a thousand times; a pair is `value` and `cls`.

    >>> repeated("found = target + 1", 2)(), repeated("found = isinstance(value, cls)", (2, str))()
    ('3', 'False')
    """
    space: dict[str, Any] = {}
    exec(TEXT.format(loop=LOOP, operation=operation), space)  # noqa: S102 - the operations are constants of this file
    value, cls = target if isinstance(target, tuple) else (None, None)
    loop: Contender = space["make"](target, list(range(1_000)), value, cls, repeat)
    return loop


# --- calls --------------------------------------------------------------------------------------------------------


class Bare:
    def twice(self, n: int) -> int:
        return n

    def three(self, first: int, second: str, third: float = 0.0) -> int:
        return first

    def many(self, numbers: list[int]) -> int:
        return 1


class Calls(Contract, registry=Registry()):
    @abstractmethod
    def twice(self, n: int) -> int: ...
    @abstractmethod
    def three(self, first: int, second: str, third: float = 0.0) -> int: ...
    @abstractmethod
    def many(self, numbers: list[int]) -> int: ...


class Ours(Calls):
    twice, three, many = Bare.twice, Bare.three, Bare.many


class Measured(Calls, metrics=True):
    twice, three, many = Bare.twice, Bare.three, Bare.many


def _decorated(decorate: Maker) -> Any:
    return type("Decorated", (), {name: decorate(vars(Bare)[name]) for name in ("twice", "three", "many")})()


def _pydantic() -> Any:
    import pydantic

    return _decorated(pydantic.validate_call(validate_return=True, config={"arbitrary_types_allowed": True}))


def _timed_beartype() -> Any:
    """Return what one would write to have both: beartype below, a timing decorator above."""
    from beartype import beartype

    def timed(function: Maker) -> Maker:
        durations: deque[int] = deque(maxlen=LOOP)

        @wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            start = perf_counter_ns()
            try:
                return function(*args, **kwargs)
            finally:
                durations.append(perf_counter_ns() - start)

        return wrapper

    return _decorated(lambda function: timed(beartype(function)))


def _refusing() -> Any:
    """Return what `instance.twice = ...` could be refused with: it would cost each call what no assignment is worth."""
    built: Any = Ours()
    built.twice(3)
    made = property(partial(MethodType, vars(Ours)["twice"]), lambda *_: None)
    return type("Refusing", (), {"twice": made})()


CALLERS: dict[str, Maker] = {
    "bare": Bare,
    "ours": Ours,
    "beartype": lambda: _decorated(resolve_name("beartype:beartype")),
    "pydantic": _pydantic,
    "typeguard": lambda: _decorated(resolve_name("typeguard:typechecked")),
}
TWICE = "found = target.twice(3)"
CHECKED = {"ours": [at_most(3.0), at_most(0.45, of="beartype")]}
CHECKED_CALL = Row("checked call f(int) -> int", CALLERS, CHECKED, TWICE)


def checked_call(rounds: int) -> Comparison:
    """Measure what one checked call costs."""
    return measure(CHECKED_CALL, rounds)


# --- class statements ---------------------------------------------------------------------------------------------


def shape(*bases: Any, mark: Maker = lambda method: method, **options: Any) -> Any:
    """Make the base class of a shape, each method `mark`ed."""

    class Shape(*bases, **options):  # type: ignore[misc]
        @mark
        def area(self, scale: int = 1) -> float: ...  # type: ignore[empty-body]
        @mark
        def name(self, short: bool) -> str: ...  # type: ignore[empty-body]
        @mark
        def move(self, x: int, y: int) -> None: ...

    return Shape


OurShape = shape(Contract, mark=abstractmethod, registry=Registry())
PlainShape = shape()
AbstractShape = shape(ABC, mark=abstractmethod)
ShapeProtocol = runtime_checkable(shape(Protocol))


def _same(*bases: Any, then: Maker = lambda cls: cls) -> Contender:
    def define() -> str:
        class Square(*bases):  # type: ignore[misc]
            def area(self, scale: int = 1) -> float:
                return 1.0

            def name(self, short: bool) -> str:
                return "square"

            def move(self, x: int, y: int) -> None: ...

        return str(then(Square).__name__)

    return define


def _widened(*bases: Any) -> Contender:
    def define() -> str:
        class WideSquare(*bases):  # type: ignore[misc]
            def area(self, scale: float = 1, unit: str = "m") -> int:
                return 1

            def name(self, short: bool | None = None) -> str:
                return "square"

            def move(self, x: float, y: float, *rest: float) -> None: ...

        return str(WideSquare.__name__)

    return define


def _pure_interface(define: Maker) -> Any:
    """Return the class statement under an interface; a class that keeps one names another base beside it."""
    from pure_interface.interface import Interface

    class ShapeInterface(Interface):
        # Bodies that raise an instance: pure_interface 8.5 does not know the bytecode of others on Python 3.15.
        def area(self, scale: int = 1) -> float:
            raise NotImplementedError()

        def name(self, short: bool) -> str:
            raise NotImplementedError()

        def move(self, x: int, y: int) -> None:
            raise NotImplementedError()

    return define(ShapeInterface, PlainShape)


def _definers(define: Maker) -> dict[str, Maker]:
    return {
        "bare": partial(define, PlainShape),
        "ours": partial(define, OurShape),
        "abc": partial(define, AbstractShape),
        "pure_interface": partial(_pure_interface, define),
    }


# --- attributes and instances -------------------------------------------------------------------------------------


class Settings(Contract, registry=Registry()):
    mode: str = "text"


class OurSettings(Settings):
    def __init__(self) -> None:
        self.other = "x"


class PlainSettings:
    mode: str = "text"

    def __init__(self) -> None:
        self.other = "x"


def _pydantic_settings() -> Any:
    import pydantic

    fields: Any = {"mode": (str, "text")}
    return pydantic.create_model("S", __config__={"validate_assignment": True}, **fields)()


def _attrs_settings() -> Any:
    import attrs

    mode = attrs.field(default="text", validator=attrs.validators.instance_of(str))
    return attrs.make_class("S", {"mode": mode}, on_setattr=attrs.setters.validate)()


def _traitlets_settings() -> Any:
    import traitlets

    return type("S", (traitlets.HasTraits,), {"mode": traitlets.Unicode("text")})()


def _set(make: Maker) -> Any:
    target = make()
    target.mode = "binary"
    return target


class Calling(type):
    """What a metaclass that wants to see each instance must do."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return super().__call__(*args, **kwargs)


class Empty(type):
    """A metaclass that does nothing: the least that any can cost."""


class Square(PlainShape): ...  # type: ignore[valid-type,misc]


class AbstractSquare(AbstractShape):  # type: ignore[valid-type,misc]
    area, name, move = PlainShape.area, PlainShape.name, PlainShape.move


ABOVE = Empty("Above", (), {})
BOTH: dict[str, Maker] = {"bare": PlainSettings, "ours": OurSettings}
READERS = {**BOTH, "traitlets": _traitlets_settings}
SETTERS = {**BOTH, "attrs": _attrs_settings, "traitlets": _traitlets_settings, "pydantic": _pydantic_settings}
MADE = {
    "bare": lambda: PlainSettings,
    "ours": lambda: OurSettings,
    "metaclass __call__": lambda: Calling("Settings", (PlainSettings,), {}),
}
ASKED: dict[str, Maker] = {
    "bare": lambda: (Square(), PlainShape),
    "ours": lambda: (OurSettings(), Settings),
    "empty metaclass": lambda: (Empty("Below", (ABOVE,), {})(), ABOVE),
    "abc": lambda: (AbstractSquare(), AbstractShape),
    "Protocol": lambda: (Square(), ShapeProtocol),
}

THREE = "found = target.three(first=3, second='a', third=1.5)"
READ = "found = target.mode"
IDENTICAL = {
    **_definers(_same),
    "beartype": lambda: _same(PlainShape, then=resolve_name("beartype:beartype")),
    "pydantic": lambda: _same(resolve_name("pydantic:BaseModel")),
}
TIMED = {"bare": Bare, "ours": Measured, "beartype + timing": _timed_beartype}
REFUSING = {"bare": Bare, "ours": Ours, "a descriptor": _refusing}

ROWS = (
    CHECKED_CALL,
    Row("the same, replacement on instances refused", REFUSING, operation=TWICE),
    Row("three arguments by keyword", CALLERS, {"ours": at_most(4.0)}, THREE),
    Row("a list of 1,000, level fast", CALLERS, {"ours": at_most(6.0)}, "found = target.many(numbers)"),
    Row("checked call with metrics", TIMED, {"ours": at_most(10)}, TWICE),
    Row("class statement, identical signatures", IDENTICAL, {"ours": at_most(8)}),
    Row("class statement, widened signatures", _definers(_widened), {"ours": at_most(25)}),
    Row("contract attribute assignment", SETTERS, {"ours": at_most(12)}, "target.mode = 'binary'"),
    Row(
        "contract attribute, read from an instance",
        {name: partial(_set, make) for name, make in READERS.items()},
        {"ours": at_most(6)},
        READ,
    ),
    Row("contract attribute, the class's default read", READERS, {"ours": at_most(8)}, READ),
    Row("assignment of any other attribute", BOTH, {"ours": at_most(1.05)}, "target.other = 'y'", CLOSE),
    Row("instantiation", MADE, {"ours": at_most(1.1)}, "found = target()", CLOSE),
    Row("isinstance", ASKED, {"ours": at_most(3.5)}, "found = isinstance(value, cls)", CLOSE),
)
