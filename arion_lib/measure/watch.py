"""Watch the memory of a block in this very process, from a process beside it.

Idea        What cannot move to a fresh process (a server in the notebook, a widget's session) is watched from outside.
Invariant   The samples are taken by another process, so code that holds the GIL for seconds is seen all the same.
When wrong  The block's exception passes through; the watching process ends with the block, or with this process.
See         arion_lib/measure/fresh.py (prefer a fresh process where you can) · tests/measure/test_watch.py

    from arion_lib.measure.watch import watch

    with watch() as seen:
        serve_for_a_while()
    seen.memory                      # Memory(peak +12.3 MB over 80.1 MB, 3.00 s, 299 samples)

Memory that this process used and gave back earlier hides growth: it is reused before the system is asked for more.
"""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from arion_lib.measure.fresh import EVERY
from arion_lib.measure.launch import command
from arion_lib.measure.results import Memory, Sample
from arion_lib.measure.rss import Tree, high_water_mark, reset_high_water_mark


class Seen:
    """What was seen of the block; `memory` is there once the block has ended."""

    def __init__(self) -> None:
        self._memory: Memory | None = None

    @property
    def memory(self) -> Memory:
        """How memory grew during the block. Raises `RuntimeError` before its end."""
        if self._memory is None:
            raise RuntimeError("the block must have ended; read .memory after the with statement")
        return self._memory


@contextmanager
def watch() -> Iterator[Seen]:
    """Sample the memory of this process and its children every 10 ms while the block runs.

    Cost: about 0.2 s at the start and a process that samples; the block itself is not slowed.
    """
    watcher = subprocess.Popen(
        command("arion_lib.measure.watch"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=os.name == "posix",  # Ctrl-C ends the block, and the block's end the watcher
    )
    assert watcher.stdin is not None  # noqa: S101  both are pipes
    assert watcher.stdout is not None  # noqa: S101
    seen = Seen()
    with watcher, watcher.stdin, watcher.stdout:
        watcher.stdin.write(f"{os.getpid()}\n".encode())
        watcher.stdin.flush()
        gc.collect()
        watcher.stdout.read(1)  # it stands ready and has taken the baseline
        before = reset_high_water_mark()
        start = time.perf_counter()
        try:
            yield seen
        finally:
            seconds = time.perf_counter() - start
            after = high_water_mark()
            watcher.stdin.close()
            seen._memory = _memory(*_report(watcher.stdout), seconds, before, after)


def _report(pipe: IO[bytes]) -> tuple[int, tuple[Sample, ...]]:
    try:
        baseline, samples = pickle.load(pipe)
    except EOFError:
        raise RuntimeError("the watching process must live until the block ends; something killed it") from None
    return baseline, samples


def _memory(
    baseline: int, samples: tuple[Sample, ...], seconds: float, before: int | None, after: int | None
) -> Memory:
    exact = None if before is None or after is None else after - before
    peak = max(exact or 0, 0, *(growth for _, growth in samples))
    return Memory(peak, baseline, seconds, samples, exact is not None)


def main() -> None:
    """Sample the process whose id comes first on the standard input, until the input ends."""
    tree = Tree(int(sys.stdin.readline()), without=os.getpid())
    baseline = tree.rss() or 0
    sys.stdout.buffer.write(b"!")
    sys.stdout.buffer.flush()
    over = threading.Event()
    threading.Thread(target=_until_the_end, args=(over,), daemon=True).start()
    samples: list[Sample] = [(0.0, 0)]
    start = time.perf_counter()
    while not over.wait(EVERY):
        figure = tree.rss()
        if figure is not None:
            samples.append((time.perf_counter() - start, figure - baseline))
    pickle.dump((baseline, tuple(samples)), sys.stdout.buffer)
    sys.stdout.buffer.flush()


def _until_the_end(over: threading.Event) -> None:
    sys.stdin.read()  # its end is the block's end, or this process's parent's
    over.set()
