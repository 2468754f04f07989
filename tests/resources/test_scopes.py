"""Managers inside managers: what they share, and what happens when they end in the wrong order."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from arion_lib.resources import Resources, resource
from arion_lib.resources.entry import ResourceError
from arion_lib.resources.threads import ThreadEntry
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


def test_what_an_inner_block_put_onto_a_suppressed_error_still_comes_out() -> None:
    log, late = Log(), OSError("late")
    inner = log.probe("inner", on_close=late)

    def body(r: Resources) -> None:
        with r.scope(inner=inner):
            raise BodyError

    def run() -> None:
        with manager("sync", outer=log.probe("outer", suppress=True)) as r:
            body(r)

    with pytest.raises(OSError, match="late") as caught:
        run()
    assert caught.value is late


def test_a_group_that_is_suppressed_is_dealt_with_as_a_whole() -> None:
    log = Log()
    failing = {name: log.probe(name, on_close=OSError(name)) for name in "ab"}
    with manager("sync", outer=log.probe("outer", suppress=True)) as r, r.scope(**failing):
        pass
    assert isinstance(log.saw("outer"), ExceptionGroup)


def test_an_error_of_a_first_use_is_raised_at_the_end_when_nobody_waits_for_it_any_more() -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def lazily() -> Any:
        begun.set()
        await go.wait()
        raise OSError("no answer")
        yield

    async def main() -> None:
        async with Resources(a=resource(lazily, lazy=True)) as r:
            asking = asyncio.ensure_future(r.aacquire("a"))
            await begun.wait()
            asking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asking
            go.set()
            await asyncio.sleep(0)

    with pytest.raises(OSError, match="no answer"):
        asyncio.run(main())


def test_a_first_use_whose_asker_was_cancelled_is_opened_again_after_its_release() -> None:
    log, begun, go = Log(), asyncio.Event(), asyncio.Event()

    async def lazily() -> Any:
        begun.set()
        await go.wait()
        async with log.probe("a") as opened:
            yield opened

    async def main() -> None:
        async with Resources(a=resource(lazily, lazy=True)) as r:
            asking = asyncio.ensure_future(r.aacquire("a"))
            await begun.wait()
            asking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asking
            go.set()
            while "a" not in r:
                await asyncio.sleep(0)
            await r.arelease("a")
            assert await r.aacquire("a") == "a"

    asyncio.run(main())
    assert log.opened() == ["a", "a"]


def test_leaving_a_scope_looks_at_no_other_scope_that_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[object] = []

    def told(self: ThreadEntry, other: object) -> bool:
        compared.append(other)
        return self is other

    monkeypatch.setattr(ThreadEntry, "__eq__", told)
    monkeypatch.setattr(ThreadEntry, "__hash__", object.__hash__)
    with manager("sync", a=Log().probe("a")) as r, contextlib.ExitStack() as scopes:
        for _ in range(50):
            scopes.enter_context(r.scope())
        last = r.scope()
        with last:
            open_now = list(r._open_entry().inner)
        assert len(open_now) == 51
        assert compared == []
        open_now.remove(open_now[-1])  # the control: a list looks at all of them
    assert len(compared) == 50
