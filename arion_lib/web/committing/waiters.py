"""Those who wait for a commit, told on the thread of their loop.

Idea        One crossing into a loop's thread for all of it that were in a transaction.
Invariant   Everybody is told once; one whose request was cancelled meanwhile is left alone.
When wrong  A waiter that raises is logged, and those behind it are told; a loop that was closed has nobody to tell.
See         tests/web/test_group_commit.py
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

log = logging.getLogger(__name__)


class Waiter(Protocol):
    """What is told the fate of a batch, on the thread of its loop: a future, or something that needs less of one."""

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop."""

    def done(self) -> bool:
        """Say whether nobody needs to be told any more."""

    def set_result(self, left_out: int, /) -> None:
        """Be told that the batch is durable, and how many of its rows were left out. Must not raise."""

    def set_exception(self, error: BaseException, /) -> None:
        """Be told why it is not. Must not raise."""


Fate = BaseException | int
"""What became of a batch: its error, or how many of its rows were left out because their event ids were known."""

Fates = dict[int, Fate]
"""Fates by the batches' indices; those that are not named are durable with all their rows."""


def resolve(waiters: Sequence[Waiter], fates: Fates) -> None:
    """Wake everybody whose batch was in the transaction, with one crossing into the loop's thread."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[Waiter, Fate]]] = {}
    for index, waiter in enumerate(waiters):
        by_loop.setdefault(waiter.get_loop(), []).append((waiter, fates.get(index, 0)))
    for loop, group in by_loop.items():
        _call(loop, lambda group=group: _set(group))  # type: ignore[misc]


def _call(loop: asyncio.AbstractEventLoop, settle: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(settle)
    except RuntimeError:
        # The loop was closed under us (a server torn down hard): the batches are durable, nobody is left to be told.
        return


def _set(group: Sequence[tuple[Waiter, Fate]]) -> None:
    for waiter, fate in group:
        try:
            if waiter.done():  # its request was cancelled meanwhile
                continue
            if isinstance(fate, BaseException):
                waiter.set_exception(fate)
            else:
                waiter.set_result(fate)
        except Exception:  # one waiter that raises must not leave the others behind it untold
            log.exception("a batch is settled, but who waits for it could not be told")
