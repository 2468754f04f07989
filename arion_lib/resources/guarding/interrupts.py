"""Ctrl-C must not fall between opening a resource and remembering that it is open.

Idea        While a manager acquires or releases, the first Ctrl-C waits for the end of that step; the second does not.
Invariant   Whether to wait is read off the interrupted frame and its callers, so no instruction is unguarded.
When wrong  A handler that somebody installs in between is left alone; the deferred Ctrl-C is still delivered.
See         notebooks/2_resource_manager.ipynb · tests/resources/test_interrupts.py
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # what `signal` wraps: without its conversions to enums, a tenth of the time
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import CodeType, FrameType
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])

_SIGINT = int(signal.SIGINT)
_critical: set[CodeType] = set()


_main = threading.main_thread().ident  # asked once: each block of a manager wants to know it


def _after_fork() -> None:
    """The thread that forked is the child's main thread."""
    global _main
    _main = threading.get_ident()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def in_main_thread(thread: int) -> bool:
    """Whether the thread with that identifier is the one that Python runs signal handlers in."""
    return thread == _main


def uninterrupted(function: Function) -> Function:
    """Mark a function: a first Ctrl-C that falls into it, or into what it calls, is deferred."""
    _critical.add(function.__code__)
    return function


def _inside(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code in _critical:
            return True
        frame = frame.f_back
    return False


class Interrupts:
    """The one SIGINT handler of all open managers of the main thread (a process has only one, so this is one too)."""

    def __init__(self) -> None:
        self._guarded: set[object] = set()
        self._previous: Any = None
        self.deferred = False  # whether a Ctrl-C waits
        self._handler = self._on_interrupt  # one object, to recognise it by
        self.arrived = threading.Event()  # wakes a retry that is waiting for its next attempt

    def hold(self, entry: object) -> None:
        """Start deferring for one more entry of a manager. To be undone by `free`, also when this was interrupted."""
        self._guarded.add(entry)
        previous = _signal.getsignal(_SIGINT)
        if previous is not self._handler and callable(previous):
            self._previous = previous
            with suppress(ValueError):  # a subinterpreter: no signal arrives in one, and none can be handled
                _signal.signal(_SIGINT, self._handler)

    def free(self, entry: object) -> None:
        """Stop deferring for one entry; the last one restores the handler that was there.

        Only the main thread may: after another one, the next block of the main thread does, or the next Ctrl-C.
        """
        self._guarded.discard(entry)
        if not self._guarded and _signal.getsignal(_SIGINT) is self._handler and in_main_thread(threading.get_ident()):
            _signal.signal(_SIGINT, self._previous)

    def deliver(self) -> None:
        """Act on a deferred Ctrl-C now, as the handler that was there before would have."""
        if self.deferred:
            self.deferred = False
            self.arrived.clear()
            self._previous(_SIGINT, sys._getframe())

    def _on_interrupt(self, signum: int, frame: FrameType | None) -> None:
        if self.deferred or not _inside(frame):
            self.free(None)  # nobody's: left over by a block that another thread left
            self._previous(signum, frame)
        else:
            self.deferred = True
            self.arrived.set()


interrupts = Interrupts()
