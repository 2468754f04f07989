"""Let whoever runs a notebook by `nbclient` hear each message of the kernel within a second.

Idea        Under asyncio a ZeroMQ socket tells of new messages only once; an edge that is missed leaves a message lying
            there until the wait for it times out, which then finds it: here each wait lasts a second at most.
Invariant   The same messages in the same order; a time limit is kept, and none is none (test_hearing.py).
When wrong  What a channel raises is raised; `queue.Empty` only when the caller's own time is up.
See         arion_lib/workbook/running/trial.py · tests/workbook/test_learner.py · https://github.com/zeromq/pyzmq/issues/1558
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from queue import Empty
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbclient import NotebookClient

LONGEST = 1.0
"""Seconds that one wait for a message lasts at most."""


def hear_all(client: NotebookClient) -> NotebookClient:
    """Return the client, whose kernel's channels are waited for in turns of `LONGEST` from its start on."""

    def started(**_notebook: Any) -> None:
        for channel in (client.kc.shell_channel, client.kc.iopub_channel):  # type: ignore[union-attr]
            channel.get_msg = in_turns(channel.get_msg)

    client.on_notebook_start = started
    return client


def in_turns(get_msg: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Return a `get_msg` that calls the given one again and again, for at most `LONGEST` seconds each time."""

    async def heard(timeout: float | None = None) -> Any:
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            left = LONGEST if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                return await get_msg(timeout=min(left, LONGEST))
            except Empty:
                if deadline is not None and time.monotonic() >= deadline:
                    raise

    return heard
