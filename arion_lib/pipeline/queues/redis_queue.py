"""The message queue in a Redis Stream: a consumer group lends entries, one entry a block of messages.

Idea        XADD publishes, XREADGROUP lends, XCLAIM takes over what was lent for too long, XACK and XDEL end it.
Invariant   The entry stays in the stream until its ack; who may ack it is decided inside Redis, at one moment.
When wrong  A server that is away is `BrokerDown`; one that is out of memory `BrokerFull`; nothing is dropped.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_broker.py
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from arion_lib.masking import masked
from arion_lib.pipeline.broker import BrokerDown, BrokerError, BrokerFull, BrokerStatus, Claim
from arion_lib.pipeline.queues import frames
from arion_lib.pipeline.queues import messages as blocks
from arion_lib.pipeline.queues.closing import Closing
from arion_lib.pipeline.stores.addresses import checked_stream, queue_name

log = logging.getLogger(__name__)

_GROUP = "consumers"
_SHORTEST_WAIT, _LONGEST_WAIT = 0.01, 0.25  # seconds blocked in Redis between looks for what others gave back

# The claim still is ours when Redis says that we were the last to be given it, and how often.
_END = """
local lent = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1)[1]
if not lent or lent[2] ~= ARGV[2] or lent[4] ~= tonumber(ARGV[4]) then return 0 end
if ARGV[5] == 'give back' then
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[3], 'IDLE', ARGV[6], 'JUSTID')
    return 1
end
if ARGV[5] == 'bury' then
    local entry = redis.call('XRANGE', KEYS[1], ARGV[3], ARGV[3])[1]
    if entry then redis.call('XADD', KEYS[2], '*', unpack(entry[2])) end
end
redis.call('XACK', KEYS[1], ARGV[1], ARGV[3])
redis.call('XDEL', KEYS[1], ARGV[3])
return 1
"""


class RedisBroker(Closing):
    """A `Broker` in Redis 6.2+ or Valkey; the connection is made when first needed, and again when it was lost.

    How durable a publish is, Redis decides: only `appendonly yes` with `appendfsync always` survives a power cut as
    the other queues do; the usual `everysec` may lose the last second, and a fail-over what was not yet replicated.
    One that is set to evict gets nothing more; what it holds by then it may drop.

    Parameters
    ----------
    url
        `redis://:password@host:port/database#name`; `name` is the queue's, "arion" when it is left out.
    claim_timeout
        Seconds, on Redis's clock, after which a claim that was not acked is delivered again.
    max_attempts
        Deliveries after which a block that was never acked goes to the stream `name:dead`; None: never.
    """

    def __init__(self, url: str, *, claim_timeout: float = 30.0, max_attempts: int | None = None) -> None:
        if claim_timeout < 0.001:
            raise ValueError(f"claim_timeout must be >= 0.001 seconds, got {claim_timeout}")
        if max_attempts is not None and max_attempts < 1:
            raise ValueError(f"max_attempts must be >= 1 or None, got {max_attempts}")
        self._url = url
        address, name = queue_name(url)
        self._key, self._dead = f"{{{name}}}:blocks", f"{{{name}}}:dead"  # braces: one slot of a cluster
        self._timeout = int(claim_timeout * 1_000)
        self._max_attempts = max_attempts
        self._me = f"{os.getpid():x}{secrets.token_hex(4)}"
        self._next_look = 0.0
        self._looking = threading.Lock()
        self._made = False
        self._closed = False
        self._client = _connect(address)

    def __repr__(self) -> str:
        return f"RedisBroker({masked(self._url)!r})"

    def publish(
        self,
        stream: str,
        messages: Sequence[bytes],
        ids: Sequence[str] | None = None,
        metas: Sequence[str | None] = (),
    ) -> None:
        """Append one entry that holds the messages; see `Broker.publish` and above how durable that is.

        Its fields are `stream`, `type`, `ids`, `data` and, where there is any, `meta`; see `messages`.
        """
        content_type, data = blocks.pack(messages)
        names = blocks.pack_ids(blocks.new_ids(len(messages)) if ids is None else ids)
        fields: dict[Any, Any] = {"stream": checked_stream(stream), "type": content_type, "ids": names, "data": data}
        if meta := blocks.pack_metas(metas):
            fields["meta"] = meta
        if messages:
            with self._explained():
                self._make()
                self._must_keep()
                self._client.xadd(self._key, fields)

    def claim(self, limit: int = 1, timeout: float | None = 0.0) -> Claim | None:
        """Borrow the oldest entry (never more than one, whatever `limit`); see `Broker.claim`."""
        if limit < 1:
            raise ValueError(f"limit must be >= 1, got {limit}")
        until = None if timeout is None else time.monotonic() + timeout
        pause = 0.0
        while True:
            with self._explained():
                self._make()
                claim = self._take_over() if pause or self._time_to_look() else None
                claim = claim or self._read(pause)
            if claim is not None:
                return claim
            pause = min(max(2 * pause, _SHORTEST_WAIT), _LONGEST_WAIT)
            if until is not None:
                left = until - time.monotonic()
                if left <= 0:
                    with self._explained():
                        return self._take_over()
                pause = max(min(pause, left), 0.001)

    def ack(self, claim: Claim) -> bool:
        """Take the entry out of the stream; False when the claim was lost."""
        return self._end(claim, "ack")

    def nack(self, claim: Claim) -> bool:
        """Let the next look of any consumer take the entry over; False when the claim was lost."""
        return self._end(claim, "give back")

    def status(self) -> BrokerStatus:
        """Return the figures of a health page."""
        with self._explained():
            self._make()
            claimed = int(self._client.xpending(self._key, _GROUP)["pending"])
            return BrokerStatus(self._client.xlen(self._key) - claimed, claimed, self._client.xlen(self._dead))

    def ping(self) -> None:
        """Raise a `BrokerError` unless Redis can be written and keeps what is written."""
        with self._explained():
            self._made = False
            self._make()
            self._must_keep()
            self._client.xlen(self._key), self._client.xlen(self._dead)
            self._client.set(f"{self._key}:ping", b"1", px=1_000)

    def close(self) -> None:
        """Close the connections; a second call does nothing. Open claims come again after their time-out."""
        self._closed = True
        self._client.close()

    # -- how

    def _make(self) -> None:
        """Make stream and group once; whoever comes first wins, everybody else finds them made."""
        if self._made:
            return
        try:
            self._client.xgroup_create(self._key, _GROUP, id="0", mkstream=True)
        except _redis().ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):  # it is there
                raise
        self._made = True

    def _must_keep(self) -> None:
        """Refuse to publish into a Redis that evicts; asked each time, for that is a setting of the running server."""
        memory = self._client.info("memory")
        policy = str(memory.get("maxmemory_policy", ""))
        if policy.startswith("allkeys") and int(memory.get("maxmemory", 0)):
            raise BrokerError(
                f"{self!r} must keep what is published, but evicts keys when its memory is full ({policy}): "
                "CONFIG SET maxmemory-policy noeviction"
            )

    def _time_to_look(self) -> bool:
        with self._looking:
            now = time.monotonic()
            due = now >= self._next_look
            if due:
                self._next_look = now + min(1.0, self._timeout / 8_000)
            return due

    def _read(self, block: float) -> Claim | None:
        milliseconds = max(1, int(block * 1_000)) if block else None
        found = self._client.xreadgroup(_GROUP, self._me, {self._key: ">"}, count=1, block=milliseconds)
        if not found:
            return None
        [[_, [(entry, fields)]]] = found.items() if isinstance(found, dict) else found
        return self._lent(entry, fields, 1)

    def _take_over(self) -> Claim | None:
        """Claim the oldest entry that was lent for too long, if any; entries past their attempts are put aside."""
        while True:
            lent = self._client.xpending_range(self._key, _GROUP, "-", "+", 1, idle=self._timeout)
            if not lent:
                return None
            entry, attempt = lent[0]["message_id"], lent[0]["times_delivered"] + 1
            for taken, fields in self._client.xclaim(self._key, _GROUP, self._me, self._timeout, [entry]):
                if self._max_attempts is None or attempt <= self._max_attempts:
                    claim = self._lent(taken, fields, attempt)
                    if claim is not None:
                        return claim
                else:
                    log.warning("put %s aside into %s after %d attempts", taken, self._dead, attempt - 1)
                    self._end(Claim(taken.decode(), "", (), attempt), "bury")

    def _lent(self, entry: bytes, fields: dict[bytes, bytes], attempt: int) -> Claim | None:
        try:
            metas: Sequence[str | None] = ()
            if b"block" in fields:  # of an older version
                messages, ids = frames.decode(fields[b"block"]), []
            else:
                messages = blocks.unpack(fields[b"type"].decode(), fields[b"data"])
                ids = blocks.unpack_ids(fields[b"ids"], len(messages))
                metas = blocks.unpack_metas(fields.get(b"meta", b""), len(messages))
            named = ids or blocks.numbered(entry.decode(), len(messages))
            return Claim(entry.decode(), fields[b"stream"].decode(), messages, attempt, named, metas)
        except (KeyError, ValueError) as error:
            log.warning("put the damaged entry %s aside into %s: %s", entry, self._dead, error)
            self._end(Claim(entry.decode(), "", (), attempt), "bury")
            return None

    def _end(self, claim: Claim, how: str) -> bool:
        with self._explained():
            arguments = (_GROUP, self._me, claim.id, claim.attempt, how, self._timeout)
            return bool(self._client.eval(_END, 2, self._key, self._dead, *arguments))

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        if self._closed:
            raise BrokerError("the queue is closed; open a new one")
        redis = _redis()
        try:
            yield
        except redis.OutOfMemoryError as error:
            raise BrokerFull(f"{self!r} is out of memory; nothing was published") from error
        except (redis.ConnectionError, redis.TimeoutError, redis.ReadOnlyError) as error:
            self._made = False  # the server that comes back may be an empty one
            raise BrokerDown(f"{self!r} does not answer: {masked(str(error))}") from error
        except redis.RedisError as error:
            self._made = False
            raise BrokerError(f"{self!r}: {error}") from error


def check_address(url: str) -> None:
    """Refuse an address that redis does not understand. Raises `ValueError`."""
    _connect(queue_name(url)[0]).close()


def _redis() -> Any:
    """Return redis's exceptions: imported when a queue is used, not when the pipeline is."""
    import redis.exceptions

    return redis.exceptions


def _connect(address: str) -> Any:
    try:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError as error:
        raise BrokerError("Redis needs its client: pip install 'arion-workbook[servers]'") from error
    return redis.Redis.from_url(
        address,
        socket_connect_timeout=3.0,
        socket_timeout=10.0,
        retry=Retry(NoBackoff(), 1),  # once, for a connection that died while idle; pauses are the relay's business
        protocol=2,
    )
