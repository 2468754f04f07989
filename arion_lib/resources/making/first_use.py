"""A lazy resource that many ask for at once: opened once, by the first; the others wait for that one alone.

Idea        What is being opened for the first time stands in a table, so that a second one that asks finds it there.
Invariant   One resource is opened once, however many ask; who asks for another resource does not wait for it.
When wrong  When the first one fails, the next that waits tries itself. What a block that ends finds here it waits for.
See         tests/resources/test_beside.py · tests/resources/test_manager.py
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Protocol


class FirstUse:
    """A resource that one thread is opening, while others may wait for it."""

    def __init__(self) -> None:
        self.thread, self.over = threading.get_ident(), threading.Event()


class Threads(Protocol):
    """What is needed of a block that many threads use."""

    lock: threading.Lock
    opening: dict[str, FirstUse] | None  # None: nothing was opened for a first use yet
    left: bool  # nothing more may be opened

    def missing(self, name: str) -> bool:
        """Whether a resource is neither open nor known to be absent."""


def open_once(block: Threads, name: str, open_it: Callable[[], None]) -> bool:
    """Open one resource unless it is open.

    Returns False when the block was left meanwhile. Raises RuntimeError when its function asks for itself.
    """
    while True:
        with block.lock:
            if block.left:
                return False
            if not block.missing(name):
                return True
            if block.opening is None:
                block.opening = {}
            opening = block.opening
            if (use := opening.get(name)) is None:
                mine = opening[name] = FirstUse()
                break
        if use.thread == threading.get_ident():
            raise RuntimeError(f"{name!r} is being opened here: its function must not ask for {name!r} itself")
        use.over.wait()  # and look again: the other one may have failed
    try:
        open_it()
    finally:
        with block.lock:
            del opening[name]
        mine.over.set()
    return True


def wait_for_first_uses(block: Threads) -> None:
    """Wait for other threads that are just opening something in a block that is `left`."""
    with block.lock:
        uses = [*(block.opening or {}).values()]
    for use in uses:
        if use.thread != threading.get_ident():
            use.over.wait()


async def aopen_once(
    opening: dict[str, asyncio.Task[None]], name: str, open_it: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    """Open one resource in a task of its own, however many tasks ask; the wait of each can be cancelled alone."""
    task = opening.get(name)
    if task is None or (task.done() and _error_of(task) is None):
        task = opening[name] = asyncio.get_running_loop().create_task(open_it())
    await asyncio.wait([task])  # when this wait is cancelled, an error is for the next that asks, or for the end
    opening.pop(name, None)
    task.result()


async def call_off(opening: dict[str, asyncio.Task[None]]) -> list[tuple[str, BaseException]]:
    """Cancel all that is being opened and wait for it; returns the errors that nobody was told."""
    for task in opening.values():
        task.cancel()
    await asyncio.wait(opening.values())
    ended = [(name, _error_of(task)) for name, task in opening.items()]
    return [(name, error) for name, error in ended if error is not None]


def _error_of(task: asyncio.Task[None]) -> BaseException | None:
    return None if task.cancelled() else task.exception()
