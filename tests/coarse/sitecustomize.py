"""A clock that moves every 1/64 s, as that of Windows does, for each process that has this folder on its path.

Python imports this at its start. Nothing happens unless ARION_COARSE_CLOCK is set.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable

CLOCKS = ("monotonic", "perf_counter", "process_time", "thread_time", "time")
STEPS = 64
"""Steps of the clock a second."""


def coarse(clock: Callable[[], float]) -> Callable[[], float]:
    """Return the same clock on a grid.

    >>> coarse(lambda: 1.02)()
    1.015625
    """

    def read() -> float:
        return math.floor(clock() * STEPS) / STEPS

    return read


def install() -> None:
    """Put the clocks of this process on the grid."""
    for name in CLOCKS:
        exact = getattr(time, name)
        if not hasattr(exact, "__code__"):
            grid = coarse(exact)
            grid.__module__, grid.__name__, grid.__qualname__ = (
                "time",
                name,
                name,
            )  # it travels as the clock itself does
            setattr(time, name, grid)


if os.environ.get("ARION_COARSE_CLOCK"):
    install()
