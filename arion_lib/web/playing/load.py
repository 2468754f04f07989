"""Load for a webhook: as fast as it answers, or at a rate that may change while it runs.

Idea        The sender has a process of its own, so that neither slows the other; the two talk through a pipe.
Invariant   Nothing is dropped: an event that is due while every connection waits stays with the sender, is counted as
            waiting, and is sent as soon as a connection is free.
When wrong  A sender that ended raises `ConnectionError` when it is asked; leaving the block ends it in any case.
See         arion_lib/bench/pipeline/http.py · tests/web/test_load.py
"""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from multiprocessing.connection import Connection
from types import TracebackType
from typing import cast

from arion_lib.web.playing.sender import Event, Headers, Load, Sender, new_loop_run, order, post_events

__all__ = ["Event", "Headers", "Load", "LoadGenerator", "new_loop_run", "order", "post_events"]

TICK = 0.01
"""Seconds between two looks at the rate."""


class LoadGenerator:
    """A process that posts events at a rate which the caller may change while it runs.

        with LoadGenerator(f"{url}/webhook/orders") as load:
            load.rate = 5_000          # events a second; a slider's callback sets it
            load.counts()              # {"sent": ..., "accepted": ..., "refused": ..., "failed": ..., "waiting": ...}

    The rate is an aim in events a second: `waiting` counts events that are due and not sent, because every connection
    waits for an answer. That is how back-pressure looks from outside. Leaving the block ends the process.
    """

    COUNTS = ("sent", "accepted", "refused", "failed", "waiting")

    def __init__(self, url: str, *, rate: float = 0.0, connections: int = 64) -> None:
        context = multiprocessing.get_context("spawn")
        self._rate = rate
        self._talk, theirs = context.Pipe()
        self._theirs: Connection | None = cast("Connection | None", theirs)  # on Windows it is a PipeConnection
        self._last = dict.fromkeys(self.COUNTS, 0)
        self._process = context.Process(target=_generate, args=(url, connections, rate, theirs), daemon=True)

    @property
    def rate(self) -> float:
        """Events a second that become due; at 0 only those that wait are still sent."""
        return self._rate

    @rate.setter
    def rate(self, value: float) -> None:
        if value < 0:
            raise ValueError(f"rate must be >= 0 events a second, got {value}")
        self._rate = value
        self._ask(value)

    def counts(self) -> dict[str, int]:
        """Return how many events were sent so far and what became of them; at most `TICK` seconds old."""
        self._ask(None)
        return self._last

    def _ask(self, order: float | None) -> None:
        try:
            self._talk.send(order)
            self._last = dict(zip(self.COUNTS, self._talk.recv(), strict=True))
        except (EOFError, OSError):
            raise ConnectionError("the generator must be running, got its end: see its standard error") from None

    def __enter__(self) -> LoadGenerator:
        self._process.start()
        if self._theirs is not None:
            self._theirs.close()  # only the process holds it now, so its end is heard
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._talk.close()
        self._process.join(10)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._process.close()


def _generate(url: str, connections: int, rate: float, talk: Connection) -> None:
    new_loop_run(_paced(Sender(url, order, None), connections, rate, talk))


async def _paced(sender: Sender, connections: int, rate: float, talk: Connection) -> None:
    due, last = 0.0, time.perf_counter()
    while True:
        while len(sender.open) < connections:
            await sender.connect()
        now = time.perf_counter()
        due, last = due + rate * (now - last), now
        sender.allow(int(due))
        sender.latencies.clear()
        try:
            while talk.poll():
                wanted = talk.recv()
                rate = rate if wanted is None else wanted
                talk.send(_counts(sender, int(due)))
        except (EOFError, OSError):
            break
        await asyncio.sleep(TICK)
    await sender.close()


def _counts(sender: Sender, due: int) -> list[int]:
    accepted = sum(n for status, n in sender.statuses.items() if status // 100 == 2)
    refused = sum(n for status, n in sender.statuses.items() if status == 429)
    failed = sum(sender.statuses.values()) - accepted - refused + sender.broken
    return [sender.sent, accepted, refused, failed, max(0, due - sender.sent)]
