"""A program that works on a plain abstract base class works the same under a contract.

Each test runs twice: on `ABC`, which is the control that the program is right, and on `Contract`.
"""

# ruff: noqa: A002, N805 - names that generated code might use are the point of a test
from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import typing
import warnings
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from unittest import mock

import pytest

from arion_lib.contracts.contract import Contract
from arion_lib.contracts.levels import checking
from arion_lib.contracts.registry import Registry
from arion_lib.contracts.violations import ContractCallError


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
