"""A thread for users' code: what it runs may be slow, raise or wait, and holds up nobody but what is behind it.

Idea        Callbacks, subscribers and the stream that tasks print to are other people's code. The supervisor only puts
            such calls into a queue; this thread makes them, in order.
Invariant   Each call is made once, in the order of `put`; none is made under a lock.
When wrong  What a call raises is logged, even what is no `Exception`.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_users_code.py
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)


class SerialThread:
    """One thread, started by the first call. `put` and `close` are called by one thread, the supervisor."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._closed = False
        self.thread: threading.Thread | None = None

    def put(self, call: Callable[[], object]) -> None:
        """Have a call made, behind those that wait; at once, here, when the thread has ended."""
        if self._closed:
            call()
            return
        self._calls.put(call)
        if self.thread is None:
            self.start()

    def start(self) -> bool:
        """Start the thread; False when the system has none to give just now: then the next `put` tries again."""
        thread = threading.Thread(target=self._live, name=self._name, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return False
        self.thread = thread
        return True

    def close(self, timeout: float | None) -> None:
        """Wait until all calls have been made, `timeout` seconds at most, and end the thread."""
        self._closed = True
        if self._calls.empty() and self.thread is None:
            return
        self._calls.put(None)
        if self.thread is None and not self.start():
            self._live()  # better late and in this thread than never
            return
        if self.thread is not None:
            self.thread.join(timeout)

    def _live(self) -> None:
        while True:
            call = self._calls.get()
            if call is None:
                return
            try:
                call()
            except BaseException:
                log.exception("the call %r raised", call)
            del call  # it may hold a task, and with it a result
