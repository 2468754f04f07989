"""Ctrl-C in the middle of `submit`, `result` or `cancel` leaves a scheduler that works."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from arion_lib.scheduler import Scheduler
from arion_lib.scheduler.waiting.signals import Question, Signal
from tests.scheduler.gates import PATIENCE

pytestmark = pytest.mark.posix("Windows has no timer that sends signals")
INTERRUPTS = 150


def interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def test_interrupts_at_any_moment_of_submit_and_result_leave_a_scheduler_that_works(
    no_leaks: None, without_the_collector: None
) -> None:
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with Scheduler(1) as scheduler:
            scheduler.submit(pow, 2, 5).result(PATIENCE)
            for number in range(INTERRUPTS):
                try:
                    signal.setitimer(signal.ITIMER_REAL, 0.001 + number * 1e-5)
                    while True:
                        scheduler.submit(pow, 2, 5).result(PATIENCE)
                        scheduler.with_options(priority=1).submit(pow, 2, 6).cancel()
                except KeyboardInterrupt:
                    assert scheduler.submit(pow, 2, number).result(PATIENCE) == 2**number
            assert scheduler.wait_idle(PATIENCE)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def interrupted(step: Callable[[], object], number: int) -> bool:
    """Make a step in which Ctrl-C strikes before the n-th line of the library's; False when it has fewer lines."""
    left = number

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal left
        if "arion_lib" not in frame.f_code.co_filename:
            return None
        if event == "line":
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        step()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return left <= 0


def test_an_interrupt_before_any_line_of_submit_result_and_cancel_leaves_a_scheduler_that_works(
    no_leaks: None,
) -> None:
    """The same for each line in turn: a timer hardly ever hits the few in which a state would be half changed."""
    with Scheduler(1) as scheduler:
        scheduler.submit(pow, 2, 5).result(PATIENCE)
        urgent = scheduler.with_options(priority=1, retries=1)

        def step() -> None:
            first = scheduler.submit(pow, 2, 5)
            second = urgent.submit(abs, first)
            second.cancel()
            first.result(PATIENCE)

        number = 1
        while interrupted(step, number):
            assert scheduler.submit(pow, 2, number).result(PATIENCE) == 2**number
            number += 1
        assert scheduler.wait_idle(PATIENCE)
        seen = scheduler.status()
        assert (seen.ready, seen.running) == (0, 0)
    assert number > 50


def test_a_wait_that_is_given_up_keeps_nobody_from_telling() -> None:
    """A bare lock: `set` has nothing to wait for, whatever became of the waiting thread."""
    told = Signal()
    assert not told.wait(0.001)
    told.set()
    told.set()
    assert told.wait(0)
    assert told.wait(0)


def test_the_control_an_event_whose_lock_was_left_held_stops_who_tells() -> None:
    event = threading.Event()
    event._cond.acquire()  # type: ignore[attr-defined]  (as after an exception inside `Condition.__exit__`)
    teller = threading.Thread(target=event.set, daemon=True)
    teller.start()
    teller.join(0.05)
    assert teller.is_alive()
    event._cond.release()  # type: ignore[attr-defined]
    teller.join()


def test_an_error_of_a_question_goes_to_the_thread_that_asked() -> None:
    question = Question[int](lambda: 1 // 0)
    threading.Thread(target=question).start()
    with pytest.raises(ZeroDivisionError):
        question.answer()
