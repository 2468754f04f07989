"""Something open that a cell makes anew each time it is run: the one before is closed first.

Idea        A learner runs a cell twice; without this, what the first run opened stays until the kernel ends.
Invariant   Of each name one thing is open at most; it is closed when the interpreter ends.
When wrong  An error while closing the old one comes out, after the name was given free.
See         notebooks/5_task_scheduler.ipynb · tests/workbook/test_reopened.py
"""

from __future__ import annotations

import atexit
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_closing: dict[str, Callable[[], object]] = {}


def reopened(name: str, open_it: Callable[[], T], close: Callable[[T], object]) -> T:
    """Close what is open under `name`, open it anew and return it; it is closed at the end of the interpreter.

    >>> first = reopened("list", lambda: ["open"], list.clear)
    >>> second = reopened("list", lambda: ["open"], list.clear)
    >>> first, second
    ([], ['open'])
    """
    close_all(name)
    opened = open_it()
    _closing[name] = lambda: close(opened)
    return opened


def close_all(*names: str) -> None:
    """Close what is open under these names; everything without a name."""
    for name in names or list(_closing):
        if end := _closing.pop(name, None):
            end()


atexit.register(close_all)
