"""Inside the block: acquiring, releasing and looking up, and what is said when that cannot work."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from arion_lib.resources import Resources, resource
from arion_lib.resources.entry import ResourceError
from tests.resources.probes import Log, manager

pytestmark = pytest.mark.usefixtures("no_leaks")
PATIENCE = 10.0  # seconds: only a failing test waits as long

color: contextvars.ContextVar[str] = contextvars.ContextVar("color", default="none")


def painted() -> Iterator[None]:
    token = color.set("of the resource")
    yield
    color.reset(token)


def test_what_a_resource_sets_in_the_context_is_seen_in_the_block_and_gone_after_it() -> None:
    with Resources(paint=painted):
        assert color.get() == "of the resource"
    assert color.get() == "none"


def test_the_same_in_a_task() -> None:
    async def painted_in_a_task() -> AsyncIterator[None]:
        token = color.set("of the resource")
        yield
        color.reset(token)

    async def main() -> None:
        async with Resources(paint=painted_in_a_task):
            assert color.get() == "of the resource"
        assert color.get() == "none"

    asyncio.run(main())


def test_a_generator_that_never_yields_or_yields_twice_is_an_error_in_tasks_too() -> None:
    async def never() -> AsyncIterator[None]:
        return
        yield

    async def twice() -> AsyncIterator[int]:
        yield 1
        yield 2

    async def main(target: Any) -> None:
        async with Resources(a=target):
            pass

    with pytest.raises(RuntimeError, match="didn't yield"):
        asyncio.run(main(never))
    with pytest.raises(RuntimeError, match="didn't stop"):
        asyncio.run(main(twice))


def test_a_closed_manager_says_how_to_open_it() -> None:
    managed = manager("sync", a=Log().probe("a"))
    for use in (lambda: managed.acquire("a"), lambda: managed.release("a"), lambda: managed["a"], managed.check):
        with pytest.raises(ResourceError, match="is not open: use it inside `with resources as r:`"):
            use()


def test_calls_of_the_other_kind_of_block_name_the_right_one() -> None:
    async def in_a_task() -> None:
        async with manager("async", a=Log().probe("a")) as r:
            with pytest.raises(ResourceError, match=r"await aacquire\('a'\) instead"):
                r.acquire("a")
            with pytest.raises(ResourceError, match=r"await arelease\('a'\) instead"):
                r.release("a")
        with manager("sync", a=Log().probe("a")) as r:
            with pytest.raises(ResourceError, match=r"call acquire\('a'\) instead"):
                await r.aacquire("a")
            with pytest.raises(ResourceError, match=r"call release\('a'\) instead"):
                await r.arelease("a")

    asyncio.run(in_a_task())


def test_adding_under_a_name_that_is_open_is_refused() -> None:
    log = Log()
    with manager("sync", a=log.probe("a")) as r, pytest.raises(ResourceError, match="'a' is open already"):
        r.acquire("a", log.probe("other"))
    assert log.opened() == ["a"]


def test_a_failed_acquisition_in_the_block_is_the_bodys_affair() -> None:
    log = Log()
    with manager("sync", a=log.probe("a"), b=resource(log.probe("b", on_open=OSError("down")), lazy=True)) as r:
        with contextlib.suppress(OSError):
            r.acquire("b")
        assert r.a == "a"
    assert log.closed() == ["a"]


def test_a_thread_bound_resource_is_not_opened_for_another_thread() -> None:
    log, said = Log(), list[str]()
    with manager("sync", db=resource(log.probe("db"), lazy=True, thread_bound=True)) as r:

        def ask() -> None:
            try:
                r.acquire("db")
            except ResourceError as error:
                said.append(str(error))

        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
    assert said == ["'db' is thread_bound: open it in the thread that entered Resources"]
    assert log.opened() == []


def test_what_another_thread_is_just_opening_when_the_block_ends_is_not_left_open() -> None:
    log, begun, go = Log(), threading.Event(), threading.Event()

    def slowly() -> None:
        begun.set()
        go.wait(PATIENCE)

    managed = manager("sync", a=resource(log.probe("a", hooks={"open": slowly}), lazy=True))
    with managed as r:
        thread = threading.Thread(target=r.acquire, args=("a",))
        thread.start()
        begun.wait(PATIENCE)
        go.set()
    thread.join()
    assert log.opened() == log.closed() == ["a"]


def test_a_recipe_is_shared_by_managers_in_many_threads() -> None:
    class Shop(Resources):
        cache = resource(lambda: contextlib.nullcontext([]))

    together, seen = threading.Barrier(8, timeout=PATIENCE), list[int]()

    def use(number: int) -> None:
        with Shop() as shop:
            shop.cache.append(number)
            together.wait()
            seen.append(len(shop.cache))

    threads = [threading.Thread(target=use, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [1] * 8
    assert Shop().snapshot()["cache"].acquisitions == 8
