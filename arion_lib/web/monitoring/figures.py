"""What the webhook counts while it works: plain integers, read by `/status` and `/metrics`.

Idea        The hot route adds to integers of one thread; whoever wants them in another form converts them when asked.
Invariant   Written on the event loop's thread only; a batch is counted once it is durable, whatever its sender is told.
When wrong  A refusal is counted by its status.
See         arion_lib/web/monitoring/metrics.py · tests/web/test_webhook.py
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from arion_lib.pipeline.batch import Batch

STREAMS, OTHERS = 1_000, "(others)"
"""Streams that are counted each, and what the rest is called."""


@dataclass(slots=True)
class Figures:
    """Totals since the server started, and how many posts are in flight now."""

    in_flight: int = 0
    long: int = 0  # of them, those whose body is committed in parts
    spooled: int = 0  # bytes of signed bodies that wait on disk to be verified
    accepted: int = 0
    duplicates: int = 0
    dead: int = 0
    groups: int = 0
    bytes: int = 0
    answers: Counter[int] = field(default_factory=Counter)
    streams: dict[str, int] = field(default_factory=dict)  # records taken by stream; those past `STREAMS` as one

    def take(self, stream: str, records: int) -> None:
        """Add records to their stream."""
        streams = self.streams
        name = stream if stream in streams or len(streams) < STREAMS else OTHERS
        streams[name] = streams.get(name, 0) + records

    def count(self, batch: Batch, left_out: int = 0) -> None:
        """Add what one batch made durable; `left_out` of its rows had event ids that were known."""
        taken = len(batch.rows) + sum(part.count for part in batch.groups.values()) - left_out
        self.accepted += taken
        self.take(batch.stream, taken)
        self.duplicates += left_out
        self.dead += len(batch.dead)
        self.groups += len(batch.groups)

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as JSON-ready values."""
        names = ("in_flight", "long", "spooled", "accepted", "duplicates", "dead", "groups", "bytes")
        answers = {str(status): count for status, count in sorted(self.answers.items())}
        return {name: getattr(self, name) for name in names} | {"answers": answers}
