"""A program that works on a plain abstract base class works the same under a contract.

Each test runs twice: on `ABC`, which is the control that the program is right, and on `Contract`.
"""

# ruff: noqa: A002, N805 - names that generated code might use are the point of a test
from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import io
import logging
import sys
import tempfile
import typing
import warnings
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO, TextIO
from unittest import mock

import pytest

from arion_lib.contracts.checks.levels import checking
from arion_lib.contracts.contract import Contract
from arion_lib.contracts.registry import Registry
from arion_lib.contracts.violations import ContractCallError, ContractError
from tests.contracts.shop import define


class Plain(ABC):  # noqa: B024 - what is abstract comes below
    def __init_subclass__(cls, **words: Any) -> None:
        super().__init_subclass__()


BASES = pytest.mark.parametrize("base", [Plain, Contract], ids=["plain", "contract"])


def refreshing(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, refresh: bool = False, **kwargs: Any) -> Any:
        return ("refreshed" if refresh else "cached", function(*args, **kwargs))

    return wrapper


def injecting(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        return function(self, "injected", *args, **kwargs)

    return wrapper


@BASES
def test_a_decorator_may_take_an_argument_of_its_own(base: Any) -> None:
    class Source(base):
        @abstractmethod
        def go(self, n: int) -> Any: ...

    class Made(Source):
        @refreshing
        def go(self, n: int) -> int:
            return n

    made: Any = Made()
    assert [made.go(1), made.go(1, refresh=True)] == [("cached", 1), ("refreshed", 1)]


@BASES
def test_a_decorator_may_inject_an_argument(base: Any) -> None:
    class Source(base):
        @abstractmethod
        def go(self, n: int) -> Any: ...

    class Made(Source):
        @injecting
        def go(self, word: str, n: int) -> Any:
            return word, n

        @mock.patch("os.getcwd")
        def patched(self, getcwd: Any) -> Any:
            return getcwd

    class Patched(Source):
        @mock.patch("os.getcwd")
        def go(self, n: int, getcwd: Any) -> Any:
            return n, getcwd is not None

    assert [Made().go(2), Patched().go(2)] == [("injected", 2), (2, True)]


def test_what_a_caller_passes_to_a_decorated_method_is_checked_by_the_contracts_word() -> None:
    class Source(Contract, registry=Registry()):
        @abstractmethod
        def go(self, n: int) -> Any: ...

    class Made(Source):
        @refreshing
        def go(self, n: str) -> Any:  # the contract says int: a caller knows nothing else
            return n

    made: Any = Made()
    assert made.go(1) == ("cached", 1)
    for call in (lambda: made.go("x"), lambda: made.go(n="x")):
        with pytest.raises(ContractCallError, match="parameter 'n' must be int"):
            call()


@BASES
@pytest.mark.parametrize("level", ["fast", "all"])
def test_an_error_thrown_into_an_async_generator_reaches_its_clean_up(base: Any, level: str) -> None:
    seen: list[str] = []

    class Store(base):
        @abstractmethod
        def tx(self) -> AsyncIterator[int]: ...

    class Made(Store):
        async def tx(self) -> AsyncIterator[int]:
            try:
                yield 1
            except ValueError:
                seen.append("rolled back")
                raise

    async def use() -> None:
        with checking(level), contextlib.suppress(ValueError):
            async with contextlib.asynccontextmanager(Made().tx)():
                raise ValueError

    asyncio.run(use())
    assert seen == ["rolled back"]


@BASES
def test_an_operator_may_decline(base: Any) -> None:
    class Value(base):
        @abstractmethod
        def __add__(self, other: Any) -> int: ...
        @abstractmethod
        def __eq__(self, other: object) -> bool: ...
        @abstractmethod
        def __lt__(self, other: object) -> bool: ...

    class Made(Value):
        __hash__ = None  # type: ignore[assignment]

        def __add__(self, other: Any) -> int:
            return NotImplemented

        def __eq__(self, other: object) -> bool:
            return NotImplemented

        def __lt__(self, other: object) -> bool:
            return NotImplemented

    for level in ("fast", "all"):
        with checking(level):
            assert Made() != 3
            for sum_or_order in (lambda: Made() + 3, lambda: Made() < 3):
                with pytest.raises(TypeError, match=r"unsupported operand|not supported between"):
                    sum_or_order()


@BASES
def test_annotations_of_a_method_are_seen_by_those_who_look(base: Any) -> None:
    class Source(base):
        @abstractmethod
        def go(self, n: int) -> str: ...

    class Made(Source):
        def go(self, n: int) -> str:
            return str(n)

        def show(self, value: object) -> str:
            return "object"

    assert typing.get_type_hints(Made.go) == {"n": int, "return": str}
    assert set(Made.go.__annotations__) == {"n", "return"}
    Made().go(1)
    assert typing.get_type_hints(Made.go) == {"n": int, "return": str}

    @functools.singledispatch
    def show(value: Any) -> str:
        return "anything"

    class Shower(base):
        def __init_subclass__(cls) -> None: ...

        @abstractmethod
        def text(self) -> str: ...

    def of_number(value: int) -> str:
        return "a number"

    holder = type("Holder", (Shower,), {"text": of_number})
    show.register(holder.text)
    assert show(1) == "a number"


@BASES
def test_parameters_and_keywords_may_have_any_name(base: Any) -> None:
    class Mixin:
        def go(self, this: int, len: int = 0, /, **owner: int) -> Any:
            return this, len, owner

        def star(self, *args: int, **kwargs: int) -> Any:
            return args, kwargs

    class Source(base):
        @abstractmethod
        def go(self, this: int, len: int = 0, /, **owner: int) -> Any: ...
        @abstractmethod
        def star(self, this: int, len: int, *, self_: int = 0) -> Any: ...

    class Made(Mixin, Source):
        pass

    class Starred(Source):
        def go(self, this: int, len: int = 0, /, **owner: int) -> Any:
            return this, len, owner

        def star(this, *len, **names):  # type: ignore[no-untyped-def]
            return len, names

    for cls in (Made, Starred):
        made: Any = cls()
        assert made.go(1, 2, this=3, name=4, args=5) == (1, 2, {"this": 3, "name": 4, "args": 5})
        assert made.star(1, 2) == ((1, 2), {})
    assert Starred().star(1, len=2) == ((1,), {"len": 2})


@BASES
def test_a_warning_and_a_log_line_name_the_caller(base: Any, caplog: pytest.LogCaptureFixture) -> None:
    class Mixin:
        def inherited(self) -> None:
            warnings.warn("old", DeprecationWarning, stacklevel=2)

    class Source(base):
        @abstractmethod
        def go(self, n: int) -> None: ...
        @abstractmethod
        def inherited(self) -> None: ...

    class Made(Mixin, Source):
        def go(self, n: int) -> None:
            warnings.warn("old", DeprecationWarning, stacklevel=2)
            logging.getLogger("made").warning("called", stacklevel=2)

    made = Made()
    for level in ("off", "fast", "all", "all"):
        with warnings.catch_warnings(record=True) as caught, checking(level):
            warnings.simplefilter("always")
            made.go(1)
            made.inherited()
        assert {w.filename for w in caught} == {__file__}
    assert {record.funcName for record in caplog.records} == {"test_a_warning_and_a_log_line_name_the_caller"}


@BASES
def test_a_generator_keeps_its_protocol_at_every_level(base: Any) -> None:
    class Source(base):
        @abstractmethod
        def each(self) -> Iterator[int]: ...

    class Made(Source):
        def each(self) -> Iterator[int]:
            try:
                yield 1
            except KeyError:
                yield 2

    for level in ("fast", "all"):
        with checking(level):
            stream: Any = Made().each()
            assert [next(stream), stream.throw(KeyError())] == [1, 2]


@BASES
def test_a_real_file_is_a_file(base: Any, tmp_path: Path) -> None:
    class Exporter(base):
        @abstractmethod
        def write(self, file: TextIO) -> IO[str]: ...
        @abstractmethod
        def dump(self, file: BinaryIO) -> IO[bytes]: ...
        @abstractmethod
        def any(self, file: IO[Any]) -> IO[Any]: ...

    class Made(Exporter):
        def write(self, file: TextIO) -> TextIO:
            return file

        def dump(self, file: IO[bytes]) -> BinaryIO:
            return file  # type: ignore[return-value]

        def any(self, file: IO[Any]) -> IO[Any]:
            return file

    made = Made()
    with (
        Path(tmp_path / "t").open("w") as text, Path(tmp_path / "b").open("wb") as binary,
        Path(tmp_path / "r").open("w+b", 0) as raw,
        tempfile.TemporaryFile("w+") as temporary, tempfile.NamedTemporaryFile() as named,
    ):  # fmt: skip
        for file in (text, temporary, io.StringIO(), sys.__stderr__):
            assert made.any(made.write(file)) is file
        for other in (binary, raw, named, io.BytesIO()):
            assert made.any(made.dump(other)) is other


def test_a_file_of_the_wrong_kind_is_refused() -> None:
    class Exporter(Contract, registry=Registry()):
        target: TextIO

        @abstractmethod
        def write(self, file: TextIO) -> None: ...

    class Made(Exporter):
        target = io.StringIO()

        def write(self, file: TextIO) -> None: ...

    for wrong in (io.BytesIO(), "name", 3):
        with pytest.raises(ContractCallError, match="must be TextIO"):
            Made().write(wrong)  # type: ignore[arg-type]
        with pytest.raises(ContractCallError, match="must be TextIO"):
            Made().target = wrong  # type: ignore[assignment]


@BASES
def test_types_of_any_kind_are_taken_as_values(base: Any) -> None:
    class Named(typing.Protocol):
        name: str

    class Maker(base):
        @abstractmethod
        def make(self, a: type[Any], b: type, c: type[Named], d: type[int | str]) -> type[Any]: ...
        @abstractmethod
        def old(self, a: typing.Type) -> typing.Type[int]: ...  # type: ignore[type-arg]  # noqa: UP006

    class Made(Maker):
        def make(self, a: type[Any], b: type, c: type[Named], d: type[int | str]) -> type[Any]:
            return a

        def old(self, a: typing.Type) -> typing.Type[int]:  # type: ignore[type-arg]  # noqa: UP006
            return bool

    assert Made().make(int, str, bytes, bool) is int  # type: ignore[arg-type]
    assert Made().old(float) is bool


def test_a_class_of_the_wrong_kind_is_refused() -> None:
    class Maker(Contract, registry=Registry()):
        @abstractmethod
        def make(self, a: type[int | str]) -> None: ...

    class Made(Maker):
        def make(self, a: type[int | str]) -> None: ...

    for wrong in (bytes, 3):
        with pytest.raises(ContractCallError, match="must be type"):
            Made().make(wrong)  # type: ignore[arg-type]


@BASES
def test_what_a_class_decorator_or_a_constructor_supplies_is_there(base: Any) -> None:
    class Ordered(base):
        @abstractmethod
        def __lt__(self, other: Any) -> bool: ...

    @dataclasses.dataclass(order=True)
    class Version(Ordered):
        number: int

    assert sorted([Version(2), Version(1)]) == [Version(1), Version(2)]

    @dataclasses.dataclass
    class Point(base):
        x: int

        @abstractmethod
        def go(self) -> int: ...

    class Moved(Point):
        def go(self) -> int:
            return self.x

    assert Moved(3).go() == 3

    class Source(base):
        path: str

        def __init__(self, path: str) -> None:
            self.path = path

    class File(Source): ...

    class Own(Source):
        def __init__(self) -> None:
            self.path = "own"

    assert [File("a").path, Own().path] == ["a", "own"]


@BASES
def test_a_special_method_that_no_decorator_supplied_is_refused_at_the_first_instance(base: Any) -> None:
    class Ordered(base):
        @abstractmethod
        def __lt__(self, other: Any) -> bool: ...

    class Version(Ordered): ...

    with pytest.raises(TypeError, match="abstract"):
        Version()


@BASES
def test_an_array_is_a_collection(base: Any) -> None:
    numpy = pytest.importorskip("numpy")

    class Source(base):
        @abstractmethod
        def total(self, values: Collection[Any], weights: Collection[float]) -> Any: ...

    class Made(Source):
        def total(self, values: Collection[Any], weights: Collection[float]) -> Any:
            return sum(values) + sum(weights)

    assert Made().total(numpy.array([1, 2]), numpy.array([0.5, 1.5])) == 5


@BASES
def test_metadata_of_an_annotation_may_be_an_array_which_has_no_truth_and_no_hash(base: Any) -> None:
    numpy = pytest.importorskip("numpy")

    def rows() -> Any:  # another array each time
        return typing.Annotated[list[typing.Annotated[int, numpy.zeros(2)]], numpy.zeros(2)]

    def asks(name: str) -> Any:
        def go(self: Any, values: Any) -> Any: ...

        go.__annotations__ = {"values": rows(), "return": rows()}
        space = {"go": abstractmethod(go), "__annotations__": {"last": rows()}, "last": []}
        return type(base)(name, (base,), space, registry=Registry())

    one, other = asks("One"), asks("Other")

    class Bare(one, other):  # type: ignore[misc, valid-type]
        def go(self, values: Any) -> Any:
            return values

    def go(self: Any, values: Any) -> Any:
        return values

    go.__annotations__ = {"values": rows(), "return": rows()}
    with pytest.raises(ValueError, match="ambiguous"):
        _ = go.__annotations__ == {"values": rows(), "return": rows()}  # the control: they cannot be compared
    for cls in (Bare, type(base)("Said", (one, other), {"go": go})):
        for level in ("fast", "all"):
            with checking(level):
                made = cls()
                made.last = [1]
                assert made.go([2]) == [2]


class Sized(typing.TypedDict, total=False):
    size: int


class Known(typing.TypedDict):
    size: int
    only_for_checkers: "typing.NotRequired[Missing]"  # type: ignore[name-defined]  # noqa: F821, UP037
    whatever: "Missing"  # type: ignore[name-defined]  # noqa: F821, UP037


@BASES
def test_a_typed_dictionary_may_name_what_does_not_exist(base: Any) -> None:
    class Source(base):
        @abstractmethod
        def go(self, row: Known) -> Any: ...
        @abstractmethod
        def draw(self, **row: typing.Unpack[Known]) -> Any: ...

    class Made(Source):
        def go(self, row: Known, more: int = 0) -> Known:
            return row

        def draw(self, *, size: int, whatever: Any = 0, only_for_checkers: Any = 0) -> Any:
            return size

    row: Any = {"size": 1, "whatever": 2}
    assert (Made().go(row), Made().draw(**row)) == (row, 1)
    if base is Contract:
        with pytest.raises(ContractCallError, match="'row' must be Known"):
            Made().go({"size": "x", "whatever": 2})  # type: ignore[typeddict-item, typeddict-unknown-key]
        with pytest.raises(ContractCallError, match="'row' must be Known"):
            Made().go({"size": 1})  # type: ignore[typeddict-item]


Ts = typing.TypeVarTuple("Ts")


@BASES
def test_unpacked_parameters_are_those_they_stand_for(base: Any) -> None:
    class Call(base, typing.Generic[*Ts]):
        @abstractmethod
        def run(self, *args: *Ts) -> Any: ...
        @abstractmethod
        def draw(self, **options: typing.Unpack[Sized]) -> Any: ...

    class Pair(Call[int, str]):
        def run(self, a: int, b: str) -> Any:
            return a, b

        def draw(self, *, size: int = 0) -> Any:
            return size

    class Same(Call[int, str]):
        def run(self, *args: *tuple[int, str]) -> Any:
            return args

        def draw(self, **options: typing.Unpack[Sized]) -> Any:
            return options.get("size")

    for cls in (Pair, Same):
        made: Any = cls()
        assert (made.run(1, "x"), made.draw(size=3)) == ((1, "x"), 3)


def test_unpacked_parameters_are_judged_and_checked() -> None:
    class Call(Contract, typing.Generic[*Ts], registry=Registry()):
        @abstractmethod
        def run(self, *args: *Ts) -> Any: ...

    with pytest.raises(ContractError, match="parameter-type"):

        class Wrong(Call[int, str]):
            def run(self, a: int, b: int) -> Any: ...

    class Drawing(Contract, registry=Registry()):
        @abstractmethod
        def draw(self, **options: typing.Unpack[Sized]) -> Any: ...

    class Made(Drawing):
        def draw(self, **options: typing.Unpack[Sized]) -> Any: ...

    with pytest.raises(ContractCallError, match="parameter 'options' must be Sized"):
        Made().draw(size="x")  # type: ignore[arg-type]


Json: typing.TypeAlias = "dict[str, Json] | list[Json] | str | int | None"


def test_every_element_of_a_recursive_type_is_looked_at_at_level_all() -> None:
    class Store(Contract, registry=Registry()):
        @abstractmethod
        def save(self, value: Json) -> None: ...

    class Made(Store):
        def save(self, value: Json) -> None: ...

    good: Any = {"a": [1, {"b": [None, "x"]}]}
    bad: Any = {"a": [1, {"b": [None, {"c": [object()]}]}]}
    Made().save(bad)  # level fast: a constant amount
    with checking("all"):
        Made().save(good)
        with pytest.raises(ContractCallError, match="parameter 'value' must be"):
            Made().save(bad)


ALIASES = [
    (
        "type Rows = list[Later]\nclass A(base):\n    def f(self, a: Rows) -> Rows: return a\nclass B(A):\n"
        "    def f(self, a: Rows) -> Rows: return a"
    ),
    (
        "class A[T: Later](base):\n    def f(self, a: T) -> T: return a\nclass B[T: Later](A[T]):\n"
        "    def f(self, a: T) -> T: return a"
    ),
]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the syntax is Python 3.12's")
@pytest.mark.parametrize("text", ALIASES)
@BASES
def test_a_name_for_type_checkers_only_may_stand_in_an_alias_or_a_bound(base: Any, text: str) -> None:
    space: dict[str, Any] = {"base": base, "__name__": __name__}
    exec(text, space)  # noqa: S102 - the text is ours
    assert space["B"]().f([1]) == [1]


def test_two_local_classes_of_one_name_are_told_apart() -> None:
    space = define("""
    def contract():
        class Row: ...
        class Reader(Contract, registry=registry):
            @abstractmethod
            def read(self, row: "Row") -> int: ...
        return Reader, Row
    def kept(Reader, Row):
        class Same(Reader):
            def read(self, row: "Row") -> int: return 1
    def broken(Reader):
        class Row: ...
        class Other(Reader):
            def read(self, row: "Row") -> int: return 1
    """)
    space["kept"](*space["contract"]())
    with pytest.raises(ContractError, match="parameter-type"):
        space["broken"](space["contract"]()[0])


def test_an_async_generator_against_a_coroutine_s_promise_is_told_what_to_change_in_the_contract() -> None:
    with pytest.raises(ContractError) as caught:
        define("""
        class Source(Contract, registry=registry):
            @abstractmethod
            async def items(self) -> AsyncIterator[int]: ...
        class Made(Source):
            async def items(self) -> AsyncIterator[int]:
                yield 1
        """)
    assert "write `def` without `async` in Source" in caught.value.violations[0].fix
