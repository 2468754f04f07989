"""How long to wait before the next attempt, after some that failed.

Idea        Double the pause with each failure in a row, so that what is down is not hurried; draw half of it, so that
            many relays do not come back at the same moment.
Invariant   Never longer than the longest pause, never shorter than half of the first.
When wrong  Nothing is raised.
See         tests/pipeline/test_outbox.py
"""

from __future__ import annotations

import random
from collections.abc import Callable


def pause_after(failures: int, first: float, longest: float, draw: Callable[[], float] = random.random) -> float:
    """Return the seconds to wait after so many failures in a row: doubling, bounded, half of it random.

    >>> [pause_after(n, 0.1, 1.0, draw=lambda: 1.0) for n in (1, 2, 3, 9)]
    [0.1, 0.2, 0.4, 1.0]
    >>> pause_after(1, 0.1, 1.0, draw=lambda: 0.0)
    0.05
    """
    full = min(longest, first * 2.0 ** min(failures - 1, 60))
    return full / 2 + draw() * full / 2
