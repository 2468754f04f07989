"""What calls in the cluster came to: the ends of dask tasks, turned into answers.

Idea        A small result comes with the news of its end, or is fetched together with those that end at about the same
            time; a large one of a single call stays in the cluster until somebody asks for it.
Invariant   Each call of a bundle gets an answer, whatever dask says of the bundle.
When wrong  A dask worker that was lost again and again is a death; anything else that dask raises is that call's error.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_dask.py
"""

from __future__ import annotations

import asyncio
import pickle
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

from arion_lib.scheduler.calls.failures import describe
from arion_lib.scheduler.dask.wire import Answer, Bundle, CallFailed, Kind
from arion_lib.scheduler.errors import SchedulerError

if TYPE_CHECKING:
    from arion_lib.scheduler.dask.link import Link
    from arion_lib.scheduler.dask.view import View

STAYS = 1 << 16
"""Bytes from which a single call's result stays in the cluster until it is asked for."""


class LineCutError(Exception):
    """The connection to dask's scheduler ended, and with it all that it had of ours; the client connects again."""


class InCluster:
    """A large result that has stayed in the cluster, for as long as its handle lives."""

    def __init__(self, link: Link, future: Any) -> None:
        self._link, self.future = link, future

    def fetch(self) -> Any:
        """Bring it here; dask computes it again when it has been lost meanwhile."""

        async def gather() -> Any:
            return await self.future

        found = asyncio.run_coroutine_threadsafe(gather(), self._link.loop)
        return found.result()


class Results:
    """The results of one scheduler. All methods are for the link's thread."""

    def __init__(self, link: Link, view: View) -> None:
        self._link, self._view = link, view
        self._to_collect: list[tuple[Any, asyncio.Future[Any]]] = []

    async def answers(self, bundle: Bundle, future: Any) -> list[Answer]:
        """Wait for a dask task's end; return its calls' answers."""
        error = await future.exception()
        if isinstance(error, CallFailed):
            return [error.answer]
        if error is not None:  # dask's KilledWorker among them: the dask worker itself was lost, again and again
            killed = type(error).__name__ == "KilledWorker"
            answer = Answer(Kind.DIED, None) if killed else Answer(Kind.FAILED, lost(error))
            return [answer] * len(bundle.calls)
        if future.cancelled():
            if await _was_cut(future):
                raise LineCutError("the line to dask's scheduler was cut again and again while this ran there")
            raise SchedulerError("the Dask cluster let go of the task: it was cancelled there, or was restarted")
        if len(bundle.calls) > 1:
            answers: list[Answer] = await self._collected(future)
            return answers
        asked = self._view.asked[bundle.calls[0].ticket]
        if asked.inline is not None:
            return [Answer(Kind.RETURNED, pickle.loads(asked.inline))]
        if asked.size > STAYS:
            return [Answer(Kind.RETURNED, InCluster(self._link, future))]
        return [Answer(Kind.RETURNED, await self._collected(future))]

    async def _collected(self, future: Any) -> Any:
        """Fetch a small result, together with those that end at about the same time."""
        value = asyncio.get_running_loop().create_future()
        self._to_collect.append((future, value))
        if len(self._to_collect) == 1:
            self._link.spawn(self._collect())
        return await value

    async def _collect(self) -> None:
        await asyncio.sleep(0)
        batch, self._to_collect = self._to_collect, []
        try:
            values = await self._link.client.gather([future for future, _ in batch])
        except Exception as error:  # noqa: BLE001  (told to those who wait)
            for _, value in batch:
                if not value.done():
                    value.set_exception(error)
            return
        for (_, waiting), value in zip(batch, values, strict=True):
            if not waiting.done():
                waiting.set_result(value)


async def _was_cut(future: Any) -> bool:
    """Whether a dask future was cancelled because the connection ended."""
    try:
        await future
    except CancelledError as error:
        return getattr(error, "reason", None) == "scheduler-connection-lost"
    return False


def lost(error: BaseException) -> BaseException:
    """Return the error of a call that the cluster could not run."""
    told = SchedulerError(f"the Dask cluster could not run the task: {describe(error)}")
    told.__cause__ = error
    return told
