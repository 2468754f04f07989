"""Raise an exception in another thread, and take back one that has not been raised yet.

Idea        CPython can be told to raise at a thread's next line of Python. Until 3.12 it also keeps one flag for all
            threads, "somebody has something to look at", which only a thread that raises puts down.
Invariant   After `calm`, or `settle`, the flag is down. Left up, as by a thread that ends or sleeps before it looks, it
            costs a look at each call, and on 3.11 whoever traces or profiles a call, in any thread, never comes back.
When wrong  A thread that has ended, or has not begun, is not told; nothing happens.
See         tests/ground/test_interrupting.py · arion_lib/scheduler/local/threads.py ·
            arion_lib/workbook/checking/outcome.py
"""

from __future__ import annotations

import _thread
import ctypes
import sys
import threading

_ONE_FLAG = sys.version_info < (3, 13)
"""Later versions keep a flag a thread."""

_PATIENCE = 1.0
"""Seconds after which nobody waits for it any longer: where the program ends just now, threads do not go on."""


def interrupt(thread: threading.Thread, error: type[BaseException]) -> None:
    """Raise `error` in `thread` at its next line of Python; `calm` or `settle` must follow, whatever happens."""
    _set(thread, ctypes.py_object(error))


def calm(thread: threading.Thread) -> None:
    """Take back what has not been raised, and settle."""
    _set(thread, None)
    settle()


def settle() -> None:
    """Keep nobody waiting for a thread that does not look: what it is to raise comes when it does, a little later.

    Costs nothing; on 3.11 and 3.12 the start of a thread, about 60 us.
    """
    if not _ONE_FLAG or sys.is_finalizing():
        return
    done = _thread.allocate_lock()
    done.acquire()
    try:
        _thread.start_new_thread(_put_down, (done,))  # not here: this thread may have an exception of its own to come
    except RuntimeError:
        return  # no thread can start, as when the program ends: the flag stays up, which is not worth an error
    done.acquire(timeout=_PATIENCE)


class _Nothing(BaseException):
    """Raised to be raised."""


def _put_down(done: _thread.LockType) -> None:
    """Raise in the very thread that is told to: that puts the flag down."""
    try:
        try:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(_thread.get_ident()), ctypes.py_object(_Nothing))
            while True:  # it comes at one of the next lines
                pass
        finally:
            done.release()
    except _Nothing:
        pass


def _set(thread: threading.Thread, error: ctypes.py_object[type[BaseException]] | None) -> None:
    if thread.ident is not None and thread.is_alive():  # another may have the number of one that has ended
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), error)
