"""Resident memory of a process and its children, as the operating system counts it.

Idea        Ask from outside: the watched process spends nothing, and C code that holds the GIL hides nothing.
Invariant   A figure is the sum over the process and its descendants alive at that moment.
When wrong  A process that ends while it is being read counts as 0 bytes.
See         arion_lib/measure/fresh.py · tests/measure/test_rss.py

Pages that forked children share with their parent count once for each of them: the sum is an upper bound there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

Clock = Callable[[], float]

_REFRESH = 0.1
"""Seconds between two looks for new children where finding them costs a walk over all processes of the machine."""


class Tree:
    """A process and its descendants, read again and again."""

    def __init__(self, pid: int, clock: Clock = time.monotonic) -> None:
        import psutil

        self._root = psutil.Process(pid)
        self._children: dict[int, psutil.Process] = {}
        self._clock = clock
        self._looked = float("-inf")
        self._patience = 0.0 if _kernel_lists_children(pid) else _REFRESH

    def rss(self) -> int | None:
        """Sum the resident bytes; new children are found within a tenth of a second, on Linux at once.

        `None`: the process has ended.
        """
        if self._clock() - self._looked >= self._patience:
            self._find_children()
        own = _rss(self._root)
        return own + sum(map(_rss, self._children.values())) if own else None

    def kill(self) -> None:
        """Kill the process and everything below it."""
        import psutil

        self._find_children()
        for process in (self._root, *self._children.values()):
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def _find_children(self) -> None:
        import psutil

        self._looked = self._clock()
        found = {}
        for pid in self._pids():
            with suppress(psutil.NoSuchProcess):
                found[pid] = self._children.get(pid) or psutil.Process(pid)
        self._children = found

    def _pids(self) -> list[int]:
        import psutil

        if not self._patience:
            return list(_descendants(self._root.pid))
        try:
            return [child.pid for child in self._root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


def alive(pid: int) -> bool:
    """Tell whether a process of this id exists."""
    import psutil

    return psutil.pid_exists(pid)


def reset_high_water_mark() -> int | None:
    """Start this process's high-water mark afresh and return the resident bytes it starts from; `None` if impossible.

    Linux keeps the largest resident size ever reached as VmHWM; writing 5 to clear_refs sets it to the present size.
    (`ru_maxrss` will not do: a child inherits its parent's.)
    """
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:  # another system, or a container that forbids it
        return None
    return _status("VmRSS")


def high_water_mark(pid: int | None = None) -> int | None:
    """Return the most resident bytes a process (this one) had since its last reset; `None` where nobody tells."""
    return _status("VmHWM", pid)


def _status(field: str, pid: int | None = None) -> int | None:
    try:
        text = Path(f"/proc/{pid or 'self'}/status").read_text()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith(f"{field}:")), None)


def _kernel_lists_children(pid: int) -> bool:
    return Path(f"/proc/{pid}/task/{pid}/children").exists()  # Linux, if it was built with CONFIG_PROC_CHILDREN


def _descendants(pid: int) -> Iterator[int]:
    """Yield the process ids below `pid`, from the lists of children that Linux keeps for each thread."""
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        told = [(thread / "children").read_bytes() for thread in threads]
        children = [int(child) for those in told for child in those.split()]
    except OSError:  # it has just ended
        return
    for child in children:
        yield child
        yield from _descendants(child)


def _rss(process: psutil.Process) -> int:
    import psutil

    try:
        return int(process.memory_info().rss)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0
