"""What every queue promises, run over the folder of files, Redis Streams and RabbitMQ; a naive queue breaks it."""

from __future__ import annotations

import contextlib
import os
import random
import threading
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from arion_lib.pipeline.broker import (
    Broker,
    BrokerDown,
    BrokerError,
    BrokerFull,
    Claim,
    MessageTooLarge,
    check_broker_url,
    open_broker,
)
from tests.pipeline.children import running
from tests.pipeline.naive_queue import NaiveQueue
from tests.pipeline.queue_child import messages_of
from tests.pipeline.queues import Queue, queue
from tests.services.private import private_redis

__all__ = ["queue"]  # the fixture
PATIENCE = 30.0  # seconds that a claim waits for what must come
ROUNDS = int(os.environ.get("ARION_KILL_ROUNDS", "4"))


def claimed(broker: Broker) -> Claim:
    claim = broker.claim(timeout=PATIENCE)
    assert claim is not None, "nothing was delivered"
    return claim


def drain(broker: Broker, wait: float = 0.0) -> list[bytes]:
    messages: list[bytes] = []
    while claim := broker.claim(timeout=wait):
        messages += claim.messages
        assert broker.ack(claim)
    return messages


def test_what_is_published_arrives_once_in_order_and_byte_for_byte(no_leaks: None, queue: Queue) -> None:
    blocks = [[b"a", b"", b"two\nlines", bytes(range(256))], [b"x" * 100_000], [b"%d" % n for n in range(1_000)]]
    with queue.open() as broker:
        for messages in blocks:
            broker.publish("orders/eu", messages)
        received = [claimed(broker) for _ in blocks]
        assert [list(claim.messages) for claim in received] == blocks
        assert [(claim.stream, claim.attempt) for claim in received] == [("orders/eu", 1)] * 3
        assert all(broker.ack(claim) for claim in received)
        assert broker.claim() is None
        assert broker.status().ready == broker.status().claimed == 0


def test_streams_are_told_apart(queue: Queue) -> None:
    with queue.open() as broker:
        for stream in ("a", "b", "grün"):
            broker.publish(stream, [stream.encode()])
        for _ in range(3):
            claim = claimed(broker)
            assert claim.messages == [claim.stream.encode()]
            broker.ack(claim)


def test_a_claim_is_nobody_elses_until_it_ends(queue: Queue) -> None:
    with queue.open() as one, queue.open() as other:
        one.publish("orders", [b"1"])
        claim = claimed(one)
        assert other.claim() is None
        assert one.ack(claim)
        assert other.claim() is None


def test_what_is_given_back_is_delivered_again(queue: Queue) -> None:
    with queue.open() as one, queue.open() as other:
        one.publish("orders", [b"1"])
        first = claimed(one)
        assert one.nack(first)
        again = claimed(other)
        assert (again.messages, again.attempt) == ([b"1"], 2)
        assert other.ack(again)
        assert not one.ack(first)


def test_a_claim_that_takes_too_long_goes_to_somebody_else_and_is_lost(no_leaks: None, queue: Queue) -> None:
    with queue.open() as slow, queue.open() as other:
        slow.publish("orders", [b"1"])
        late = claimed(slow)
        again = claimed(other)
        assert (again.messages, again.attempt) == ([b"1"], 2)
        assert not slow.ack(late)
        assert not slow.nack(late)
        assert other.ack(again)
        assert other.claim() is None


def test_poison_is_put_aside_after_the_last_attempt(queue: Queue) -> None:
    with queue.open(max_attempts=2) as broker:
        broker.publish("orders", [b"poison"])
        broker.publish("orders", [b"good"])
        seen = []
        while claim := broker.claim(timeout=0.3):
            seen += claim.messages
            if claim.messages == [b"poison"]:
                broker.nack(claim)
            else:
                broker.ack(claim)
        assert sorted(seen) == [b"good", b"poison", b"poison"]
        assert broker.status().dead == 1


def test_a_publish_wakes_the_consumer_that_waits(no_leaks: None, queue: Queue) -> None:
    with queue.open() as broker, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(claimed, broker)
        broker.publish("orders", [b"1"])
        assert waiting.result(PATIENCE).messages == [b"1"]


def test_several_producers_and_consumers_share_a_queue(no_leaks: None, queue: Queue) -> None:
    received: Counter[bytes] = Counter()
    counting = threading.Lock()

    def produce(first: int) -> None:
        with queue.open() as broker:
            for block in range(first, first + 10):
                broker.publish("orders", messages_of(block))

    def consume() -> None:
        with queue.open() as broker:
            while sum(received.values()) < 90 and (claim := broker.claim(timeout=1.0)):
                if broker.ack(claim):
                    with counting:
                        received.update(claim.messages)

    with queue.open() as broker:
        broker.ping()  # the queue is there before six connections want it at once
    with ThreadPoolExecutor(6) as pool:
        jobs = [pool.submit(produce, first) for first in (0, 10, 20)] + [pool.submit(consume) for _ in range(3)]
        for job in jobs:
            job.result(PATIENCE)
    assert received == Counter(message for block in range(30) for message in messages_of(block))


def test_nothing_is_published_by_no_messages_and_nonsense_is_refused(queue: Queue) -> None:
    with queue.open() as broker:
        broker.publish("orders", [])
        assert broker.claim() is None
        for stream in ("", "x" * 81, "two\nlines"):
            with pytest.raises(ValueError, match="stream must be"):
                broker.publish(stream, [b"1"])
        with pytest.raises(ValueError, match="limit must be >= 1, got 0"):
            broker.claim(limit=0)
        assert broker.status().ready == 0


def test_a_closed_queue_says_so_and_closes_twice(no_leaks: None, queue: Queue) -> None:
    broker = queue.open()
    broker.ping()
    broker.close()
    broker.close()
    with pytest.raises(BrokerError, match="the queue is closed; open a new one"):
        broker.claim()


# -- whoever is killed


def survives_a_killed_consumer(url: str, claim_timeout: float, broker: Broker) -> None:
    broker.publish("orders", messages_of(7))
    with running("queue_child.py", "hold", url, claim_timeout) as child:
        assert child.line() == "7"
        child.kill()
    assert claimed(broker).messages == messages_of(7)


def test_a_killed_consumers_messages_are_delivered_again(no_leaks: None, queue: Queue) -> None:
    with queue.open() as broker:
        survives_a_killed_consumer(queue.url, queue.claim_timeout, broker)


def test_a_naive_queue_loses_what_a_killed_consumer_had(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="nothing was delivered"):
        survives_a_killed_consumer(f"naive:{tmp_path}", 0.1, NaiveQueue(tmp_path))


def test_kill_9_of_producers_and_consumers_at_random_moments_loses_nothing(queue: Queue) -> None:
    draw = random.Random(20)
    published: set[int] = set()
    received: Counter[int] = Counter()
    next_block = 0
    for _ in range(ROUNDS):
        with (
            running("queue_child.py", "produce", queue.url, queue.claim_timeout, next_block) as producer,
            running("queue_child.py", "consume", queue.url, queue.claim_timeout) as consumer,
        ):
            before = {int(producer.line()) for _ in range(draw.randint(1, 60))}
            worked = [int(consumer.line()) for _ in range(draw.randint(1, 30))]
            first, second = draw.sample([producer, consumer], 2)
            lines = {first: first.kill(), second: second.kill()}
        published |= before | set(map(int, lines[producer]))
        received.update(worked + list(map(int, lines[consumer])))
        next_block = max(published) + 2  # the next one may be there, though nobody said so
    with queue.open() as broker:
        while claim := broker.claim(timeout=max(1.0, 3 * queue.claim_timeout)):
            received[int(claim.messages[0].split()[0])] += 1
            assert claim.messages == messages_of(int(claim.messages[0].split()[0]))
            broker.ack(claim)
            if published <= set(received) and broker.status().claimed + broker.status().ready == 0:
                break
    assert published - set(received) == set()


# -- servers that are away


@pytest.mark.parametrize("url", ["redis://:hunter2@127.0.0.1:1/0", "amqp://ann:hunter2@127.0.0.1:1/%2F"])
def test_a_queue_whose_server_is_away_opens_and_says_so_at_each_call_without_the_password(url: str) -> None:
    with open_broker(url) as broker:
        for call in (broker.ping, broker.claim, broker.status, lambda: broker.publish("orders", [b"1"])):
            with pytest.raises(BrokerDown, match="does not answer") as refused:
                call()
            assert "hunter2" not in f"{refused.value}{broker!r}"


def test_an_unknown_scheme_is_refused_without_its_password() -> None:
    with pytest.raises(ValueError, match=r"a queue's URL must be file:///folder") as refused:
        open_broker("kafka://ann:hunter2@host")
    assert "hunter2" not in str(refused.value)


def test_every_message_has_an_id_which_is_the_same_each_time_it_is_delivered(queue: Queue) -> None:
    with queue.open() as broker:
        broker.publish("s", [b"1", b"2"], ["a-1.1", "a-2.1"])
        first = claimed(broker)
        assert list(first.ids) == ["a-1.1", "a-2.1"]
        broker.nack(first)
        again = claimed(broker)
        assert list(again.ids) == ["a-1.1", "a-2.1"]
        broker.ack(again)
        broker.publish("s", [b"3", b"4"])
        broker.publish("s", [b"5"])
        given = [*claimed(broker).ids, *claimed(broker).ids]
        assert len(set(given)) == 3


def test_a_message_is_delivered_again_as_often_as_it_takes(queue: Queue) -> None:
    with queue.open() as broker:
        broker.publish("s", [b"1"], ["a-1.1"])
        for attempt in range(1, 46):
            claim = claimed(broker)
            assert (claim.messages, list(claim.ids), claim.attempt) == ([b"1"], ["a-1.1"], attempt)
            assert broker.nack(claim)
        assert broker.status().dead == 0


@pytest.mark.rabbitmq
def test_a_delivery_limit_of_the_queue_loses_no_message(rabbitmq_url: str) -> None:
    import pika

    name = f"arion{uuid.uuid4().hex[:12]}"
    limited = {"x-queue-type": "quorum", "x-delivery-limit": 20}
    with contextlib.closing(pika.BlockingConnection(pika.URLParameters(rabbitmq_url))) as connection:
        channel = connection.channel()
        channel.queue_declare(name, durable=True, arguments=limited)
        try:
            channel.confirm_delivery()
            channel.basic_publish("", name, b"control")
            for _ in range(21):  # the control: who only nacks loses it
                method, _, _ = channel.basic_get(name)
                channel.basic_nack(method.delivery_tag)
                channel.queue_declare(name, passive=True)
            assert channel.basic_get(name)[0] is None
            with open_broker(f"{rabbitmq_url}#{name}") as broker:
                broker.publish("s", [b"1"])
                for attempt in range(1, 46):
                    claim = claimed(broker)
                    assert (claim.messages, claim.attempt) == ([b"1"], attempt)
                    broker.nack(claim)
        finally:
            channel.queue_delete(name)
            channel.queue_delete(f"{name}.dead")


@pytest.mark.rabbitmq
def test_a_message_that_rabbitmq_finds_too_large_is_told_from_a_server_that_is_away(
    rabbitmq_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pika.adapters.blocking_connection
    import pika.exceptions

    def refuse(*_: object, **__: object) -> None:
        raise pika.exceptions.ChannelClosedByBroker(
            406, "PRECONDITION_FAILED - message size 20000000 is larger than configured max size 16777216"
        )

    name = f"arion{uuid.uuid4().hex[:12]}"
    with open_broker(f"{rabbitmq_url}#{name}") as broker:
        broker.ping()
        with monkeypatch.context() as patched:
            patched.setattr(pika.adapters.blocking_connection.BlockingChannel, "basic_publish", refuse)
            with pytest.raises(MessageTooLarge, match="message size 20000000"):
                broker.publish("s", [b"1"])
        broker.publish("s", [b"2"])
        broker.ack(claimed(broker))
    with contextlib.closing(pika.BlockingConnection(pika.URLParameters(rabbitmq_url))) as connection:
        for queue in (name, f"{name}.dead"):
            connection.channel().queue_delete(queue)


def test_a_redis_that_evicts_or_cannot_be_written_is_refused_and_named_by_a_ping(tmp_path: Path) -> None:
    import redis

    with (
        private_redis(tmp_path) as url,
        contextlib.closing(redis.Redis.from_url(url)) as client,
        open_broker(url) as broker,
        open_broker(url) as settled,
    ):
        settled.publish("s", [b"1"])
        client.config_set("maxmemory-policy", "allkeys-lru")
        broker.ping()  # nothing is evicted without a limit
        client.config_set("maxmemory", "100mb")
        with pytest.raises(BrokerError, match="maxmemory-policy noeviction"):
            broker.ping()
        with open_broker(url) as another:
            for one in (another, settled):  # also the one that published before the setting was changed
                with pytest.raises(BrokerError, match="must keep what is published"):
                    one.publish("s", [b"1"])
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", "1mb")
        with pytest.raises(BrokerFull):
            broker.ping()
        client.config_set("maxmemory", "0")
        broker.ping()
        client.replicaof("127.0.0.1", "1")
        with pytest.raises(BrokerDown, match="read only"):
            broker.ping()
        client.replicaof("no", "one")
        client.delete("{arion}:blocks")
        client.set("{arion}:blocks", "of somebody else")
        with pytest.raises(BrokerError, match="WRONGTYPE"):
            broker.ping()


@pytest.mark.parametrize(
    "url", ["kafka://host", "redis://host:x/0", "amqp://host:x", "amqp://host/?heartbeat=abc", "file://elsewhere/q"]
)
def test_a_mistyped_address_is_refused_before_anybody_is_connected_to(url: str) -> None:
    for call in (check_broker_url, open_broker):
        with pytest.raises(ValueError, match="a queue's URL must be"):
            call(url)
