"""The three queues behind one seam, each fresh for a test and gone after it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from arion_lib.pipeline.broker import Broker, open_broker
from arion_lib.pipeline.stores.addresses import local_url


@dataclass(frozen=True)
class Queue:
    """Where a queue is, and how soon it may deliver again what a silent consumer holds."""

    url: str
    claim_timeout: float

    def open(self, max_attempts: int | None = None) -> Broker:
        return open_broker(self.url, claim_timeout=self.claim_timeout, max_attempts=max_attempts)


KINDS = [
    "file",
    pytest.param("redis", marks=pytest.mark.redis),
    pytest.param("rabbitmq", marks=pytest.mark.rabbitmq),
]


@pytest.fixture(params=KINDS)
def queue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Queue]:
    """A queue of each kind that nobody else uses."""
    if request.param == "file":
        yield Queue(local_url("file", tmp_path / "queue"), 0.2)
    elif request.param == "redis":
        yield from _redis_queue(request.getfixturevalue("redis_url"))
    else:
        yield from _rabbit_queue(request.getfixturevalue("rabbitmq_url"))


def _redis_queue(url: str) -> Iterator[Queue]:
    import redis

    name = f"arion{uuid.uuid4().hex[:12]}"
    yield Queue(f"{url}#{name}", 0.2)
    with closing(redis.Redis.from_url(url)) as client:
        client.delete(f"{{{name}}}:blocks", f"{{{name}}}:dead")


def _rabbit_queue(url: str) -> Iterator[Queue]:
    import pika

    name = f"arion{uuid.uuid4().hex[:12]}"
    yield Queue(f"{url}#{name}", 1.0)
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        channel = connection.channel()
        channel.queue_delete(name)
        channel.queue_delete(f"{name}.dead")
