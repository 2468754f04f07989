"""Servers that go away while they are used: real connections, really cut."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from arion_lib.masking import masked
from arion_lib.pipeline.batch import Batch
from arion_lib.pipeline.broker import BrokerDown, open_broker
from arion_lib.pipeline.deliveries import Delivery, StaleDelivery
from arion_lib.pipeline.outbox import Relay
from arion_lib.pipeline.store import StoreBroken, StoreDown
from arion_lib.pipeline.stores.postgres import PostgresStore
from arion_lib.pipeline.stores.sqlite import SqliteStore
from tests.pipeline.meeting import Meeting
from tests.pipeline.proxy import Proxy, through
from tests.pipeline.queues import Queue, _rabbit_queue, _redis_queue

PATIENCE = 30.0


@pytest.fixture(
    params=[
        pytest.param("redis", marks=pytest.mark.redis),
        pytest.param("rabbitmq", marks=pytest.mark.rabbitmq),
    ]
)
def server_queue(request: pytest.FixtureRequest) -> Iterator[Queue]:
    """A queue of each kind that has a server."""
    if request.param == "redis":
        yield from _redis_queue(request.getfixturevalue("redis_url"))
    else:
        yield from _rabbit_queue(request.getfixturevalue("rabbitmq_url"))


def test_a_queue_whose_connection_is_cut_says_so_and_works_again_when_it_is_back(
    no_leaks: None, server_queue: Queue
) -> None:
    proxy, url = through(server_queue.url)
    with proxy, open_broker(url, claim_timeout=server_queue.claim_timeout) as broker:
        broker.publish("orders", [b"1"])
        claim = broker.claim(timeout=PATIENCE)
        assert claim is not None
        proxy.cut()
        for call in (broker.claim, broker.status, lambda: broker.publish("orders", [b"lost?"])):
            with pytest.raises(BrokerDown, match="does not answer"):
                call()
        proxy.restore()
        again = broker.claim(timeout=PATIENCE)
        assert again is not None
        assert again.messages == [b"1"]
        assert broker.ack(again)
        broker.publish("orders", [b"2"])
        assert broker.status().ready == 1


def test_a_connection_that_was_lost_while_nobody_used_it_is_opened_anew_and_nobody_is_told(
    no_leaks: None, server_queue: Queue
) -> None:
    """A server ends what is silent for too long: RabbitMQ, after the claim time-out."""
    proxy, url = through(server_queue.url)
    with proxy, open_broker(url, claim_timeout=server_queue.claim_timeout) as broker:
        broker.publish("orders", [b"1"])
        for call in (broker.ping, broker.status, lambda: broker.publish("orders", [b"2"]), broker.claim):
            proxy.cut()
            proxy.restore()
            call()
        assert broker.status().ready + broker.status().claimed == 2


def test_a_relay_whose_queue_goes_away_half_way_publishes_the_rest_when_it_is_back(
    no_leaks: None, tmp_path: Path, server_queue: Queue
) -> None:
    proxy, url = through(server_queue.url)
    with (
        proxy,
        SqliteStore(tmp_path / "store.db") as store,
        open_broker(url, claim_timeout=60.0) as far,
        server_queue.open() as near,
        Relay(store, far, first_pause=0.01, longest_pause=0.05) as relay,
    ):
        store.commit(Batch("orders", messages=[b"before"]))
        first = near.claim(timeout=PATIENCE)
        assert first is not None
        near.ack(first)
        while relay.status().waiting_messages:  # until it is marked: cut before that, the first would come again
            assert relay.status().running
        proxy.cut()
        for number in range(5):
            store.commit(Batch("orders", messages=[b"meanwhile %d" % number]))
        while relay.status().failures < 2:
            assert relay.status().running
        proxy.restore()
        came: list[bytes] = []
        while len(set(came)) < 5:
            claim = near.claim(timeout=PATIENCE)
            assert claim is not None
            came += claim.messages
            near.ack(claim)
        assert list(dict.fromkeys(came)) == [b"meanwhile %d" % number for number in range(5)]


@pytest.mark.postgres
def test_a_store_whose_connection_is_cut_says_so_and_works_again_when_it_is_back(
    no_leaks: None, postgres_schema: str
) -> None:
    proxy: Proxy
    proxy, url = through(postgres_schema)
    batch = Batch("s", [b"{}"], deliveries=[Delivery("d", 1, True)])
    with proxy, PostgresStore(url) as store:
        store.commit(Batch("s", [b"{}"]))
        assert len(store.rows("s")) == 1
        proxy.cut()
        for call in (lambda: store.commit(batch), lambda: store.rows("s"), store.ping):
            with pytest.raises(StoreDown, match="does not answer") as error:
                call()
            assert masked(url) in str(error.value)
        proxy.restore()
        store.commit(batch)
        assert len(store.rows("s")) == 2
        with pytest.raises(StaleDelivery):
            store.commit(batch)


@pytest.mark.postgres
def test_a_schema_of_somebody_else_is_refused_and_left_alone(no_leaks: None, postgres_schema: str) -> None:
    import psycopg

    with psycopg.connect(postgres_schema, autocommit=True) as theirs:
        theirs.execute("CREATE TABLE rows (theirs text)")
        with pytest.raises(StoreBroken, match="has a table 'rows' of somebody else: use another schema"):
            PostgresStore(postgres_schema)
        tables = theirs.execute("SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()").fetchone()
        assert tables == (1,)


@pytest.mark.postgres
def test_a_store_of_another_version_is_refused(postgres_schema: str) -> None:
    with PostgresStore(postgres_schema) as store, store._connections.transaction() as db:
        db.execute("UPDATE pipeline_version SET version = 99")
    with pytest.raises(StoreBroken, match="must hold a pipeline store of version 1 to 5, got version 99"):
        PostgresStore(postgres_schema)


@pytest.mark.postgres
@pytest.mark.parametrize("table", ["groups", "seen", "outbox", "dead"])
def test_any_table_of_ours_that_is_there_already_is_somebody_elses(
    no_leaks: None, postgres_schema: str, table: str
) -> None:
    import psycopg

    with psycopg.connect(postgres_schema, autocommit=True) as theirs:
        theirs.execute(f"CREATE TABLE {table} (theirs text)")  # type: ignore[arg-type]
        with pytest.raises(StoreBroken, match=f"has a table '{table}' of somebody else"):
            PostgresStore(postgres_schema)


@pytest.mark.postgres
@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_that_cannot_keep_every_text_is_refused_when_it_is_opened(
    no_leaks: None, postgres_url: str, encoding: str
) -> None:
    import psycopg

    name = f"arion_{encoding.lower()}_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        made = f"CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        admin.execute(made)  # type: ignore[arg-type]
        try:
            url = urlsplit(postgres_url)._replace(path=f"/{name}", query="").geturl()
            with pytest.raises(StoreBroken, match=f"must be a database in UTF8, got {encoding}"):
                PostgresStore(url)
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


@pytest.mark.postgres
def test_a_connection_that_the_server_ended_while_it_was_idle_is_opened_anew_and_nobody_is_told(
    no_leaks: None, postgres_schema: str
) -> None:
    import psycopg

    with PostgresStore(postgres_schema) as store, psycopg.connect(postgres_schema, autocommit=True) as admin:
        for number in range(3):
            store.commit(Batch("s", [b"{}"]))
            assert len(store.rows("s")) == number + 1
            for db in (store._connections._writer, *store._connections.idle):
                assert db is not None
                killed = "SELECT pg_terminate_backend(%s, 5000)"
                assert admin.execute(killed, (db.info.backend_pid,)).fetchone() == (True,)


@pytest.mark.postgres
def test_a_commit_sees_what_it_waited_for_whatever_isolation_the_database_prefers(
    no_leaks: None, postgres_schema: str
) -> None:
    url = f"{postgres_schema}%20-c%20default_transaction_isolation%3Dserializable"
    with PostgresStore(url) as one, PostgresStore(url) as other, ThreadPoolExecutor(2) as pool:
        for _ in range(20):
            list(pool.map(lambda store: store.commit(Batch("s", [b"{}"])), (one, other)))
        assert one.status().rows == 40


@pytest.mark.postgres
def test_a_connection_that_is_given_back_while_the_store_is_closed_is_closed(postgres_schema: str) -> None:
    store = PostgresStore(postgres_schema)
    store._connections.idle = Meeting(store)
    with store._connections.reading() as session:
        pass
    assert session._db.closed
