"""An exception raised in another thread leaves nothing behind: whoever traces afterwards comes back."""

from __future__ import annotations

import subprocess
import sys

import pytest

from arion_lib.interrupting import settle
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
    "raised in nobody": """
thread = threading.Thread(target=int)
thread.start()
thread.join()
interrupt(thread, Stop)
calm(thread)
""",
    "ended before it looked": """
gate = threading.Lock()
gate.acquire()
thread = threading.Thread(target=gate.acquire)  # a call of C from begin to end
thread.start()
while not thread.is_alive():
    pass
interrupt(thread, Stop)
gate.release()
thread.join()
calm(thread)
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
    "an exercise's time is over": """
from arion_lib.workbook.checking.outcome import run

def for_ever():
    while True:
        pass

print(run(for_ever, seconds=0.1))
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
