"""The life of a live figure: started, looked at a few times a second, ended by itself.

Idea        A thread of its own opens what is to be watched, looks at it, and closes it again. Both widgets are this.
Invariant   Nothing runs before somebody starts it; it ends `seconds` after the last touch, and after `stop` no thread
            of it is left.
When wrong  An error of what is watched ends the run and is the last thing said; the next start begins anew.
See         arion_lib/workbook/monitor.py, arion_lib/workbook/scheduler_monitor.py · tests/workbook/test_monitor.py
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any


class Watching(ABC):
    """Watch something every `every` seconds, until `stop` or for `seconds` after the last `touch`."""

    how = "Press start."
    """What to do while nothing runs."""

    def __init__(self, seconds: float, every: float) -> None:
        if not (seconds > 0 and every > 0):
            raise ValueError(f"seconds and every must be > 0, got {seconds} and {every}")
        self._seconds, self._every = seconds, every
        self._touched, self._touching = 0.0, threading.Lock()
        self._stopping, self._turn = threading.Event(), threading.Lock()
        self._thread: threading.Thread | None = None

    @abstractmethod
    def watched(self) -> AbstractContextManager[Callable[[], Any]]:
        """Return what is entered at start and left at the end, both in the thread; it gives what looks once."""

    @abstractmethod
    def say(self, words: str) -> None:
        """Show the status line."""

    @abstractmethod
    def show_running(self, on: bool) -> None:
        """Show by the buttons whether it runs."""

    @property
    def running(self) -> bool:
        """Whether something is being watched now."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Begin to watch, or go on for another `seconds`."""
        self.touch()
        with self._turn:
            if self._thread is not None and self._stopping.is_set():  # it is about to end: begin anew behind it
                self._thread.join()
            if not self.running:
                self._stopping.clear()
                self.show_running(True)
                self._thread = threading.Thread(target=self._run, name="live-monitor", daemon=True)
                self._thread.start()

    def touch(self) -> None:
        """Count `seconds` from now on."""
        with self._touching:
            self._touched = time.monotonic()

    def _left(self) -> float:
        """Return the seconds that are left; when there are none, the end has begun, and no touch delays it."""
        with self._touching:
            left = self._touched + self._seconds - time.monotonic()
            if left <= 0:
                self._stopping.set()
            return left

    def stop(self) -> None:
        """End the run and wait until everything it opened is closed."""
        self._stopping.set()
        with self._turn:
            if self._thread is not None:
                self._thread.join()
                self._thread = None

    def _run(self) -> None:
        self.say("starting ...")
        try:
            with self.watched() as look:
                while not self._stopping.wait(self._every):
                    if (left := self._left()) <= 0:
                        break
                    look()
                    self.say(f"{left:.0f} s left")
                self.say("stopping ...")
        except Exception as error:  # noqa: BLE001 - the thread's boundary: an error becomes the status line
            self._stopping.set()
            self.say(f"ended by {type(error).__name__}: {error}")
        else:
            self.say(f"stopped. {self.how}")
        self.show_running(False)
