"""A generator's elements looked at as they are produced, with the generator's whole protocol kept.

Idea        Stand between the caller and the source like `yield from`, and look at each element that passes.
Invariant   `send`, `throw`, `asend`, `athrow` and `close` reach the source, so its clean-up runs.
When wrong  An element that does not fit raises where the caller asked for it; the source is closed.
See         arion_lib/contracts/checks/guards.py · tests/contracts/test_guards.py
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from typing import Any


def watched(result: Any, look: Callable[[object], None]) -> Any:
    """Return `result` with each element looked at as it is produced, if it is produced lazily."""
    if inspect.isgenerator(result):
        return _watched_generator(result, look)
    if inspect.isasyncgen(result):
        return _watched_async_generator(result, look)
    if isinstance(result, Iterator):
        return _watched_iterator(result, look)
    return _watched_async(result, look) if isinstance(result, AsyncIterator) else result


def _watched_iterator(source: Iterator[Any], look: Callable[[object], None]) -> Iterator[Any]:
    for value in source:
        look(value)
        yield value


def _watched_generator(source: Generator[Any, Any, Any], look: Callable[[object], None]) -> Generator[Any, Any, Any]:
    """Like `yield from source`, with a look at each element; `send`, `throw` and `close` reach the source."""
    step = iter(source).__next__
    try:
        while True:
            value = step()
            look(value)
            try:
                reply = yield value
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: BLE001 - handed to the source, as `yield from` does
                step = _throwing(source, error)
            else:
                step = _sending(source, reply)
    except StopIteration as stop:
        return stop.value
    finally:
        source.close()


def _throwing(source: Generator[Any, Any, Any], error: BaseException) -> Callable[[], Any]:
    return lambda: source.throw(error)


def _sending(source: Generator[Any, Any, Any], reply: Any) -> Callable[[], Any]:
    return lambda: source.send(reply)


async def _watched_async_generator(
    source: AsyncGenerator[Any, Any], look: Callable[[object], None]
) -> AsyncGenerator[Any, Any]:
    step = source.asend(None)
    try:
        while True:
            try:
                value = await step
            except StopAsyncIteration:
                return
            look(value)
            try:
                reply = yield value
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: BLE001 - handed to the source, whose clean-up it may be
                step = source.athrow(error)
            else:
                step = source.asend(reply)
    finally:
        await source.aclose()


async def _watched_async(source: AsyncIterator[Any], look: Callable[[object], None]) -> AsyncIterator[Any]:
    async for value in source:
        look(value)
        yield value
