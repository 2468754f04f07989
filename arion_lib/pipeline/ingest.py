"""A body's bytes to batches for the store: decode, shape, cut, commit.

Idea        No input or output of its own (sans-IO): fed with chunks, it hands out a batch whenever one is due, so the
            same code serves a file, a socket and a test; `batches_of` is a generator around it, `ingest` commits them.
Invariant   Each batch says which records of the body it holds; live memory is bounded by one batch and one chunk.
When wrong  A record that cannot be read is a dead letter of its batch. A body that cannot be read on is `broken`: what
            came before is in the batches, and the place is known.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_ingest.py
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from arion_lib.pipeline.batch import Batch, DeadLetter, Record
from arion_lib.pipeline.decoder import Decoder
from arion_lib.pipeline.deliveries import BodyCheck, Delivery, check_again
from arion_lib.pipeline.formats.chunks import check_delivery, checked_chunks
from arion_lib.pipeline.shapes.recipe import Recipe
from arion_lib.pipeline.shapes.rows import Rows, record_type
from arion_lib.pipeline.shapes.sums import Sums
from arion_lib.pipeline.store import Store

OpenDecoder = Callable[[Any, int], Decoder]
"""Makes the decoder of a body from the records' type and the number of records to skip."""


@dataclass(frozen=True, slots=True)
class Cut:
    """When a batch is due: after so many bytes of body, rows or groups, whichever comes first.

    A batch ends with a chunk, so it may be larger by one chunk's worth.
    """

    bytes: int = 8 << 20
    rows: int = 10_000
    groups: int = 10_000

    def __post_init__(self) -> None:
        """Check that each is at least 1. Raises `ValueError`."""
        if min(self.bytes, self.rows, self.groups) < 1:
            raise ValueError(f"bytes, rows and groups must be >= 1, got {self.bytes}, {self.rows} and {self.groups}")


@dataclass(slots=True)
class Receipt:
    """What became of a body's records."""

    accepted: int = 0  # stored, or counted in a group
    duplicates: int = 0  # of a delivery that was stored before; with `dedupe` also those whose event id was known
    dead: int = 0
    too_long: int = field(default=0, repr=False)  # of the dead ones: those of which only the beginning is kept
    groups: int = 0  # groups touched, counted once a batch
    missing: dict[str, int] = field(default_factory=dict)  # accepted, but without a field that groups or is summed

    def leave_out(self, known: int) -> None:
        """Take `known` records for duplicates that the batch counted as accepted: the store knew their event ids."""
        self.accepted -= known
        self.duplicates += known

    def miss(self, missing: Mapping[str, int]) -> None:
        """Add the numbers of records that lack a field."""
        for name, records in missing.items():
            self.missing[name] = self.missing.get(name, 0) + records


class Intake:
    """One body on its way in. `feed` it chunks; each call returns the batch that is due, if any; `close` the last one.

    `known` is what the store has of this delivery (None: nothing, or the sender gave no `delivery` id): so many records
    are skipped, and the bytes that they came in must be the same again, or `feed` or `close` raises `OtherBody`; behind
    the place where a body was broken it may be mended. The batches must be committed in order, each before the body is
    acknowledged. `meta` is what stands beside each row (`shapes.meta`). `first_dead` is the first dead letter of the
    batches so far.
    """

    def __init__(
        self,
        stream: str,
        recipe: Recipe,
        open_decoder: OpenDecoder,
        *,
        delivery: str | None = None,
        known: Delivery | None = None,
        cut: Cut = Cut(),
        meta: str | None = None,
    ) -> None:
        self.receipt = Receipt()
        self.first_dead: DeadLetter | None = None
        self._stream = stream
        self._delivery = delivery
        self._start = self._skip = known.done if known else 0
        self._check = BodyCheck(known.fingerprint if known else None) if delivery else None
        self._decoder = open_decoder(record_type(recipe), self._skip)
        self._gather: Rows | Sums = Sums(recipe, cut.groups) if recipe.groups else Rows(recipe, cut.rows, meta)
        self._dead: list[DeadLetter] = []
        self._bytes, self._most, self._most_dead = 0, cut.bytes, cut.rows

    @property
    def broken(self) -> DeadLetter | None:
        """Why the rest of the body cannot be read; what else is fed is ignored."""
        return self._decoder.broken

    @property
    def records(self) -> int:
        """Records of the body seen so far: bad, skipped and stored ones."""
        return self._decoder.records

    @property
    def skipped(self) -> int:
        """Records of the body seen so far that the store had before."""
        return min(self._skip, self._decoder.records)

    @property
    def held(self) -> int:
        """Bytes of body since the last batch: about what the next batch holds of memory, times two to four."""
        return self._bytes

    def feed(self, chunk: bytes) -> Batch | None:
        """Take the next bytes of the body; return the batch that is due, if any."""
        if self._check:
            self._check.feed(chunk)
        self._take(self._decoder.feed(chunk))
        self._bytes += len(chunk)
        return self.cut() if self._due else None

    def close(self) -> Batch | None:
        """Say that the body has ended; return the last batch. It marks the delivery complete, unless it is broken."""
        if self._check:
            self._check.close()
        self._take(self._decoder.close())
        self.receipt.duplicates += self.skipped
        return self._batch(complete=self._decoder.broken is None)

    def cut(self) -> Batch | None:
        """Return what came together since the last batch, due or not."""
        if self._check and not self._check.passed:
            self._wait_for(self._check)
            return None
        return self._batch(complete=False)

    @property
    def _due(self) -> bool:
        return self._bytes >= self._most or self._gather.full or len(self._dead) >= self._most_dead

    def _wait_for(self, check: BodyCheck) -> None:
        """Commit nothing before the known bytes were seen again; in them there is no batch's worth of new records."""
        if self._gather.empty and not self._dead:
            self._bytes = 0
        elif self._due:
            check.close()

    def _take(self, records: list[Record]) -> None:
        dead = self._decoder.take_dead()
        self.receipt.too_long = self._decoder.too_long
        if records:
            dead += self._gather.add(records, self._decoder.records, dead)
            dead.sort(key=attrgetter("record"))  # so that their order does not depend on how the body was cut
        self._dead += dead

    def _batch(self, complete: bool) -> Batch | None:
        done, dead = self._decoder.records, self._dead
        if self._gather.empty and not dead and not (self._delivery and (complete or done > self._start)):
            return None
        deliveries = self._progress(done, complete)
        self._start, self._dead, self._bytes = done, [], 0
        contents = self._gather.take(self._stream, deliveries)
        self.receipt.accepted += contents.pop("accepted")
        self.receipt.groups += len(contents.get("groups", ()))
        self.receipt.miss(contents.pop("missing", {}))
        self.receipt.dead += len(dead)
        self.first_dead = self.first_dead or (dead[0] if dead else None)
        return Batch(self._stream, dead=dead, deliveries=deliveries, **contents)

    def _progress(self, done: int, complete: bool) -> Sequence[Delivery]:
        if not self._delivery or not self._check:
            return ()
        # What broke the body may lie in bytes that count already: whoever mends it sends others.
        known = None if self.broken else self._check.so_far
        return [Delivery(self._delivery, done, complete, self._start, known)]


def ingest(
    chunks: Iterable[bytes],
    store: Store,
    stream: str,
    recipe: Recipe,
    open_decoder: OpenDecoder,
    *,
    delivery: str | None = None,
    cut: Cut = Cut(),
) -> Receipt:
    """Take a body in: decode, shape, and commit batch by batch; return what became of its records.

    With a `delivery` id a body that was taken in before changes nothing, and one that broke off goes on where it did.
    Raises `ValueError` for a body that cannot be read to its end (what came before the error is stored), `OtherBody`
    for one that is not what came under the id before, `TypeError` for chunks that are not bytes, and the store's
    errors. Cost: holds one batch and one chunk.
    """
    check_delivery(delivery)
    chunks = checked_chunks(chunks)
    known = store.done(stream, delivery) if delivery else None
    if known and known.complete:
        return again(known, chunks)
    intake = Intake(stream, recipe, open_decoder, delivery=delivery, known=known, cut=cut)
    for batch in batches_of(chunks, intake):
        intake.receipt.leave_out(store.commit(batch))
    if intake.broken:
        letter = intake.broken
        raise ValueError(f"the body must be readable to its end, got {letter.reason} at byte {letter.offset}")
    return intake.receipt


def batches_of(chunks: Iterable[bytes], intake: Intake) -> Iterator[Batch]:
    """Yield each batch that is due: a stage, which reads on only when the batch before was dealt with."""
    for chunk in chunks:
        if (batch := intake.feed(chunk)) is not None:
            yield batch
        if intake.broken:
            break
    if (batch := intake.close()) is not None:
        yield batch


def again(known: Delivery, chunks: Iterable[bytes]) -> Receipt:
    """Answer for a delivery that is complete already; read the chunks and raise `OtherBody` where they are not it."""
    return Receipt(duplicates=check_again(known, chunks))
