"""Real servers for the tests that need one: reachable, or skipped with the reason.

With ARION_REQUIRE_SERVICES=1 (CI) a server that does not answer fails its tests instead of skipping them. Addresses:
ARION_POSTGRES, ARION_REDIS, ARION_RABBITMQ, each a URL; `python -m arion_lib doctor` looks at the same.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from urllib.parse import quote

import pytest

from arion_lib.workbook.running.doctor import SERVERS

POSTGRES, REDIS, RABBITMQ = (server.url for server in SERVERS)


def _ping_postgres() -> None:
    import psycopg

    with psycopg.connect(POSTGRES, connect_timeout=3) as connection:
        connection.execute("select 1")


def _ping_redis() -> None:
    import redis

    with closing(redis.Redis.from_url(REDIS, socket_connect_timeout=3)) as client:
        client.ping()


def _ping_rabbitmq() -> None:
    import pika

    parameters = pika.URLParameters(RABBITMQ)
    parameters.socket_timeout = parameters.blocked_connection_timeout = 3
    with closing(pika.BlockingConnection(parameters)) as connection:
        connection.channel().close()


def reachable(name: str, ping: Callable[[], None], required: bool) -> None:
    """Skip the test, or fail it when the server is required, unless `ping` succeeds."""
    try:
        ping()
    except Exception as error:  # noqa: BLE001  (whatever a client raises means here that the server did not answer)
        first = (str(error).strip() or "no reason given").splitlines()[0]
        reason = f"{name} does not answer: {type(error).__name__}: {first}"
        if required:
            pytest.fail(reason + " (ARION_REQUIRE_SERVICES is set)", pytrace=False)
        pytest.skip(reason)


def _required() -> bool:
    return os.environ.get("ARION_REQUIRE_SERVICES", "") not in ("", "0")


def unique_name() -> str:
    """Return a name no other test run uses: letters and digits only, so it is one in every server."""
    return "arion" + uuid.uuid4().hex[:12]


@pytest.fixture(scope="session")
def postgres_url() -> str:
    """The URL of a PostgreSQL server that answers."""
    reachable("PostgreSQL", _ping_postgres, _required())
    return POSTGRES


@pytest.fixture(scope="session")
def redis_url() -> str:
    """The URL of a Redis server that answers."""
    reachable("Redis", _ping_redis, _required())
    return REDIS


@pytest.fixture(scope="session")
def rabbitmq_url() -> str:
    """The URL of a RabbitMQ server that answers."""
    reachable("RabbitMQ", _ping_rabbitmq, _required())
    return RABBITMQ


@pytest.fixture
def postgres_schema(postgres_url: str) -> Iterator[str]:
    """The URL of a schema of its own (its name is the connection's search_path), dropped after the test."""
    import psycopg

    schema = unique_name()
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'create schema "{schema}"')  # a name of our own making
    separator = "&" if "?" in postgres_url else "?"
    yield postgres_url + separator + "options=" + quote(f"-csearch_path={schema}")
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'drop schema "{schema}" cascade')


@pytest.fixture
def redis_prefix(redis_url: str) -> Iterator[str]:
    """A prefix for keys that nobody else uses; what starts with it is deleted after the test."""
    import redis

    prefix = unique_name()
    yield prefix
    with closing(redis.Redis.from_url(redis_url)) as client:
        for key in client.scan_iter(match=prefix + "*"):
            client.delete(key)
