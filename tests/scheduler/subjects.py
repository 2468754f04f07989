"""The executors that the conformance suite is run over, and where each is known to differ."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from arion_lib.scheduler import Scheduler
from arion_lib.scheduler.launch import START_METHODS

WORKERS = 2


@dataclass(frozen=True)
class Subject:
    """An implementation: how to open it with two workers; `differs` maps the name of a test to why it does not hold."""

    name: str
    open: Callable[[], Any]
    differs: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


def open_dask() -> Any:
    from arion_lib.scheduler.dask import DaskScheduler

    return DaskScheduler(workers=WORKERS)


OURS = [
    Subject(method, partial(Scheduler, WORKERS, start_method=method, preload=["tests.scheduler.jobs"]))
    for method in START_METHODS
]
DASK_DIFFERS = {
    "test_threads_run_in_this_process": "its threads are in the dask workers",
    "test_a_result_of_a_thread_that_cannot_travel_fails_the_task_that_needs_it": "a thread's result travels there",
    "test_log_records_of_a_task_reach_this_process": "records go to the dask worker's own loggers",
    "test_what_a_task_prints_appears_here": "what is printed goes to the dask worker's own streams",
}
"""Where the same API on Dask is another thing: `DaskScheduler` says so in its docstring."""
DASK = [Subject("dask", open_dask, DASK_DIFFERS)] if importlib.util.find_spec("arion_lib.scheduler.dask") else []
SUBJECTS = [*OURS, *DASK]
POSIX = sys.platform != "win32"
