"""Callbacks, async functions that make a resource, one line for FastAPI, and a warning where `with` does not close."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Iterator
from typing import Annotated, Any

import pytest

from arion_lib.resources import Resources, resource
from tests.resources.probes import MODES, BodyError, Log, manager, run

pytestmark = pytest.mark.usefixtures("no_leaks")
modes = pytest.mark.parametrize("mode", MODES)


@modes
@pytest.mark.parametrize("fails", [False, True])
def test_callbacks_are_called_once_last_in_first_out_before_what_is_open_already(mode: str, fails: bool) -> None:
    log = Log()

    def body(r: Resources) -> None:
        r.callback(log.append, ("close", "one", None))
        assert r.callback(log.append, ("close", "two", None)) == log.append
        if fails:
            raise BodyError

    managed = manager(mode, **log.probes("a b"))
    for _ in range(2):  # a definition may be entered again
        with pytest.raises(BodyError) if fails else contextlib.nullcontext():
            run(mode, managed, body)
    assert log.closed()[:2] == ["two", "one"]
    assert len(log.closed()) == 8


def test_a_callback_may_be_asynchronous_where_it_can_be_awaited() -> None:
    called: list[str] = []

    async def goodbye(name: str) -> None:
        await asyncio.sleep(0)
        called.append(name)

    async def main() -> None:
        async with Resources() as r:
            r.callback(goodbye, "one")

    asyncio.run(main())
    assert called == ["one"]
    with Resources() as r, pytest.raises(TypeError, match="must not be asynchronous"):
        r.callback(goodbye, "two")


@modes
def test_a_callback_that_fails_keeps_nothing_open(mode: str) -> None:
    log = Log()
    with pytest.raises(ZeroDivisionError):
        run(mode, manager(mode, **log.probes("a b")), lambda r: r.callback(lambda: 1 // 0))
    assert sorted(log.closed()) == ["a", "b"]


@pytest.mark.parametrize("mode", MODES[2:])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_an_async_function_may_make_the_resource(mode: str, asynchronous: bool) -> None:
    log = Log()

    class OnlySync(contextlib.ExitStack):
        pass

    async def session(db: str) -> Any:
        await asyncio.sleep(0)
        if asynchronous:
            return log.probe(f"session on {db}")
        stack = OnlySync()
        stack.enter_context(log.probe(f"session on {db}"))
        return stack

    run(mode, manager(mode, db=log.probe("db"), session=session))
    assert log.opened() == ["db", "session on db"]
    assert log.closed() == ["session on db", "db"]
    with pytest.raises(TypeError, match="async with"):
        Resources(db=log.probe("db"), session=session).__enter__()


@modes
def test_a_connection_that_with_does_not_close_is_warned_about(mode: str) -> None:
    opened: list[sqlite3.Connection] = []

    def connect() -> sqlite3.Connection:
        opened.append(sqlite3.connect(":memory:", check_same_thread=False))
        return opened[-1]

    with pytest.warns(UserWarning, match=r"does not close it: wrap it in contextlib\.closing"):
        run(mode, manager(mode, db=connect))
    with pytest.warns(UserWarning, match="does not close it"):
        resource(connect())
    for connection in opened:
        connection.close()
    if mode.startswith("sync"):  # the control, a warning being an error here
        run(mode, manager(mode, db=lambda: contextlib.closing(sqlite3.connect(":memory:", check_same_thread=False))))


def test_one_line_gives_a_handler_of_fastapi_its_resources() -> None:
    from fastapi import Depends, FastAPI
    from httpx import ASGITransport, AsyncClient

    log = Log()

    def opened() -> Iterator[str]:
        with log.probe("db") as name:
            yield name

    class Shop(Resources):
        db = resource(opened)

    app = FastAPI()

    async def handler(shop: Any) -> str:
        return str(shop.db)

    handler.__annotations__ = {"shop": Annotated[Shop, Depends(Shop.per_request)], "return": str}
    app.get("/")(handler)

    async def main() -> str:
        async with AsyncClient(transport=ASGITransport(app=app), base_url="http://shop") as client:
            return (await client.get("/")).text

    assert asyncio.run(main()) == '"db"'
    assert log.closed() == ["db"]


def test_what_cannot_be_called_or_named_is_refused_when_it_is_added() -> None:
    with Resources(a=contextlib.nullcontext(1)) as r:
        with pytest.raises(TypeError, match="a callback must be a function, got 3"):
            r.callback(3)  # type: ignore[type-var]
        with pytest.raises(TypeError, match="a resource's name must be a text, got 3"):
            r.acquire(3, contextlib.nullcontext(2))  # type: ignore[arg-type]
        assert r.acquire("b", contextlib.nullcontext(2)) == 2  # the block is as it was
