"""Refuse misuse where the call is written, not where the pipeline runs.

Idea        A pipeline runs later and elsewhere; an error there points at the wrong line. So look at arguments at once.
Invariant   Whatever passes a check can be run; a check never calls what it is given.
When wrong  `name must be rule, got value`.
See         tests/lazy/test_collection.py
"""

from __future__ import annotations

import inspect
import operator
import sys
from collections.abc import Iterable
from functools import partial
from math import inf
from types import FunctionType
from typing import SupportsIndex

from arion_lib.nearest import near_or_known

_ASYNC = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


def function(name: str, value: object) -> None:
    """Require something that can be called, and that gives a result when it is."""
    if type(value) is FunctionType and not value.__code__.co_flags & _ASYNC:
        return  # the usual case, kept short
    if not callable(value):
        raise TypeError(f"{name} must be a function, got {value!r}")
    if is_async(value):
        raise TypeError(f"{name} must be a plain function, got the async {value!r}; use map(fn, concurrency=...)")


def key(value: object) -> None:
    """Require a function, or None."""
    if value is not None:
        if not callable(value):
            raise TypeError(f"key must be a function or None, got {value!r}")
        function("key", value)


def async_function(name: str, value: object) -> None:
    """Require a function whose call may be awaited: async, or one that is not known to be plain."""
    if not callable(value):
        raise TypeError(f"{name} must be an async function, got {value!r}")


def is_async(value: object) -> bool:
    """Return whether calling `value` gives a coroutine or an asynchronous generator, as far as it tells beforehand.

    >>> async def fetch(x): ...
    >>> is_async(fetch), is_async(partial(fetch, 1)), is_async(len), is_async(lambda x: fetch(x))
    (True, True, False, False)
    """
    while isinstance(value, partial):
        value = value.func
    code = getattr(value, "__code__", None) or getattr(getattr(type(value), "__call__", None), "__code__", None)  # noqa: B004
    return bool(code is not None and code.co_flags & _ASYNC)


def options(name: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Require that each option of the call is one that it has."""
    for word in given:
        if word not in (words := sorted(known)):
            raise TypeError(f"{name}() must be given options that it has, got {word!r}{near_or_known(word, words)}")


def text(name: str, value: object) -> None:
    """Require a text, or None."""
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{name} must be a text or None, got {value!r}")


def flag(name: str, value: object) -> None:
    """Require True or False; a text is neither."""
    if value is not True and value is not False:
        raise TypeError(f"{name} must be True or False, got {value!r}")


def at_least(name: str, lowest: int, value: SupportsIndex) -> int:
    """Require a whole number that is not below `lowest`, and return it as an int.

    >>> at_least("size", 1, 0)
    Traceback (most recent call last):
    ValueError: size must be >= 1, got 0
    """
    number = whole(name, value)
    if number < lowest:
        raise ValueError(f"{name} must be >= {lowest}, got {number}")
    return number


def size(name: str, value: SupportsIndex) -> int:
    """Require how many elements go together: at least 1; more than a list can hold counts as the most it can.

    >>> size("size", 20), size("size", 10**30) == sys.maxsize
    (20, True)
    """
    return min(at_least(name, 1, value), sys.maxsize)


def whole(name: str, value: SupportsIndex) -> int:
    """Require a whole number; `True` is none, and neither is `2.0`."""
    if isinstance(value, bool):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be a whole number, got {value!r}") from None


def seconds(name: str, value: float) -> float:
    """Require a number of seconds that is not below 0."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number, got {value!r}")
    if not 0 <= value < inf:
        raise ValueError(f"{name} must be >= 0 and finite, got {value!r}")
    return value


def rate(name: str, value: float) -> float:
    """Require a number above 0."""
    if not seconds(name, value) > 0:
        raise ValueError(f"{name} must be > 0, got {value!r}")
    return value


def iterable(name: str, value: object) -> None:
    """Require something to iterate over."""
    if not isinstance(value, Iterable):
        raise TypeError(f"{name} must be iterable, got {value!r}")


def errors(value: tuple[object, ...]) -> None:
    """Require at least one type of exception; what is no `Exception`, Ctrl-C say, is not to be caught."""
    if not value:
        raise TypeError("errors must be types of exception, got none")
    for error in value:
        if not (isinstance(error, type) and issubclass(error, Exception)):
            raise TypeError(f"errors must be types of exception, got {error!r}")


def bounds(index: slice) -> tuple[int, int | None, int]:
    """Return (start, stop, step) of a slice whose meaning does not need the length.

    >>> bounds(slice(None, 10))
    (0, 10, 1)
    """
    start = 0 if index.start is None else whole("slice start", index.start)
    stop = None if index.stop is None else whole("slice stop", index.stop)
    step = 1 if index.step is None else whole("slice step", index.step)
    if start < 0 or (stop is not None and stop < 0):
        raise ValueError(
            f"slice bounds must be >= 0, got {start if start < 0 else stop}: "
            "a lazy collection does not know its length; slice .to_list() instead"
        )
    if step < 1:
        raise ValueError(f"slice step must be >= 1, got {step}; reverse .to_list() instead")
    return start, stop, step


def workers(
    threads: object, processes: object, executor: object, concurrency: object, window: object, ordered: object
) -> None:
    """Require exactly one kind of worker, and numbers of at least 1."""
    kinds = {"threads": threads, "processes": processes, "executor": executor, "concurrency": concurrency}
    given = [name for name, value in kinds.items() if value is not None]
    if len(given) != 1:
        raise ValueError(
            f"calls must be given one of {', '.join(kinds)}, got {' and '.join(given) or 'none'}; "
            "window and ordered say how those work"
        )
    for name, value in (*kinds.items(), ("window", window)):
        if value is not None and name != "executor":
            at_least(name, 1, value)  # type: ignore[arg-type]
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise TypeError(f"executor must be a concurrent.futures.Executor, got {executor!r}")
    flag("ordered", ordered)
