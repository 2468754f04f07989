"""CPython's own tests of executors, run on `Scheduler` where this Python has them.

They come from the running Python's `test` package (`test.test_concurrent_futures`), so they are those of its version.
`LEFT_OUT` names each test that is not run, with the reason; a name that is not there any more is an error.
"""

from __future__ import annotations

import unittest
from collections.abc import Iterator
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import pytest

from arion_lib.scheduler import Scheduler

try:
    from test.test_concurrent_futures import executor, test_as_completed, test_init, test_shutdown, test_wait, util
    from test.test_concurrent_futures import test_process_pool as process_pool
except ImportError:
    pytest.skip(
        "this Python comes without its own tests of executors (distributions leave them out; 3.12 and later have them)",
        allow_module_level=True,
    )

from test import support

ROOT = Path(__file__).parents[2]

PRIVATE = "it looks at private attributes of ProcessPoolExecutor (_processes, _max_workers, _mp_context)"
LEFT_OUT = {
    # executor.py
    "test_max_workers_negative": "a scheduler may have 0 workers (threads alone); -1 is refused in our words",
    # test_process_pool.py
    "test_killed_child": "a worker that dies breaks its own task, not the pool: that is the point of this scheduler",
    "test_max_workers_too_large": "the bound is that of Windows' WaitForMultipleObjects, which nothing here waits with",
    "test_saturation": PRIVATE,
    "test_idle_process_reuse_one": PRIVATE,
    "test_idle_process_reuse_multiple": PRIVATE,
    "test_max_tasks_per_child": PRIVATE + "; test_drop_in.py has the same claim",
    "test_max_tasks_per_child_defaults_to_spawn_context": PRIVATE + "; workers are replaced with any start method",
    "test_traceback": "the worker's traceback is a note of the exception, not its __cause__: the task's own stays",
    "test_python_finalization_error": "it patches the threads that ProcessPoolExecutor starts",
    # test_shutdown.py
    "test_cancel_futures": "it wants one task to have begun; here all are cancelled where the workers still start",
    "test_submit_after_interpreter_shutdown": "it reads the sentence of the error; ours is another RuntimeError",
}


class OurMixin(util.ExecutorMixin):  # type: ignore[misc]  # the test package has no types
    executor_type: Any = Scheduler
    ctx = "forkserver" if hasattr(support.os, "fork") else "spawn"

    def create_event(self) -> Any:
        """Return an event that tasks can set: what CPython's mixins have since 3.13.15."""
        return self.manager.Event()


def without_left_out(base: type) -> type:
    """Return a mixin of CPython's tests without those that are left out."""
    return type(base.__name__, (base,), {name: None for name in LEFT_OUT if hasattr(base, name)})


def ours(base: type) -> type:
    """Return a test case of CPython's tests, on ours."""
    return type(f"Our{base.__name__}", (without_left_out(base), OurMixin, util.BaseTestCase), {"__module__": __name__})


TestExecutor = ours(process_pool.ProcessPoolExecutorTest)
TestWait = ours(test_wait.WaitTests)
TestAsCompleted = ours(test_as_completed.AsCompletedTests)
TestInitializer = type("OurInitializerTest", (test_init.InitializerMixin, OurMixin, util.BaseTestCase), {})
TestShutdown: Any = ours(test_shutdown.ExecutorShutdownTest)


@pytest.fixture(scope="module", autouse=True)
def no_fork_server_is_left() -> Iterator[None]:
    """End what a test's `Manager` has started for the whole program."""
    yield
    if hasattr(forkserver, "_forkserver"):
        forkserver._forkserver._stop()


@pytest.fixture(autouse=True)
def scripts_use_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the scripts that the tests of shutdown run import our executor in the place of the standard one."""
    run = test_shutdown.assert_python_ok

    def run_ours(switch: str, text: str, *args: str) -> Any:
        head = f"import multiprocessing, sys; sys.path.insert(0, {str(ROOT)!r})\n"
        text = text.replace("from concurrent.futures import Scheduler", "from arion_lib.scheduler import Scheduler")
        return run(switch, head + text, *args)

    monkeypatch.setattr(test_shutdown, "assert_python_ok", run_ours)


def test_what_is_left_out_is_there() -> None:
    bases = (executor.ExecutorTest, process_pool.ProcessPoolExecutorTest, test_shutdown.ExecutorShutdownTest)
    assert [name for name in LEFT_OUT if not any(hasattr(base, name) for base in bases)] == []


def test_most_are_run() -> None:
    cases: list[Any] = [TestExecutor, TestWait, TestAsCompleted, TestInitializer, TestShutdown]
    names = [name for case in cases for name in unittest.defaultTestLoader.getTestCaseNames(case)]
    assert len(names) > 25
