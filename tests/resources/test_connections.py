"""Connections: files and memory always, servers where they run, and what is said when they are away."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import socket
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from arion_lib.resources import Resources, resource
from arion_lib.resources.connections.api import Api
from arion_lib.resources.connections.away import ServerAwayError
from arion_lib.resources.connections.cache import Cache
from arion_lib.resources.connections.database import Database

pytestmark = pytest.mark.usefixtures("no_leaks")
postgres, redis = pytest.mark.postgres, pytest.mark.redis


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=postgres)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    if request.param == "sqlite":
        return Database(f"sqlite:///{tmp_path / 'shop.db'}")
    return Database(request.getfixturevalue("postgres_schema"))


@pytest.fixture(params=["memory", pytest.param("redis", marks=redis)])
def cache(request: pytest.FixtureRequest) -> Cache:
    if request.param == "memory":
        return Cache()
    return Cache(request.getfixturevalue("redis_url"), prefix=request.getfixturevalue("redis_prefix"))


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(500 if self.path == "/ill" else 200)
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *args: Any) -> None: ...


@pytest.fixture
def served() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


# Databases ---------------------------------------------------------------------------------------------------------


def test_a_statement_is_durable_and_a_transaction_is_all_or_nothing(database: Database) -> None:
    with Resources(db=database) as r:
        r.db.execute("CREATE TABLE orders (id INTEGER)")
        with r.db.transaction() as together:
            together.execute("INSERT INTO orders VALUES (1)")
        with contextlib.suppress(ZeroDivisionError), r.db.transaction() as together:
            together.execute("INSERT INTO orders VALUES (2)")
            1 / 0  # noqa: B018
    with Resources(db=database) as again:
        assert again.db.execute("SELECT id FROM orders") == [(1,)]
        assert again.check()["db"].ok


def test_the_same_in_tasks(database: Database) -> None:
    async def main() -> None:
        async with Resources(db=database) as r:
            await r.db.execute("CREATE TABLE orders (id INTEGER)")
            async with r.db.transaction() as together:
                await together.execute("INSERT INTO orders VALUES (1)")
            with contextlib.suppress(ZeroDivisionError):
                async with r.db.transaction() as together:
                    await together.execute("INSERT INTO orders VALUES (2)")
                    1 / 0  # noqa: B018
            assert await r.db.execute("SELECT id FROM orders") == [(1,)]
            assert (await r.acheck())["db"].ok

    asyncio.run(main())


def test_one_database_may_be_open_in_two_managers(database: Database) -> None:
    shared = resource(database)
    with Resources(db=shared) as one:
        with Resources(db=shared) as two:
            two.db.execute("CREATE TABLE t (id INTEGER)")
        assert one.db.execute("SELECT * FROM t") == []


def test_the_loop_that_psycopg_cannot_use_is_named_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-in: this system's loop, under the name of Windows' usual one."""
    pytest.importorskip("psycopg_pool")
    url = "postgresql://127.0.0.1:1/none"

    async def main() -> None:
        from arion_lib.resources.connections.database_postgres import aopen_pool

        await aopen_pool(url, 1.0, 1)

    with pytest.raises(ServerAwayError):  # the control: another loop gets as far as the server
        asyncio.run(main())
    monkeypatch.setattr(asyncio, "ProactorEventLoop", asyncio.SelectorEventLoop, raising=False)
    with pytest.raises(RuntimeError, match="SelectorEventLoop"):
        asyncio.run(main())


def test_a_closed_connection_is_closed(database: Database) -> None:
    with Resources(db=database) as r:
        kept = r.db
    with pytest.raises(Exception, match="closed"):
        kept.execute("SELECT 1")


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(ServerAwayError, match=r"sqlite:///.*missing/shop\.db: unable to open database file"):
        Resources(db=Database(f"sqlite:///{tmp_path}/missing/shop.db")).__enter__()


@pytest.mark.parametrize("tasks", [False, True])
def test_a_database_server_that_is_away_is_named_without_its_password(closed_port: int, tasks: bool) -> None:
    pytest.importorskip("psycopg_pool")
    away = Resources(db=Database(f"postgresql://ann:s3cret@127.0.0.1:{closed_port}/shop", timeout=2))
    with pytest.raises(ServerAwayError) as caught:
        enter(away, tasks)
    assert f"postgresql://ann:***@127.0.0.1:{closed_port}/shop" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def enter(managed: Resources, tasks: bool) -> None:
    async def main() -> None:
        async with managed:
            pass

    if tasks:
        asyncio.run(main())
    else:
        with managed:
            pass


@pytest.mark.parametrize("url", ["mysql://host/db", "shop.db", "http://ann:s3cret@host"])
def test_another_kind_of_database_is_refused_when_it_is_described(url: str) -> None:
    with pytest.raises(ValueError, match=r"url must begin with sqlite:/// or postgresql://") as caught:
        Database(url)
    assert "s3cret" not in str(caught.value)


# Caches ------------------------------------------------------------------------------------------------------------


def test_a_cache_gives_back_what_was_put_in(cache: Cache) -> None:
    with Resources(cache=cache) as r:
        r.cache.set("a", {"n": [1, None]})
        assert (r.cache.get("a"), r.cache.get("b", 7)) == ({"n": [1, None]}, 7)
        r.cache.delete("a")
        r.cache.delete("a")
        assert r.cache.get("a") is None
        assert r.check()["cache"].ok


def test_a_cache_in_tasks(cache: Cache) -> None:
    async def main() -> None:
        async with Resources(cache=cache) as r:
            await r.cache.set("a", 1)
            assert (await r.cache.get("a"), await r.cache.get("b", 7)) == (1, 7)
            await r.cache.delete("a")
            assert await r.cache.get("a") is None
            assert (await r.acheck())["cache"].ok

    asyncio.run(main())


def test_a_cache_in_memory_is_bounded_and_forgets_by_the_given_clock() -> None:
    now = [0.0]
    with Resources(cache=Cache(size=3, ttl=10, clock=lambda: now[0])) as r:
        for key in "abcd":
            r.cache.set(key, key)
        assert [r.cache.get(key) for key in "abcd"] == [None, "b", "c", "d"]
        now[0] = 9.99
        assert r.cache.get("b") == "b"
        now[0] = 10.0
        assert r.cache.get("b") is None


@redis
def test_a_redis_server_is_told_the_time_to_live(redis_url: str, redis_prefix: str) -> None:
    with Resources(cache=Cache(redis_url, prefix=redis_prefix, ttl=3.5)) as r:
        r.cache.set("a", 1)
        assert 0 < r.cache.client.pttl(redis_prefix + "a") <= 3_500


@pytest.mark.parametrize("tasks", [False, True])
def test_a_cache_server_that_is_away_is_named_without_its_password(closed_port: int, tasks: bool) -> None:
    pytest.importorskip("redis")
    with pytest.raises(ServerAwayError, match=rf"redis://:\*\*\*@127\.0\.0\.1:{closed_port}"):
        enter(Resources(cache=Cache(f"redis://:s3cret@127.0.0.1:{closed_port}", timeout=2)), tasks)


# APIs --------------------------------------------------------------------------------------------------------------


def test_an_api_is_called_and_its_client_is_closed(served: str) -> None:
    with Resources(api=Api(served, ping="/health")) as r:
        assert r.api.get("/rates").text == "hello"
        assert r.check()["api"].ok
        client = r.api
    assert client.is_closed


def test_an_api_in_tasks(served: str) -> None:
    async def main() -> Any:
        async with Resources(api=Api(served, ping="/health")) as r:
            assert (await r.api.get("/rates")).text == "hello"
            assert (await r.acheck())["api"].ok
            return r.api

    assert asyncio.run(main()).is_closed


@pytest.mark.parametrize("tasks", [False, True])
def test_an_api_that_is_ill_or_away_is_refused_on_entry_when_it_has_a_ping(
    served: str, closed_port: int, tasks: bool
) -> None:
    with pytest.raises(ServerAwayError, match="/ill answered 500 Internal Server Error"):
        enter(Resources(api=Api(served, ping="/ill")), tasks)
    with pytest.raises(ServerAwayError, match=f"cannot reach http://127.0.0.1:{closed_port}"):
        enter(Resources(api=Api(f"http://127.0.0.1:{closed_port}", ping="/")), tasks)


def test_an_api_that_goes_away_later_is_ill(closed_port: int) -> None:
    with Resources(api=Api(f"http://127.0.0.1:{closed_port}")) as r:
        assert not r.check()["api"].ok
        assert "cannot reach" in r.check()["api"].error


# A file's transactions ---------------------------------------------------------------------------------------------


def test_a_statement_beside_another_tasks_transaction_is_durable_when_it_returns(database: Database) -> None:
    begun, returned = asyncio.Event(), asyncio.Event()

    async def rolled_back(db: Any) -> None:
        with contextlib.suppress(ZeroDivisionError):
            async with db.transaction() as together:
                await together.execute("INSERT INTO orders VALUES (1)")
                begun.set()
                await asyncio.sleep(0.01)  # the other one's statement is on its way, and must not be taken along
                1 / 0  # noqa: B018

    async def beside(db: Any) -> None:
        await begun.wait()
        await db.execute("INSERT INTO orders VALUES (2)")
        returned.set()

    async def main() -> None:
        async with Resources(db=database) as r, asyncio.TaskGroup() as group:
            await r.db.execute("CREATE TABLE orders (id INTEGER)")
            group.create_task(rolled_back(r.db))
            group.create_task(beside(r.db))
            await returned.wait()

    asyncio.run(main())
    with Resources(db=database) as again:
        assert again.db.execute("SELECT id FROM orders") == [(2,)]


def test_transactions_of_many_tasks_take_turns(database: Database) -> None:
    async def add(db: Any) -> None:
        async with db.transaction() as together:
            ((count,),) = await together.execute("SELECT n FROM counter")
            await asyncio.sleep(0)
            await together.execute(f"UPDATE counter SET n = {count + 1}")

    async def main() -> list[Any]:
        async with Resources(db=database) as r:
            await r.db.execute("CREATE TABLE counter (n INTEGER)")
            await r.db.execute("INSERT INTO counter VALUES (0)")
            await asyncio.gather(*(add(r.db) for _ in range(10)))
            return list(await r.db.execute("SELECT n FROM counter"))

    if database.url.startswith("sqlite"):  # a server's isolation level is the server's affair
        assert asyncio.run(main()) == [(10,)]


CONSTRAINED = (
    "PRAGMA foreign_keys = ON",
    "CREATE TABLE customers (id INTEGER PRIMARY KEY)",
    "CREATE TABLE orders (customer REFERENCES customers DEFERRABLE INITIALLY DEFERRED)",
)


@pytest.mark.parametrize("tasks", [False, True])
def test_a_commit_that_fails_leaves_no_transaction_open(tmp_path: Path, tasks: bool) -> None:
    database = Database(f"sqlite:///{tmp_path / 'shop.db'}")

    async def in_tasks() -> None:
        async with Resources(db=database) as r:
            for sql in CONSTRAINED:
                await r.db.execute(sql)
            with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
                async with r.db.transaction() as together:
                    await together.execute("INSERT INTO orders VALUES (7)")
            await r.db.execute("INSERT INTO customers VALUES (1)")

    def in_a_thread() -> None:
        with Resources(db=database) as r:
            for sql in CONSTRAINED:
                r.db.execute(sql)
            with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"), r.db.transaction() as together:
                together.execute("INSERT INTO orders VALUES (7)")
            r.db.execute("INSERT INTO customers VALUES (1)")

    asyncio.run(in_tasks()) if tasks else in_a_thread()
    with Resources(db=database) as again:
        assert again.db.execute("SELECT id FROM customers") == [(1,)]
        assert again.db.execute("SELECT * FROM orders") == []


@pytest.mark.parametrize("tasks", [False, True])
def test_the_first_error_comes_out_when_the_statement_itself_has_rolled_back(tasks: bool) -> None:
    database, make = Database("sqlite:///:memory:"), "CREATE TABLE t (id INTEGER PRIMARY KEY)"
    add = "INSERT OR ROLLBACK INTO t VALUES (1)"

    async def in_tasks() -> None:
        async with Resources(db=database) as r:
            await r.db.execute(make)
            async with r.db.transaction() as together:
                await together.execute(add)
                await together.execute(add)

    def in_a_thread() -> None:
        with Resources(db=database) as r:
            r.db.execute(make)
            with r.db.transaction() as together:
                together.execute(add)
                together.execute(add)

    with pytest.raises(sqlite3.IntegrityError):
        asyncio.run(in_tasks()) if tasks else in_a_thread()


def test_a_transaction_inside_another_one_can_fail_alone(database: Database) -> None:
    async def main() -> list[Any]:
        async with Resources(db=database) as r:
            await r.db.execute("CREATE TABLE t (id INTEGER)")
            async with r.db.transaction() as outer:
                await outer.execute("INSERT INTO t VALUES (1)")
                with contextlib.suppress(ZeroDivisionError):
                    async with outer.transaction() as inner:
                        await inner.execute("INSERT INTO t VALUES (2)")
                        1 / 0  # noqa: B018
            return list(await r.db.execute("SELECT id FROM t"))

    assert asyncio.run(main()) == [(1,)]
    with Resources(db=database) as r:
        with r.db.transaction() as outer:
            with contextlib.suppress(ZeroDivisionError), outer.transaction() as inner:
                inner.execute("INSERT INTO t VALUES (3)")
                1 / 0  # noqa: B018
            outer.execute("INSERT INTO t VALUES (4)")
        assert r.db.execute("SELECT id FROM t ORDER BY id") == [(1,), (4,)]


def test_a_transaction_whose_beginning_is_cancelled_is_not_left_open(tmp_path: Path) -> None:
    async def main() -> None:
        async with Resources(db=Database(f"sqlite:///{tmp_path / 'shop.db'}")) as r:
            await r.db.execute("CREATE TABLE t (id INTEGER)")
            for turns in range(6):
                task = asyncio.ensure_future(empty(r.db))
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
                await r.db.execute("INSERT INTO t VALUES (1)")
                assert not r.db.raw.in_transaction

    async def empty(db: Any) -> None:
        async with db.transaction():
            await asyncio.sleep(0)

    asyncio.run(main())


def test_a_statement_that_waits_too_long_for_a_transaction_says_so() -> None:
    async def main() -> None:
        async with Resources(db=Database("sqlite:///:memory:", timeout=0.01)) as r, r.db.transaction():
            await asyncio.ensure_future(r.db.execute("SELECT 1"))

    with pytest.raises(sqlite3.OperationalError, match=r"another task's .* within timeout=0\.01 s"):
        asyncio.run(main())


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite://shop.db"])
def test_a_url_that_names_no_file_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="must name a file"):
        Database(url)


@postgres
def test_the_first_statement_after_the_server_dropped_its_connections_succeeds(postgres_schema: str) -> None:
    with Resources(db=Database(postgres_schema, size=1)) as r, Resources(db=Database(postgres_schema)) as other:
        ((backend,),) = r.db.execute("SELECT pg_backend_pid()")
        assert other.db.execute("SELECT pg_terminate_backend(%s)", [backend]) == [(True,)]
        assert r.db.execute("SELECT 1") == [(1,)]
