"""Each line that takes tasks out of the queue and sends them fails once, in turn: every task ends all the same."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from concurrent.futures import wait
from types import CodeType, FrameType, NoneType
from typing import Any

import pytest

from arion_lib.scheduler import Scheduler, SchedulerError, WorkerDiedError
from arion_lib.scheduler.local.loop import LoopLane
from arion_lib.scheduler.local.threads import ThreadLane
from arion_lib.scheduler.processes.answers import Answers
from arion_lib.scheduler.processes.chains import MOST_FOLLOWING, Chains
from arion_lib.scheduler.processes.deaths import Deaths
from arion_lib.scheduler.processes.giving import Giving
from arion_lib.scheduler.processes.parcel import Parcel, Sending
from arion_lib.scheduler.processes.worker_handle import WorkerHandle
from tests.scheduler import jobs
from tests.scheduler.gates import PATIENCE

pytestmark = pytest.mark.usefixtures("no_leaks")
OFTEN: list[tuple[str, Callable[..., Any]]] = [
    ("processes", Giving._share),
    ("processes", Giving._send),
    ("processes", Parcel.__init__),
    ("processes", WorkerHandle.send),
    ("processes", WorkerHandle.flush),
    ("processes", Answers.take),
    ("death", Deaths._bury),
    ("death", Deaths.strike_out),
    ("threads", ThreadLane.dispatch),
    ("loop", LoopLane.dispatch),
]
SELDOM: list[tuple[str, Callable[..., Any]]] = [
    ("processes", Giving._send_all),
    ("chain", Chains.extend),
    ("chain", Chains.follow),
    ("processes", Sending.post),
]


class Injected(Exception):
    """A defect of our own."""


class FailingLine:
    """A trace function for one thread: the next time that a line is come to, an error is raised there, once."""

    def __init__(self, code: CodeType, line: int, error: BaseException) -> None:
        self.code, self.line, self.error, self.failed = code, line, error, False

    def __call__(self, frame: FrameType, _event: str, _argument: Any) -> Any:
        return self.trace_line if frame.f_code is self.code and not self.failed else None

    def trace_line(self, frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "line" and frame.f_lineno == self.line and not self.failed:
            self.failed = True
            raise self.error
        return self.trace_line


def lines_of(code: CodeType) -> list[int]:
    return sorted({line for _, _, line in code.co_lines() if line is not None and line > code.co_firstlineno})


def some_tasks(scheduler: Scheduler, lane: str) -> list[Any]:
    """Submit tasks alone, a heap of them, and a chain that follows one another to a worker."""
    if lane == "loop":
        return [scheduler.submit(jobs.later, number) for number in range(4)]
    if lane == "chain":
        go = threading.Event()
        links = [scheduler.with_options(after=scheduler.with_options(lane="threads").submit(go.wait)).submit(jobs.add)]
        for _ in range(MOST_FOLLOWING + 5):
            links.append(scheduler.submit(jobs.add, links[-1]))
        go.set()
        return links
    if lane == "death":
        return [scheduler.submit(step, n) for n, step in enumerate([jobs.add, jobs.die, *[jobs.add] * 5], start=1)]
    here = scheduler.with_options(lane=lane)
    first = here.submit(jobs.add, 1)
    many = [here.submit(jobs.add, number) for number in range(30)]
    chain = [first]
    for _ in range(3):
        chain.append(here.submit(jobs.add, chain[-1], 1))
    return [*many, *chain]


@pytest.mark.parametrize(
    "error",
    [
        KeyboardInterrupt,
        pytest.param(MemoryError, marks=pytest.mark.thorough),
        pytest.param(Injected, marks=pytest.mark.thorough),
    ],
)
@pytest.mark.parametrize(
    ("lane", "step"),
    [*OFTEN, *(pytest.param(*step, marks=pytest.mark.thorough) for step in SELDOM)],
    ids=[step.__qualname__ for _, step in [*OFTEN, *SELDOM]],
)
def test_no_line_loses_a_task(lane: str, step: Any, error: type[BaseException]) -> None:
    failed: list[int] = []
    with Scheduler(1, threads=1, grace=0.1, preload=[jobs.__name__]) as scheduler:
        usual = {NoneType, WorkerDiedError} if lane == "death" else {NoneType}
        # How long they take is known from now on: they are sent by the hundred.
        assert {type(task.exception(PATIENCE)) for task in some_tasks(scheduler, lane)} == usual
        for line in lines_of(step.__code__):
            tracer = FailingLine(step.__code__, line, error(f"injected into line {line}"))
            scheduler._core.ask(lambda tracer=tracer: sys.settrace(tracer))
            try:
                tasks = some_tasks(scheduler, lane)
                _, left = wait(tasks, PATIENCE)
            finally:
                scheduler._core.ask(lambda: sys.settrace(None))
            for task in left:
                task.cancel()  # a lost task keeps a scheduler from closing
            assert not left, f"lost by line {line}: {left}"
            for task in tasks:
                assert task.exception() is None or says_why(task, line), task.exception()
            failed += [line] if tracer.failed else []
            assert {type(task.exception(PATIENCE)) for task in some_tasks(scheduler, lane)} == usual
        assert scheduler.wait_idle(PATIENCE)
    assert failed, "none of them was made to fail"


def says_why(task: Any, line: int) -> bool:
    """Whether a task failed by the injected error, or by the failure of one that it needed."""
    error = task.exception()
    while isinstance(error, SchedulerError) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, WorkerDiedError):  # an answer that cannot be taken in: the supervisor does without that worker
        return True
    return f"injected into line {line}" in str(error)
