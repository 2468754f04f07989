"""`async for`: in turns with the other tasks, pulling nothing ahead."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from arion_lib.lazy import lazy
from arion_lib.lazy.asynchronous import turns
from tests.lazy.counted import Counted


def test_async_for_gives_the_elements() -> None:
    async def collect() -> list[int]:
        return [x async for x in lazy(range(5)).map(lambda x: x * 2)]

    assert asyncio.run(collect()) == [0, 2, 4, 6, 8]


def turns_of_another_task(budget: float, monkeypatch: object) -> int:
    async def both() -> int:
        ticks, done = 0, asyncio.Event()

        async def tick() -> None:
            nonlocal ticks
            while not done.is_set():
                ticks += 1
                await asyncio.sleep(0)

        ticking = asyncio.create_task(tick())
        async for _ in lazy(range(50)):
            pass
        done.set()
        await ticking
        return ticks

    old, turns.TURN = turns.TURN, budget
    try:
        return asyncio.run(both())
    finally:
        turns.TURN = old


def test_other_tasks_get_their_turn_and_would_not_without() -> None:
    assert turns_of_another_task(-1.0, None) >= 50
    assert turns_of_another_task(1e9, None) < 5


def test_leaving_an_async_for_closes_the_source_and_pulls_nothing_ahead() -> None:
    closed: list[bool] = []
    source = Counted(range(100))

    def rows() -> Iterator[int]:
        try:
            yield from source
        finally:
            closed.append(True)

    async def some() -> None:
        from contextlib import aclosing

        async with aclosing(aiter(lazy(rows).map(abs))) as elements:  # type: ignore[type-var]
            async for x in elements:
                if x == 3:
                    break

    asyncio.run(some())
    assert closed == [True]
    assert source.pulled == 4
