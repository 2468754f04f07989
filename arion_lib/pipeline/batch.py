"""The values that travel between the pipeline's parts.

Idea        Whatever must become true together travels together: one `Batch` is one transaction.
Invariant   A value is never changed after it was made, so any thread may read it without a lock.
When wrong  A record that cannot be read becomes a `DeadLetter` with its place and reason; it is never dropped silently.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_batch.py
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeAlias

from arion_lib.pipeline.deliveries import Delivery
from arion_lib.pipeline.numbers.means import mean

Record: TypeAlias = Any
"""One event: a `dict` with string keys, or a `msgspec.Struct` that holds only the projected fields."""

Number: TypeAlias = int | float | Decimal
Key: TypeAlias = tuple[str | int | float | bool | None, ...]
"""What a group is called: the values of its `group_by` fields, in order (a time window is one of them)."""

META_LIMIT = 4_096
"""Bytes of what stands beside a row, at most."""

RAW_LIMIT = 1_024
"""Bytes that a dead letter keeps of a record over the limit, and of a body that cannot be read on."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that could not be read, with what a person needs to find it and mend it."""

    record: int  # 1-based number of the record in its body
    offset: int  # bytes from the start of the (inflated) body
    reason: str
    raw: bytes  # all of it, or the first RAW_LIMIT bytes of a record that is longer than records may be
    piece: bool = field(default=False, repr=False)  # `raw` is of an unreadable body: no replay takes it


@dataclass(frozen=True, slots=True)
class Aggregate:
    """What is known of one group. `None` means that this figure was not asked for.

    `count` is of records; `values` is of the numbers that `sum` adds up, for a record may lack one. None beside a sum
    says that nobody counted them.

    >>> Aggregate(count=3, sum=15, values=2).mean
    7.5
    """

    count: int
    sum: Number | None = None
    min: Number | None = None
    max: Number | None = None
    values: int | None = None

    @property
    def mean(self) -> float | Decimal | None:
        """The numbers' mean, records without one left out; None where there is no number, or nobody counted them."""
        return mean(self.sum, self.values)


@dataclass(frozen=True, slots=True)
class Batch:
    """Everything that one transaction of the store makes durable, or nothing of it.

    `rows` are JSON objects, already encoded (encode once: the same bytes serve the row and the message).
    `messages` are what the outbox hands to the message queue; `ids`, where given, run parallel to `rows` and
    make the store skip each row (and its message of the same index) whose id it has seen before in this stream.
    `metas`, where given, run parallel to `rows` too: JSON text of at most META_LIMIT bytes that stands beside a row and
    travels with its message (`shapes.meta`). `settled` are the numbers of dead letters of the stream that this batch
    puts an end to: they go in the same transaction, and are there or the batch is refused.
    `ids` with `groups` is refused when the batch is made, with a `ValueError`: a partial aggregate cannot leave a row
    out; so are `ids` or, beside them, `messages` that do not run parallel to `rows`.
    """

    stream: str
    rows: Sequence[bytes] = ()
    groups: Mapping[Key, Aggregate] = field(default_factory=dict)
    messages: Sequence[bytes] = ()
    dead: Sequence[DeadLetter] = ()
    deliveries: Sequence[Delivery] = ()
    ids: Sequence[str] | None = None
    metas: Sequence[str | None] | None = None
    settled: Sequence[int] = ()

    def __post_init__(self) -> None:
        """Check what the docstring demands of what runs parallel. Raises ValueError."""
        if self.metas is not None and len(self.metas) != len(self.rows):
            raise ValueError(f"metas must be as many as rows, got {len(self.metas)} metas and {len(self.rows)} rows")
        if self.ids is None:
            return
        if self.groups:
            raise ValueError(
                f"ids must be None where there are groups, got {len(self.ids)} ids and {len(self.groups)} groups; "
                "a partial aggregate cannot leave a row out: store rows and aggregate them later"
            )
        if len(self.ids) != len(self.rows):
            raise ValueError(f"ids must be as many as rows, got {len(self.ids)} ids and {len(self.rows)} rows")
        if self.messages and len(self.messages) != len(self.rows):
            raise ValueError(
                f"messages must be none or as many as rows where there are ids, got {len(self.messages)} messages "
                f"and {len(self.rows)} rows"
            )
