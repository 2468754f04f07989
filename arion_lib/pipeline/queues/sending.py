"""What a queue is asked to take at once: outbox entries of one stream, cut into blocks.

Idea        A thousand small commits are not a thousand blocks, and a large one is not one block.
Invariant   Messages leave in order, each with the id that it has in the store, however they are cut.
When wrong  A block that is too large is halved; a message that no queue takes becomes a dead letter of its stream.
See         tests/pipeline/test_outbox.py
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby, zip_longest
from typing import TypeAlias

from arion_lib.pipeline.batch import Batch, DeadLetter
from arion_lib.pipeline.broker import Broker, MessageTooLarge
from arion_lib.pipeline.queues.messages import numbered
from arion_lib.pipeline.store import OutboxEntry
from arion_lib.units import how_many

log = logging.getLogger(__name__)

BLOCK = 1 << 20
"""Bytes of messages that travel together, about: well below what a queue takes at once (RabbitMQ 4: 16 MiB)."""

_Named: TypeAlias = tuple[str, bytes, str | None]


class Sender:
    """Publish entries to `broker`; `keep` stores the dead letter of what can never be published."""

    def __init__(self, broker: Broker, keep: Callable[[Batch], object]) -> None:
        self.published = 0  # messages
        self._broker, self._keep = broker, keep

    def publish(self, entries: Sequence[OutboxEntry]) -> int:
        """Send the entries of one stream on, in blocks of about `BLOCK` bytes; return how many messages they were."""
        stream = entries[0].stream
        for entry in entries:
            if entry.gone:
                self._put_aside(
                    stream, b"", f"gone or damaged: {how_many(entry.gone, 'messages')} of outbox entry {entry.id}"
                )
        named = [one for entry in entries for one in _named(entry)]
        for block in _blocks(named):
            self._send(stream, block)
        return len(named) + sum(entry.gone for entry in entries)

    def _send(self, stream: str, block: Sequence[_Named]) -> None:
        try:
            names, messages, metas = zip(*block, strict=True)
            self._broker.publish(stream, messages, names, **({"metas": metas} if any(metas) else {}))
        except MessageTooLarge as error:
            if len(block) > 1:
                middle = len(block) // 2
                self._send(stream, block[:middle])
                self._send(stream, block[middle:])
            else:
                [(name, message, _)] = block
                self._put_aside(stream, message, f"message {name} cannot be published: {error}")
        else:
            self.published += len(block)

    def _put_aside(self, stream: str, message: bytes, reason: str) -> None:
        """Make a dead letter of what can never be published: it is kept and seen, and holds nothing else up."""
        log.error("put aside from the outbox of %s: %s", stream, reason)
        self._keep(Batch(stream, dead=[DeadLetter(0, 0, reason, message)]))


def by_stream(entries: Sequence[OutboxEntry]) -> Iterator[list[OutboxEntry]]:
    """Neighbours of one stream go out as one block: a thousand small commits are not a thousand files."""
    for _, together in groupby(entries, key=lambda entry: entry.stream):
        yield list(together)


def _named(entry: OutboxEntry) -> Iterator[_Named]:
    return zip_longest(_ids(entry), map(_one_line, entry.messages), entry.metas)


def _ids(entry: OutboxEntry) -> list[str]:
    return numbered(entry.id or f"entry-{entry.seq}", len(entry.messages))


def _one_line(message: bytes) -> bytes:
    """Return JSON text on one line, so that a block is lines: between its tokens, where alone it has any, all blanks
    mean the same."""
    return message.replace(b"\n", b" ").replace(b"\r", b" ") if b"\n" in message else message


def _blocks(named: Sequence[_Named]) -> Iterator[list[_Named]]:
    """Cut messages into blocks: each as long as it stays within `BLOCK` bytes, or one message alone."""
    block: list[_Named] = []
    size = 0
    for pair in named:
        if block and size + len(pair[1]) > BLOCK:
            yield block
            block, size = [], 0
        block.append(pair)
        size += len(pair[1])
    if block:
        yield block
