"""A function in a worker whose globals are as they were sent, whatever an earlier call has done to them.

Idea        Before each call the worker looks whether all that the function uses is as it was loaded; if a call has
            changed something, the function is loaded again from its pickle.
Invariant   No call sees what another has written into a global, a cell, an attribute or a default (test_fresh.py).
When wrong  What cannot be looked into is loaded again for each call: slower, not wrong.
See         arion_lib/scheduler/calls/unchanged.py · tests/scheduler/test_fresh.py
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

from arion_lib.scheduler.calls.places import Check
from arion_lib.scheduler.calls.unchanged import holds, watched


class Fresh:
    """The function of a pickle. Calling it costs a look at what it uses."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._function: Callable[..., Any]
        self._checks: tuple[Check, ...] | None
        self._load()
        self.__qualname__ = getattr(self._function, "__qualname__", type(self._function).__qualname__)

    def _load(self) -> None:
        self._function = pickle.loads(self._data)
        self._checks = watched(self._function)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        if self._checks is None or not holds(self._checks):
            self._load()
        return self._function(*args, **kwargs)

    def __reduce__(self) -> tuple[type[Fresh], tuple[bytes]]:
        return Fresh, (self._data,)


class _Sent:
    """A pickle that becomes a `Fresh` where it is opened."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __reduce__(self) -> tuple[type[Fresh], tuple[bytes]]:
        return Fresh, (self._data,)


def fresh(data: bytes) -> bytes:
    """Return the pickle of a `Fresh` of the function that is pickled in `data`.

    >>> pickle.loads(fresh(pickle.dumps(len)))("abc")
    3
    """
    return pickle.dumps(_Sent(data), 5)
