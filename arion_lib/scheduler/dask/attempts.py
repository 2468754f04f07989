"""Attempts in the cluster: a call goes there as part of a dask task; the life that waits for it gets its answer.

Idea        Attempts that begin in the same turn of the loop are handed over together. A bundle of calls is one dask
            task, any other call one of its own; after a bundle, each call that is tried again goes alone.
Invariant   A dask task is let go of when nobody waits for any of its calls: its future goes, and what a client sends is
            read in order there, so that this never overtakes the submission (test_dask.py).
When wrong  Whatever fails on the way to the cluster or back is the answer of the calls that it was about; a line that
            was cut costs no answer: what it carried is begun again, `MOST_CUTS` times at most.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_dask.py
"""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any, NamedTuple

from arion_lib.scheduler.dask.results import LineCutError, Results, lost
from arion_lib.scheduler.dask.view import Asked, View
from arion_lib.scheduler.dask.wire import Answer, Bundle, Call, Kind, Place, size_of

if TYPE_CHECKING:
    from arion_lib.scheduler.dask.handle import DaskTask
    from arion_lib.scheduler.dask.link import Link

SCATTERED = 1 << 20
"""Bytes from which arguments go to a dask worker beside the graph, not through dask's scheduler."""
MOST_AT_ONCE = 500
"""Dask tasks that are handed over together."""
IN_ORDER = "0 ms"
"""Dask runs what is handed over within so long as one lot, in whatever order."""
MOST_CUTS = 10
"""How often an attempt is begun again because the line was cut: what cuts it each time may be the call itself."""


class _Attempt(NamedTuple):
    """An attempt that waits to be handed over, and the future in which its life waits for the answer."""

    task: DaskTask[Any]
    answer: asyncio.Future[Answer]
    cuts: int = 0
    """How often the line was cut while the cluster had it."""


class Attempts:
    """The attempts of one scheduler, in the link's thread."""

    def __init__(self, link: Link, view: View) -> None:
        self._link, self._view = link, view
        self._results = Results(link, view)
        self._tickets, self._keys = itertools.count(1), itertools.count(1)
        self._outbox: list[_Attempt] = []

    def begin(self, task: DaskTask[Any]) -> asyncio.Future[Answer]:
        """Have a call run in the cluster; those of the same turn are handed over together."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._put_out([_Attempt(task, answer)])
        return answer

    def _put_out(self, attempts: list[_Attempt]) -> None:
        if not self._outbox:
            asyncio.get_running_loop().call_soon(self._hand_over)
        self._outbox += attempts

    def _hand_over(self) -> None:
        bundles: dict[Any, list[_Attempt]] = {}
        for attempt in self._outbox:
            together = attempt.task.bundle if not attempt.task.attempts else None
            bundles.setdefault(together or attempt, []).append(attempt)
        self._outbox = []
        alike: dict[int, list[tuple[Bundle, list[_Attempt]]]] = {}
        for attempts in bundles.values():
            attempts = [one for one in attempts if not one.answer.done()]
            if not attempts:
                continue
            if any(_is_large(attempt.task) for attempt in attempts):
                self._link.spawn(self._bring(attempts))
            else:
                alike.setdefault(attempts[0].task.options.priority, []).append((self._bundle(attempts), attempts))
        for priority, found in alike.items():
            for place in range(0, len(found), MOST_AT_ONCE):
                self._map(found[place : place + MOST_AT_ONCE], priority)

    def _map(self, bundles: list[tuple[Bundle, list[_Attempt]]], priority: int) -> None:
        from arion_lib.scheduler.dask.plugin import run_calls

        keys = [bundle.key for bundle, _ in bundles]
        calls = [bundle for bundle, _ in bundles]
        try:
            made = self._link.client.map(
                run_calls, calls, key=keys, priority=priority, fifo_timeout=IN_ORDER, pure=False
            )
        except Exception as error:  # noqa: BLE001  (whatever dask raises is these calls' end)
            for _, attempts in bundles:
                _give(attempts, error)
            return
        for (bundle, attempts), future in zip(bundles, made, strict=True):
            self._watch(bundle, attempts, future)

    async def _bring(self, attempts: list[_Attempt]) -> None:
        """Hand over calls with large values."""
        try:
            self._watch(*await self._brought(attempts))
        except Exception as error:  # noqa: BLE001  (whatever dask raises is these calls' end)
            _give(attempts, error)

    async def _brought(self, attempts: list[_Attempt]) -> tuple[Bundle, list[_Attempt], Any]:
        """Hand over calls with large values: those of the cluster by their keys, arguments beside the graph."""
        from arion_lib.scheduler.dask.plugin import run_calls

        brought: list[Any] = []

        def place(future: Any) -> Place:
            brought.append(future)
            return Place(len(brought) - 1)

        calls = []
        for task, *_ in attempts:
            arguments = task.arguments
            if size_of(arguments) >= SCATTERED:
                arguments = place(await self._link.client.scatter(arguments, hash=False))
            needs = tuple(one.answer if one.local else place(one.answer.future) for one in task.needs)
            calls.append((arguments, needs))
        bundle = self._bundle(attempts, calls)
        priority = attempts[0].task.options.priority
        future = self._link.client.submit(
            run_calls, bundle, *brought, key=bundle.key, priority=priority, fifo_timeout=IN_ORDER, pure=False
        )
        return bundle, attempts, future

    def _bundle(self, attempts: list[_Attempt], values: list[Any] | None = None) -> Bundle:
        task = attempts[0].task
        function, options = task.function, task.options
        if values is None:
            values = [(one.arguments, tuple(need.answer for need in one.needs)) for one, *_ in attempts]
        tickets = list(itertools.islice(self._tickets, len(attempts)))
        self._view.asked.update(
            {ticket: Asked(attempt.task) for ticket, attempt in zip(tickets, attempts, strict=True)}
        )
        calls = [
            Call(ticket, value[0], value[1], attempt.task.name)
            for ticket, value, attempt in zip(tickets, values, attempts, strict=True)
        ]
        key = f"{_plain(task.name)}-{self._link.name}", next(self._keys)
        data, context = function.data or b"", function.context_data
        return Bundle(self._link.name, key, data, context, task.lane, options.priority, options.timeout, tuple(calls))

    def _watch(self, bundle: Bundle, attempts: list[_Attempt], future: Any) -> None:
        """Follow a dask task until it ends, or until nobody waits for any of its calls any more."""
        following = self._link.spawn(self._follow(bundle, attempts, future))

        def gone(answer: asyncio.Future[Answer]) -> None:
            if not answer.cancelled() or following.done():
                return
            if all(attempt.answer.done() for attempt in attempts):
                following.cancel()
            else:
                place = next(place for place, attempt in enumerate(attempts) if attempt.answer is answer)
                self._link.spawn(self._link.ask("stop", bundle.calls[place].ticket))

        for attempt in attempts:
            attempt.answer.add_done_callback(gone)

    async def _follow(self, bundle: Bundle, attempts: list[_Attempt], future: Any) -> None:
        """Wait for a dask task and give each of its calls its answer; let go of it when that is not wanted any more."""
        try:
            answers = await self._results.answers(bundle, future)
        except LineCutError as error:  # dask's scheduler has let go of all that we had there, and stopped it
            if attempts[0].cuts >= MOST_CUTS:  # those of a bundle stay together, and have seen the same
                _give(attempts, error)
            else:
                self._put_out([one._replace(cuts=one.cuts + 1) for one in attempts])
            return
        except Exception as error:  # noqa: BLE001  (dask may fail in many ways: each is these calls' end)
            _give(attempts, error)
            return
        finally:
            for call in bundle.calls:
                self._view.asked.pop(call.ticket, None)
        for attempt, answer in zip(attempts, answers, strict=True):
            if not attempt.answer.done():
                attempt.answer.set_result(answer)


def _give(attempts: list[_Attempt], error: Exception) -> None:
    """Answer attempts that wait still with an error of dask's."""
    for attempt in attempts:
        if not attempt.answer.done():
            attempt.answer.set_result(Answer(Kind.FAILED, lost(error)))


def _is_large(task: DaskTask[Any]) -> bool:
    return size_of(task.arguments) >= SCATTERED or not all(need.local for need in task.needs)


def _plain(name: str) -> str:
    """Return a name as dask's dashboard groups by it."""
    return "".join(c if c.isalnum() or c == "_" else "_" for c in name)[:40] or "call"
