"""Managers inside managers: what they share, and what happens when they end in the wrong order."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from arion_lib.resources import Resources, resource
from arion_lib.resources.entry import ResourceError
from tests.resources.probes import BodyError, Log, manager

pytestmark = pytest.mark.usefixtures("no_leaks")


def test_a_scope_still_open_when_its_manager_ends_is_released_first_and_reported() -> None:
    log = Log()
    managed = manager("sync", a=log.probe("a"))
    with pytest.raises(ResourceError, match=r"Resources\.scope was still open when Resources ended: leave it first"):
        end_in_the_wrong_order(managed, log)
    assert log.closed() == ["b", "a"]


def end_in_the_wrong_order(managed: Resources, log: Log) -> None:
    managed.__enter__()
    inner = managed.scope(b=resource(log.probe("b"), after=["a"]))
    inner.__enter__()
    try:
        managed.__exit__(None, None, None)
    finally:
        inner.__exit__(None, None, None)  # harmless by now


def test_an_asynchronous_scope_still_open_is_released_first_too() -> None:
    log = Log()

    async def main() -> None:
        async with manager("async", a=log.probe("a")) as r:
            await r.scope(b=resource(log.probe("b"), after=["a"])).__aenter__()
            raise BodyError

    with pytest.raises(BodyError) as caught:
        asyncio.run(main())
    assert log.closed() == ["b", "a"]
    assert any("was still open" in note for note in caught.value.__notes__)


def test_what_an_open_scope_uses_must_not_be_released() -> None:
    log = Log()
    with (
        manager("sync", a=log.probe("a")) as r,
        r.scope(b=resource(log.probe("b"), after=["a"])),
        pytest.raises(ResourceError, match="'a' is still used by b of"),
    ):
        r.release("a")
    assert log.closed() == ["b", "a"]


def test_a_scope_opens_what_is_lazy_in_the_manager_around_it() -> None:
    log = Log()

    def session(db: str) -> Any:
        yield f"session on {db}"

    with manager("sync", db=resource(log.probe("db"), lazy=True)) as r:
        with r.scope() as middle, middle.scope(session=session) as inner:
            assert inner.session == "session on db"
        assert (log.opened(), log.closed()) == (["db"], [])
    assert log.closed() == ["db"]


def test_an_asynchronous_scope_opens_what_is_lazy_around_it() -> None:
    log = Log()

    async def session(db: str) -> Any:
        yield f"session on {db}"

    async def main() -> None:
        async with (
            manager("async", db=resource(log.probe("db"), lazy=True)) as r,
            r.scope(session=resource(session, lazy=True)) as inner,
        ):
            assert await inner.aacquire("session") == "session on db"

    asyncio.run(main())
    assert log.closed() == ["db"]


def test_a_function_never_gets_none_for_what_was_released() -> None:
    log = Log()

    def session(db: str) -> Any:
        yield db

    with manager("sync", db=log.probe("db"), session=resource(session, lazy=True)) as r:
        r.release("db")
        assert r.session == "db"  # opened again, as what needs it is
    assert log.opened() == ["db", "db"]


def test_an_attribute_of_a_lazy_resource_in_async_code_says_what_to_await() -> None:
    async def main() -> None:
        async with manager("async", a=resource(Log().probe("a"), lazy=True)) as r:
            with pytest.raises(ResourceError, match=r"`await r\.aacquire\('a'\)`"):
                r.a  # noqa: B018

    asyncio.run(main())


def test_an_asynchronous_scope_in_a_with_block_cannot_be_released_with_it_and_that_is_said() -> None:
    log = Log()

    async def main() -> Resources:
        outer = manager("sync", a=log.probe("a"))
        outer.__enter__()
        inner = outer.scope(b=log.probe("b"))
        await inner.__aenter__()
        with pytest.raises(ResourceError, match="cannot await its releases: it stays open"):
            outer.__exit__(None, None, None)
        await inner.__aexit__(None, None, None)
        return outer

    asyncio.run(main())
    assert log.closed() == ["a", "b"]
