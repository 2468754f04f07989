"""Libraries that know `concurrent.futures` take a scheduler as they take any executor."""

from __future__ import annotations

import os
from typing import Any

import pytest

from arion_lib.scheduler import Scheduler
from tests.scheduler import jobs
from tests.scheduler.gates import PATIENCE

pytestmark = pytest.mark.usefixtures("no_leaks")


def test_dask_computes_a_graph_on_it() -> None:
    dask = pytest.importorskip("dask")
    with Scheduler(2) as scheduler:
        parts = [dask.delayed(jobs.add)(n, 1) for n in range(20)]
        whole = dask.delayed(sum)(parts)
        assert dask.compute(whole, scheduler=scheduler) == (sum(range(1, 21)),)
        pids = dask.compute(*[dask.delayed(jobs.pid, pure=False)() for _ in range(4)], scheduler=scheduler)
        assert os.getpid() not in pids
        assert scheduler.status().succeeded > 0


def test_joblib_runs_on_it_by_a_backend_of_a_few_lines() -> None:
    """joblib takes no executor as it is; a backend of its own kind that hands calls on is all it needs."""
    joblib = pytest.importorskip("joblib")
    from joblib.parallel import ParallelBackendBase

    class Backend(ParallelBackendBase):  # type: ignore[misc]
        supports_retrieve_callback = True

        def __init__(self, scheduler: Scheduler, **options: Any) -> None:
            super().__init__(**options)
            self.scheduler = scheduler

        def effective_n_jobs(self, n_jobs: int) -> int:
            return 2

        def submit(self, func: Any, callback: Any = None) -> Any:
            task = self.scheduler.submit(func)
            task.add_done_callback(callback)
            return task

        def retrieve_result_callback(self, out: Any) -> Any:
            return out.result()

    with Scheduler(2) as scheduler, joblib.parallel_config(backend=Backend(scheduler)):
        results = joblib.Parallel()(joblib.delayed(jobs.add)(n, 1) for n in range(50))
        assert results == list(range(1, 51))
        assert os.getpid() not in joblib.Parallel()(joblib.delayed(jobs.pid)() for _ in range(4))
        assert scheduler.wait_idle(PATIENCE)


def test_the_control_joblib_takes_no_executor_as_a_backend() -> None:
    joblib = pytest.importorskip("joblib")
    with Scheduler(1) as scheduler, pytest.raises((ValueError, TypeError, AttributeError)):
        joblib.Parallel(n_jobs=2, backend=scheduler)(joblib.delayed(jobs.add)(n) for n in range(2))
