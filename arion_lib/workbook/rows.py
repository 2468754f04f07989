"""The history of tasks as rows of bars: which worker ran what, and when.

Idea        Two events that follow each other in a task's history are a bar where the first says that it runs.
Invariant   A bar for each attempt, in the row of the worker that ran it; times count from the first submission.
When wrong  An attempt that ended by an error is a bar of another kind, not a missing one.
See         notebooks/5_task_scheduler.ipynb · tests/workbook/test_rows.py
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

Bar = tuple[float, float, str]
"""(start, end, kind) in seconds."""


def worker_rows(tasks: Iterable[Any], failed: str = "killed") -> dict[str, list[Bar]]:
    """Return the bars of each worker that ran one of `tasks` (each has a `history()`), for `plots.timeline`.

    `failed` is the kind of those that ended by an error; the others "ended well".
    """
    histories = [task.history() for task in tasks]
    start = min(history[0].time for history in histories)
    rows: dict[int, list[Bar]] = {}
    for now, then in (pair for history in histories for pair in pairwise(history)):
        if str(now.state) == "running":
            bar = now.time - start, then.time - start, failed if then.error else "ended well"
            rows.setdefault(now.worker, []).append(bar)
    return {f"worker {number}": rows[number] for number in sorted(rows)}


def worker_of(task: Any) -> Any:
    """Wait until `task` runs or has ended; return the number of its worker, as `Scheduler.kill_worker` takes it."""
    while not (task.running() or task.done()):
        time.sleep(0.001)
    return task.history()[-1].worker
