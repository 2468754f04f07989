"""No wake-up is lost: a task's end and a thread that begins to wait for it may meet between any two steps."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from arion_lib.scheduler import Scheduler
from arion_lib.scheduler.states import Event, State
from arion_lib.scheduler.supervising.sleep import Sleep
from arion_lib.scheduler.waiting.inbox import Inbox
from arion_lib.scheduler.waiting.signals import Signal
from tests.scheduler import jobs
from tests.scheduler.gates import PATIENCE, Gate
from tests.together import together

TICK = 0.02
"""Seconds: a deadline that is meant to pass where the other thread has to wait."""


class Meeting(dict[Any, list[Signal]]):
    """A scheduler's signals: something happens between the two steps by which a thread adds its own."""

    def __init__(self, between: Callable[[], None]) -> None:
        super().__init__()
        self._between = between

    def setdefault(self, key: Any, default: Any = None) -> Any:
        found = super().setdefault(key, default)
        self._between()
        return found


def test_a_task_that_ends_while_a_thread_begins_to_wait_for_it_is_not_waited_for_for_ever(gate: Gate) -> None:
    """Its end takes the list of signals, and finds it empty, before the thread has appended its own."""
    with Scheduler(1, preload=[jobs.__name__]) as scheduler:
        task = scheduler.submit(jobs.hold, gate.place, 5)
        gate.arrived()

        def end() -> None:
            gate.open()
            assert scheduler.wait_idle(PATIENCE)

        scheduler._core.signals = scheduler._core.audience.signals = Meeting(end)
        found: list[int] = []
        thread = threading.Thread(target=lambda: found.append(task.result()), daemon=True)
        thread.start()
        thread.join(PATIENCE)
        assert found == [5]


def test_a_supervisor_that_rests_after_an_error_wakes_for_what_is_put_into_its_inbox(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The rest is an hour here: without the inbox, the task would be taken in then."""
    monkeypatch.setattr("arion_lib.scheduler.supervising.sleep.PAUSE", 3_600.0)
    resting = threading.Event()
    wait = Inbox.wait

    def fail() -> None:
        raise ValueError("a step of the supervisor")

    def noted(inbox: Inbox[Any], seconds: float) -> None:
        resting.set()
        wait(inbox, seconds)

    monkeypatch.setattr(Inbox, "wait", noted)
    with Scheduler(0, threads=1) as scheduler:
        scheduler._core.post(fail)
        assert resting.wait(PATIENCE)
        assert scheduler.with_options(lane="threads").submit(jobs.add, 1, 2).result(PATIENCE) == 3


def test_a_rest_is_none_when_something_is_in_the_inbox_already() -> None:
    inbox: Inbox[int] = Inbox()
    inbox.put(1)
    inbox.wait(3_600.0)
    assert list(inbox.take(-1)) == [1]
    inbox.wait(0.0)
    inbox.close()


class Overtaken(Inbox[int]):
    """Another thread puts something in just behind the first look at what there is."""

    looks = 0

    def __len__(self) -> int:
        found, self.looks = super().__len__(), self.looks + 1
        if self.looks == 1:
            self.put(1)
        return found


def test_what_comes_behind_the_last_look_at_the_inbox_ends_the_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arion_lib.scheduler.supervising.sleep.LONGEST", 20.0)
    inbox = Overtaken()
    sleep = Sleep(inbox)
    assert sleep.until(math.inf) == [inbox.hear], "it slept as long as it may"
    sleep.close()
    inbox.close()


def test_urgent_items_are_counted_while_other_threads_put_some_in() -> None:
    """In a free-threaded Python, a deque that is looked through while another thread appends raises."""
    inbox = Inbox[int]()
    try:

        def use(number: int) -> None:
            for _ in range(2_000):
                inbox.put(number, urgent=True)
                assert inbox.count(int) > 0

        assert together(4, use) == [None] * 4
        assert inbox.count(int) == 8_000
    finally:
        inbox.close()


class Late(dict[Any, None]):
    """What a supervisor does at its end: while that is listed, another thread adds something and is held up."""

    def __init__(self, add: Callable[[], object]) -> None:
        super().__init__()
        self.thread = threading.Thread(target=add)
        self.added, self.ended = threading.Event(), threading.Event()

    def __iter__(self) -> Iterator[Any]:
        found = list(super().__iter__())
        self.thread.start()
        assert self.added.wait(PATIENCE)
        return iter(found)

    def __setitem__(self, key: Any, value: None) -> None:
        super().__setitem__(key, value)
        self.added.set()
        assert self.ended.wait(PATIENCE)


def test_what_is_to_be_done_at_the_end_is_done_though_it_was_said_during_the_end() -> None:
    done: list[str] = []
    scheduler = Scheduler(0)
    late = Late(lambda: scheduler._core.at_end(lambda: done.append("late")))
    scheduler._core.supervisor.at_end = late
    scheduler.shutdown()
    late.ended.set()
    late.thread.join()
    assert done == ["late"]


class Asked(list[Any]):
    """A scheduler's subscribers: while the last one leaves, once, another comes."""

    def __init__(self, comes: Callable[[], object]) -> None:
        super().__init__()
        self.thread: threading.Thread | None = None
        self._comes = comes

    def remove(self, one: Any) -> None:
        super().remove(one)
        self.thread = threading.Thread(target=self._comes)

    def __len__(self) -> int:
        size = super().__len__()
        if self.thread is not None and self.thread.ident is None:
            self.thread.start()
            self.thread.join(TICK)
        return size


def test_a_subscriber_that_comes_while_the_last_one_leaves_is_told() -> None:
    told: list[Event] = []
    with Scheduler(0) as scheduler:
        scheduler._core.audience.subscribers = subscribers = Asked(lambda: scheduler.subscribe(told.append))
        leave = scheduler.subscribe(lambda event: None)
        leave()
        assert subscribers.thread is not None
        subscribers.thread.join()
        assert scheduler.with_options(lane="threads").submit(int).result(PATIENCE) == 0
    assert {event.state for event in told} >= {State.SUCCEEDED}
