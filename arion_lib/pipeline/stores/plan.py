"""What one transaction will write: batches checked and joined before it begins.

Idea        Whatever can be wrong with a batch is found while no lock is held; the transaction only writes.
Invariant   A plan holds nothing that a database could refuse or round.
When wrong  The batch is refused with a `ValueError` that names the field; other batches of the group go on.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_plan.py
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import msgspec

from arion_lib.pipeline.batch import META_LIMIT, Aggregate, Batch, DeadLetter, Key
from arion_lib.pipeline.deliveries import Delivery, Progress
from arion_lib.pipeline.numbers.exact import check_number, encode_key, merge
from arion_lib.pipeline.store import Outcome
from arion_lib.pipeline.stores.addresses import checked_stream

LETTER_LIMIT = 256 << 20
"""Bytes of a bad record, at most: SQLite and PostgreSQL keep a gigabyte, but not in every message to them."""

ID_LIMIT = 512
"""Characters of a delivery's or event's id, at most."""

_INT64_MAX = (1 << 63) - 1
_TOGETHER = 100  # rows that are checked at once: twice as fast as one by one, and still a small copy

Outcomes: TypeAlias = dict[int, Outcome]
"""What became of batches, by index; those that are not named are durable with all their rows."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A batch with which nothing is wrong, and its groups by encoded key."""

    batch: Batch
    groups: dict[str, Aggregate]


@dataclass(slots=True)
class Plan:
    """All that one transaction writes into one stream."""

    rows: list[bytes] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)
    echoes: bool = True  # the messages are the rows, so far: the outbox need not hold the bytes again
    groups: dict[str, Aggregate] = field(default_factory=dict)
    dead: list[DeadLetter] = field(default_factory=list)
    deliveries: dict[str, Delivery] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)
    metas: list[str | None] = field(default_factory=list)  # of the first rows; those past its end have none
    message_metas: list[str | None] = field(default_factory=list)
    settled: list[int] = field(default_factory=list)

    def add(self, checked: Checked, seen: set[str]) -> int:
        """Join a checked batch to the plan, without the rows whose id is in `seen`, which grows by the new ones.

        Returns how many rows that left out.
        """
        batch = checked.batch
        rows, messages, metas = batch.rows, batch.messages, batch.metas
        if batch.ids is not None:
            fresh = _fresh(batch.ids, seen)
            self.ids += [batch.ids[index] for index in fresh]
            rows = [rows[index] for index in fresh]
            messages = [messages[index] for index in fresh] if messages else messages
            metas = None if metas is None else [metas[index] for index in fresh]
        if metas is not None:
            self.metas += [None] * (len(self.rows) - len(self.metas))
            self.metas += metas
            if len(messages) == len(rows):
                self.message_metas += [None] * (len(self.messages) - len(self.message_metas))
                self.message_metas += metas
        self.echoes = self.echoes and (messages_are_rows(batch) or not (messages or rows))
        self.rows += rows
        self.messages += messages
        self.dead += batch.dead
        self.settled += batch.settled
        self.deliveries.update((delivery.id, delivery) for delivery in batch.deliveries)
        for key, aggregate in checked.groups.items():
            known = self.groups.get(key)
            self.groups[key] = aggregate if known is None else merge(known, aggregate)
        return len(batch.rows) - len(rows)


def check_all(batches: Iterable[Batch], outcomes: Outcomes) -> dict[int, Checked]:
    """Check each batch; those with something wrong have their error as outcome."""
    checked = {}
    for index, batch in enumerate(batches):
        try:
            checked[index] = check(batch)
        except ValueError as error:
            outcomes[index] = error
    return checked


def check(batch: Batch) -> Checked:
    """Return the batch, ready to be written.

    Raises
    ------
    ValueError
        Something in it could not be kept as it is.
    """
    checked_stream(batch.stream)
    _check_rows(batch.rows)
    if not set(map(type, batch.messages)) <= {bytes}:
        raise ValueError("messages must be bytes")
    for name in batch.ids or ():
        _check_id("an event id", name)
    for delivery in batch.deliveries:
        _check_delivery(batch, delivery)
    for letter in batch.dead:
        _check_letter(letter)
    for meta in set(batch.metas or ()):
        _check_meta(meta)
    if not all(type(seq) is int and 0 < seq <= _INT64_MAX for seq in batch.settled):
        raise ValueError(f"settled must be numbers of dead letters, got {list(batch.settled)!r:.80}")
    return Checked(batch, _check_groups(batch.groups))


def delivery_ids(checked: Mapping[int, Checked]) -> dict[str, list[str]]:
    """Return the ids of the deliveries that batches advance, by stream."""
    found: dict[str, list[str]] = {}
    for one in checked.values():
        if one.batch.deliveries:
            found.setdefault(one.batch.stream, []).extend(delivery.id for delivery in one.batch.deliveries)
    return found


def admit(
    checked: Mapping[int, Checked],
    known: Callable[[str, str], Delivery | None],
    letters: Callable[[str, Sequence[int]], set[int]],
    outcomes: Outcomes,
) -> dict[int, Checked]:
    """Return the batches that go on from where the store is, in order; why one does not, is noted in `outcomes`.

    `known(stream, id)` reads a delivery inside the transaction, `letters(stream, numbers)` those dead letters that are
    there; what an earlier batch of the group advances or settles counts for the later ones.
    """
    progress, settled = Progress(known), set[tuple[str, int]]()
    admitted = {}
    for index, one in checked.items():
        try:
            if one.batch.settled:
                _check_settled(one.batch, letters, settled)
            progress.advance(one.batch.stream, one.batch.deliveries)
        except ValueError as stale:
            outcomes[index] = stale
        else:
            settled |= {(one.batch.stream, seq) for seq in one.batch.settled}
            admitted[index] = one
    return admitted


def _check_settled(
    batch: Batch, letters: Callable[[str, Sequence[int]], set[int]], settled: set[tuple[str, int]]
) -> None:
    there = {seq for seq in letters(batch.stream, batch.settled) if (batch.stream, seq) not in settled}
    if gone := sorted(set(batch.settled) - there):
        raise ValueError(f"a dead letter must be there to be settled, got {gone[0]} of {batch.stream!r}: it is gone")


def messages_are_rows(batch: Batch) -> bool:
    """Return whether the outgoing messages are the rows themselves (the same objects, so this is quick)."""
    return batch.messages is batch.rows or (
        len(batch.messages) == len(batch.rows) and all(map(_is, batch.messages, batch.rows))
    )


def by_stream(
    admitted: Mapping[int, Checked], seen: Callable[[str, Sequence[str]], set[str]], outcomes: Outcomes
) -> dict[str, Plan]:
    """Join the batches to one plan a stream; `seen(stream, ids)` returns those ids that the store has already.

    How many rows of a batch were left out for their ids is its outcome, where there were any.
    """
    plans: dict[str, Plan] = {}
    known: dict[str, set[str]] = {}
    for index, one in admitted.items():
        stream, ids = one.batch.stream, one.batch.ids
        old = known.setdefault(stream, set())
        if ids is not None:
            old |= seen(stream, [name for name in ids if name not in old])
        if gone := plans.setdefault(stream, Plan()).add(one, old):
            outcomes[index] = gone
    return plans


def checked_limit(limit: int) -> int:
    """Return the size of a page when it is one.

    >>> checked_limit(100)
    100
    """
    if limit < 1:
        raise ValueError(f"limit must be >= 1, got {limit}")
    return limit


def _is(a: object, b: object) -> bool:
    return a is b


def _fresh(ids: Sequence[str], seen: set[str]) -> list[int]:
    fresh = []
    for index, name in enumerate(ids):
        if name not in seen:
            seen.add(name)
            fresh.append(index)
    return fresh


def _check_rows(rows: Sequence[bytes]) -> None:
    if not set(map(type, rows)) <= {bytes}:
        raise ValueError("rows must be bytes of JSON text")
    for start in range(0, len(rows), _TOGETHER):
        some = b"\n".join(rows[start : start + _TOGETHER])  # a newline cannot mend a character that is cut
        try:
            some.decode()
        except UnicodeDecodeError as error:
            raise ValueError(f"rows must be UTF-8, got {error}") from error
        if b"\0" in some:
            raise ValueError("rows must be JSON text, got a row with a NUL byte")


def _check_id(what: str, name: str) -> None:
    if not isinstance(name, str) or not 0 < len(name) <= ID_LIMIT or not storable(name):
        raise ValueError(f"{what} must be 1 to {ID_LIMIT} characters of text, got {name!r:.100}")


def storable(text: str) -> bool:
    """Return whether every store keeps the text as it is: no NUL, no half of a surrogate pair.

    >>> storable("é"), storable("a\\0"), storable("\\ud800")
    (True, False, False)
    """
    return (text.isascii() and "\0" not in text) or (_encodable(text) and "\0" not in text)


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True


def _check_delivery(batch: Batch, delivery: Delivery) -> None:
    _check_id("a delivery id", delivery.id)
    if not 0 <= delivery.start <= delivery.done <= _INT64_MAX:
        raise ValueError(f"a delivery must have 0 <= start <= done, got {delivery!r:.200}")
    if delivery.fingerprint and not 0 <= min(delivery.fingerprint) <= max(delivery.fingerprint) <= _INT64_MAX:
        raise ValueError(f"a fingerprint must be two numbers >= 0 that fit 64 bits, got {delivery!r:.200}")
    if delivery.start == delivery.done and (batch.rows or batch.groups) and not delivery.complete:
        raise ValueError(f"a delivery with content must advance or be complete, got {delivery!r:.200}")


def _check_letter(letter: DeadLetter) -> None:
    if not (0 <= letter.record <= _INT64_MAX and 0 <= letter.offset <= _INT64_MAX):
        raise ValueError(f"a dead letter's record and offset must be >= 0 and fit 64 bits, got {letter!r:.200}")
    if not isinstance(letter.raw, bytes) or len(letter.raw) > LETTER_LIMIT:
        raise ValueError(f"a dead letter must keep at most {LETTER_LIMIT} bytes, got {len(letter.raw)}")
    if not isinstance(letter.reason, str) or not storable(letter.reason):
        raise ValueError(f"a dead letter's reason must be text, got {letter.reason!r:.100}")


def _check_meta(meta: str | None) -> None:
    if meta is None:
        return
    if not storable(meta) or len(meta.encode()) > META_LIMIT or "\n" in meta:
        raise ValueError(f"a row's meta must be one line of at most {META_LIMIT} bytes, got {meta!r:.100}")
    try:
        msgspec.json.decode(meta, type=dict)
    except msgspec.DecodeError as error:
        raise ValueError(f"a row's meta must be a JSON object, got {meta!r:.100}") from error


def _check_groups(groups: Mapping[Key, Aggregate]) -> dict[str, Aggregate]:
    checked: dict[str, Aggregate] = {}
    for key, aggregate in groups.items():
        if not isinstance(aggregate.count, int) or not 0 <= aggregate.count <= _INT64_MAX:
            raise ValueError(f"a count must be >= 0 and fit 64 bits, got {aggregate.count!r:.80}")
        if aggregate.values is not None and (aggregate.sum is None or not 0 <= aggregate.values <= aggregate.count):
            raise ValueError(f"values must stand beside a sum and be 0 to count, got {aggregate!r:.200}")
        for number in (aggregate.sum, aggregate.min, aggregate.max):
            check_number(number)
        name = encode_key(key)
        checked[name] = merge(checked[name], aggregate) if name in checked else aggregate  # two nans are two dict keys
    return checked
