"""An exception raised in another thread leaves nothing behind: whoever traces afterwards comes back."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from arion_lib.interrupting import calm, interrupt, settle
from arion_lib.setup.environment import ROOT

BEGIN = """
import ctypes, sys, threading
from arion_lib.interrupting import calm, interrupt

class Stop(BaseException):
    pass

def told(error):
    '''Raise in a thread while it waits; return it.'''
    begun, gate, stopped = threading.Event(), threading.Event(), []

    def work():
        begun.set()
        try:
            gate.wait()
            for _ in range(1_000):
                len(stopped)
        except Stop:
            stopped.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    begun.wait()
    error(thread)
    gate.set()
    thread.join()
    return stopped

def traced():
    '''Trace and profile a call: on 3.11 this never ends while the flag is up.'''
    calls = []
    for switch in (sys.settrace, sys.setprofile):
        switch(lambda frame, event, _: calls.append(event))
        (lambda: None)()
        switch(None)
    return "call" in calls

"""

LEFT = {
    "raised": "assert told(lambda thread: interrupt(thread, Stop))\ncalm(threading.current_thread())",
    "taken back": "def both(thread):\n    interrupt(thread, Stop)\n    calm(thread)\nassert not told(both)",
    "ended before it looked": """
import _thread

class Bare:
    '''A thread without a line of Python of its own: it is in a call of C from begin to end.'''

    def __init__(self, call):
        self.ident, self.is_alive = _thread.start_new_thread(call, ()), lambda: True

gate = threading.Lock()
gate.acquire()
others = _thread._count()
bare = Bare(gate.acquire)
while _thread._count() == others:  # it has begun
    pass
interrupt(bare, Stop)
gate.release()
while _thread._count() > others:
    pass
calm(bare)
""",
    "a task of a thread is cancelled": """
from arion_lib.scheduler import Scheduler

begun = threading.Event()

def waits():
    begun.set()
    while True:
        threading.Event().wait(0.001)

with Scheduler(0, threads=1) as scheduler:
    task = scheduler.with_options(lane="threads").submit(waits)
    begun.wait()
    assert task.cancel()
    try:
        task.result()
    except BaseException as error:
        print(type(error).__name__)
    assert traced()
""",
    "an exercise waits in C": """
from arion_lib.workbook.checking.outcome import run

gate = threading.Lock()
gate.acquire()
print(run(gate.acquire, seconds=0.01))
""",
    "a thread that never looks": """
import time
from arion_lib.scheduler import Scheduler

with Scheduler(0, threads=1, grace=0.01) as scheduler:
    task = scheduler.with_options(lane="threads", timeout=0.01).submit(time.sleep, 3600)
    print(type(task.exception()).__name__)
    while not scheduler.status().restarts:
        time.sleep(0.001)
    assert traced()
""",
}


def ends(code: str, seconds: float) -> bool:
    try:
        done = subprocess.run(
            [sys.executable, "-c", f"{BEGIN}{code}\nassert traced()\nprint('traced')"],
            cwd=ROOT,
            timeout=seconds,
            capture_output=True,
            text=True,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    assert done.stdout.endswith("traced\n"), done.stdout + done.stderr
    return True


@pytest.mark.parametrize("left", list(LEFT))
def test_after_an_exception_raised_in_another_thread_calls_can_be_traced(left: str) -> None:
    assert ends(LEFT[left], 120)


class Stop(Exception):
    """What a thread is told that must not be told."""


class SameNumber(threading.Thread):
    """A thread whose number this one has, as it may be once a thread has ended."""

    @property
    def ident(self) -> int | None:
        return threading.get_ident()


def test_a_thread_that_has_ended_is_told_nothing_though_another_has_its_number() -> None:
    ended = SameNumber(target=int)
    ended.start()
    ended.join()
    interrupt(ended, Stop)
    assert sum(len(str(number)) for number in range(1_000)) == 2_890  # it would be raised here
    calm(ended)


def test_a_thread_that_has_not_begun_is_told_nothing() -> None:
    thread = threading.Thread(target=int)
    interrupt(thread, Stop)
    calm(thread)
    thread.start()
    thread.join()


@pytest.mark.thorough
@pytest.mark.skipif(sys.version_info >= (3, 12), reason="later versions trace in another way")
def test_an_exception_that_is_only_taken_back_keeps_3_11_from_tracing() -> None:
    only = "ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(threading.get_ident()), None)"
    assert not ends(only, 10)


def test_where_no_thread_can_start_nothing_is_said_and_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr("_thread.start_new_thread", refuse)
    settle()


def test_a_program_that_ends_settles_without_a_word() -> None:
    code = """
import threading
from arion_lib.interrupting import settle

class Late:
    def __del__(self):
        self.settle()

late = Late()
late.settle = settle
threading.late = late
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr == ""
