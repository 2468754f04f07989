"""`async for` over a lazy collection.

Idea        The pipeline is synchronous; in a coroutine it runs on the event loop's thread, but lets others have their
            turn.
Invariant   Between two elements the loop is never held longer than `TURN` plus the time of one element; nothing is
            pulled ahead.
When wrong  Leaving the loop early closes the pipeline's iterator. Functions that wait belong into `map(fn,
            threads=...)`.
See         tests/lazy/test_turns.py
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

T = TypeVar("T")

TURN = 0.005
"""Seconds of work after which the event loop gets its turn."""


async def taking_turns(elements: Iterable[T]) -> AsyncIterator[T]:
    """Yield `elements`, giving the event loop a turn before the first and then every `TURN` seconds."""
    import asyncio  # whoever runs a coroutine has it loaded; nobody else pays for it

    await asyncio.sleep(0)
    began = time.monotonic()
    iterator = iter(elements)
    try:
        for x in iterator:
            yield x
            if time.monotonic() - began > TURN:
                await asyncio.sleep(0)
                began = time.monotonic()
    finally:
        close = getattr(iterator, "close", None)
        if close is not None:
            close()
