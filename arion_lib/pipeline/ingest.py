"""A body's bytes to batches for the store: decoder, stages, and where to cut.

Idea        No input or output of its own (sans-IO): fed with chunks, it hands out a batch whenever one is due, so the
            same code serves a file, a socket and a test; `ingest` is the loop around it for the first.
Invariant   Each batch says which records of the body it holds; live memory is bounded by one batch and one chunk.
When wrong  A record that cannot be read is a dead letter of its batch. A body that cannot be read on is `broken`: what
            came before is in the batches, and the place is known.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_ingest.py
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

import msgspec

from arion_lib.pipeline.batch import Aggregate, Batch, DeadLetter, Delivery, Key, Record
from arion_lib.pipeline.decoder import BAD_RECORD, MAX_RECORD, Decoder, Verbatim, dead_letter, encode, parser, strictly
from arion_lib.pipeline.deliveries import BodyCheck
from arion_lib.pipeline.formats.nesting import shallow
from arion_lib.pipeline.groups import Figure, Groups
from arion_lib.pipeline.projection import getter, picker, projection
from arion_lib.pipeline.recipe import Recipe
from arion_lib.pipeline.store import Store
from arion_lib.pipeline.stores.plan import ID_LIMIT, storable

_BIGGEST_ID = 10**100
_BYTES = (bytes, bytearray, memoryview)

FIGURES: tuple[Figure, ...] = ("min", "max")

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
    acknowledged. `first_dead` is the first dead letter of the batches so far.
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
    ) -> None:
        self.receipt = Receipt()
        self.first_dead: DeadLetter | None = None
        self._stream = stream
        self._delivery = delivery
        self._start = self._skip = known.done if known else 0
        self._check = BodyCheck(known.fingerprint if known else None) if delivery else None
        self._decoder = open_decoder(record_type(recipe), self._skip)
        self._gather: _Rows | _Sums = _Sums(recipe, cut) if recipe.groups else _Rows(recipe, cut)
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


def record_type(recipe: Recipe) -> Any:
    """Return what records are decoded into: what the recipe needs of them, and no more.

    Groups: a type with the named fields only. Rows: the record's own bytes, or those of the chosen fields.
    """
    if recipe.groups:
        numbers = [recipe.sum_field] if recipe.sum_field else ()
        return projection(keys=recipe.group_by, numbers=numbers, times=recipe.times, decimal=True)
    if recipe.fields:
        return projection(_columns(recipe), verbatim=True)
    return Verbatim(projection([recipe.dedupe], verbatim=True)) if recipe.dedupe else bytes


def _columns(recipe: Recipe) -> list[str]:
    return list(dict.fromkeys([*recipe.fields, *([recipe.dedupe] if recipe.dedupe else ())]))


def row_writer(recipe: Recipe) -> Callable[[Record], bytes]:
    """Make the function that writes the row of a record of the recipe's `record_type`.

    >>> write = row_writer(Recipe(fields=("amount",)))
    >>> write(parser(record_type(Recipe(fields=("amount",))))(b'{"id": 7, "amount": 1.10}'))
    b'{"amount":1.10}'
    """
    if not recipe.fields:
        return itemgetter(0) if recipe.dedupe else bytes
    names = _columns(recipe)
    if not any("." in name for name in names):
        return encode
    pick = picker(names)
    return lambda record: encode(pick(record))


class _Rows:
    """Records to rows; the same bytes are row and message."""

    def __init__(self, recipe: Recipe, cut: Cut) -> None:
        self._recipe = recipe
        self._write = row_writer(recipe)
        self._id = getter(recipe.dedupe) if recipe.dedupe else None
        self._getters = {name: getter(name) for name in recipe.fields}
        self._most = cut.rows
        self._rows: list[bytes] = []
        self._ids: list[str] = []
        self._missing = dict.fromkeys(recipe.fields, 0)

    @property
    def full(self) -> bool:
        return len(self._rows) >= self._most

    @property
    def empty(self) -> bool:
        return not self._rows

    def add(self, records: list[Record], seen: int, dead: Sequence[DeadLetter]) -> list[DeadLetter]:
        rows = list(map(self._write, records))
        refused: list[DeadLetter] = []
        if self._id is not None or (self._recipe.fields and not _all_utf8(rows)):
            records, rows, refused = self._judged(records, rows, seen, dead)
        for name, get in self._getters.items():
            self._missing[name] += sum(get(record) is None for record in records)
        self._rows += rows
        return refused

    def take(self, stream: str, deliveries: Sequence[Delivery]) -> dict[str, Any]:  # noqa: ARG002  as _Sums
        rows, self._rows = self._rows, []
        ids, self._ids = self._ids, []
        missing = {name: count for name, count in self._missing.items() if count}
        self._missing = dict.fromkeys(self._missing, 0)
        return {
            "accepted": len(rows),
            "rows": rows,
            "messages": rows,
            "ids": ids if self._id is not None else None,
            "missing": missing,
        }

    def _judged(
        self, records: list[Record], rows: list[bytes], seen: int, dead: Sequence[DeadLetter]
    ) -> tuple[list[Record], list[bytes], list[DeadLetter]]:
        """Keep the records that have an id, where one is wanted, and are UTF-8; the others become dead letters."""
        kept, refused = [], []
        for number, record, row in zip(_numbers(len(records), seen, dead), records, rows, strict=True):
            try:
                row.decode()
                if self._id is not None:
                    self._ids.append(event_id(_value(self._id(record if self._recipe.fields else record[1]))))
            except ValueError as error:
                refused.append(dead_letter(number, 0, error, row))
            else:
                kept.append((record, row))
        return [record for record, _ in kept], [row for _, row in kept], refused


def _all_utf8(rows: Sequence[bytes]) -> bool:
    """Say whether all rows are UTF-8: what is kept of a field as it is nobody has read."""
    try:
        b"\n".join(rows).decode()  # a newline cannot mend a character that is cut
    except UnicodeDecodeError:
        return False
    return True


def _value(raw: msgspec.Raw | None) -> object:
    return None if raw is None else msgspec.json.decode(raw)


def event_id(value: object) -> str:
    """Return what a store keeps of an event's id, so that 7 and "7" stay two ids, as they are two groups.

    Raises ValueError where it is no text or integer of 1 to `ID_LIMIT` characters without NUL.

    >>> event_id("evt_1"), event_id(7), event_id("7")
    ('evt_1', '7', '"7')
    """
    text = value if isinstance(value, str) else ""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _BIGGEST_ID:
        text = str(value)
    elif text.startswith('"') or text.removeprefix("-").isdecimal():
        text = f'"{text}'
    if not 0 < len(text) <= ID_LIMIT or not storable(text):
        raise ValueError(
            f"the event's id must be text or an integer of 1 to {ID_LIMIT} characters, no NUL among them, "
            f"got {value!r:.60}"
        )
    return text


class _Sums:
    """Records to partial aggregates; a message tells one group's part of a batch."""

    def __init__(self, recipe: Recipe, cut: Cut) -> None:
        figures = ("sum", *(figure for figure in FIGURES if figure in recipe.figures))
        self._groups = Groups(recipe.parts(), recipe.sum_field, figures=figures, max_keys=cut.groups)
        self._names = [*recipe.group_by, *recipe.times]
        self._accepted = 0

    @property
    def full(self) -> bool:
        return self._groups.full

    @property
    def empty(self) -> bool:
        return not len(self._groups)

    def add(self, records: list[Record], seen: int, dead: Sequence[DeadLetter]) -> list[DeadLetter]:  # noqa: ARG002
        self._groups.add(records)
        refused = self._groups.take_dead()
        self._accepted += len(records) - len(refused)
        return refused

    def take(self, stream: str, deliveries: Sequence[Delivery]) -> dict[str, Any]:
        groups, accepted = self._groups.take(), self._accepted
        self._accepted = 0
        origin = {"delivery": deliveries[0].id, "start": deliveries[0].start} if deliveries else {}
        messages = [_message(stream, self._names, key, part, origin) for key, part in groups.items()]
        missing = _missing(self._names, self._groups.field, groups)
        return {"accepted": accepted, "groups": groups, "messages": messages, "missing": missing}


def row_reader(recipe: Recipe, max_record: int = MAX_RECORD) -> Callable[[bytes], bytes | None] | None:
    """Make the short way for a body that is one event on one line: it gives the row, or None where `Intake` must look.

    None instead of a function where no body of this recipe is that simple. The row is the one that `Intake` gives; what
    the short way buys: 15 of the 20 microseconds that a body takes.

    >>> read = row_reader(Recipe())
    >>> read(b'{"id": "e1"}'), read(b"[1]")
    (b'{"id": "e1"}', None)
    """
    if recipe.groups or recipe.dedupe or recipe.path:
        return None
    parse, write = strictly(shallow(parser(record_type(recipe))), max_record), row_writer(recipe)
    getters = list(map(getter, recipe.fields))

    def read(body: bytes) -> bytes | None:
        if b"\n" in body[:-1]:
            return None
        try:
            record = parse(body)
        except BAD_RECORD:
            return None
        if getters and any(get(record) is None for get in getters):
            return None  # the receipt says which fields are missing
        row = write(record)
        return row if row.isascii() or _all_utf8([row]) else None

    return read


def _missing(names: Sequence[str], field: str | None, groups: Mapping[Key, Aggregate]) -> dict[str, int]:
    """Count the records in which a named field is missing or null; read from the groups, so it costs nothing a record.

    >>> _missing(["type"], "n", {(None,): Aggregate(3, sum=1, values=1), ("paid",): Aggregate(2, sum=5, values=2)})
    {'type': 3, 'n': 2}
    """
    found = {
        name: sum(part.count for key, part in groups.items() if key[place] is None) for place, name in enumerate(names)
    }
    if field is not None:
        found[field] = sum(part.count - (part.values or 0) for part in groups.values())
    return {name: records for name, records in found.items() if records}


def _message(stream: str, names: Sequence[str], key: Key, part: Aggregate, origin: Mapping[str, Any]) -> bytes:
    """Tell what one batch adds to one group; delivery and start make it recognisable when it comes twice."""
    figures = {"count": part.count, "sum": part.sum, "values": part.values}
    asked = {name: figure for name in FIGURES if (figure := getattr(part, name)) is not None}
    return encode({"stream": stream, "group": dict(zip(names, key, strict=True)), **figures, **asked, **origin})


def _numbers(count: int, seen: int, dead: Sequence[DeadLetter]) -> list[int]:
    """Return the numbers of the last `count` good records of `seen`, given the bad ones among them.

    >>> _numbers(2, 10, [DeadLetter(9, 0, "", b"")])
    [8, 10]
    """
    bad = {letter.record for letter in dead}
    numbers: list[int] = []
    while len(numbers) < count:
        if seen not in bad:
            numbers.append(seen)
        seen -= 1
    return numbers[::-1]


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
    _check_delivery(delivery)
    chunks = _checked(chunks)
    known = store.done(stream, delivery) if delivery else None
    if known and known.complete:
        return again(known, chunks)
    intake = Intake(stream, recipe, open_decoder, delivery=delivery, known=known, cut=cut)
    for chunk in chunks:
        if (batch := intake.feed(chunk)) is not None:
            intake.receipt.leave_out(store.commit(batch))
        if intake.broken:
            break
    if (batch := intake.close()) is not None:
        intake.receipt.leave_out(store.commit(batch))
    if intake.broken:
        letter = intake.broken
        raise ValueError(f"the body must be readable to its end, got {letter.reason} at byte {letter.offset}")
    return intake.receipt


def again(known: Delivery, chunks: Iterable[bytes]) -> Receipt:
    """Answer for a delivery that is complete already; read the chunks and raise `OtherBody` where they are not it."""
    check = BodyCheck(known.fingerprint)
    for chunk in chunks:
        check.feed(chunk)
    check.close(whole=True)
    return Receipt(duplicates=known.done)


def _check_delivery(delivery: object) -> None:
    if delivery is not None and not isinstance(delivery, str):
        raise TypeError(f"delivery must be text or None, got {delivery!r:.80}")
    if delivery == "":
        raise ValueError("delivery must not be empty, got '': name the delivery, or leave it out (None)")


def _checked(chunks: object) -> Iterator[bytes]:
    """Give the chunks as they come; raise `TypeError`, the first time at once, for what is not bytes."""
    if isinstance(chunks, (*_BYTES, str)) or not isinstance(chunks, Iterable):
        raise _no_chunks(chunks)
    return map(_checked_chunk, chunks)


def _checked_chunk(chunk: object) -> bytes:
    if not isinstance(chunk, _BYTES):
        raise _no_chunks(chunk)
    return chunk  # type: ignore[return-value]


def _no_chunks(got: object) -> TypeError:
    return TypeError(f'chunks must be an iterable of bytes, got {got!r:.60}: pass [body] or open(path, "rb")')
