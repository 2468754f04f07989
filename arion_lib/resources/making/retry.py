"""How often to try again, and how long to wait before it.

Idea        A schedule of waits is a pure generator; who sleeps, and on which clock, is not its business.
Invariant   Only `Exception`s of the named kinds are tried again: cancellation and Ctrl-C never are.
When wrong  The last attempt's own error is raised, with a note that says how many attempts there were.
See         notebooks/2_resource_manager.ipynb · tests/resources/test_retry.py
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Retry:
    """Try up to `attempts` times, waiting `backoff` seconds, doubled each time up to `longest`, with full jitter.

    Full jitter draws each wait evenly from 0 to the bound, so that many clients do not come back at the same moment
    (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
    """

    attempts: int = 3
    backoff: float = 0.1
    longest: float = 10.0
    on: tuple[type[Exception], ...] = (Exception,)
    draw: Callable[[], float] = random.random

    def __post_init__(self) -> None:
        if isinstance(self.attempts, bool) or not isinstance(self.attempts, int):
            raise TypeError(f"attempts must be a whole number, got {self.attempts!r}")
        if self.attempts < 1:
            raise ValueError(f"attempts must be >= 1, got {self.attempts}")
        for name in ("backoff", "longest"):
            seconds = getattr(self, name)
            if isinstance(seconds, bool) or not isinstance(seconds, int | float):
                raise TypeError(f"{name} must be a number of seconds, got {seconds!r}")
        if not 0 <= self.backoff <= self.longest:
            raise ValueError(f"backoff must be 0 to longest, got backoff={self.backoff}, longest={self.longest}")
        if not isinstance(self.on, tuple):
            raise TypeError(f"on must be a tuple of Exception classes, got {self.on!r}; write on=(OSError,)")
        for kind in self.on:
            if not (isinstance(kind, type) and issubclass(kind, Exception)):
                raise TypeError(
                    f"on must hold Exception classes, got {kind!r}: cancellation and Ctrl-C are never tried again"
                )

    def waits(self) -> Iterator[float]:
        """The seconds to wait before the 2nd, 3rd ... attempt.

        >>> list(Retry(attempts=4, backoff=1.0, longest=2.0, draw=lambda: 1.0).waits())
        [1.0, 2.0, 2.0]
        """
        for doubling in range(self.attempts - 1):
            yield min(self.longest, self.backoff * 2**doubling) * self.draw()
