"""What users' code does in callbacks, streams and exceptions: it concerns its own task, and holds up no other."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, ClassVar, NoReturn

import pytest

from arion_lib.scheduler import DependencyFailedError, NotTransferableError, Scheduler, State
from arion_lib.scheduler.waiting.serial import SerialThread
from tests.scheduler import jobs
from tests.scheduler.gates import PATIENCE, until

pytestmark = pytest.mark.usefixtures("no_leaks")


class Stalled:
    """A stream that takes nothing until it is let."""

    def __init__(self) -> None:
        self.go, self.reached = threading.Event(), threading.Event()
        self.text = ""

    def write(self, text: str) -> int:
        self.reached.set()
        self.go.wait(PATIENCE)
        self.text += text
        return len(text)

    def flush(self) -> None: ...


def test_a_stalled_stream_holds_up_only_the_tasks_that_print(monkeypatch: pytest.MonkeyPatch) -> None:
    stalled = Stalled()
    with Scheduler(1) as scheduler, monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", stalled)
        printing = scheduler.submit(jobs.say, "slowly")
        assert stalled.reached.wait(PATIENCE)
        try:
            assert scheduler.submit(jobs.add, 1, 2).result(PATIENCE) == 3
            late = scheduler.with_options(timeout=0.05).submit(time.sleep, PATIENCE)
            assert isinstance(late.exception(PATIENCE), TimeoutError)
            assert not printing.done()
        finally:
            stalled.go.set()
        printing.result(PATIENCE)
        assert stalled.text == "slowly\n"


def test_a_task_whose_prints_wait_can_be_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    stalled = Stalled()
    with Scheduler(1) as scheduler, monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", stalled)
        printing = scheduler.submit(jobs.say, "slowly")
        assert stalled.reached.wait(PATIENCE)
        until(lambda: scheduler._core.life.waiting, "the answer")
        assert printing.cancel()
        stalled.go.set()
        assert scheduler.wait_idle(PATIENCE)


def test_a_callback_that_waits_holds_up_no_task() -> None:
    go, reached = threading.Event(), threading.Event()
    with Scheduler(1) as scheduler:
        scheduler.submit(jobs.add, 1).add_done_callback(lambda _: (reached.set(), go.wait(PATIENCE)))
        assert reached.wait(PATIENCE)
        assert scheduler.submit(jobs.add, 1, 2).result(PATIENCE) == 3
        go.set()


@pytest.mark.parametrize("error", [asyncio.CancelledError, SystemExit, KeyboardInterrupt, GeneratorExit, ValueError])
def test_whatever_a_callback_raises_is_logged(error: type[BaseException], caplog: pytest.LogCaptureFixture) -> None:
    def callback(_task: Any) -> NoReturn:
        raise error

    with Scheduler(1) as scheduler, caplog.at_level(logging.ERROR):
        scheduler.submit(jobs.add, 1).add_done_callback(callback)
        assert scheduler.submit(jobs.add, 1, 2).result(PATIENCE) == 3
        until(lambda: error.__name__ in caplog.text, "the record")
        assert scheduler.submit(jobs.add, 1, 2).result(PATIENCE) == 3


def test_a_callback_for_each_of_many_costs_each_the_same() -> None:
    """Ten thousand callbacks of one task: no list of them is copied for each."""
    go, calls = threading.Event(), list[Any]()
    with Scheduler(0) as scheduler:
        task = scheduler.with_options(lane="threads").submit(go.wait, PATIENCE)
        task.add_done_callback(calls.append)
        first = scheduler._core.ask(lambda: task.more().callbacks)
        for _ in range(9_999):
            task.add_done_callback(calls.append)
        callbacks = scheduler._core.ask(lambda: task.more().callbacks)
        assert callbacks is first
        assert len(callbacks) == 10_000
        go.set()
        task.result(PATIENCE)
        until(lambda: len(calls) == 10_000, "the calls")


class SlowToUnpickle(Exception):
    def __reduce__(self) -> Any:
        return slowly, ("x",)


def slowly(text: str) -> SlowToUnpickle:
    if threading.current_thread().name.startswith("arion"):
        raise AssertionError("unpickled by a thread of the scheduler's")
    return SlowToUnpickle(text)


def raise_slow(times: str) -> None:
    jobs.note(times, "attempt")
    raise SlowToUnpickle


def test_no_thread_of_the_scheduler_unpickles_a_users_exception(notes: str) -> None:
    with Scheduler(1) as scheduler:
        task = scheduler.with_options(retries=2, retry_on=SlowToUnpickle).submit(raise_slow, notes)
        assert type(task.exception(PATIENCE)) is SlowToUnpickle
    assert len(jobs.noted(notes)) == 3


class TwoArguments(Exception):
    """As most client libraries raise: its pickle cannot be loaded again."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")


def raise_two(times: str) -> None:
    jobs.note(times, "attempt")
    raise TwoArguments(503, "busy")


@pytest.mark.parametrize(("retry_on", "attempts"), [(TwoArguments, 3), (Exception, 3), (OSError, 1)])
def test_an_exception_that_cannot_be_pickled_is_retried_by_its_class(
    notes: str, retry_on: type[Exception], attempts: int
) -> None:
    with Scheduler(1) as scheduler:
        task = scheduler.with_options(retries=2, retry_on=retry_on).submit(raise_two, notes)
        assert isinstance(task.exception(PATIENCE), NotTransferableError)
    assert len(jobs.noted(notes)) == attempts


@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    code: int


class Refuses(Exception):
    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(name)


def raise_frozen() -> None:
    raise Frozen(3) from KeyError("cause")


def raise_refusing() -> None:
    raise Refuses("no") from KeyError("cause")


@pytest.mark.parametrize(
    ("call", "kind"), [(raise_frozen, Frozen), (raise_refusing, Refuses)], ids=["frozen", "refuses"]
)
def test_an_exception_that_refuses_attributes_comes_back_and_its_worker_lives(
    call: Callable[[], None], kind: type[Exception]
) -> None:
    with Scheduler(1) as scheduler:
        worker = scheduler.submit(jobs.pid).result(PATIENCE)
        told = scheduler.submit(call).exception(PATIENCE)
        assert type(told) is kind
        assert isinstance(told.__cause__, KeyError)
        assert "In worker process" in told.__notes__[0]
        assert scheduler.submit(jobs.pid).result(PATIENCE) == worker


def test_a_thread_for_users_code_makes_each_call_once_and_in_order() -> None:
    made: list[int] = []
    thread = SerialThread("test")
    for number in range(100):
        thread.put(lambda number=number: made.append(number))
    thread.put(lambda: 1 // 0)
    thread.close(None)
    thread.put(lambda: made.append(100))
    assert made == list(range(101))


class SlowToPickle:
    """A thread's result that another task needs: it is stuck while it is packed for a worker process."""

    def __init__(self, go: threading.Event, reached: threading.Event) -> None:
        self.go, self.reached = go, reached

    def __reduce__(self) -> Any:
        self.reached.set()
        assert self.go.wait(PATIENCE)
        return int, (7,)


def test_a_result_that_is_slow_to_pickle_holds_up_only_the_task_that_needs_it() -> None:
    go, reached = threading.Event(), threading.Event()
    with Scheduler(1) as scheduler:
        made = scheduler.with_options(lane="threads").submit(SlowToPickle, go, reached)
        made.result(PATIENCE)
        needs = scheduler.submit(jobs.add, made, 1)
        gone = scheduler.submit(jobs.add, made, 2)
        assert reached.wait(PATIENCE)
        try:
            assert scheduler.submit(jobs.add, 1, 2).result(PATIENCE) == 3
            assert needs.status() is State.READY
            assert gone.cancel()
        finally:
            go.set()
        assert needs.result(PATIENCE) == 8


def test_a_dependencys_exception_is_not_unpickled_by_the_scheduler(notes: str) -> None:
    with Scheduler(1) as scheduler:
        failed = scheduler.submit(raise_slow, notes)
        link = failed
        for _ in range(2_000):
            link = scheduler.submit(jobs.add, link, 1)
        error = link.exception(PATIENCE)
        depth = 0
        while isinstance(error, DependencyFailedError):
            error, depth = error.__cause__, depth + 1
        assert (type(error), depth) == (SlowToUnpickle, 2_000)
        assert error is failed.exception()


class Loud(Exception):
    """Says where its words were asked for."""

    asked: ClassVar[list[str]] = []

    def __str__(self) -> str:
        self.asked.append(threading.current_thread().name)
        return "loud"


def raise_loud() -> NoReturn:
    raise Loud


@pytest.mark.parametrize("lane", ["threads", "loop"])
def test_the_words_of_an_exception_are_not_asked_for_by_the_supervisor(lane: str) -> None:
    Loud.asked.clear()
    with Scheduler(0, name="words") as scheduler, scheduler.events() as events:
        call: Any = raise_loud if lane == "threads" else _raise_loud
        task = scheduler.with_options(lane=lane).submit(call)
        assert isinstance(task.exception(PATIENCE), Loud)
        scheduler.shutdown()
        assert [event.error for event in events if event.error] == ["Loud: loud"]
    assert "arion-words" not in Loud.asked


async def _raise_loud() -> NoReturn:
    raise_loud()
