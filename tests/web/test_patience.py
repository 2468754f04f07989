"""Slow senders, by a clock that the test moves."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from arion_lib.web.edge.patience import Patience, TooSlow


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Sender:
    """An ASGI `receive` whose messages come when the test says so."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[bytes] = asyncio.Queue()

    async def receive(self) -> dict[str, Any]:
        return {"type": "http.request", "body": await self.messages.get(), "more_body": True}


async def settle() -> None:
    """Let every task come to where it waits."""
    for _ in range(5):
        await asyncio.sleep(0)


def play(steps: list[tuple[float, int]], **rules: float) -> str:
    """Send `size` bytes after each pause; return what the request came to."""

    async def scenario() -> str:
        clock, sender = Clock(), Sender()
        patience = Patience(clock=clock, **rules)
        waiter = patience.begin(sender.receive)

        async def request() -> str:
            try:
                for _ in steps:
                    await waiter.receive()
            except TooSlow as error:
                return str(error)
            return "received"

        task = asyncio.create_task(request())
        for pause, size in steps:
            await settle()
            clock.now += pause
            patience.look()
            await settle()
            if task.done():
                break
            sender.messages.put_nowait(b"x" * size)
        assert not patience.waiting or not task.done()
        return await task

    return asyncio.run(scenario())


def test_a_sender_that_keeps_coming_is_let_come() -> None:
    assert play([(1.0, 1_000)] * 100, idle=30, slowest=100) == "received"


def test_a_sender_that_pauses_too_long_is_ended() -> None:
    assert play([(31.0, 1_000)], idle=30, slowest=100) == "0 bytes in 31 s of waiting"
    assert play([(29.0, 10_000)] * 3, idle=30, slowest=100) == "received"


def test_a_byte_a_second_never_pauses_and_is_ended_all_the_same() -> None:
    dribble = [(1.0, 1)] * 1_000
    assert "of waiting" in play(dribble, idle=30, slowest=100)
    # The control: an idle time-out alone lets it hold the connection for as long as it likes.
    assert play(dribble, idle=30, slowest=0) == "received"


def test_time_that_the_server_takes_itself_does_not_count() -> None:
    async def scenario() -> int:
        clock, sender = Clock(), Sender()
        patience = Patience(idle=30, slowest=100, clock=clock)
        waiter = patience.begin(sender.receive)
        for _ in range(10):
            sender.messages.put_nowait(b"x")
            await waiter.receive()
            clock.now += 1_000  # committing, with the sender held back
            patience.look()
        return waiter.received

    assert asyncio.run(scenario()) == 10


def test_a_cancellation_from_outside_stays_a_cancellation() -> None:
    async def scenario() -> None:
        patience = Patience()
        waiter = patience.begin(Sender().receive)
        task = asyncio.create_task(waiter.receive())
        await settle()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not patience.waiting

    asyncio.run(scenario())


@pytest.mark.parametrize("rules", [{"idle": 0}, {"slowest": -1}])
def test_rules_that_make_no_sense_are_refused(rules: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="idle must be > 0"):
        Patience(**rules)
