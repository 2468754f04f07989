"""What a scheduler looks like at one moment: frozen values that a monitor, a page or a terminal draws.

Idea        One snapshot, taken once, read by every view: the views agree because they look at the same value.
Invariant   Taking one costs no task anything and its size follows the workers and priorities, not the tasks.
When wrong  What a platform cannot tell (the memory of a process that just ended) is None, never 0.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_scheduler.py
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

WorkerState = Literal["starting", "idle", "running", "stopping", "draining"]


@dataclass(frozen=True, slots=True)
class Spread:
    """How a number of seconds was spread over the last `count` tasks of the window; None where there was none."""

    count: int = 0
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    most: float | None = None


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """One worker: `age` is the seconds its present task has run; `cpu` is percent of one core, `rss` bytes.

    `progress`: what its present task has reported, (done, total or None); None where it has not.
    """

    number: int
    lane: str
    state: WorkerState
    pid: int | None = None
    task: str | None = None
    task_number: int | None = None
    age: float | None = None
    done: int = 0
    failed: int = 0
    cpu: float | None = None
    rss: int | None = None
    progress: tuple[float, float | None] | None = None


@dataclass(frozen=True, slots=True)
class LaneStatus:
    """One lane: its workers, how many it should have, its queue by priority, how often a worker was replaced."""

    name: str
    size: int
    workers: tuple[WorkerStatus, ...]
    queued: Mapping[int, int]
    running: int
    restarts: int
    trouble: str = ""
    """Why there are fewer workers than there should be, as the system said it; it is tried again."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole scheduler. Counts are since it opened; throughput (tasks a second), utilisation (0 to 1 of the
    worker processes' time) and the two spreads are over the last `window` seconds.
    """

    name: str
    uptime: float
    lanes: tuple[LaneStatus, ...]
    pending: int
    """Waiting for other tasks or for their next attempt."""
    ready: int
    running: int
    succeeded: int
    failed: int
    cancelled: int
    timed_out: int
    quarantined: int
    retries: int
    window: float
    throughput: float
    utilisation: float
    waiting: Spread
    running_time: Spread

    @property
    def workers(self) -> tuple[WorkerStatus, ...]:
        """The workers of all lanes."""
        return tuple(worker for lane in self.lanes for worker in lane.workers)

    @property
    def restarts(self) -> int:
        """How often a worker was replaced, in all lanes."""
        return sum(lane.restarts for lane in self.lanes)

    def as_dict(self) -> dict[str, Any]:
        """Return the snapshot as plain dictionaries and lists, ready for JSON."""
        return asdict(self)
