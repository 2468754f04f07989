"""What a contract costs, and what the tools one would use instead cost: calls, classes, attributes, instances.

Idea        Each measure repeats one operation in a loop, the same for every contender; ratios are to the bare one.
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
from collections.abc import Callable
from functools import partial
from itertools import repeat
from types import MethodType
from typing import Any, Protocol, runtime_checkable

from arion_lib.bench.command import finish, options
from arion_lib.bench.compare import Comparison, Target, at_most, compare
from arion_lib.contracts.contract import Contract
from arion_lib.contracts.registry import Registry

LOOP = 1_000
PEERS = ("beartype", "typeguard", "pydantic", "pure_interface", "attrs", "traitlets")
CLOSE = 3
"""A ratio that must be near its target takes so many times the rounds."""

Contender = Callable[[], object]


def run(args: list[str]) -> int:
    """Measure and print. Returns the exit code."""
    chosen = options("contracts", "Calls, class statements, attributes and instances under a contract.").parse_args(
        args
    )
    results = [measure(chosen.rounds) for measure in MEASURES]
    return finish(results, chosen, peers=PEERS)


def _compare(
    title: str, contenders: dict[str, Contender], rounds: int, targets: dict[str, Any], work: float = LOOP
) -> Comparison:
    return compare(contenders, "bare", rounds=rounds, targets=targets, work=work, unit="op", title=title, pause_gc=True)


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


def _beartype() -> Any:
    from beartype import beartype

    return _decorated(beartype)


def _typeguard() -> Any:
    from typeguard import typechecked

    class Typeguard:  # typeguard rewrites source text, so it needs the methods written out
        @typechecked
        def twice(self, n: int) -> int:
            return n

        @typechecked
        def three(self, first: int, second: str, third: float = 0.0) -> int:
            return first

        @typechecked
        def many(self, numbers: list[int]) -> int:
            return 1

    return Typeguard()


def _pydantic() -> Any:
    import pydantic

    return _decorated(pydantic.validate_call(validate_return=True, config={"arbitrary_types_allowed": True}))


def _decorated(decorate: Callable[[Any], Any]) -> Any:
    names = ("twice", "three", "many")
    return type("Decorated", (), {name: decorate(vars(_unresolved())[name]) for name in names})()


def _unresolved() -> type:
    """Return a fresh class like `Bare` whose annotations are types, not strings."""

    class Fresh:
        def twice(self, n):  # type: ignore[no-untyped-def]
            return n

        def three(self, first, second, third=0.0):  # type: ignore[no-untyped-def]
            return first

        def many(self, numbers):  # type: ignore[no-untyped-def]
            return 1

    Fresh.twice.__annotations__ = {"n": int, "return": int}
    Fresh.three.__annotations__ = {"first": int, "second": str, "third": float, "return": int}
    Fresh.many.__annotations__ = {"numbers": list[int], "return": int}
    return Fresh


def _timed_beartype() -> Any:
    """Return what one would write to have both: beartype below, a timing decorator above."""
    from functools import wraps
    from time import perf_counter_ns

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        durations: list[int] = []

        @wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            start = perf_counter_ns()
            try:
                return function(*args, **kwargs)
            finally:
                durations.append(perf_counter_ns() - start)
                if len(durations) > LOOP:
                    durations.clear()

        return wrapper

    from beartype import beartype

    return _decorated(lambda function: timed(beartype(function)))


def _one(target: Any) -> Contender:
    def loop() -> int:
        for _ in repeat(None, LOOP):
            result = target.twice(3)
        return int(result)

    return loop


def _three(target: Any) -> Contender:
    def loop() -> int:
        for _ in repeat(None, LOOP):
            result = target.three(first=3, second="a", third=1.5)
        return int(result)

    return loop


def _many(target: Any) -> Contender:
    numbers = list(range(1_000))

    def loop() -> int:
        for _ in repeat(None, LOOP):
            result = target.many(numbers)
        return int(result)

    return loop


_MAKERS: dict[str, Callable[[], Any]] = {
    "bare": Bare,
    "ours": Ours,
    "beartype": _beartype,
    "pydantic": _pydantic,
    "typeguard": _typeguard,
}


def _with_peers(loop: Callable[[Any], Contender], makers: dict[str, Callable[[], Any]]) -> dict[str, Contender]:
    """Return the contenders; a peer that cannot be imported fails in `compare`, which reports it as absent."""
    found: dict[str, Contender] = {}
    for name, make in makers.items():
        try:
            found[name] = loop(make())
        except ImportError:
            found[name] = _absent(make)
    return found


def _absent(make: Callable[[], Any]) -> Contender:
    return make


def checked_call(rounds: int) -> Comparison:
    targets: dict[str, list[Target]] = {"ours": [at_most(3.0), at_most(0.45, of="beartype")]}
    return _compare("checked call f(int) -> int", _with_peers(_one, _MAKERS), rounds, targets)


def _refusing() -> Any:
    """Return what `instance.twice = ...` could be refused with."""
    built: Any = Ours()
    built.twice(3)
    made = property(partial(MethodType, vars(Ours)["twice"]), lambda *_: None)
    return type("Refusing", (), {"twice": made})()


def refusing_call(rounds: int) -> Comparison:
    """What we do not do: it would cost each call what no assignment is worth."""
    contenders = _with_peers(_one, {"bare": Bare, "ours": Ours, "a descriptor": _refusing})
    return _compare("the same, replacement on instances refused", contenders, rounds, {})


def keyword_call(rounds: int) -> Comparison:
    return _compare("three arguments by keyword", _with_peers(_three, _MAKERS), rounds, {"ours": at_most(4.0)})


def list_call(rounds: int) -> Comparison:
    contenders = _with_peers(_many, _MAKERS)
    return _compare("a list of 1,000, level fast", contenders, rounds, {"ours": at_most(6.0)})


def measured_call(rounds: int) -> Comparison:
    makers = {"bare": Bare, "ours": Measured, "beartype + timing": _timed_beartype}
    return _compare("checked call with metrics", _with_peers(_one, makers), rounds, {"ours": at_most(10)})


# --- class statements ---------------------------------------------------------------------------------------------


class Shape(Contract, registry=Registry()):
    @abstractmethod
    def area(self, scale: int = 1) -> float: ...
    @abstractmethod
    def name(self, short: bool) -> str: ...
    @abstractmethod
    def move(self, x: int, y: int) -> None: ...


class PlainShape:
    def area(self, scale: int = 1) -> float: ...  # type: ignore[empty-body]
    def name(self, short: bool) -> str: ...  # type: ignore[empty-body]
    def move(self, x: int, y: int) -> None: ...


class AbstractShape(ABC):
    @abstractmethod
    def area(self, scale: int = 1) -> float: ...
    @abstractmethod
    def name(self, short: bool) -> str: ...
    @abstractmethod
    def move(self, x: int, y: int) -> None: ...


@runtime_checkable
class ShapeProtocol(Protocol):
    def area(self, scale: int = 1) -> float: ...
    def name(self, short: bool) -> str: ...
    def move(self, x: int, y: int) -> None: ...


def _same(*bases: Any) -> Contender:
    def define() -> str:
        class Square(*bases):  # type: ignore[misc]
            def area(self, scale: int = 1) -> float:
                return 1.0

            def name(self, short: bool) -> str:
                return "square"

            def move(self, x: int, y: int) -> None: ...

        return str(Square.__name__)

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


def _beartyped(base: Any) -> Contender:
    def define() -> object:
        from beartype import beartype

        class Square(base):  # type: ignore[misc]
            @beartype
            def area(self, scale: int = 1) -> float:
                return 1.0

            @beartype
            def name(self, short: bool) -> str:
                return "square"

            @beartype
            def move(self, x: int, y: int) -> None: ...

        return str(Square.__name__)

    return define


def _pydantic_model() -> Contender:
    from pydantic import BaseModel

    return _same(BaseModel)


def _pure_interface(define: Callable[..., Contender]) -> Contender:
    """Return the class statement under an interface; a class that keeps one names another base beside it."""
    try:
        from pure_interface.interface import Interface
    except ImportError:
        return _absent(lambda: __import__("pure_interface"))

    class ShapeInterface(Interface):
        # Bodies that raise an instance: pure_interface 8.5 does not know the bytecode of others on Python 3.15.
        def area(self, scale: int = 1) -> float:
            raise NotImplementedError()

        def name(self, short: bool) -> str:
            raise NotImplementedError()

        def move(self, x: int, y: int) -> None:
            raise NotImplementedError()

    return define(ShapeInterface, PlainShape)


def same_class(rounds: int) -> Comparison:
    contenders: dict[str, Contender] = {
        "bare": _same(PlainShape),
        "ours": _same(Shape),
        "abc": _same(AbstractShape),
        "beartype": _beartyped(PlainShape),
        "pydantic": _pydantic_contender(),
        "pure_interface": _pure_interface(_same),
    }
    return _compare("class statement, identical signatures", contenders, rounds, {"ours": at_most(8)}, work=1)


def _pydantic_contender() -> Contender:
    try:
        return _pydantic_model()
    except ImportError:
        return _absent(_pydantic_model)


def wide_class(rounds: int) -> Comparison:
    contenders: dict[str, Contender] = {
        "bare": _widened(PlainShape),
        "ours": _widened(Shape),
        "abc": _widened(AbstractShape),
        "pure_interface": _pure_interface(_widened),
    }
    return _compare("class statement, widened signatures", contenders, rounds, {"ours": at_most(25)}, work=1)


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


def _assign(target: Any) -> Contender:
    def loop() -> str:
        for _ in repeat(None, LOOP):
            target.mode = "binary"
        return str(target.mode)

    return loop


def _assign_other(target: Any) -> Contender:
    def loop() -> str:
        for _ in repeat(None, LOOP):
            target.other = "y"
        return str(target.other)

    return loop


def _pydantic_settings() -> Any:
    import pydantic

    fields: Any = {"mode": (str, "text")}
    return pydantic.create_model("S", __config__={"validate_assignment": True}, **fields)()


def _attrs_settings() -> Any:
    import attrs

    return attrs.make_class(
        "S", {"mode": attrs.field(default="text", validator=attrs.validators.instance_of(str))},
        on_setattr=attrs.setters.validate,
    )()  # fmt: skip


def _traitlets_settings() -> Any:
    import traitlets

    return type("S", (traitlets.HasTraits,), {"mode": traitlets.Unicode("text")})()


def assignment(rounds: int) -> Comparison:
    makers: dict[str, Callable[[], Any]] = {
        "bare": PlainSettings,
        "ours": OurSettings,
        "attrs": _attrs_settings,
        "traitlets": _traitlets_settings,
        "pydantic": _pydantic_settings,
    }
    return _compare("contract attribute assignment", _with_peers(_assign, makers), rounds, {"ours": at_most(12)})


def _read(target: Any) -> Contender:
    def loop() -> str:
        for _ in repeat(None, LOOP):
            found = target.mode
        return str(found)

    return loop


def _set(target: Any) -> Any:
    target.mode = "binary"
    return target


def reading(rounds: int) -> Comparison:
    makers: dict[str, Callable[[], Any]] = {
        "bare": lambda: _set(PlainSettings()), "ours": lambda: _set(OurSettings()),
        "traitlets": lambda: _set(_traitlets_settings()),
    }  # fmt: skip
    return _compare(
        "contract attribute, read from an instance", _with_peers(_read, makers), rounds, {"ours": at_most(6)}
    )


def reading_default(rounds: int) -> Comparison:
    makers: dict[str, Callable[[], Any]] = {
        "bare": PlainSettings, "ours": OurSettings, "traitlets": _traitlets_settings,
    }  # fmt: skip
    contenders = _with_peers(_read, makers)
    return _compare("contract attribute, the class's default read", contenders, rounds, {"ours": at_most(8)})


def other_assignment(rounds: int) -> Comparison:
    makers: dict[str, Callable[[], Any]] = {"bare": PlainSettings, "ours": OurSettings}
    contenders = _with_peers(_assign_other, makers)
    return _compare("assignment of any other attribute", contenders, CLOSE * rounds, {"ours": at_most(1.05)})


class Calling(type):
    """What a metaclass that wants to see each instance must do."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return super().__call__(*args, **kwargs)


def _make(cls: type) -> Contender:
    def loop() -> str:
        for _ in repeat(None, LOOP):
            made = cls()
        return str(made.other)

    return loop


def instantiation(rounds: int) -> Comparison:
    contenders = {
        "bare": _make(PlainSettings),
        "ours": _make(OurSettings),
        "metaclass __call__": _make(Calling("Settings", (PlainSettings,), {})),
    }
    return _compare("instantiation", contenders, CLOSE * rounds, {"ours": at_most(1.1)})


def _ask(value: object, cls: Any) -> Contender:
    def loop() -> bool:
        for _ in repeat(None, LOOP):
            found = isinstance(value, cls)
        return found

    return loop


class Square(PlainShape): ...


class AbstractSquare(AbstractShape):
    area, name, move = PlainShape.area, PlainShape.name, PlainShape.move


class Empty(type):
    """A metaclass that does nothing: the least that any can cost."""


_ABOVE = Empty("Above", (), {})


def instance_check(rounds: int) -> Comparison:
    contenders = {
        "bare": _ask(Square(), PlainShape),
        "ours": _ask(OurSettings(), Settings),
        "empty metaclass": _ask(Empty("Below", (_ABOVE,), {})(), _ABOVE),
        "abc": _ask(AbstractSquare(), AbstractShape),
        "Protocol": _ask(Square(), ShapeProtocol),
    }
    return _compare("isinstance", contenders, CLOSE * rounds, {"ours": at_most(3.5)})


MEASURES: tuple[Callable[[int], Comparison], ...] = (
    checked_call,
    refusing_call,
    keyword_call,
    list_call,
    measured_call,
    same_class,
    wide_class,
    assignment,
    reading,
    reading_default,
    other_assignment,
    instantiation,
    instance_check,
)
