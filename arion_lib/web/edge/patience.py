"""How long a sender may take: a pause is bounded, and so is a trickle.

Idea        Only time spent waiting for the sender counts, so a body that we slow down ourselves is never late.
Invariant   A request that waits longer than `idle` at a stretch, or gives less than `slowest` bytes a second of waiting
            once it has waited for `idle` in all, ends; looking costs one pass over those that wait.
When wrong  The request's own task gets a `TooSlow` where it waits; whatever it had committed stays committed.
See         notebooks/1_streaming_pipeline.ipynb · tests/web/test_patience.py
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import Any

SHORT = 16 << 10
"""Bytes a second of waiting below which a sender loses its place where places are short."""

GRACE, LAST = 2.0, 20.0
"""Seconds that slow senders, and all, get once the server was asked to stop."""

Receive = Callable[[], Awaitable[Any]]


class TooSlow(Exception):
    """The sender paused, or trickled, for longer than it may."""


class Draining(Exception):
    """The server ends, and waits no longer for the sender."""


class Waiter:
    """One request's waiting: for how long in all, and for how many bytes."""

    __slots__ = ("_late", "_patience", "_receive", "_since", "_task", "received", "waited")

    def __init__(self, patience: Patience, receive: Receive) -> None:
        self._patience, self._receive = patience, receive
        self._since = 0.0
        self._late = False
        self._task: asyncio.Task[Any] | None = None
        self.waited = 0.0
        self.received = 0

    @property
    def ending(self) -> bool:
        """Whether its time is up."""
        return self._late

    @property
    def clock(self) -> Callable[[], float]:
        """The clock that the waiting is measured with."""
        return self._patience.clock

    async def receive(self) -> Any:
        """Return the next ASGI message. Raises `TooSlow` when the sender's time is up."""
        patience = self._patience
        self._since = patience.clock()
        self._task = asyncio.current_task()
        patience.waiting.add(self)
        try:
            message = await self._receive()
        except asyncio.CancelledError:
            if not self._late or self._task is None:
                raise
            self._task.uncancel()
            waited = self.waited + patience.clock() - self._since
            if patience.draining:
                raise Draining from None
            raise TooSlow(f"{self.received} bytes in {waited:.0f} s of waiting") from None
        finally:
            patience.waiting.discard(self)
            self.waited += patience.clock() - self._since
        self.received += len(message.get("body", b""))
        return message

    def look(self, now: float, idle: float, slowest: float) -> None:
        """End the wait when its time is up at `now`."""
        pause = now - self._since
        waited = self.waited + pause
        if pause > idle or (waited > idle and self.received < slowest * waited):
            self.end()

    def rate(self, now: float) -> float:
        """Return the bytes a second of waiting so far; infinite in the first second."""
        waited = self.waited + now - self._since
        return self.received / waited if waited >= 1.0 else math.inf

    def end(self) -> None:
        """End the wait now."""
        self._late = True
        if self._task is not None:
            self._task.cancel()


class Patience:
    """All requests that wait for their senders, and the rule for them.

    `idle` is in seconds, `slowest` in bytes a second of waiting (0: any trickle will do), `clock` counts seconds. Call
    `look` every second or so: `watch` does.
    """

    def __init__(
        self, *, idle: float = 30.0, slowest: float = 100.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if idle <= 0 or slowest < 0:
            raise ValueError(f"idle must be > 0 and slowest >= 0, got {idle} and {slowest}")
        self.idle, self.slowest, self.clock = idle, slowest, clock
        self.waiting: set[Waiter] = set()
        self.draining = False

    def begin(self, receive: Receive) -> Waiter:
        """Return what one request receives through."""
        return Waiter(self, receive)

    def look(self) -> None:
        """End every wait whose time is up."""
        now = self.clock()
        for waiter in list(self.waiting):
            waiter.look(now, self.idle, self.slowest)

    def make_room(self) -> bool:
        """End the wait for the slowest of those that give less than `SHORT` bytes a second; say whether there was one.

        Call it where places are short: so many slow senders cannot keep the others out.
        """
        now = self.clock()
        slow = [(waiter.rate(now), id(waiter), waiter) for waiter in self.waiting if not waiter.ending]
        rate, _, slowest = min(slow, default=(math.inf, 0, None))
        if slowest is None or rate >= SHORT:
            return False
        slowest.end()
        return True

    def drain(self) -> None:
        """Give slow senders `GRACE` seconds more, and all `LAST` seconds; whoever is cut off gets a `Draining`."""
        self.draining = True
        asyncio.get_running_loop().call_later(GRACE, self._end_slow, self.clock() + LAST)

    def _end_slow(self, last: float) -> None:
        now = self.clock()
        for waiter in list(self.waiting):
            if now >= last or waiter.rate(now) < SHORT:
                waiter.end()
        asyncio.get_running_loop().call_later(0.1, self._end_slow, last)

    async def watch(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(min(1.0, self.idle / 4))
            self.look()
