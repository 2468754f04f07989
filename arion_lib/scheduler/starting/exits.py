"""What becomes of open schedulers when their process forks or ends.

Idea        Every open scheduler is in one weak set; the interpreter's two hooks go through it.
Invariant   A forked process uses no scheduler of its parent: it would get the parent's results (test_forks.py).
When wrong  A program that Ctrl-C has ended cancels what is left; any other waits for it, as every executor does.
See         tests/scheduler/test_forks.py · tests/scheduler/test_scheduler.py
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib
import os
import signal
import sys
import threading
import weakref
from types import FrameType
from typing import Protocol


class Closable(Protocol):
    """What a supervisor can be asked at the end."""

    def abandon(self) -> None: ...

    def cancel_all(self) -> None: ...

    def request_close(self) -> None: ...

    def join(self) -> None: ...


OPEN: weakref.WeakSet[Closable] = weakref.WeakSet()
_STRUCK = threading.Event()
"""Ctrl-C came after the interpreter had begun to end."""


def _abandon_all_in_a_fork() -> None:
    """Let a forked process use no scheduler of its parent: the parent would get its results."""
    for core in list(OPEN):
        core.abandon()
    OPEN.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_all_in_a_fork)


def keep(core: Closable) -> None:
    """Have a scheduler that is left open end with the interpreter, before whatever was to be done there up to now.

    Ctrl-C in what comes first would be lost: Python prints it and goes on, and ours would wait for tasks for ever.
    """
    OPEN.add(core)
    importlib.import_module("multiprocessing.util")  # has something done at the end, from its import on
    atexit.unregister(_close_all_at_exit)
    atexit.register(_close_all_at_exit)
    _watch_at_the_end()


@functools.cache
def _watch_at_the_end() -> None:
    # Called before the rest of `threading._shutdown`; `concurrent.futures` uses it, too.
    register = getattr(threading, "_register_atexit", None)
    if register is not None:
        with contextlib.suppress(RuntimeError):  # it is ending already
            register(_watch_for_ctrl_c)


def _watch_for_ctrl_c() -> None:
    """Note Ctrl-C from now on: in the last steps of `threading._shutdown` Python prints it as ignored and goes on."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        with contextlib.suppress(ValueError):  # not the main interpreter
            signal.signal(signal.SIGINT, _note_ctrl_c)


def _note_ctrl_c(number: int, frame: FrameType | None) -> None:
    _STRUCK.set()
    signal.default_int_handler(number, frame)


def _close_all_at_exit() -> None:
    """Let the tasks end, as every executor of the standard library does, before the interpreter does."""
    ended_by_ctrl_c = isinstance(getattr(sys, "last_value", None), KeyboardInterrupt)
    # The interpreter has taken note of its main thread's end by now, unless Ctrl-C struck at just that moment.
    ended_by_ctrl_c |= threading.main_thread().is_alive() or _STRUCK.is_set()
    for core in list(OPEN):
        if ended_by_ctrl_c:
            core.cancel_all()  # nobody waits for what is left
        core.request_close()
        core.join()
