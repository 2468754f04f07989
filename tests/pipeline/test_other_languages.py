"""The queue's messages are read by a program that knows nothing of ours: the consumer of the documentation, in node."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from arion_lib.pipeline.broker import open_broker
from arion_lib.setup.environment import ROOT
from tests.services.servers import unique_name

PROGRAM = ROOT / ".github" / "consumer.js"
pytestmark = [
    pytest.mark.redis,
    pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed"),
    pytest.mark.skipif(not PROGRAM.exists(), reason="the documentation is not in this copy"),
]


@pytest.fixture
def queue_name(redis_url: str) -> Iterator[str]:
    """A queue that nobody else uses, gone after the test."""
    import redis

    name = unique_name()
    yield name
    with closing(redis.Redis.from_url(redis_url)) as client:
        client.delete(f"{{{name}}}:blocks", f"{{{name}}}:dead")


def run(url: str, queue: str) -> subprocess.CompletedProcess[str]:
    """Run the consumer until nothing comes for a moment."""
    server = urlsplit(url)
    command = ["node", str(PROGRAM), server.hostname or "127.0.0.1", str(server.port or 6379), queue, "50"]
    return subprocess.run(command, capture_output=True, check=False, timeout=60, encoding="utf-8")


def test_the_consumer_in_javascript_reads_every_message_with_its_id_and_takes_it_out_of_the_queue(
    no_leaks: None, redis_url: str, queue_name: str
) -> None:
    with open_broker(f"{redis_url}#{queue_name}") as broker:
        broker.publish("orders", [b'{"n":1}', '{"n":"grün"}'.encode()], ["a-1.1", "a-1.2"])
        broker.publish("grün", [b'{"n":12345678901234567890}'], ["a-2.1"])
        done = run(redis_url, queue_name)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines() == [
            'a-1.1 orders {"n":1}',
            'a-1.2 orders {"n":"grün"}',
            'a-2.1 grün {"n":12345678901234567890}',
        ]
        status = broker.status()
        assert (status.ready, status.claimed, status.dead) == (0, 0, 0)


def test_the_consumer_leaves_in_the_queue_what_it_cannot_read(no_leaks: None, redis_url: str, queue_name: str) -> None:
    with open_broker(f"{redis_url}#{queue_name}") as broker:
        broker.publish("orders", [b'{"n":\n1}'], ["a-1.1"])
        done = run(redis_url, queue_name)
        assert (done.returncode, done.stdout) == (1, "")
        assert "a message with a newline" in done.stderr
        assert broker.status().claimed == 1


def test_a_block_that_comes_in_many_pieces_is_read_whole(no_leaks: None, redis_url: str, queue_name: str) -> None:
    size = 3_000_000
    with open_broker(f"{redis_url}#{queue_name}") as broker:
        broker.publish("s", [b'"%s"' % (b"x" * size)], ["a-1.1"])
        done = run(redis_url, queue_name)
        assert done.stdout == f'a-1.1 s "{"x" * size}"\n'
