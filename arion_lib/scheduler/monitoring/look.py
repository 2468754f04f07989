"""A snapshot of a scheduler, taken from its parts at one moment.

Idea        Everything is counted somewhere already; here it is put together, under the lock, by the thread that asks.
Invariant   Taking one costs no task anything, and its size follows workers and priorities, not tasks.
When wrong  What a platform cannot tell is None.
See         tests/scheduler/test_scheduler.py
"""

from __future__ import annotations

from collections.abc import Mapping

from arion_lib.scheduler.lane import Lane
from arion_lib.scheduler.lifecycle import Lifecycle
from arion_lib.scheduler.monitoring.figures import Figures
from arion_lib.scheduler.monitoring.snapshot import Snapshot
from arion_lib.scheduler.states import State


def snapshot(
    name: str, lanes: Mapping[str, Lane], life: Lifecycle, figures: Figures, posted: int, now: float
) -> Snapshot:
    """Return what everything looks like; `posted` tasks have not been taken in yet."""
    shown = tuple(lane.status(now) for lane in lanes.values())
    workers = next(lane.size for lane in shown if lane.name == "processes")
    window, throughput, utilisation, waiting, running_time = figures.lately(now, workers)
    return Snapshot(
        name=name,
        uptime=now - figures.opened,
        lanes=shown,
        pending=len(life.waiting),
        ready=sum(sum(lane.queued.values()) for lane in shown) + posted,
        running=sum(lane.running for lane in shown),
        succeeded=figures.counts[State.SUCCEEDED],
        failed=figures.counts[State.FAILED],
        cancelled=figures.counts[State.CANCELLED],
        timed_out=figures.counts[State.TIMED_OUT],
        quarantined=figures.counts[State.QUARANTINED],
        retries=life.retries,
        window=window,
        throughput=throughput,
        utilisation=utilisation,
        waiting=waiting,
        running_time=running_time,
    )
