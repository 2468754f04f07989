"""The cluster as its submitter sees it: which calls are there, which of them run, what the worker processes do.

Idea        Plugins tell what has begun and ended; a look asks them all at once. Worker processes are numbered through
            the whole cluster, calls have tickets.
Invariant   A call is known from when it is handed over until its answer is there, and no longer.
When wrong  A dask worker that does not answer is left out of a look; news of a call that is over changes nothing.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_dask.py
"""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from arion_lib.scheduler.monitoring.snapshot import Snapshot
from arion_lib.scheduler.options import LANES

if TYPE_CHECKING:
    from arion_lib.scheduler.dask.handle import DaskTask
    from arion_lib.scheduler.dask.ledger import Ledger, LocalLane
    from arion_lib.scheduler.dask.link import Link


@dataclass(slots=True)
class Asked:
    """A call in the cluster: whose it is, and what a plugin has said of its result."""

    task: DaskTask[Any]
    size: int = 0
    inline: bytes | None = None
    """A small result, which came with the news of its end."""


class View:
    """What is known of one scheduler's cluster."""

    def __init__(self, link: Link, ledger: Ledger) -> None:
        self._link, self._ledger = link, ledger
        self.asked: dict[int, Asked] = {}
        """The calls in the cluster, by ticket."""
        self._numbers: dict[tuple[str, int], int] = {}
        """The numbers that worker processes have in the whole cluster, by dask worker and number there."""

    # --- what the plugins say: the link's thread ---

    def hear(self, news: dict[str, Any]) -> None:
        """Take note of calls that have begun, or have ended."""
        address = news["at"]
        for ticket, ago, worker in news.get("started", ()):
            if (asked := self.asked.get(ticket)) is not None:
                asked.task.began(ago, self._number(address, worker))
        for ticket, began, ended, worker, size, inline in news.get("ended", ()):
            if (asked := self.asked.get(ticket)) is not None:
                asked.size, asked.inline = size, inline
                asked.task.ended_at = time.monotonic() - ended
                if began >= 0:
                    asked.task.began(began, self._number(address, worker))

    def _number(self, address: str, worker: int) -> int:
        return self._numbers.setdefault((address, worker), len(self._numbers) + 1)

    # --- a look: any thread ---

    def look(self) -> dict[str, Snapshot]:
        """Ask each dask worker; note which calls run."""
        found: dict[str, Any] = self._link.do(self._link.ask("look")) or {}
        for address, (_, started) in found.items():
            self.hear({"started": started, "at": address})
        return {address: seen for address, (seen, _) in found.items()}

    def snapshot(self) -> Snapshot:
        """Return what the scheduler looks like now, its workers included."""
        seen = self.look()
        return self._ledger.snapshot({name: self._lane(name, seen) for name in LANES})

    def _lane(self, name: str, seen: dict[str, Snapshot]) -> LocalLane:
        there = [(address, lane) for address, one in seen.items() for lane in one.lanes if lane.name == name]
        workers = []
        for address, worker in itertools.chain.from_iterable(
            ((address, worker) for worker in lane.workers) for address, lane in there
        ):
            asked = self.asked.get(worker.task_number or 0)
            task = None if asked is None else asked.task.number
            workers.append(replace(worker, number=self._number(address, worker.number), task_number=task))
        return sum(lane.size for _, lane in there), workers, sum(lane.restarts for _, lane in there)

    def kill_worker(self, number: int) -> None:
        """End a worker process at once. Raises `ValueError` when there is no such worker."""
        known = {worker.number for worker in self.snapshot().workers if worker.lane == "processes"}
        for (address, there), found in list(self._numbers.items()):
            if found == number and number in known:
                self._link.do(self._link.ask("kill", there, at=address))
                return
        raise ValueError(f"number must be that of a worker process ({sorted(known)}), got {number!r}")
