"""No false alarms: what is compatible is accepted. Each case has its control, one change away, which is refused."""

from __future__ import annotations

import pytest

from tests.contracts.shop import codes, define

# claim: the contract's member, the class's compatible one, and one that is refused
PAIRS = {
    "a wider parameter": (
        "def f(self, a: int): ...",
        "def f(self, a: int | str): ...",
        "def f(self, a: bool): ...",
    ),
    "a parameter of a base class": (
        "def f(self, a: list[int]): ...",
        "def f(self, a: Sequence[int]): ...",
        "def f(self, a: set[int]): ...",
    ),
    "a narrower return": (
        "def f(self) -> Sequence[float]: ...",
        "def f(self) -> list[int]: ...",
        "def f(self) -> list[str]: ...",
    ),
    "more optional parameters": (
        "def f(self, a): ...",
        "def f(self, a, b=1, *, c=2): ...",
        "def f(self, a, b, *, c=2): ...",
    ),
    "stars in place of everything": (
        "def f(self, a, *, b=1): ...",
        "def f(self, *args, **kwargs): ...",
        "def f(self, *args): ...",
    ),
    "self among the stars": ("def f(self, a): ...", "def f(*args, **kwargs): ...", "def f(*args): ..."),
    "a missing annotation": ("def f(self, a: int) -> str: ...", "def f(self, a): ...", "def f(self, a) -> int: ..."),
    "Any": ("def f(self, a: int) -> str: ...", "def f(self, a: Any) -> Any: ...", "def f(self, a: str) -> Any: ..."),
    "another default": ("def f(self, a=1): ...", "def f(self, a=2): ...", "def f(self, a): ..."),
    "positional-only names are free": ("def f(self, a, /): ...", "def f(self, b): ...", "def f(self, *, a): ..."),
    "a keyword-only parameter made general": (
        "def f(self, *, a): ...",
        "def f(self, a): ...",
        "def f(self, a, /): ...",
    ),
    "str for Sequence[str]": (
        "def f(self) -> Sequence[str]: ...",
        "def f(self) -> str: ...",
        "def f(self) -> bytes: ...",
    ),
    "a callable that takes more": (
        "def f(self) -> Callable[[int], object]: ...",
        "def f(self) -> Callable[[float], str]: ...",
        "def f(self) -> Callable[[bool], str]: ...",
    ),
    "an awaitable where a coroutine is promised": (
        "async def f(self) -> int: ...",
        "def f(self) -> Awaitable[int]: ...",
        "def f(self) -> int: ...",
    ),
    "a coroutine where an awaitable is promised": (
        "def f(self) -> Awaitable[int]: ...",
        "async def f(self) -> int: ...",
        "async def f(self) -> str: ...",
    ),
    "a generator where an iterator is promised": (
        "def f(self) -> Iterator[int]: ...",
        "def f(self) -> Generator[int, None, None]: yield 1",
        "def f(self) -> Generator[str, None, None]: yield ''",
    ),
    "a list where an iterable is promised": (
        "def f(self) -> Iterable[int]: ...",
        "def f(self) -> list[int]: ...",
        "def f(self): \n        yield 1\n    f.__annotations__['return'] = int",
    ),
    "an async generator where an async iterator is promised": (
        "def f(self) -> AsyncIterator[int]: ...",
        "async def f(self) -> AsyncIterator[int]: yield 1",
        "def f(self) -> Iterator[int]: yield 1",
    ),
    "an async iterator where an async generator is promised": (
        "async def f(self) -> AsyncIterator[int]: yield 1",
        "def f(self) -> AsyncIterator[int]: ...",
        "async def f(self) -> list[int]: ...",
    ),
    "a static method": (
        "@staticmethod\n    def f(a: int) -> int: ...",
        "@staticmethod\n    def f(a: int, b=1) -> int: ...",
        "def f(self, a: int) -> int: ...",
    ),
    "a cached property": (
        "@property\n    def f(self) -> int: ...",
        "@functools.cached_property\n    def f(self) -> bool: ...",
        "def f(self) -> int: ...",
    ),
    "an attribute in place of a property": ("@property\n    def f(self) -> int: ...", "f = 3", "f = '3'"),
    "a property in place of an attribute": (
        "f: int",
        "@property\n    def f(self) -> int: ...",
        "@property\n    def f(self) -> str: ...",
    ),
    "an attribute that instances set": ("f: int", "f: bool", "f: str"),
    "an attribute in a slot": ("f: int", "__slots__ = ('f',)", "__slots__ = ('g',)"),
    "a class as an attribute": ("f: type[Exception]", "f = ValueError", "f = int"),
    "a wrapped function": (
        "def f(self, a: int) -> int: ...",
        "@functools.wraps(lambda self, a, b=1: a)\n    def f(*args, **kwargs): ...",
        "@functools.wraps(lambda self, a: a)\n    def f(self): ...",
    ),
    "a partial method": (
        "def f(self, a: int): ...",
        "def g(self, mode, a): ...\n    f = functools.partialmethod(g, 'text')",
        "def g(self, mode, b): ...\n    f = functools.partialmethod(g, 'text')",
    ),
    "a cached method": (
        "def f(self, a: int): ...",
        "@functools.lru_cache\n    def f(self, a: int, b: int = 0): ...",
        "@functools.lru_cache\n    def f(self): ...",
    ),
    "a method that dispatches on its argument": (
        "def f(self, a): ...",
        "@functools.singledispatchmethod\n    def f(self, a): ...",
        "@functools.singledispatchmethod\n    def f(self, a, b): ...",
    ),
    "a context manager": (
        "@contextlib.contextmanager\n    def f(self) -> Iterator[float]: ...",
        "@contextlib.contextmanager\n    def f(self) -> Iterator[int]: yield 1",
        "@contextlib.contextmanager\n    def f(self) -> Iterator[str]: yield ''",
    ),
    "a context manager by another way": (
        "def f(self) -> contextlib.AbstractContextManager[int]: ...",
        "@contextlib.contextmanager\n    def f(self) -> Iterator[int]: yield 1",
        "def f(self) -> int: ...",
    ),
    "a decorator that changes how a function runs": (
        "async def f(self) -> int: ...",
        "@functools.wraps(lambda self: 1)\n    async def f(self): ...",
        "def f(self): ...",
    ),
    "an object that is called": ("def f(self, a): ...", "f = functools.partial(lambda x, a: x, 1)", "f = 3"),
    "a string annotation": (
        "def f(self, a: 'int'): ...",
        "def f(self, a: 'int | str'): ...",
        "def f(self, a: 'str'): ...",
    ),
    "a name that does not exist yet": (
        "def f(self, a: 'int'): ...",
        "def f(self, a: 'Later'): ...",
        "def f(self, a: 'list'): ...",
    ),
    "Self": ("def f(self) -> Self: ...", "def f(self) -> Self: ...", "def f(self, a) -> Self: ..."),
}


def source(promised: str, offered: str) -> str:
    decorator = "" if promised.startswith("f:") else "@abstractmethod\n    "
    if promised.startswith("@"):
        first, rest = promised.split("\n", 1)
        promised, decorator = f"{first}\n    @abstractmethod\n{rest}", ""
    return f"class Shop(Contract, registry=registry):\n    {decorator}{promised}\nclass Offer(Shop):\n    {offered}\n"


@pytest.mark.parametrize("claim", PAIRS)
def test_what_is_compatible_is_accepted(claim: str) -> None:
    promised, offered, _ = PAIRS[claim]
    assert define(source(promised, offered))["Offer"].__name__ == "Offer"


@pytest.mark.parametrize("claim", PAIRS)
def test_one_change_further_it_is_refused(claim: str) -> None:
    promised, _, offered = PAIRS[claim]
    assert codes(source(promised, offered))


def test_private_helpers_and_constructors_are_no_promise() -> None:
    define("""
    class Shop(Contract, registry=registry):
        def __init__(self, a): ...
        def _helper(self, a): ...
    class Offer(Shop):
        def __init__(self): ...
        def _helper(self): ...
    """)


def test_an_abstract_private_method_is_a_promise() -> None:
    assert codes("""
    class Shop(Contract, registry=registry):
        @abstractmethod
        def _helper(self, a): ...
    class Offer(Shop):
        def _helper(self): ...
    """) == ["parameter-missing"]


def test_a_method_that_the_contract_implements_need_not_be_overridden() -> None:
    space = define("""
    class Shop(Contract, registry=registry):
        def twice(self, a: int) -> int: return 2 * a
    class Offer(Shop): ...
    """)
    assert space["Offer"]().twice(4) == 8
