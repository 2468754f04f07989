"""A function is loaded within the call that needs it first: time-outs, cancellation and blame hold for its imports."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from arion_lib.scheduler import Scheduler, TaskTimeoutError
from tests.scheduler import jobs
from tests.scheduler.gates import PATIENCE, until

pytestmark = pytest.mark.usefixtures("no_leaks")


@pytest.fixture
def hanging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function whose module can be imported here, and hangs anywhere else."""
    (tmp_path / "hangs_elsewhere.py").write_text(
        f"import os, time\nif os.getpid() != {os.getpid()}: time.sleep(3600)\ndef one(): return 1\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "hangs_elsewhere", raising=False)
    import hangs_elsewhere  # type: ignore[import-not-found]

    return hangs_elsewhere.one


@pytest.mark.parametrize("how", ["timeout", "deadline", "cancel"])
def test_a_task_whose_module_hangs_is_stopped(how: str, hanging: Any) -> None:
    with Scheduler(1, grace=0.05) as scheduler:
        scheduler.submit(jobs.add, 1).result(PATIENCE)
        if how == "cancel":
            task = scheduler.submit(hanging)
            until(task.running, "the import")
            assert task.cancel()
        else:
            task = scheduler.with_options(**{how: 0.1}).submit(hanging)
            assert isinstance(task.exception(PATIENCE), TaskTimeoutError)
        assert scheduler.submit(jobs.add, 1, 2).result(PATIENCE) == 3


def import_slowly(folder: str, pause: float) -> int:
    """Import a package whose second module is not there when an import of it is cut short."""
    sys.path.insert(0, folder)
    import slow_package  # type: ignore[import-not-found]

    return int(slow_package.VALUE)


@pytest.mark.posix("no signal interrupts a call there")
def test_a_worker_whose_import_was_interrupted_runs_nothing_more(tmp_path: Path) -> None:
    """What an import leaves behind when it is cut short fails the next import of the same."""
    package, begun = tmp_path / "slow_package", tmp_path / "begun"
    package.mkdir()
    (package / "__init__.py").write_text(
        f"import os, sys, time\nfirst = not os.path.exists({str(begun)!r})\nopen({str(begun)!r}, 'w').close()\n"
        "sys.modules['half'] = 1\ntime.sleep(600 if first else 0)\nVALUE = 7"
    )
    with Scheduler(1, grace=5.0) as scheduler:
        before, limit = 0, 0.1
        while not begun.exists():  # on a busy machine a short limit may strike before the import begins
            before = scheduler.submit(jobs.pid).result(PATIENCE)
            cut = scheduler.with_options(timeout=limit).submit(import_slowly, str(tmp_path), 0)
            later = [scheduler.submit(jobs.pid) for _ in range(5)]
            assert isinstance(cut.exception(PATIENCE), TaskTimeoutError)
            pids = {task.result(PATIENCE) for task in later}
            limit *= 2
        assert before not in pids
        assert scheduler.submit(import_slowly, str(tmp_path), 0).result(PATIENCE) == 7


@pytest.mark.posix("Windows cannot stop a process so")
def test_what_was_sent_to_a_worker_that_stands_still_runs_on_another() -> None:
    with Scheduler(2) as scheduler:
        for _ in range(20):
            list(scheduler.map(jobs.add, range(50)))
        pids = [one.pid for one in scheduler.status().workers if one.pid is not None]
        os.kill(pids[0], signal.SIGSTOP)
        try:
            assert [task.result(PATIENCE) for task in [scheduler.submit(jobs.add, n) for n in range(200)]] == [
                *range(200)
            ]
        finally:
            os.kill(pids[0], signal.SIGCONT)
