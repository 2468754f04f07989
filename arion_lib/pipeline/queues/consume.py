"""`python -m arion_lib consume`: the messages of a queue, a line each, for a pipe into any other program.

Idea        A message is acknowledged once its line was taken by the pipe, so what reads it may be written in anything.
Invariant   Every message is printed at least once; one that comes again comes with the id it had.
When wrong  A pipe that is closed leaves the rest in the queue and ends with exit code 1; a wrong option with 2.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_consume.py
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import sys
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import BinaryIO

from arion_lib.pipeline.broker import Broker, BrokerError, Claim, open_broker
from arion_lib.pipeline.queues.durable import nobody_elses
from arion_lib.pipeline.stores.addresses import local_url

TOGETHER = 1_000
"""Messages that are claimed at once, about."""

NOBODY_READS = (errno.EPIPE, errno.EINVAL)
"""How a system says that the other end of a pipe is closed; the second one is Windows' way."""


def run(args: list[str]) -> int:
    """Print the messages of a queue; return the exit code."""
    chosen = _parser().parse_args(args)
    url = chosen.broker or local_url("file", chosen.data / "queue")
    try:
        if not chosen.broker and chosen.wait == 0.0:
            _check_folder(chosen.data)
        with nobody_elses(), open_broker(url, claim_timeout=chosen.claim_timeout) as broker:
            consume(broker, sys.stdout.buffer, wait=chosen.wait, most=chosen.max, ids=chosen.ids)
    except OSError as error:
        if error.errno not in NOBODY_READS:
            raise
        # Python flushes its output once more at its end: let that have a place to go to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    except (BrokerError, ValueError) as error:
        sys.stderr.write(f"python -m arion_lib consume: {error}\n")
        return 2
    return 0


def consume(
    broker: Broker, out: BinaryIO, *, wait: float | None = 0.0, most: int | None = None, ids: bool = False
) -> int:
    """Write messages to `out`, a line each, and acknowledge them; return how many.

    Ends when none came for `wait` seconds (None: never), or after the block in which the message number `most` is.
    With `ids` a line is `{"id": ..., "stream": ..., "data": MESSAGE}`, and `"meta"` stands before the data where
    something is known beside it. What `out` did not take is given back.
    """
    count = 0
    while (most is None or count < most) and (claim := broker.claim(TOGETHER, timeout=wait)) is not None:
        try:
            out.writelines(_lines(claim, ids))
            out.flush()
        except BaseException:
            broker.nack(claim)
            raise
        broker.ack(claim)
        count += len(claim.messages)
    return count


def _lines(claim: Claim, ids: bool) -> Iterator[bytes]:
    stream = json.dumps(claim.stream).encode()
    for name, message, meta in zip_longest(claim.ids, claim.messages, claim.metas):
        line = message.replace(b"\n", b" ") + b"\n"
        if ids:
            beside = b'"meta":%s,' % meta.encode() if meta else b""
            head = b'{"id":%s,"stream":%s,%s"data":' % (json.dumps(name).encode(), stream, beside)
            line = b"%s%s}\n" % (head, line[:-1])
        yield line


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m arion_lib consume",
        description="Print the messages of a queue, a line of JSON each, and acknowledge what was printed.",
        epilog="example: python -m arion_lib consume --wait forever | jq .amount",
    )
    add = parser.add_argument
    add("--broker", help="queue's URL, redis://... or amqp://... (default: files in --data)")
    add("--data", type=Path, default=Path("arion-data"), help="folder of the service (default: ./%(default)s)")
    add("--wait", type=_wait, default=0.0, help="seconds to wait for more, or forever (default: end when none is left)")
    add("--max", type=_most, help="end after so many messages, or a few more: a block is never split")
    add("--ids", action="store_true", help='print {"id": ..., "stream": ..., "data": MESSAGE}')
    add("--claim-timeout", type=_seconds, default=30.0, help="seconds until a block that was not taken comes again")
    return parser


def _check_folder(data: Path) -> None:
    if not (data / "queue").is_dir():
        must = "--data must be the folder of a service"
        raise ValueError(f"{must}, got {data} without a queue: with --wait forever it may come later")


def _wait(text: str) -> float | None:
    return None if text == "forever" else _number(text, 0.0, "seconds or the word forever")


def _seconds(text: str) -> float:
    return _number(text, 0.001, "seconds, 0.001 or more")


def _number(text: str, least: float, rule: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not least <= seconds <= 1e9:
        raise argparse.ArgumentTypeError(f"must be {rule}, got {text[:40]!r}")
    return seconds


def _most(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:18]) > 0):
        raise argparse.ArgumentTypeError(f"must be a whole number from 1, got {text[:40]!r}")
    return int(text[:18])
