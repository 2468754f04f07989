"""What becomes a resource although it is none by itself: a call at the end, a coroutine that makes one.

Idea        A small context manager around a function; and a warning where a context manager does not close.
Invariant   A callback is called exactly once; what an async function returned is entered and left in the caller's task.
When wrong  `sqlite3.Connection` and its like end a transaction when `with` ends, and stay open: a warning says so.
See         tests/resources/test_wrappers.py
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Coroutine
from typing import Any

STAY_OPEN = frozenset({"sqlite3.Connection", "psycopg2.extensions.connection", "pyodbc.Connection"})
"""Context managers whose `__exit__` commits or rolls back, and does not close."""


def warn_if_it_stays_open(target: object) -> None:
    """Warn about a context manager that `with` does not close; `contextlib.closing` around it does."""
    for cls in type(target).__mro__:
        if f"{cls.__module__}.{cls.__qualname__}" in STAY_OPEN:
            warnings.warn(
                f"`with` ends a transaction of {cls.__module__}.{cls.__qualname__} and does not close it:"
                " wrap it in contextlib.closing",
                UserWarning,
                stacklevel=2,
            )


class Callback:
    """A context manager that does nothing but call a function at its end."""

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.function, self.args, self.kwargs = function, args, kwargs

    def __enter__(self) -> Callback:
        return self

    def __exit__(self, *exc: object) -> None:
        self.function(*self.args, **self.kwargs)

    async def __aenter__(self) -> Callback:
        return self

    async def __aexit__(self, *exc: object) -> None:
        answer = self.function(*self.args, **self.kwargs)
        if inspect.isawaitable(answer):
            await answer


class Awaited:
    """The context manager that an async function returns, synchronous or asynchronous, for `async with`."""

    def __init__(self, made: Coroutine[Any, Any, Any]) -> None:
        self._made, self._cm = made, None

    async def __aenter__(self) -> Any:
        cm: Any = await self._made
        warn_if_it_stays_open(cm)
        value = await cm.__aenter__() if hasattr(type(cm), "__aenter__") else cm.__enter__()
        self._cm = cm
        return value

    async def __aexit__(self, *exc: object) -> bool:
        cm: Any = self._cm
        return bool(await cm.__aexit__(*exc) if hasattr(type(cm), "__aexit__") else cm.__exit__(*exc))
