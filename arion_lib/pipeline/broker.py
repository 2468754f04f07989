"""What every message queue of the pipeline promises.

Idea        A claim lends a block of messages to one consumer; only `ack` takes them out of the queue.
Invariant   Every message of a `publish` that returned is delivered at least once, whoever is killed.
When wrong  A claim that is neither acked nor nacked is delivered again; a server that is away raises `BrokerDown`.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_broker.py
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from arion_lib.masking import masked
from arion_lib.pipeline.stores.addresses import local_path, scheme


class BrokerError(Exception):
    """The queue could not do what was asked."""


class BrokerDown(BrokerError):
    """The queue's server does not answer, or hung up: try again later."""


class MessageTooLarge(BrokerError):
    """The queue takes no block of this size; nothing was published, and trying again does not help: split it."""


class BrokerFull(BrokerError):
    """There is no room left; nothing was published. The queue works again once there is space."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Messages lent to one consumer until it acks, nacks, dies or takes longer than the claim time-out."""

    id: str
    stream: str
    messages: Sequence[bytes]
    attempt: int  # 1 the first time these messages are handed out
    ids: Sequence[str] = ()  # of the messages, in order: who has seen an id before leaves its message out
    metas: Sequence[str | None] = ()  # JSON text that came beside the messages; none at all, or as many


@dataclass(frozen=True, slots=True)
class BrokerStatus:
    """Figures for a health page, in blocks: the messages of one `publish` are one block."""

    ready: int
    claimed: int  # by anybody; in RabbitMQ, by the object that was asked
    dead: int  # put aside: damaged, or delivered too often
    messages: int | None = None  # in the ready and claimed blocks, where the queue can tell


class Broker(Protocol):
    """A durable queue of messages with at-least-once delivery. Every method may be called from any thread.

    The messages of one `publish` travel together, as a block. Blocks are handed out in the order of their publishing;
    one that is delivered again, or that another consumer holds, is overtaken by those behind it.
    """

    def publish(
        self,
        stream: str,
        messages: Sequence[bytes],
        ids: Sequence[str] | None = None,
        metas: Sequence[str | None] = (),
    ) -> None:
        """Put the messages into the queue; durable when this returns.

        `ids` are theirs, in order; None gives each a new one. `metas` is JSON text that stands beside them, as many as
        messages or none. See `queues.messages` for the form in which they travel.

        Raises
        ------
        ValueError, TypeError
            The stream's name cannot be kept; a message is not bytes.
        MessageTooLarge
            They are too many bytes for one block of this queue.
        BrokerDown, BrokerFull
            Not published, or not confirmed: publish again later (a message may then arrive twice).
        """
        ...

    def claim(self, limit: int = 1, timeout: float | None = 0.0) -> Claim | None:
        """Borrow the oldest block, or None when none came within `timeout` seconds (None: wait for ever).

        `limit` is how many messages are welcome: a queue may join waiting blocks of one stream until it has that many.
        A block is never split, so more messages than `limit` may come.
        """
        ...

    def ack(self, claim: Claim) -> bool:
        """Take the messages out of the queue; False when the claim was lost (they are, or were, delivered again)."""
        ...

    def nack(self, claim: Claim) -> bool:
        """Give the messages back, to be delivered again at once; False when the claim was lost."""
        ...

    def status(self) -> BrokerStatus:
        """Return the figures of a health page."""
        ...

    def ping(self) -> None:
        """Raise a `BrokerError` unless the queue can be used."""
        ...

    def close(self) -> None:
        """Let go of connections and files; a second call does nothing. Claims that are open are delivered again."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_broker(url: str | os.PathLike[str], *, claim_timeout: float = 30.0, max_attempts: int | None = None) -> Broker:
    """Open the queue that `url` names: `file:///folder`, a plain path, `redis://host/0#name` or `amqp://host/#name`.

    A fresh process opens the same queue by the same text; what the parameters mean is said at the three classes.
    Raises `ValueError` for another scheme.
    """
    check_broker_url(url)
    kind = scheme(url)
    if kind in ("", "file"):
        from arion_lib.pipeline.queues.file_queue import FileBroker

        return FileBroker(url, claim_timeout=claim_timeout, max_attempts=max_attempts)
    if kind in ("redis", "rediss"):
        from arion_lib.pipeline.queues.redis_queue import RedisBroker

        return RedisBroker(os.fspath(url), claim_timeout=claim_timeout, max_attempts=max_attempts)
    from arion_lib.pipeline.queues.rabbit_queue import RabbitBroker

    return RabbitBroker(os.fspath(url), claim_timeout=claim_timeout, max_attempts=max_attempts)


def check_broker_url(url: str | os.PathLike[str]) -> None:
    """Refuse an address that can never be a queue's; nobody is connected to. Raises `ValueError`.

    >>> check_broker_url("redis://localhost:6379/0#orders")
    """
    kind = scheme(url)
    shown = masked(os.fspath(url))
    if kind not in ("", "file", "redis", "rediss", "amqp", "amqps"):
        raise ValueError(f"a queue's URL must be file:///folder, redis://host or amqp://host, got {shown}")
    try:
        if kind in ("", "file"):
            local_path(url)
        elif kind.startswith("redis"):
            from arion_lib.pipeline.queues.redis_queue import check_address

            check_address(os.fspath(url))
        else:
            from arion_lib.pipeline.queues.rabbit_queue import parameters_of

            parameters_of(os.fspath(url))
    except (ValueError, TypeError) as error:
        raise ValueError(f"a queue's URL must be understood, got {shown}: {masked(str(error))}") from error
