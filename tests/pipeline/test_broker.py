"""What every queue promises, run over the folder of files, Redis Streams and RabbitMQ; a naive queue breaks it."""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from arion_lib.pipeline.broker import open_broker
from arion_lib.pipeline.queued import Broker, BrokerDown, BrokerError, Claim
from tests.pipeline.children import running
from tests.pipeline.naive_queue import NaiveQueue
from tests.pipeline.queue_child import messages_of
from tests.pipeline.queues import Queue, queue

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
