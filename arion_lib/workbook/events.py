"""The payment provider of the story: seeded webhook events, one JSON object a line.

Idea        Five kinds of event, about 700 bytes each, names and notes that are not ASCII: what a real body looks like.
Invariant   The same count and seed make the same bytes, on any machine and any Python.
When wrong  `bad` says which lines are to be malformed; nothing else is.
See         notebooks/1_streaming_pipeline.ipynb · tests/workbook/test_events.py
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

KINDS = ("order.paid", "order.refunded", "payout.sent", "dispute.opened", "card.expired")
NAMES = ("Zoë Müller", "Иван Петров", "José Núñez", "김민준", "Ann Smith", "Çağla Öz", "Bjørn Ås")
WORDS = "please ring twice, the café is open late — deliver to the green door on 3½ Main Street, thank you! ✓".split()  # noqa: SIM905


def events(count: int, seed: int = 7, bad: tuple[int, ...] = ()) -> Iterator[bytes]:
    r"""Yield `count` lines; line numbers in `bad` (from 1) are cut in half. Costs about 2 us a line.

    >>> [sorted(json.loads(line))[:4] for line in events(1)]
    [['amount', 'card', 'created', 'currency']]
    >>> next(events(1, bad=(1,))).endswith(b'}\n')
    False
    """
    makers = random.Random(seed)
    bodies = [_body(makers) for _ in range(500)]
    for number in range(1, count + 1):
        kind, amount, rest = bodies[makers.randrange(500)]
        line = b'{"id":"evt_%08d","type":"%s","amount":%d,%s}\n' % (number, kind, amount + number % 97, rest)
        yield line[: len(line) // 2] + b"\n" if number in bad else line


def write_events(path: Path, count: int, seed: int = 7, bad: tuple[int, ...] = ()) -> Path:
    """Write `count` events to the file `path` and return it; holds a thousand of them at a time."""
    lines = events(count, seed, bad)
    with path.open("wb") as file:
        while block := list(islice(lines, 1_000)):
            file.writelines(block)
    return path


def _body(makers: random.Random) -> tuple[bytes, int, bytes]:
    rest = {
        "created": 1_760_000_000 + makers.randrange(100_000),
        "currency": "EUR",
        "shop": f"shop-{makers.randrange(40)}",
        "customer": {"name": makers.choice(NAMES), "email": f"c{makers.randrange(10_000)}@example.com"},
        "card": {"brand": makers.choice(["visa", "amex"]), "last4": f"{makers.randrange(10_000):04d}"},
        "items": [{"sku": f"sku-{makers.randrange(999)}", "count": makers.randrange(1, 5)} for _ in range(3)],
        "note": " ".join(makers.choice(WORDS) for _ in range(74)),
    }
    inner = json.dumps(rest, ensure_ascii=False, separators=(",", ":"))[1:-1].encode()
    return makers.choice(KINDS).encode(), makers.randrange(100, 50_000), inner
