"""Threads that begin together and are interrupted at every turn, so that what two of them do at once meets often.

With a GIL the interpreter changes threads every microsecond here, in a free-threaded Python they run at once.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def together(threads: int, call: Callable[[int], T]) -> list[T | BaseException]:
    """Call `call(number)` in so many threads at once; return what each returned, or raised."""
    begin = threading.Barrier(threads)
    ends: list[T | BaseException] = [AssertionError("the thread did not end")] * threads

    def live(number: int) -> None:
        begin.wait()
        try:
            ends[number] = call(number)
        except BaseException as error:  # noqa: BLE001  a thread's boundary: any error becomes the test's
            ends[number] = error

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        running = [threading.Thread(target=live, args=(number,)) for number in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    return ends
