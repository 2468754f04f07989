"""The message queue in RabbitMQ: a durable queue, confirmed publishes, manual acks; one message a block.

Idea        RabbitMQ lends a message to a connection; when the connection ends without an ack, it is lent again.
Invariant   `publish` returns after the broker confirmed that the persistent message is on its disk.
When wrong  A lost connection is opened anew at the next call; what it had claimed is delivered again. Killed within a
            second of making a queue, RabbitMQ 3.10 never finds it again: delete it, and the next call makes it anew.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_broker.py
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from arion_lib.masking import masked
from arion_lib.pipeline.broker import BrokerDown, BrokerError, BrokerFull, BrokerStatus, Claim, MessageTooLarge
from arion_lib.pipeline.queues import frames
from arion_lib.pipeline.queues import messages as blocks
from arion_lib.pipeline.queues.closing import Closing
from arion_lib.pipeline.stores.addresses import checked_stream, queue_name

log = logging.getLogger(__name__)

_SHORTEST_WAIT, _LONGEST_WAIT = 0.001, 0.05  # seconds between looks at an empty queue
_REBIRTH = 0.2  # seconds before the one repetition on a fresh connection
_LENT_OFTEN = 10  # deliveries after which a message is published anew: RabbitMQ 4 deletes it after 20, a policy earlier
_BLOCKED = 10.0  # seconds that RabbitMQ may refuse to take messages (disk or memory alarm) before BrokerFull

T = TypeVar("T")


class RabbitBroker(Closing):
    """A `Broker` in a quorum queue of RabbitMQ 3.8+; connected when first needed, and again after a loss.

    The claim time-out is the connection's heartbeat. RabbitMQ gives the claims of a killed process to others at once,
    those of a process that hangs, or does not call this object, after one to three times the time-out. As the
    connection is served only during calls, a consumer that works longer than that on one claim loses it.

    Parameters
    ----------
    url
        `amqp://user:password@host:port/virtual-host#name`; `name` is the queue's, "arion" when it is left out.
    claim_timeout
        Seconds; whole ones, rounded up.
    max_attempts
        Deliveries after which a block that was never acked goes to the queue `name.dead`; None: never.
    """

    def __init__(self, url: str, *, claim_timeout: float = 30.0, max_attempts: int | None = None) -> None:
        if claim_timeout <= 0:
            raise ValueError(f"claim_timeout must be > 0 seconds, got {claim_timeout}")
        if max_attempts is not None and max_attempts < 1:
            raise ValueError(f"max_attempts must be >= 1 or None, got {max_attempts}")
        self._url = url
        self._address, self._queue = queue_name(url)
        self._dead = f"{self._queue}.dead"
        self._heartbeat = math.ceil(claim_timeout)
        self._max_attempts = max_attempts
        parameters_of(url)
        self._using = threading.RLock()  # pika's connection is not made for threads: one call at a time
        self._connection: Any = None
        self._channel: Any = None
        self._generation = 0  # delivery tags mean nothing to a later connection
        self._open_claims: set[str] = set()
        self._closed = False

    def __repr__(self) -> str:
        return f"RabbitBroker({masked(self._url)!r})"

    def publish(
        self,
        stream: str,
        messages: Sequence[bytes],
        ids: Sequence[str] | None = None,
        metas: Sequence[str | None] = (),
    ) -> None:
        """Publish one persistent message that holds all of them, and wait for its confirmation.

        Its content type is that of `messages.pack`, its headers are `stream`, `ids`, `meta`, its message id the first.
        """
        content_type, block = blocks.pack(messages)
        names = blocks.new_ids(len(messages)) if ids is None else ids
        headers = {"stream": checked_stream(stream), "ids": blocks.pack_ids(names)}
        if meta := blocks.pack_metas(metas):
            headers["meta"] = meta
        if messages:
            self._once_more(lambda: self._publish(self._queue, block, headers, content_type))

    def claim(self, limit: int = 1, timeout: float | None = 0.0) -> Claim | None:
        """Borrow the oldest message (never more than one, whatever `limit`); see `Broker.claim`."""
        if limit < 1:
            raise ValueError(f"limit must be >= 1, got {limit}")
        until = None if timeout is None else time.monotonic() + timeout
        pause = _SHORTEST_WAIT
        while True:
            claim = self._once_more(self._take)
            if claim is not None:
                return claim
            if until is not None:
                pause = min(pause, until - time.monotonic())
                if pause <= 0:
                    return None
            time.sleep(pause)  # not in pika: another thread may publish meanwhile
            pause = min(2 * pause, _LONGEST_WAIT)

    def ack(self, claim: Claim) -> bool:
        """Take the message out of the queue; False when the connection that claimed it was lost."""
        return self._end(claim, lambda channel, tag: channel.basic_ack(tag))

    def nack(self, claim: Claim) -> bool:
        """Give the message back; False when the connection that claimed it was lost."""
        return self._end(claim, lambda channel, tag: channel.basic_nack(tag, requeue=True))

    def status(self) -> BrokerStatus:
        """Return the figures of a health page; AMQP does not tell what others have claimed."""
        ready, dead = self._once_more(self._counts)
        return BrokerStatus(ready, len(self._open_claims), dead)

    def ping(self) -> None:
        """Raise a `BrokerError` unless RabbitMQ answers and has the queue."""
        self._once_more(self._counts)

    def close(self) -> None:
        """Close the connection; a second call does nothing. Open claims are delivered again at once."""
        with self._using:
            self._closed = True
            self._disconnect()

    # -- how

    def _once_more(self, call: Callable[[], T]) -> T:
        """Call again on a fresh connection: the old one may have died while nobody used it, or a queue just be born."""
        try:
            return call()
        except BrokerDown:
            time.sleep(_REBIRTH)
            return call()

    def _counts(self) -> tuple[int, int]:
        """Return how many messages are ready and how many are dead."""
        with self._usable() as channel:
            ready, dead = (
                int(channel.queue_declare(name, passive=True).method.message_count)
                for name in (self._queue, self._dead)
            )
            return ready, dead

    def _publish(self, queue: str, block: bytes, headers: dict[str, Any], content_type: str | None) -> None:
        persistent = _pika().BasicProperties(
            delivery_mode=2, headers=headers, content_type=content_type, message_id=_first(headers)
        )
        with self._usable() as channel:
            channel.basic_publish("", queue, block, persistent, mandatory=True)

    def _take(self) -> Claim | None:
        with self._usable() as channel:
            while True:
                method, properties, block = channel.basic_get(self._queue)
                if method is None:
                    return None
                headers = {name: value for name, value in (properties.headers or {}).items() if name in _OURS}
                lent = int((properties.headers or {}).get("x-delivery-count", 0))
                attempt = 1 + lent + int(headers.get("attempts", 0))
                target = self._dead
                if self._max_attempts is None or attempt <= self._max_attempts:
                    try:
                        claim = self._claim(f"{self._generation}.{method.delivery_tag}", properties, block, attempt)
                    except (KeyError, ValueError) as error:
                        log.warning("put a damaged message aside into %s: %s", self._dead, error)
                    else:
                        if lent < _LENT_OFTEN:
                            self._open_claims.add(claim.id)
                            return claim
                        target, headers["attempts"] = self._queue, attempt - 1
                self._publish(target, block, headers, properties.content_type)
                channel.basic_ack(method.delivery_tag)

    def _claim(self, name: str, properties: Any, block: bytes, attempt: int) -> Claim:
        headers = properties.headers or {}
        if "ids" not in headers:  # of an older version
            messages = frames.decode(block)
            return Claim(name, headers["stream"], messages, attempt, blocks.new_ids(len(messages)))
        messages = blocks.unpack(properties.content_type, block)
        ids = blocks.unpack_ids(headers["ids"], len(messages))
        metas = blocks.unpack_metas(headers.get("meta", ""), len(messages))
        return Claim(name, headers["stream"], messages, attempt, ids, metas)

    def _end(self, claim: Claim, how: Any) -> bool:
        with self._using:
            if claim.id not in self._open_claims:
                return False
            self._open_claims.discard(claim.id)
            try:
                with self._usable() as channel:
                    generation, tag = map(int, claim.id.split("."))
                    if generation != self._generation:
                        return False
                    how(channel, tag)
                    # The server's answer to this proves that it had our word before: an ack has none of its own.
                    channel.queue_declare(self._queue, passive=True)
            except BrokerDown:
                return False  # so it does not know of our ack, and delivers it again
            return True

    @contextlib.contextmanager
    def _usable(self) -> Iterator[Any]:
        exceptions = _pika().exceptions
        with self._using:
            if self._closed:
                raise BrokerError("the queue is closed; open a new one")
            try:
                yield self._connected()
            except exceptions.ConnectionBlockedTimeout as error:
                self._disconnect()
                raise BrokerFull(f"{self!r} takes no messages for want of disk or memory") from error
            except exceptions.NackError as error:
                raise BrokerFull(f"{self!r} refused the message") from error
            except (exceptions.AMQPError, OSError) as error:
                self._disconnect()
                if getattr(error, "reply_code", None) == 406 and "size" in str(getattr(error, "reply_text", "")):
                    raise MessageTooLarge(f"{self!r} takes no message of this size: {error.reply_text}") from error  # type: ignore[union-attr]
                raise BrokerDown(f"{self!r} does not answer: {type(error).__name__} {masked(str(error))}") from error

    def _connected(self) -> Any:
        if self._channel is None or not self._channel.is_open:
            self._disconnect()
            parameters = parameters_of(self._url)
            parameters.heartbeat = self._heartbeat
            parameters.blocked_connection_timeout = _BLOCKED
            parameters.socket_timeout = parameters.stack_timeout = 5.0
            self._connection = _pika().BlockingConnection(parameters)
            self._declare(self._dead, {})
            # What RabbitMQ itself would drop, for a delivery limit of its own, goes aside as well.
            self._declare(self._queue, {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": self._dead})
            channel = self._connection.channel()
            channel.confirm_delivery()
            self._generation += 1
            self._channel = channel
        return self._channel

    def _declare(self, name: str, arguments: dict[str, str]) -> None:
        """Make the queue unless it is there: one that somebody made with other arguments is taken as it is."""
        channel = self._connection.channel()
        try:
            channel.queue_declare(name, passive=True)
        except _pika().exceptions.ChannelClosedByBroker as error:
            if error.reply_code != 404:
                raise
            channel = self._connection.channel()
            channel.queue_declare(
                name,
                durable=True,
                arguments={"x-queue-type": "quorum", "x-overflow": "reject-publish", **arguments},
            )
        channel.close()

    def _disconnect(self) -> None:
        self._open_claims.clear()
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            with contextlib.suppress(_pika().exceptions.AMQPError, OSError):  # it may be gone already
                connection.close()


_OURS = ("stream", "ids", "meta", "attempts")


def _first(headers: dict[str, Any]) -> str | None:
    """Return the id of the first message: what a client shows as the block's own."""
    try:
        [[base, first, _], *_] = json.loads(headers["ids"])
    except (KeyError, TypeError, ValueError):  # of a damaged block, which is put aside as it is
        return None
    return f"{base}.{first}"


def parameters_of(url: str) -> Any:
    """Read the address of a queue. Raises `ValueError` for one that is not understood."""
    return _pika().URLParameters(queue_name(url)[0])


def _pika() -> Any:
    """Return pika: imported when a queue is opened, not when the pipeline is."""
    try:
        import pika  # type: ignore[import-untyped]
        import pika.exceptions  # type: ignore[import-untyped]
    except ImportError as error:
        raise BrokerError("RabbitMQ needs pika: pip install 'arion-workbook[servers]'") from error
    return pika
