"""A process that opens resources again and again while real Ctrl-C's arrive: `python ctrl_c_child.py WAY ROUNDS`.

WAY is `sync`, `sync parallel` or `exit stack`. Prints how many rounds were interrupted inside the block or on its
edges, and how many resources were left open.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import threading
from contextlib import AbstractContextManager
from typing import Any

from arion_lib.resources import Resources

opened: set[str] = set()


class Slow:
    """Opens in the middle of its `__enter__`: what interrupts the second half leaves it open."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        spin(3_000)
        opened.add(self.name)
        spin(3_000)

    def __exit__(self, *exc: object) -> None:
        spin(3_000)
        opened.discard(self.name)
        spin(3_000)


def spin(rounds: int) -> None:
    for _ in range(rounds):
        pass


def stacked() -> AbstractContextManager[Any]:
    @contextlib.contextmanager
    def all_of_them() -> Any:
        with contextlib.ExitStack() as stack:
            for name in "abcde":
                stack.enter_context(Slow(name))
            yield

    return all_of_them()


def managed(way: str) -> AbstractContextManager[Any]:
    if way == "exit stack":
        return stacked()
    return Resources(parallel=way == "sync parallel", **{name: Slow(name) for name in "abcde"})


def strike(go: threading.Event, delay: int, sent: list[bool]) -> None:
    go.wait()
    spin(delay)
    os.kill(os.getpid(), signal.SIGINT)
    sent.append(True)


def one_round(way: str, delay: int) -> str:
    """Where the interrupt arrived: before or in the block, on the way out, or after it."""
    go, where, sent = threading.Event(), "before the end", list[bool]()
    striker = threading.Thread(target=strike, args=(go, delay, sent))
    striker.start()
    try:
        go.set()
        with managed(way):
            spin(2_000)
        where = "after the end"
        while not sent:  # no `join`: Ctrl-C in it may raise "release unlocked lock", once in 100,000 here
            spin(10)
        spin(1_000)
    except KeyboardInterrupt:
        pass
    finally:
        striker.join()
    return where


def main(way: str, rounds: int) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what a script starts in the background
    sys.setswitchinterval(1e-5)  # seconds: the striker must get its turn inside a block that takes a millisecond
    draw = random.Random(7)
    inside = left = 0
    for _ in range(rounds):
        inside += one_round(way, draw.randrange(100_000)) == "before the end"
        left += len(opened)
        opened.clear()
    sys.stdout.write(f"{inside} {left}\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
