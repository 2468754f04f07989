"""A function, as the process that calls it gets it: two pickles, loaded by the first call.

Idea        Loading runs imports, which may hang or raise: so it is a part of the first call, with that call's time
            limit, and not of the message that brought the function.
Invariant   What a call changes of the context variables, no other call sees.
When wrong  A function that cannot be loaded fails each call of it, with the reason.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_loading.py · tests/scheduler/test_context.py
"""

from __future__ import annotations

import functools
import inspect
import pickle
from collections.abc import Callable
from contextvars import Context
from traceback import walk_tb
from typing import Any, NoReturn

from arion_lib.scheduler.calls.context import context_of
from arion_lib.scheduler.errors import NotTransferableError


def prepared(function: bytes, context: bytes | None) -> Callable[..., Any]:
    """Return the function as it is to be called; one that cannot be had here fails each call of it."""
    try:
        loaded: Callable[..., Any] = pickle.loads(function)
        if inspect.iscoroutinefunction(loaded):
            loaded = functools.partial(_run_coroutine, loaded)
        return loaded if context is None else _InContext(loaded, context_of(pickle.loads(context)))
    except Exception as error:  # noqa: BLE001  (an import may raise anything: it is the result of every call)
        return functools.partial(_fail, error)


class Unloaded:
    """A function that the first call of it loads: loading runs imports, which may hang, and belongs to that call."""

    __slots__ = ("_functions", "_number", "_pickles")

    def __init__(
        self, functions: dict[int, Callable[..., Any]], number: int, function: bytes, context: bytes | None
    ) -> None:
        self._functions, self._number, self._pickles = functions, number, (function, context)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        loaded = self._functions[self._number] = prepared(*self._pickles)
        return loaded(*args, **kwargs)


class _InContext:
    """A function that sees the submitter's context variables; each call in a copy of its own."""

    def __init__(self, function: Callable[..., Any], context: Context) -> None:
        self._function, self._context = function, context
        self.__qualname__ = getattr(function, "__qualname__", repr(function))

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self._context.copy().run(self._function, *args, **kwargs)


def _run_coroutine(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    import asyncio  # most workers never need it, and it takes long to import

    return asyncio.run(function(*args, **kwargs))


def _fail(error: Exception, *_args: Any, **_kwargs: Any) -> NoReturn:
    raise NotTransferableError(
        f"the function could not be loaded in the worker: {type(error).__name__}: {error}; the module that defines it "
        "must be importable there (the worker has this process's sys.path)"
    ) from error


def was_importing(error: BaseException) -> bool:
    """Whether an error passed through an import: then a module may be there in part.

    Python takes the import system's own frames out of a traceback where they only called a module's code; that code's
    frame stays, and its globals know that a module is made.
    """
    frames = (frame for frame, _ in walk_tb(error.__traceback__))
    return any(
        "importlib._bootstrap" in frame.f_code.co_filename
        or (frame.f_code.co_name == "<module>" and frame.f_globals.get("__spec__") is not None)
        for frame in frames
    )


def result_of(function: Callable[..., Any]) -> str:
    """Return what a function's result is called, for an error's sentence."""
    return f"result of {getattr(function, '__qualname__', function)}"
