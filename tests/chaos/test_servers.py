"""The servers behind the service: read-only, full, killed, evicting, impatient. What was acknowledged is there, once.

Senders send and repeat while a server fails and comes back, a few times over; in the end the books are compared, as
after kills of our own processes: each acknowledged event is in the database exactly once, and in the queue at least
once, under one id.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from arion_lib.pipeline.broker import Broker, BrokerError, open_broker
from arion_lib.pipeline.stores.addresses import local_url
from arion_lib.web import serve
from arion_lib.web.startup.late_broker import LateBroker
from tests.chaos.kills import LATE, SECRET, Books, Yard, compare, events_of, url_of
from tests.chaos.nursery import Nursery, Role
from tests.chaos.senders import Senders
from tests.chaos.test_kills import hasty
from tests.services.private import (
    PrivatePostgres,
    PrivateRabbit,
    private_postgres,
    private_rabbit,
    private_redis,
    resize,
    small_disk,
)
from tests.services.servers import unique_name
from tests.web.client import get, until

pytestmark = [pytest.mark.usefixtures("no_leaks"), pytest.mark.posix("Windows has no such servers")]

ROUNDS, ACKS = 1, 15
BLOCKS, BLOCKS_TAKEN = 8, "blocks"  # more than a queue without room takes; a file


@dataclass(frozen=True)
class Fault:
    """Where the service's servers are, how they fail, how the service shows it, and how they are mended."""

    store: str
    broker: str
    breaks: Callable[[], None]
    shows: Callable[[str], bool]
    mends: Callable[[], None]


def is_down(url: str) -> bool:
    return get(f"{url}/health").status == 503


def cannot_publish(url: str) -> bool:
    return bool(get(f"{url}/status").json["relay"]["failures"])


def survives(fault: Fault, folder: Path, server: Role = serve.run) -> Books:
    """Let the servers fail and come back while senders send; compare the books in the end."""
    taken: list[tuple[str, str]] = []
    with Nursery(*LATE) as nursery, open_broker(fault.broker) as broker:
        child = Yard(nursery, folder, fault.store, server, fault.broker).start("server", relay="inside")
        url = url_of(child)
        with Senders([url], 5, secret=SECRET) as senders:
            for _ in range(ROUNDS):
                senders.wait_for_acks(ACKS)
                fault.breaks()
                if server in (careless, unconfirmed):
                    wait_for_blocks(folder, BLOCKS)  # the fault does not show in it: it has taken so many for published
                else:
                    until(lambda: fault.shows(url))
                fault.mends()
                taken += take(broker, 100)  # while senders send it may never be empty
            ledger = senders.finish()
        while get(f"{url}/status").json["store"]["outbox_entries"]:
            taken += take(broker)
        child.terminate()
        taken += take(broker)
    return compare(fault.store, ledger, Counter(), taken)


def count_blocks(args: list[str], passes_over: tuple[type[Exception], ...] = ()) -> None:
    """In a server: note each block that the relay takes for published as a byte in a file."""
    publish, notes = LateBroker.publish, Path(args[args.index("--data") + 1]) / BLOCKS_TAKEN

    def publish_and_note(*args: object, **more: object) -> None:
        with contextlib.suppress(*passes_over):
            publish(*args, **more)  # type: ignore[arg-type]
        with notes.open("ab") as file:
            file.write(b".")

    notes.touch()
    LateBroker.publish = publish_and_note  # type: ignore[method-assign,assignment]


def wait_for_blocks(folder: Path, count: int) -> None:
    """Wait until the relay has taken so many further blocks for published; one more may be under way."""
    notes = folder / BLOCKS_TAKEN
    before = notes.stat().st_size
    until(lambda: notes.stat().st_size > before + count)


def take(broker: Broker, most: int = 1_000_000) -> list[tuple[str, str]]:
    """Take what is in the queue, up to so many blocks: events' ids with those of their messages."""
    taken: list[tuple[str, str]] = []
    for _ in range(most):
        if (claim := broker.claim(1_000)) is None:
            break
        taken += events_of(claim)
        assert broker.ack(claim)
    return taken


# -- the database


@pytest.fixture(scope="module")
def postgres() -> Iterator[PrivatePostgres]:
    with private_postgres() as cluster:
        yield cluster


def read_only(cluster: PrivatePostgres, queue: str) -> Iterator[Fault]:
    def switch(how: str) -> None:
        cluster.admin(f"ALTER SYSTEM SET default_transaction_read_only = {how}", "SELECT pg_reload_conf()")

    store = cluster.schema(unique_name())
    try:
        yield Fault(store, queue, lambda: switch("on"), is_down, lambda: switch("off"))
    finally:
        switch("off")


def full(cluster: PrivatePostgres, queue: str) -> Iterator[Fault]:
    name = unique_name()
    with small_disk(cluster.folder) as disk:
        cluster.admin(f"CREATE TABLESPACE {name} LOCATION '{disk}'")
        store = cluster.schema(name, default_tablespace=name)
        try:
            yield Fault(store, queue, lambda: resize(disk, None), is_down, lambda: resize(disk, 256 << 20))
        finally:
            cluster.admin(f"DROP SCHEMA {name} CASCADE", f"DROP TABLESPACE {name}")


def killed(_: PrivatePostgres, queue: str) -> Iterator[Fault]:
    with private_postgres() as cluster:
        yield Fault(cluster.schema(unique_name()), queue, cluster.kill, is_down, cluster.start)


def full_wal(_: PrivatePostgres, queue: str) -> Iterator[Fault]:
    """The disk of the write-ahead log is full: PostgreSQL ends itself, and cannot start before there is room."""
    import psycopg

    with private_postgres(small_wal=True) as cluster:

        def fill() -> None:
            assert cluster.wal is not None
            resize(cluster.wal, None)
            with contextlib.suppress(psycopg.OperationalError):  # until a segment finds no room
                for _ in range(100):
                    cluster.admin("SELECT pg_logical_emit_message(true, 'fill', 'x')", "SELECT pg_switch_wal()")

        def mend() -> None:
            assert cluster.wal is not None
            resize(cluster.wal, 256 << 20)
            cluster.close()
            cluster.start()

        yield Fault(cluster.schema(unique_name()), queue, fill, is_down, mend)
        assert "No space left on device" in (cluster.folder / "log").read_text()


@pytest.fixture(params=[read_only, full, full_wal, killed], ids=lambda one: one.__name__)
def failing_database(request: pytest.FixtureRequest, postgres: PrivatePostgres, tmp_path: Path) -> Iterator[Fault]:
    (tmp_path / "data").mkdir()
    yield from request.param(postgres, local_url("file", tmp_path / "queue"))


def test_a_database_server_that_fails_loses_and_doubles_nothing(failing_database: Fault, tmp_path: Path) -> None:
    books = survives(failing_database, tmp_path / "data")
    assert books.posts > ACKS * ROUNDS
    assert books.repeated > 0
    assert books.mistakes == {}


@pytest.mark.thorough
def test_the_same_faults_find_out_a_server_that_answers_before_it_commits(
    failing_database: Fault, tmp_path: Path
) -> None:
    assert survives(failing_database, tmp_path / "data", hasty).lost_rows > 0


# -- the queue


def out_of_memory(redis_url: str, store: str) -> Iterator[Fault]:
    with redis_settings(redis_url) as set_to:
        yield Fault(store, redis_url, lambda: set_to(maxmemory="1mb"), cannot_publish, lambda: set_to(maxmemory="0"))


def evicting(redis_url: str, store: str) -> Iterator[Fault]:
    with redis_settings(redis_url) as set_to:
        set_to(maxmemory="100mb")
        yield Fault(
            store,
            redis_url,
            lambda: set_to(**{"maxmemory-policy": "allkeys-lru"}),
            cannot_publish,
            lambda: set_to(**{"maxmemory-policy": "noeviction"}),
        )


@contextlib.contextmanager
def redis_settings(url: str) -> Iterator[Callable[..., None]]:
    import redis

    with contextlib.closing(redis.Redis.from_url(url)) as client:

        def set_to(**settings: str) -> None:
            for name, value in settings.items():
                client.config_set(name, value)

        yield set_to


def no_room(rabbit_url: str, store: str) -> Iterator[Fault]:
    """A queue that takes a few blocks and refuses the next; only a consumer makes room again."""
    with rabbit_queue(rabbit_url, **{"x-max-length": 3}) as url:
        yield Fault(store, url, lambda: None, cannot_publish, lambda: None)


@contextlib.contextmanager
def rabbit_queue(url: str, **arguments: object) -> Iterator[str]:
    """Make a queue as ours is, with further arguments, as its owner may set them or a policy."""
    import pika

    name = unique_name()
    aside = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": f"{name}.dead"}
    ours = {"x-queue-type": "quorum", "x-overflow": "reject-publish", **aside, **arguments}
    with contextlib.closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        connection.channel().queue_declare(name, durable=True, arguments=ours)
    yield f"{url}#{name}"
    with contextlib.closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        for queue in (name, f"{name}.dead", f"{name}.dead.dead"):
            connection.channel().queue_delete(queue)


@pytest.fixture(
    params=[
        pytest.param(out_of_memory, id="Redis out of memory"),
        pytest.param(evicting, id="Redis that evicts"),
        pytest.param(no_room, marks=pytest.mark.rabbitmq, id="RabbitMQ without room"),
    ]
)
def failing_queue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Fault]:
    (tmp_path / "data").mkdir()
    store = local_url("sqlite", tmp_path / "store.db")
    if request.param is no_room:
        yield from no_room(request.getfixturevalue("rabbitmq_url"), store)
    else:
        with private_redis(tmp_path) as url:
            yield from request.param(url, store)


def test_a_queue_that_fails_gets_every_message_when_it_is_mended(failing_queue: Fault, tmp_path: Path) -> None:
    books = survives(failing_queue, tmp_path / "data")
    assert books.posts > ACKS * ROUNDS
    assert books.mistakes == {}


def careless(args: list[str]) -> int:
    """A server whose relay takes what the queue refused for published."""
    count_blocks(args, (BrokerError,))
    return serve.run(args)


@pytest.mark.thorough
def test_the_same_faults_find_out_a_relay_that_does_not_look_at_refusals(failing_queue: Fault, tmp_path: Path) -> None:
    books = survives(failing_queue, tmp_path / "data", careless)
    assert books.lost_messages > 0


@pytest.mark.rabbitmq
def test_what_a_delivery_limit_puts_aside_is_there_with_its_ids(rabbitmq_url: str, tmp_path: Path) -> None:
    """A consumer gives everything back, more often than the queue's owner allows: nothing is gone."""
    (tmp_path / "data").mkdir()
    store = local_url("sqlite", tmp_path / "store.db")
    with rabbit_queue(rabbitmq_url, **{"x-delivery-limit": 2}) as queue:
        with Nursery(*LATE) as nursery:
            child = Yard(nursery, tmp_path / "data", store, serve.run, queue).start("server", relay="inside")
            with Senders([url_of(child)], 5, secret=SECRET) as senders:
                senders.wait_for_acks(ACKS)
                ledger = senders.finish()
            child.terminate()
        with open_broker(queue) as broker, open_broker(f"{queue}.dead") as aside:
            while (claim := broker.claim()) is not None:
                assert broker.nack(claim)
            until(lambda: broker.status().ready == 0)
            taken = take(broker)
            assert taken == []
            taken += take(aside)
    assert compare(store, ledger, Counter(), taken).mistakes == {}


def unconfirmed(args: list[str]) -> int:
    """A server whose relay takes for published what it has sent, before RabbitMQ confirmed it."""
    from pika.adapters.blocking_connection import BlockingChannel  # type: ignore[import-untyped]

    BlockingChannel.confirm_delivery = lambda self: None
    count_blocks(args)
    return serve.run(args)


def alarm(node: PrivateRabbit, folder: Path, mends: Callable[[], None]) -> Fault:
    """RabbitMQ takes nothing more for want of memory; what is sent to it then waits unread in the connection.

    A node of the test's own, for this stops all that publish; Erlang's name server runs already, with `rabbitmq_url`.
    """
    folder.mkdir()
    queue = f"{node.url}#{unique_name()}"
    with open_broker(queue) as broker:
        broker.ping()
    node.control("stop_app")  # killed within a second of making a queue, RabbitMQ 3.10 never finds it again
    node.control("start_app")
    return Fault(
        local_url("sqlite", folder / "store.db"),
        queue,
        lambda: node.control("set_vm_memory_high_watermark", "0"),
        cannot_publish,
        mends,
    )


@pytest.mark.rabbitmq
@pytest.mark.thorough
def test_a_memory_alarm_of_rabbitmq_holds_messages_up_and_loses_none(rabbitmq_url: str, tmp_path: Path) -> None:
    """No control here: once the alarm is over RabbitMQ reads all that was sent, also by a relay that did not wait."""
    with private_rabbit() as rabbit:
        fault = alarm(rabbit, tmp_path / "data", lambda: rabbit.control("set_vm_memory_high_watermark", "0.4"))
        books = survives(fault, tmp_path / "data")
    assert books.posts > ACKS * ROUNDS
    assert books.mistakes == {}


@pytest.mark.rabbitmq
@pytest.mark.thorough
def test_a_kill_in_the_alarm_loses_none_either_but_for_a_relay_that_does_not_wait_for_confirmations(
    rabbitmq_url: str, tmp_path: Path
) -> None:
    with private_rabbit() as rabbit:

        def kill_and_start() -> None:
            rabbit.close()
            rabbit.start()  # without the alarm

        ours = survives(alarm(rabbit, tmp_path / "ours", kill_and_start), tmp_path / "ours")
        theirs = survives(alarm(rabbit, tmp_path / "theirs", kill_and_start), tmp_path / "theirs", unconfirmed)
    assert ours.posts > ACKS * ROUNDS
    assert ours.mistakes == {}
    assert theirs.lost_messages > 0
