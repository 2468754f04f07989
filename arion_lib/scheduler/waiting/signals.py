"""A wait that Ctrl-C may end at any moment without harm: one lock of the interpreter's own, given back once.

Idea        An `Event` and a `Condition` take a lock in Python code; an exception between two of its lines leaves the
            lock held, and then the supervisor, who wants to tell, waits for ever. A bare lock has no such lines.
Invariant   `set` never waits, whatever became of the thread that waits.
When wrong  A wait that is given up leaves nothing held.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_interrupts.py
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar, cast

T = TypeVar("T")


class Signal:
    """Something that happens once, waited for by one thread.

    >>> signal = Signal()
    >>> signal.wait(0.0)
    False
    >>> signal.set(); signal.wait()
    True
    """

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self) -> None:
        """Let the waiting thread go on; once is enough, more do no harm."""
        with suppress(RuntimeError):  # it is set already
            self._lock.release()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, `timeout` seconds at most; return whether it is."""
        seconds = -1.0 if timeout is None else min(max(0.0, timeout), threading.TIMEOUT_MAX)
        if not self._lock.acquire(timeout=seconds):
            return False
        self.set()
        return True


class Question(Generic[T]):
    """A call that another thread makes, and what it came to."""

    __slots__ = ("_ask", "_error", "_signal", "_value")

    def __init__(self, ask: Callable[[], T]) -> None:
        self._ask, self._signal = ask, Signal()
        self._value: T | None = None
        self._error: BaseException | None = None

    def __call__(self) -> None:
        """Make the call. The other thread."""
        try:
            self._value = self._ask()
        except BaseException as error:  # noqa: BLE001  (the error is the answer: it belongs to whoever asked)
            self._error = error
        self._signal.set()

    def answer(self) -> T:
        """Return what the call returned, or raise what it raised."""
        self._signal.wait()
        error, self._error = self._error, None
        if error is not None:
            raise error
        return cast(T, self._value)
