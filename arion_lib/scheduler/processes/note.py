"""What a worker and its supervisor tell each other without a message: nine numbers in memory that both see.

Idea        The worker notes which attempt it starts, and when; the supervisor reads that at any time, even while the
            worker is stuck in C code or already dead. In the other direction it revokes what has not been started.
Invariant   The worker writes `STARTED` before it looks at the revoked range, the supervisor writes the range before it
            looks at `STARTED`: of the two, at least one sees the other, so no task is both revoked and run.
When wrong  A note outlives its worker: it says whom to blame for the death.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_processes.py
"""

from __future__ import annotations

import mmap
import os
import sys
import tempfile

STARTED, SINCE, REVOKED_AFTER, REVOKED_TO, INTERRUPT, HEARD, REPORTED, DONE, TOTAL = range(9)
SIZE = mmap.PAGESIZE


class Note:
    """One page shared by a worker and its supervisor; `words[STARTED]` and the rest are 64 bits each.

    `STARTED`: the sequence number of the last call that the worker began. `SINCE`: when, in `times`, as seconds of
    `time.monotonic()`. Calls numbered above `REVOKED_AFTER` up to `REVOKED_TO` must not be begun.
    `INTERRUPT`: the call that the next signal is meant for. `HEARD`: the last call that such a signal has reached.
    `REPORTED`: the call that has last said how far it is; `DONE` and `TOTAL`, in `times`: what it said, the latter 0
    where it did not know. Each word is written by one side only, in one store.
    """

    def __init__(self, memory: mmap.mmap) -> None:
        self._memory = memory
        self.words = memoryview(memory).cast("Q")
        self.times = memoryview(memory).cast("d")

    @classmethod
    def create(cls) -> tuple[Note, int | str]:
        """Make one; return it and what `attach` needs in the other process: a descriptor, on Windows a name."""
        if sys.platform == "win32":
            name = f"arion-{os.getpid()}-{os.urandom(8).hex()}"
            return cls(mmap.mmap(-1, SIZE, tagname=name)), name
        fd = _anonymous_file()
        try:
            os.ftruncate(fd, SIZE)
            return cls(mmap.mmap(fd, SIZE)), fd
        except OSError:
            os.close(fd)
            raise

    @classmethod
    def attach(cls, where: int | str) -> Note:
        """Open in a worker what `create` made; a descriptor is closed."""
        if sys.platform == "win32":
            return cls(mmap.mmap(-1, SIZE, tagname=str(where)))
        fd = int(where)
        note = cls(mmap.mmap(fd, SIZE))
        os.close(fd)
        return note

    def report(self, call: int, done: float, total: float | None) -> None:
        """Write how far a call is."""
        self.times[DONE], self.times[TOTAL] = done, total or 0.0
        self.words[REPORTED] = call

    def progress(self) -> tuple[float, float | None] | None:
        """Return how far the running call says that it is."""
        if self.words[REPORTED] != self.words[STARTED]:
            return None
        return float(self.times[DONE]), float(self.times[TOTAL]) or None

    def close(self) -> None:
        """Let go of the memory."""
        self.words.release()
        self.times.release()
        self._memory.close()


def _anonymous_file() -> int:
    """Return a descriptor of a file without a name: nothing is left behind, whoever is killed."""
    if sys.platform == "linux" and hasattr(os, "memfd_create"):
        return os.memfd_create("arion-note", os.MFD_CLOEXEC)
    fd, path = tempfile.mkstemp(prefix="arion-note-")
    os.unlink(path)  # noqa: PTH108  (a path that mkstemp gave as a string)
    return fd
