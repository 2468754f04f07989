"""Dead letters over HTTP: looked at, taken in after all, thrown away.

Idea        A dead letter is a record that waits for a person; this is the same as the command `letters`, for a page.
Invariant   A letter goes in the transaction that stores its record, so a repeated request counts nothing twice.
When wrong  A letter that is still no fit record stays; `dead` counts those. A recipe where the owner set one is 400.
See         arion_lib/pipeline/stores/letters.py · tests/web/test_letters.py
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from arion_lib.pipeline.shapes.recipe import Recipe
from arion_lib.pipeline.store import StoredLetter
from arion_lib.pipeline.stores.letters import delete, replay
from arion_lib.web.pages.documents import Letter, Letters
from arion_lib.web.pages.paging import After, Limit, Stream, next_page, paged
from arion_lib.web.problems import Problem
from arion_lib.web.requests import recipe_of
from arion_lib.web.service import PipelineService

Upto = Annotated[int, Query(ge=1, le=2**62, description="number of the last letter that is meant")]


class Replay(BaseModel):
    """Which letters to take in, and how."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"stream": "orders", "upto": 120}})
    stream: str = Field(max_length=512)
    after: int = Field(default=0, ge=0, le=2**62)
    upto: int | None = Field(default=None, ge=1, le=2**62, description="the last one that is meant (default: any)")
    limit: int = Field(default=100, ge=1, le=1_000, description="letters a request")
    recipe: dict[str, str | list[str]] = Field(
        default={}, description="the webhook's parameters, such as fields; where the owner has set none for the stream"
    )


class Replayed(BaseModel):
    """What became of them."""

    accepted: int
    duplicates: int
    dead: int = Field(description="letters that are still no fit records, and stay")
    after: int | None = Field(description="go on behind this letter; null: there are no more")


class Deleted(BaseModel):
    """How many are gone."""

    deleted: int


def letter_pages(router: APIRouter, service: PipelineService) -> None:
    """Add the pages to the router."""
    store = service.store

    def page(stream: str, after: int, limit: int) -> tuple[list[StoredLetter], bool]:
        return paged(
            lambda past, most: store.dead_letters(stream, past, most), after, limit, lambda one: len(one.letter.raw)
        )

    @router.get("/dead-letters", summary="Records of a stream that could not be taken, and why")
    def dead_letters(stream: Stream, after: After = 0, limit: Limit = 100) -> Letters:
        """Show the records of a stream that could not be read, each with its place and reason."""
        found, more = page(stream, after, limit)
        items = [
            Letter(
                seq=one.seq,
                record=one.letter.record,
                offset=one.letter.offset,
                reason=one.letter.reason,
                raw=one.letter.raw.decode(errors="replace"),
                piece=one.letter.piece,
            )
            for one in found
        ]
        return Letters(items=items, next=next_page("/dead-letters", stream, items[-1].seq if items else 0, limit, more))

    @router.post("/dead-letters/replay", summary="Take dead letters in after all")
    def replay_letters(asked: Replay) -> Replayed:
        """Read letters again, as records of their stream; a fit one is stored and sent on, and is a letter no more."""
        recipe = _recipe(service, asked)
        found, more = page(asked.stream, asked.after, asked.limit)
        last = found[-1].seq if found else asked.after
        upto = last if asked.upto is None else min(last, asked.upto)
        most = service.limits.max_record
        receipt = replay(store, asked.stream, recipe, after=asked.after, upto=upto, max_record=most)
        on = upto if more and upto == last else None
        return Replayed(accepted=receipt.accepted, duplicates=receipt.duplicates, dead=receipt.dead, after=on)

    @router.delete("/dead-letters", summary="Throw dead letters away")
    def delete_letters(stream: Stream, upto: Upto, after: After = 0) -> Deleted:
        """Delete the letters behind `after`, up to the number `upto`: those that come meanwhile are not meant."""
        return Deleted(deleted=delete(store, stream, after=after, upto=upto))


def _recipe(service: PipelineService, asked: Replay) -> Recipe:
    streams = service.webhook.streams
    rules = streams.named.get(asked.stream)
    if rules is None or rules.recipe is None:
        return recipe_of(asked.recipe)
    if asked.recipe:
        raise Problem(400, "the recipe must be left out for this stream", repr(asked.recipe)[:80], "its owner set one")
    return rules.recipe
