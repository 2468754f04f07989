"""Webhook events to practise on: seeded, as large as wanted, and with the right answer known.

Idea        Make a block of events once, then write it again and again with new ids: a gigabyte takes seconds.
Invariant   The same arguments give the same bytes; every good event has an id of its own.
When wrong  The malformed ones are part of the recipe, and counted: what a reader must find is returned with the file.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_sample.py
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

TYPES = ("order.created", "order.paid", "order.refunded", "customer.updated", "invoice.sent")
"""The types of event, all equally likely."""

_BLOCK = 2_000  # events that are really made; the rest of a file repeats them under new ids
_ID = b'{"id":"evt_%06d_'
_WORDS = ("garden", "lamp", "Käse", "chair", "Straße", "bottle", "☕ coffee", "notebook", "paper", "window")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a reader must find in a body."""

    records: int  # the malformed ones included
    malformed: int
    totals: dict[str, tuple[int, int]] = field(default_factory=dict)  # type -> (events, sum of their amounts)


def sample_events(count: int, *, seed: int = 1, malformed: float = 0.0) -> Iterator[bytes]:
    """Yield `count` events as lines of JSON without newline, of which a share of `malformed` is not JSON.

    An event has about 700 bytes: id, type, created (ISO 8601), amount (an integer, in cents), currency, customer (id,
    email, country), items (a list of two to four) and metadata.

    >>> event = json.loads(next(sample_events(1)))
    >>> event["id"], event["type"] in TYPES, type(event["amount"]).__name__
    ('evt_000000_00000', True, 'int')
    """
    _check(malformed)
    return _lines(random.Random(seed), count, malformed)


def write_sample(
    path: Path,
    size: int,
    *,
    layout: Literal["lines", "array"] = "lines",
    seed: int = 1,
    malformed: float = 0.001,
    leave_out: bool = False,
) -> Answer:
    """Write a file of about `size` bytes (at most one block of 1.4 MB more) and return what is in it.

    `layout` is newline-delimited JSON or one array, whose malformed elements have balanced brackets, so that a
    reader can go on behind them. With `leave_out` only the malformed events are missing: for readers that stop
    at the first.

    Cost: about 2 seconds a gigabyte; memory for one block.
    """
    _check(malformed)
    if size < 1:
        raise ValueError(f"size must be >= 1 byte, got {size}")
    lines = list(_lines(random.Random(seed), _BLOCK, malformed))
    between, behind = (b"\n", b"\n") if layout == "lines" else (b",", b"]")
    count = max(1, -(-size // (len(between.join(lines)) + 1)))
    if leave_out:
        lines = [line for line in lines if _is_json(line)]
    block = between.join(lines)
    with path.open("wb") as file:
        file.write(b"" if layout == "lines" else b"[")
        for number in range(count):
            file.write(between if number else b"")
            file.write(block.replace(_ID % 0, _ID % number))
        file.write(behind)
    return _answer(lines, count)


def read_chunks(path: Path, size: int = 1 << 16) -> Iterator[bytes]:
    """Yield a file in chunks of `size` bytes, as a socket would."""
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(size):
            yield chunk


def _check(malformed: float) -> None:
    if not 0 <= malformed <= 1:
        raise ValueError(f"malformed must be a share between 0 and 1, got {malformed}")


def _lines(chance: random.Random, count: int, malformed: float) -> Iterator[bytes]:
    damage = random.Random(chance.random())
    bad = 0
    for number in range(count):
        event = json.dumps(_event(chance, number), ensure_ascii=False, separators=(",", ":")).encode()
        # Spread evenly, so that a block of any size holds its share.
        if int((number + 1) * malformed) > bad:
            bad += 1
            event = _spoil(event, damage)
        yield event


def _spoil(event: bytes, damage: random.Random) -> bytes:
    kind = damage.randrange(3)
    if kind == 0:
        return event.replace(b'"amount":', b'"amount":EUR ', 1)
    if kind == 1:
        return event.replace(b'"currency":"', b'"currency":"\x01', 1)
    return event.replace(b'"items":', b'"items" ', 1)


def _event(chance: random.Random, number: int) -> dict[str, Any]:
    customer = chance.randrange(1_000_000)
    return {
        "id": f"evt_000000_{number:05d}",
        "type": TYPES[chance.randrange(len(TYPES))],
        "created": f"2026-03-{1 + number % 28:02d}T{chance.randrange(24):02d}:{chance.randrange(60):02d}:00Z",
        "amount": chance.randrange(-5_000, 100_000),
        "currency": chance.choice(("EUR", "USD", "GBP")),
        "customer": {
            "id": f"cus_{customer:06d}",
            "email": f"person{customer}@example.com",
            "country": chance.choice(("DE", "FR", "US", "JP", "BR")),
        },
        "items": [_item(chance) for _ in range(chance.randrange(2, 5))],
        "metadata": {
            "source": chance.choice(("web", "app", "shop")),
            "ip": f"10.{chance.randrange(256)}.{chance.randrange(256)}.{chance.randrange(256)}",
            "agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0",
            "request": f"{chance.getrandbits(128):032x}",
        },
        "live": chance.random() < 0.9,
        "version": "2026-01-15",
    }


def _item(chance: random.Random) -> dict[str, Any]:
    return {
        "sku": f"SKU-{chance.randrange(100_000):05d}",
        "title": f'{chance.choice(_WORDS)} "{chance.choice(_WORDS)}"',
        "quantity": chance.randrange(1, 9),
        "price": chance.randrange(100, 10_000) / 100,
    }


def _answer(lines: list[bytes], count: int) -> Answer:
    totals: dict[str, tuple[int, int]] = {}
    good = [json.loads(line) for line in lines if _is_json(line)]
    for event in good:
        events, amount = totals.get(event["type"], (0, 0))
        totals[event["type"]] = events + count, amount + event["amount"] * count
    return Answer(len(lines) * count, (len(lines) - len(good)) * count, totals)


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
