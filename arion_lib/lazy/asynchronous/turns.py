"""`async for` over a lazy collection.

Idea        What computes runs on the event loop's thread and lets others have their turn. What waits - for threads,
            processes, coroutines - runs in a thread of its own, one element at a time.
Invariant   Nothing is pulled ahead. The loop is never held longer than `TURN` plus the time of one element, and for
            what waits not at all.
When wrong  Leaving the loop early, or being cancelled, ends the pipeline's run, without closing what it did not open.
            A plain function that takes long belongs into `map(fn, threads=...)`.
See         tests/lazy/test_turns.py · tests/lazy/test_async.py
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextvars import copy_context
from typing import TypeVar

from arion_lib.lazy.asynchronous.loops import CALLERS, Loop
from arion_lib.lazy.template import END

T = TypeVar("T")

TURN = 0.005
"""Seconds of work after which the event loop gets its turn."""


async def taking_turns(elements: Iterator[T]) -> AsyncIterator[T]:
    """Yield `elements`, giving the event loop a turn before the first and then every `TURN` seconds."""
    import asyncio  # whoever runs a coroutine has it loaded; nobody else pays for it

    await asyncio.sleep(0)
    began = time.monotonic()
    for x in elements:
        yield x
        if time.monotonic() - began > TURN:
            await asyncio.sleep(0)
            began = time.monotonic()


async def in_thread(run: Iterator[T]) -> AsyncIterator[T]:
    """Yield the elements of `run`, a generator that may wait, pulling each in one thread. Costs about 0.1 ms each."""
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    event_loop = asyncio.get_running_loop()
    callers = Loop(event_loop)
    thread = ThreadPoolExecutor(1, "lazy async for")

    def pull() -> object:
        CALLERS.set(callers)
        return next(run, END)

    try:
        while (x := await event_loop.run_in_executor(thread, copy_context().run, pull)) is not END:
            yield x  # type: ignore[misc]  # it is no END
    finally:
        callers.cancel()  # so that a pull which waits for a coroutine ends; then the run is closed where it ran
        close = getattr(run, "close", lambda: None)
        closed = event_loop.run_in_executor(thread, copy_context().run, close)
        thread.shutdown(wait=False)  # behind the call that closes the run
        await asyncio.shield(closed)
