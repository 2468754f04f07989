"""What the pages of challenge 1 answer, as types: the interactive docs show them with their meaning.

Idea        A page's form is data: one class a document, a sentence for each member that its name does not explain.
Invariant   What a page sends fits its class; a figure that is not known is left out or null, never a made-up 0.
When wrong  A refusal is a problem document instead.
See         arion_lib/web/pages/pipeline.py · tests/web/test_pipeline_pages.py
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from arion_lib.pipeline.batch import Number


class Taken(BaseModel):
    """What became of a body's records, all of it durable."""

    accepted: int = Field(description="records stored or counted in a group now")
    duplicates: int = Field(
        description="records of this delivery that were dealt with before, the dead ones too; with `dedupe` also those "
        "whose event id was known"
    )
    dead: int = Field(description="records that could not be taken: see /dead-letters")
    groups: int = Field(description="groups touched, counted once a batch")
    missing: dict[str, int] | None = Field(
        None,
        description="accepted records in which a field of `group_by` or `sum_field` is missing or null, by field; left "
        "out where there are none",
    )
    hint: str | None = Field(None, description="names the fields that no record has: probably misspelt")


class Group(BaseModel):
    """What is known of one group; a figure that was not asked for is left out."""

    group: list[str | int | float | bool | None] = Field(description="values of the `group_by` fields, in order")
    count: int = Field(description="records, those whose `sum_field` is missing or null included")
    sum: Number | None = Field(None, description="sum of the numbers in `sum_field`")
    values: int | None = Field(None, description="numbers that the sum is of: records with one in `sum_field`")
    mean: Number | None = Field(None, description="sum / values; left out where there is no number")
    min: Number | None = Field(None, description="least number, where the stored group has it (a webhook's has not)")
    max: Number | None = Field(None, description="greatest number, likewise")


class Groups(BaseModel):
    """A page of groups."""

    items: list[Group]
    next: str | None
    hint: str | None = Field(
        default=None, description="on the first page: the fields that no group has a value of, which may be misspelt"
    )


class Row(BaseModel):
    """One stored event, and what is kept beside it where its stream's owner wants that."""

    seq: int
    record: Any
    meta: dict[str, Any] | None = None


class Rows(BaseModel):
    """A page of events."""

    items: list[Row]
    next: str | None


class Letter(BaseModel):
    """A record that could not be read."""

    seq: int
    record: int
    offset: int
    reason: str
    raw: str
    piece: bool = Field(description="`raw` is of a body that could not be read, no record: a replay leaves it")


class Letters(BaseModel):
    """A page of dead letters."""

    items: list[Letter]
    next: str | None


class Message(BaseModel):
    """A message that waits for the queue; `place` is its outbox entry's number and its own in it."""

    place: str
    stream: str
    message: Any
    meta: dict[str, Any] | None = Field(None, description="what is kept beside it, as beside a row")


class Queue(BaseModel):
    """What the queue holds already. The messages that one publication of the relay sent are one block."""

    ready: int = Field(description="blocks (not messages) that wait for a consumer")
    claimed: int = Field(description="blocks that a consumer holds and has not confirmed")
    dead: int = Field(description="blocks put aside: damaged, or delivered too often")
    messages: int | None = Field(description="messages in the ready and claimed blocks; null where it cannot be told")


class QueueError(BaseModel):
    """Why the queue could not be asked."""

    error: str


class Messages(BaseModel):
    """A page of messages, and what the queue holds already (null: no queue is used here)."""

    items: list[Message] = Field(
        description="messages in the outbox, which the queue has not confirmed yet: a moment after a post there are "
        "mostly none; `queue.messages` counts those it has"
    )
    next: str | None
    queue: Queue | QueueError | None
