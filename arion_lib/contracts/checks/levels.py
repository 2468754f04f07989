"""How much of a call is checked: nothing, a constant amount, or every element.

Idea        A class has its level; a context manager overrides it for the calls made inside it, by this thread or
            task.
Invariant   While no override is active anywhere, a call pays one list look-up for the possibility of one.
When wrong  An unknown level is refused where it is written.
See         tests/contracts/test_guards.py
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import Enum


class Level(Enum):
    """`OFF` checks nothing, `FAST` a constant amount for each call (the first element), `ALL` every element.

    Two are for code that is not ready yet, and are said by classes only: `DEFINE` judges at the class statement and
    puts no guards in; `WARN` looks like `FAST` and warns (`ContractWarning`) where the others raise, at the class
    statement too.
    """

    OFF = "off"
    FAST = "fast"
    ALL = "all"
    DEFINE = "define"
    WARN = "warn"


SWITCH = [0]
"""How many `checking` blocks are open in the process. A list, so that generated code sees the change for free."""

_lock = threading.Lock()
_override: ContextVar[Level | None] = ContextVar("arion_contract_level", default=None)


def level(word: str | Level) -> Level:
    """Return the level that `word` names. Raises `ValueError` for another word.

    >>> level("fast")
    <Level.FAST: 'fast'>
    """
    try:
        return Level(word)
    except ValueError:
        raise ValueError(f"level must be one of off, fast, all, define, warn, got {word!r}") from None


def current(default: Level) -> Level:
    """Return the level that counts here and now: that of the innermost `checking` block, else `default`."""
    return _override.get() or default


@contextmanager
def checking(word: str | Level) -> Iterator[None]:
    """Check contracts at this level inside the block, whatever the classes say; other threads and tasks are unaffected.

    >>> with checking("all"):
    ...     current(Level.FAST)
    <Level.ALL: 'all'>
    """
    chosen = level(word)
    if chosen in (Level.DEFINE, Level.WARN):
        raise ValueError(
            f"level must be off, fast or all inside a block, got {word!r}; a class may say checks={word!r}"
        )
    token = _override.set(chosen)
    _count(+1)
    try:
        yield
    finally:
        _count(-1)
        _override.reset(token)


def _count(step: int) -> None:
    with _lock:
        SWITCH[0] += step
