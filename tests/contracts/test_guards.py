"""What a call checks at run time, at which level, and what a guard leaves as it was."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import threading
from abc import abstractmethod
from collections.abc import AsyncIterator, Iterator
from typing import Any, Generic, TypeVar

import pytest

from arion_lib.contracts.checks.levels import Level, checking, level
from arion_lib.contracts.contract import Contract
from arion_lib.contracts.registry import Registry
from arion_lib.contracts.violations import ContractCallError

T = TypeVar("T")


class Shop(Contract, registry=Registry()):
    @abstractmethod
    def sell(self, items: list[int], price: int = 1, *more: str, note: str = "", **rest: float) -> list[int]: ...
    async def fetch(self, key: str) -> int:
        return len(key)

    @classmethod
    def open(cls, name: str) -> str:
        return name

    @staticmethod
    def half(n: int) -> float:
        return n / 2

    @property
    def title(self) -> str:
        return "shop"

    @title.setter
    def title(self, value: str) -> None:
        self.kept = value

    def each(self) -> Iterator[int]:
        yield 1

    async def later(self) -> AsyncIterator[int]:
        yield 1


class Corner(Shop):
    """Leaves out all annotations: the contract's count."""

    result: Any = None

    def sell(self, items, price=1, *more, note="", **rest):  # type: ignore[no-untyped-def]
        return items if self.result is None else self.result

    async def fetch(self, key):  # type: ignore[no-untyped-def]
        await asyncio.sleep(0)
        return self.result

    @classmethod
    def open(cls, name):  # type: ignore[no-untyped-def]
        return name if name else 0

    @staticmethod
    def half(n):  # type: ignore[no-untyped-def]
        return n or "nothing"

    @property
    def title(self):  # type: ignore[no-untyped-def]
        return self.result

    @title.setter
    def title(self, value):  # type: ignore[no-untyped-def]
        self.kept = value

    def each(self):  # type: ignore[no-untyped-def]
        got = yield 1
        yield got

    async def later(self):  # type: ignore[no-untyped-def]
        yield 1
        yield "two"


class Naive:
    """The control: the same method without a contract."""

    def sell(self, items, price=1, *more, note="", **rest):  # type: ignore[no-untyped-def]
        return items


def refused(parameter: str) -> Any:
    return pytest.raises(ContractCallError, match=parameter)


@pytest.mark.parametrize(
    ("args", "kwargs", "parameter"),
    [
        (("x",), {}, "'items'"),
        ((["x"],), {}, "'items'"),
        (([],), {"price": "x"}, "'price'"),
        (([], 1, 2), {}, "'more'"),
        (([],), {"note": 3}, "'note'"),
        (([],), {"weight": "x"}, "'rest'"),
    ],
)
def test_each_argument_is_checked_although_the_method_left_annotations_out(
    args: Any, kwargs: Any, parameter: str
) -> None:
    with refused(parameter):
        Corner().sell(*args, **kwargs)
    assert Naive().sell(*args, **kwargs) == args[0]  # the control lets it pass


def test_what_fits_passes_unchanged() -> None:
    items = [1, 2]
    assert Corner().sell(items, 2, "a", note="b", weight=1.5) is items
    assert Corner().sell(items, True, weight=1) is items


def test_the_error_names_method_parameter_value_type_and_the_contracts_line() -> None:
    with pytest.raises(ContractCallError) as caught:
        Corner().sell(["x" * 500])
    line = inspect.getsourcelines(Shop.sell)[1]
    error = caught.value
    assert (error.member, error.parameter, error.expected) == ("Corner.sell", "parameter 'items'", "list[int]")
    assert str(error).startswith("Corner.sell: parameter 'items' must be list[int], got ['xxx")
    assert str(error).endswith(f"'] (list); promised at tests/contracts/test_guards.py:{line}")
    assert len(str(error)) < 250


def test_the_result_is_checked() -> None:
    shop = Corner()
    shop.result = "no list"
    with refused("return value must be list"):
        shop.sell([])


def test_a_coroutine_is_checked_when_it_is_awaited() -> None:
    shop = Corner()
    shop.result = 3
    assert inspect.iscoroutinefunction(shop.fetch)
    assert asyncio.run(shop.fetch("k")) == 3
    assert inspect.iscoroutinefunction(Corner().fetch)
    with refused("'key'"):
        asyncio.run(shop.fetch(1))
    shop.result = "3"
    with refused("return value must be int"):
        asyncio.run(shop.fetch("k"))


def test_class_and_static_methods_and_properties_are_checked() -> None:
    assert Corner.open("x") == Corner().open("x") == "x"
    assert Corner.half(2) == 2
    with refused("'name'"):
        Corner.open(1)
    with refused("return value must be str"):
        Corner.open("")
    with refused("'n'"):
        Corner.half("x")
    with refused("return value must be float"):
        Corner().half(0)
    with refused("return value must be str"):
        _ = Corner().title
    shop = Corner()
    shop.title = "new"
    with refused("assigned value must be str"):
        shop.title = 1
    assert shop.kept == "new"


def test_a_contracts_own_methods_are_checked_too() -> None:
    class Plain(Shop):
        def sell(self, items: list[int], price: int = 1, *more: str, note: str = "", **rest: float) -> list[int]:
            return items

    assert asyncio.run(Plain().fetch("four")) == 4
    with refused("'key'"):
        asyncio.run(Plain().fetch(4))  # type: ignore[arg-type]


def test_fast_looks_at_the_first_element_and_all_at_every_one() -> None:
    mixed: Any = [1, "x"]
    assert Corner().sell(mixed) is mixed
    with checking("all"), refused("'items'"):
        Corner().sell(mixed)
    with checking("off"):
        assert Corner().sell("anything") == "anything"
    with refused("'items'"):
        Corner().sell("anything")


def test_a_class_chooses_its_level() -> None:
    class Strict(Corner, checks="all"): ...

    class Loose(Corner, checks="off"):
        def sell(self, items, price=1, *more, note="", **rest):  # type: ignore[no-untyped-def]
            return items

    class StrictOwn(Corner, checks="all"):
        def sell(self, items, price=1, *more, note="", **rest):  # type: ignore[no-untyped-def]
            return items

    assert Loose().sell("x") == "x"
    for strict in (StrictOwn, Strict):
        with refused("'items'"):
            strict().sell([1, "x"])


def test_a_class_that_switches_checks_off_inherits_no_guard() -> None:
    class Loud(Contract, registry=Registry()):
        def go(self, n: int) -> int:
            return n

        @classmethod
        def make(cls, n: int) -> int:
            return n

        @staticmethod
        def twice(n: int) -> int:
            return n

    class Outside:
        @staticmethod
        def twice(n: int) -> int:
            return n

    class Own(Outside, Loud):
        def go(self, n: int) -> int:
            return n

    class Quiet(Own, checks="off"): ...

    for name in ("go", "make", "twice"):
        assert getattr(Quiet(), name)("x") == "x"
        with refused("'n'"):  # the control
            getattr(Own(), name)("x")


def test_an_unknown_level_is_refused_where_it_is_written() -> None:
    with pytest.raises(ValueError, match="level must be one of off, fast, all, define, warn, got 'some'"):
        level("some")
    assert level("all") is Level.ALL


def test_a_level_reaches_neither_other_threads_nor_other_tasks() -> None:
    seen: list[object] = []

    def elsewhere() -> None:
        try:
            Corner().sell("x")
        except ContractCallError as error:
            seen.append(error.parameter)

    with checking("off"):
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert seen == ["parameter 'items'"]

    async def main() -> list[Any]:
        entered, checked = asyncio.Event(), asyncio.Event()

        async def off() -> Any:
            with checking("off"):
                entered.set()
                await checked.wait()
                return Corner().sell("x")

        async def default() -> str:
            await entered.wait()
            try:
                Corner().sell("x")
            except ContractCallError:
                return "refused"
            finally:
                checked.set()
            return "accepted"

        return list(await asyncio.gather(off(), default()))

    assert asyncio.run(main()) == ["x", "refused"]


def test_a_generator_is_checked_element_by_element_at_all_and_keeps_its_protocol() -> None:
    plain = Corner().each()
    assert [next(plain), plain.send("x")] == [1, "x"]
    with checking("all"):
        watched = Corner().each()
        assert [next(watched), watched.send(5)] == [1, 5]
        watched = Corner().each()
        next(watched)
        with refused("yielded element must be int"):
            watched.send("x")


def test_throw_and_close_reach_a_watched_generator() -> None:
    seen = []

    class Careful(Corner):
        def each(self) -> Iterator[int]:
            try:
                yield 1
            except KeyError:
                yield 2
            finally:
                seen.append("closed")

    with checking("all"):
        stream: Any = Careful().each()
        assert [next(stream), stream.throw(KeyError())] == [1, 2]
        stream.close()
    assert seen == ["closed"]


def test_an_async_generator_is_checked_element_by_element_at_all() -> None:
    async def collect() -> list[Any]:
        return [x async for x in Corner().later()]

    assert asyncio.run(collect()) == [1, "two"]
    with checking("all"), refused("yielded element must be int"):
        asyncio.run(collect())


def test_a_guard_looks_like_its_method_before_and_after_the_first_call() -> None:
    class Fresh(Corner):
        def sell(self, items: list[int], price: int = 7, *more: str, note: str = "n", **rest: float) -> list[int]:
            """Sell."""
            return items

    def looks() -> tuple[Any, ...]:
        function = Fresh.sell
        return function.__name__, function.__doc__, function.__module__, str(inspect.signature(function))

    before, identity = looks(), Fresh.sell
    Fresh().sell([])
    assert looks() == before
    assert before[:2] == ("sell", "Sell.")
    assert Fresh.sell is identity
    with pytest.raises(TypeError, match=r"sell\(\) missing 1 required positional argument: 'items'"):
        Fresh().sell()  # type: ignore[call-arg]


def test_a_default_that_does_not_fit_its_annotation_is_accepted_as_default_only() -> None:
    class Lazy(Corner):
        def sell(self, items: list[int] = None, price: int = None, *more, note="", **rest):  # type: ignore # noqa: RUF013
            return items or []

    assert Lazy().sell() == []
    with refused("'price'"):
        Lazy().sell([], "x")


def test_stars_in_the_class_are_checked_by_the_contracts_names() -> None:
    class Forwarding(Corner):
        def sell(self, *args: Any, **kwargs: Any) -> Any:
            return [1]

    class Unannotated(Corner):
        def sell(self, *args, **kwargs):  # type: ignore[no-untyped-def]
            return [1]

    assert Forwarding().sell("anything goes: Any says so") == [1]
    assert Unannotated().sell([1], price=1) == [1]
    with refused("'items'"):
        Unannotated().sell("x")
    with refused("'price'"):
        Unannotated().sell([1], "x")
    with refused("'price'"):
        Unannotated().sell([1], price="x")


def test_recursion_and_threads_find_one_guard() -> None:
    class Deep(Corner):
        def sell(self, items, price=1, *more, note="", **rest):  # type: ignore[no-untyped-def]
            return items if not items else self.sell(items[1:])

    start = threading.Barrier(8)
    results: list[object] = []

    def work() -> None:
        shop = Deep()
        start.wait()
        results.append(shop.sell([1, 2, 3]))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [[]] * 8


class Reader(Contract, Generic[T], registry=Registry()):
    @abstractmethod
    def read(self, n: int) -> T: ...


def test_type_variables_are_substituted_at_run_time() -> None:
    class Numbers(Reader[int]):
        def read(self, n):  # type: ignore[no-untyped-def]
            return "three"

    class Anything(Reader):  # type: ignore[type-arg]
        def read(self, n):  # type: ignore[no-untyped-def]
            return "three"

    assert Anything().read(1) == "three"
    with refused("return value must be int"):
        Numbers().read(1)


def test_what_a_generic_class_implements_is_checked_by_the_types_of_the_class_below() -> None:
    class Store(Contract, Generic[T], registry=Registry()):
        @abstractmethod
        def put(self, value: T, more: list[T]) -> T: ...
        @property
        @abstractmethod
        def last(self) -> T: ...

    class Memory(Store[T]):
        kept: Any = "a"

        def put(self, value: T, more: list[T]) -> T:
            return value

        @property
        def last(self) -> T:
            return self.kept  # type: ignore[no-any-return]

    class Words(Memory[str]): ...

    class Same(Words): ...

    open_to_all: Any = Memory()
    assert open_to_all.put(1, [2]) == 1  # the control: there, nothing is known
    for cls in (Words, Same):
        assert cls().put("a", ["b"]) == "a"
        with refused("'value'"):
            cls().put(1, ["b"])  # type: ignore[arg-type]
        with refused("'more'"):
            cls().put("a", [1])  # type: ignore[list-item]
        store = cls()
        assert store.last == "a"
        store.kept = 1
        with refused("return value must be str"):
            _ = store.last
    assert "put" in vars(Words)
    assert "put" not in vars(Same)


def test_decorated_methods_keep_what_their_decorators_gave_them() -> None:
    class Cached(Contract, registry=Registry()):
        @abstractmethod
        def twice(self, n: int) -> int: ...
        @abstractmethod
        def show(self, value: object) -> str: ...
        @property
        def size(self) -> int:
            return 1

        @contextlib.contextmanager
        def session(self) -> Iterator[int]:
            yield 1

    class Made(Cached):
        calls = 0

        @functools.lru_cache  # noqa: B019 - the point of the test
        def twice(self, n):  # type: ignore[no-untyped-def]
            return 2 * n

        @functools.singledispatchmethod
        def show(self, value):  # type: ignore[no-untyped-def]
            return "object"

        @show.register
        def _(self, value: int) -> str:
            return "int"

        @functools.cached_property
        def size(self):  # type: ignore[no-untyped-def]
            self.calls += 1
            return 3

        @contextlib.contextmanager
        def session(self):  # type: ignore[no-untyped-def]
            yield 2

    made: Any = Made()
    assert [made.twice(2), made.twice(2), made.twice.cache_info().hits] == [4, 4, 1]
    assert [made.show(1), made.show("x")] == ["int", "object"]
    Made.show.register(str, lambda self, value: "str")  # type: ignore[attr-defined]
    assert made.show("x") == "str"
    assert [made.size, made.size, made.calls] == [3, 3, 1]
    with made.session() as value:
        assert value == 2
    with refused("'n'"):
        made.twice("x")


def test_partial_methods_are_guarded() -> None:
    class Open(Contract, registry=Registry()):
        @abstractmethod
        def read(self, n: int) -> int: ...

    class File(Open):
        def run(self, mode: str, n: int) -> int:
            return n

        read = functools.partialmethod(run, "text")

    assert File().read(3) == 3
    with refused("'n'"):
        File().read("x")  # type: ignore[arg-type]


def test_a_parameter_named_like_generated_code_is_the_users_own() -> None:
    def go(self: Any, __g_type: int, *, __g_c0: int = 1, **__g_len: int) -> int:
        return __g_type + __g_c0 + sum(__g_len.values())

    class Strange(Contract, registry=Registry()):
        run = go

    class Kept(Strange):
        run = go

    assert Kept().run(1, __g_c0=2, x=3) == 6
    assert Kept().run(__g_type=1) == 2
