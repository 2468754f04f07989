"""A function of a notebook's cell for the process pools of others: pickled by value.

Idea        The standard library pickles a function as its name; a name from a cell means nothing in another process. A
            wrapper whose pickle holds the function itself means the same everywhere.
Invariant   What arrives is the function as it was when it was wrapped, under any start method.
When wrong  What the function refers to and cannot be pickled is refused when it is wrapped.
See         notebooks/5_task_scheduler.ipynb · tests/workbook/test_by_value.py
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar

import cloudpickle

P = ParamSpec("P")
T = TypeVar("T")


class by_value(Generic[P, T]):  # noqa: N801 - used as a function
    """Wrap a function so that any pool can send it to another process; called, it is the function.

    >>> twice = by_value(lambda n: 2 * n)
    >>> twice(4), pickle.loads(pickle.dumps(twice))(4)
    (8, 8)
    """

    def __init__(self, function: Callable[P, T]) -> None:
        self._function, self._data = function, cloudpickle.dumps(function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._function(*args, **kwargs)

    def __reduce__(self) -> tuple[Callable[[bytes], Any], tuple[bytes]]:
        return pickle.loads, (self._data,)
