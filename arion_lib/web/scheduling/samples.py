"""The functions that `python -m arion_lib serve` registers: one for text, one for a busy processor, one that waits.

Idea        Bounds are part of the signature (`Annotated`), so that a page can refuse and document them.
Invariant   Each ends by itself: its work is bounded by its arguments, its time by the timeout it declares.
When wrong  An argument outside its bounds never gets here: arion_lib/web/scheduling/tasks.py refuses it.
See         arion_lib/web/scheduling/pages.py · tests/web/test_scheduler_pages.py
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Mapping
from math import isqrt
from typing import Annotated, Any

from annotated_types import Ge, Le, MaxLen

from arion_lib.scheduler.options import task


@task(timeout=30)
def count_words(
    text: Annotated[str, MaxLen(1_000_000)], most: Annotated[int, Ge(1), Le(10_000)] = 10
) -> dict[str, int]:
    """Count the words of a text and give the `most` frequent ones.

    >>> count_words("to be or not to be", most=2)
    {'to': 2, 'be': 2}
    """
    return dict(Counter(re.findall(r"\w+", text.lower())).most_common(most))


@task(timeout=60)
def count_primes(below: Annotated[int, Ge(0), Le(50_000_000)]) -> int:
    """Count the primes below a number: work for a processor, with a byte of memory for each number.

    >>> count_primes(30)
    10
    """
    sieve = bytearray([1]) * max(below, 2)
    sieve[:2] = b"\0\0"
    for number in range(2, isqrt(len(sieve) - 1) + 1):
        if sieve[number]:
            multiples = range(number * number, len(sieve), number)
            sieve[multiples.start :: number] = bytes(len(multiples))
    return sum(sieve[:below])


@task(timeout=120)
async def wait(seconds: Annotated[float, Ge(0), Le(60)]) -> float:
    """Wait on the event loop's lane, where a thousand that wait cost no worker anything."""
    await asyncio.sleep(seconds)
    return seconds


def shipped() -> Mapping[str, Callable[..., Any]]:
    """What is registered when nobody says otherwise; a function that fetches addresses is not among it on purpose."""
    return {"count_words": count_words, "count_primes": count_primes, "wait": wait}
