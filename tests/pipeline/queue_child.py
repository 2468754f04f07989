"""A producer or a consumer of a queue in a process of its own, there to be killed.

python queue_child.py produce URL CLAIM_TIMEOUT FIRST   publishes block FIRST, FIRST + 1, ...; one line for each
python queue_child.py hold URL CLAIM_TIMEOUT            claims one block, says which, and never acks it
python queue_child.py consume URL CLAIM_TIMEOUT         claims and acks; one line for each block it has worked on
"""

from __future__ import annotations

import itertools
import sys

from arion_lib.pipeline.broker import Broker, open_broker

BLOCK = 3


def messages_of(block: int) -> list[bytes]:
    return [b"%d\n%d" % (block, index) for index in range(BLOCK)]


def open_queue(url: str, claim_timeout: float) -> Broker:
    if url.startswith("naive:"):
        from naive_queue import NaiveQueue

        return NaiveQueue(url.removeprefix("naive:"))
    return open_broker(url, claim_timeout=claim_timeout)


def say(block: int) -> None:
    sys.stdout.write(f"{block}\n")
    sys.stdout.flush()


def main(role: str, url: str, claim_timeout: str, first: str = "0") -> None:
    with open_queue(url, float(claim_timeout)) as queue:
        if role == "produce":
            for block in itertools.count(int(first)):
                queue.publish("orders", messages_of(block))
                say(block)
        while claim := queue.claim(timeout=None):
            assert claim.messages == messages_of(int(claim.messages[0].split()[0]))
            say(int(claim.messages[0].split()[0]))
            if role == "hold":
                sys.stdin.read()  # until somebody kills us
            queue.ack(claim)


if __name__ == "__main__":
    main(*sys.argv[1:])
