"""Past one machine: the unit of work is a block of whole records, not a record.

Idea        Ingest nodes cut a body at newlines into blocks of 256 KiB and append them to a queue; workers run the same
            `Intake` on a block as a server does on a body, and commit to one database.
Invariant   A block is counted exactly once, whoever is killed when: its name is written as a delivery in the
            transaction that counts it, and it leaves the queue only after that.
When wrong  A worker that dies between commit and ack leaves a block that the next one finds to be done. A body that is
            sent again is cut into the same blocks with the same names.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_blocks.py

Works over any `Broker` and `Store`: Redis Streams and PostgreSQL for many machines, files and SQLite for one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from arion_lib.pipeline.batch import Batch
from arion_lib.pipeline.fingerprint import OtherBody
from arion_lib.pipeline.ingest import Intake
from arion_lib.pipeline.ndjson import NdjsonDecoder
from arion_lib.pipeline.queued import Broker, Claim
from arion_lib.pipeline.recipe import Recipe
from arion_lib.pipeline.stored import BatchesRefused, StaleDelivery, Store
from arion_lib.pipeline.verdict import BOM, MAX_RECORD

BLOCK = 256 << 10
"""Bytes of a block, about: large enough that queue and transaction cost little for each record."""

TOGETHER = 16
"""Blocks that one transaction of a worker takes in, when so many are waiting."""


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines of a body. Body and number name it; `offset` is where it begins in the body, in bytes."""

    body: str
    number: int
    offset: int
    data: bytes

    @property
    def name(self) -> str:
        """What the store knows it by."""
        return f"{self.body}/{self.number}"

    def encode(self) -> bytes:
        """Write it as a message: a line of JSON, then the data as it is.

        >>> Block("b1", 3, 100, b"{}").encode()
        b'["b1",3,100]\\n{}'
        """
        return msgspec.json.encode([self.body, self.number, self.offset]) + b"\n" + self.data


def read_block(message: bytes) -> Block:
    """Read a message that `Block.encode` wrote. Raises ValueError for another one.

    >>> read_block(b'["b1",3,100]\\n{}')
    Block(body='b1', number=3, offset=100, data=b'{}')
    """
    head, newline, data = message.partition(b"\n")
    if not newline:
        raise ValueError(f"a block must begin with a line that names it, got {message[:80]!r}")
    body, number, offset = msgspec.json.decode(head, type=tuple[str, int, int])
    return Block(body, number, offset, data)


class BlockCutter:
    r"""Cut a body of lines into blocks (sans-IO): each ends at the first newline at or behind `size` bytes.

    The blocks do not depend on how the body came in chunks. A line that is longer than `max_record` bytes is passed on
    without its middle, still too long: the worker's decoder makes it one dead letter. Nothing is parsed: about 2 GB/s.

    >>> cutter = BlockCutter("b1", size=8)
    >>> [block.data for block in cutter.feed(b'{"a": 1}\n{"a": 2}\n{"a"') + cutter.close()]
    [b'{"a": 1}\n', b'{"a": 2}\n', b'{"a"']
    """

    def __init__(self, body: str, size: int = BLOCK, max_record: int = MAX_RECORD) -> None:
        if size < 1:
            raise ValueError(f"size must be >= 1 byte, got {size}")
        if max_record < 64:
            raise ValueError(f"max_record must be >= 64 bytes, got {max_record}")
        self._body = body
        self._size = size
        self._max_record = max_record
        self._number = 0
        self._offset = 0
        self._held = bytearray()
        self._line = 0  # bytes so far of the line that goes on behind `size`
        self._dropped = 0

    def feed(self, chunk: bytes) -> list[Block]:
        """Take the next bytes; give the blocks that they complete."""
        blocks = []
        while chunk:
            chunk = self._fill(chunk)
            if self._held.endswith(b"\n") and len(self._held) + self._dropped >= self._size:
                blocks.append(self._cut())
        return blocks

    def close(self) -> list[Block]:
        """Say that the body has ended; give the last block, if there is one."""
        return [self._cut()] if self._held else []

    def _fill(self, chunk: bytes) -> bytes:
        """Hold a part of the chunk - up to the block's size, then up to the end of the line - and give the rest."""
        room = self._size - 1 - len(self._held) - self._dropped
        if room > 0:
            self._held += chunk[:room]
            self._line = len(self._held) - self._held.rfind(b"\n") - 1
            return chunk[room:]
        end = chunk.find(b"\n")
        line = chunk if end < 0 else chunk[:end]
        kept = line[: max(0, len(BOM) + self._max_record + 1 - self._line)]  # too long, with a BOM or without
        self._held += kept
        self._dropped += len(line) - len(kept)
        self._line += len(line)
        if end < 0:
            return b""
        self._held += b"\n"
        return chunk[end + 1 :]

    def _cut(self) -> Block:
        block = Block(self._body, self._number, self._offset, bytes(self._held))
        self._number += 1
        self._offset += len(self._held) + self._dropped
        self._held.clear()
        self._line = self._dropped = 0
        return block


def publish_blocks(chunks: Iterable[bytes], broker: Broker, stream: str, body: str, size: int = BLOCK) -> int:
    """Append a body of lines to the queue, block by block, and return how many; durable when it returns.

    `body` is the body's id: sent again under it, the same bytes are the same blocks. Raises what `Broker.publish` does.
    Cost: holds one block and one chunk.
    """
    cutter = BlockCutter(body, size)
    count = 0
    for blocks in _each(cutter, chunks):
        for block in blocks:
            broker.publish(stream, [block.encode()])
            count += 1
    return count


def _each(cutter: BlockCutter, chunks: Iterable[bytes]) -> Iterator[list[Block]]:
    for chunk in chunks:
        yield cutter.feed(chunk)
    yield cutter.close()


def work(broker: Broker, store: Store, recipe: Recipe, timeout: float | None = 0.0) -> int:
    """Take blocks from the queue into the store until none comes for `timeout` seconds; return how many were acked.

    Blocks that wait are committed together, at most `TOGETHER` in a transaction. None as `timeout` works for ever.

    Raises what store and broker raise, and ValueError for a message that is no block, once the others are acked. What
    is not acked comes again after the queue's claim time-out, to any worker; `max_attempts` of the queue ends that.
    """
    acked = 0
    while claims := _claim(broker, timeout):
        refused = commit_blocks(store, recipe, claims)
        acked += sum(broker.ack(claim) for claim in claims if claim.id not in refused)
        for error in refused.values():
            raise error
    return acked


def _claim(broker: Broker, timeout: float | None) -> list[Claim]:
    claim = broker.claim(timeout=timeout)
    claims = []
    while claim is not None:
        claims.append(claim)
        claim = broker.claim() if len(claims) < TOGETHER else None
    return claims


def commit_blocks(store: Store, recipe: Recipe, claims: Iterable[Claim]) -> dict[str, ValueError]:
    """Count the claims' blocks in one transaction, and give what is wrong with some claims, by their id.

    A block that is in the store already changes nothing: that is how a redelivered one is told.
    """
    wrong: dict[str, ValueError] = {}
    owners: list[tuple[str, Batch]] = []
    for claim in claims:
        try:
            owners += [(claim.id, batch) for message in claim.messages for batch in _batches(claim, message, recipe)]
        except ValueError as error:
            wrong[claim.id] = error
    try:
        store.commit_all([batch for _, batch in owners])
    except BatchesRefused as refused:
        for index, reason in refused.refused.items():
            if not isinstance(reason, StaleDelivery):
                wrong[owners[index][0]] = reason
            elif reason.known and reason.known.fingerprint not in (None, reason.delivery.fingerprint):
                wrong[owners[index][0]] = OtherBody(reason.known.fingerprint)
    return wrong


def _batches(claim: Claim, message: bytes, recipe: Recipe) -> list[Batch]:
    block = read_block(message)
    intake = Intake(claim.stream, recipe, partial(_decoder, block.offset), delivery=block.name)
    return [batch for batch in (intake.feed(block.data), intake.close()) if batch is not None]


def _decoder(offset: int, kind: Any, skip: int) -> NdjsonDecoder:
    return NdjsonDecoder(kind, skip=skip, offset=offset)
