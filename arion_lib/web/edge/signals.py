"""Signals that ask a command to end, for as long as it runs.

Idea        Whoever called the command (a test, a notebook, a program of its own) gets its handlers back behind it.
Invariant   After the block each signal is handled as before it, however the block ended.
When wrong  In another thread than the main one nobody may set handlers: there the block runs without.
See         tests/web/test_serve.py
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

ENDING = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGBREAK")  # the last: Ctrl-Break, all that Windows can send a console process
    if hasattr(signal, name)
)


@contextlib.contextmanager
def asked_to_end(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Call `handler` on Ctrl-C, SIGTERM and, on Windows, Ctrl-Break while the block runs."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in ENDING}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, signal.SIG_DFL if former is None else former)  # None: it was not set from Python
