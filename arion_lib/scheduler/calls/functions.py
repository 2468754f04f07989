"""A function as it travels: pickled once, known by a number from then on; a plain call is (number, *arguments).

Idea        A function that is submitted again is known again, as long as everything that it uses is what it was
            (unchanged.py); else it is another function, with another number and another pickle.
Invariant   A call means what it meant at submit, and no call sees what another has changed (test_calls.py,
            test_fresh.py).
When wrong  What cannot travel raises `NotTransferableError` at submit, for that task alone.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_calls.py
"""

from __future__ import annotations

import functools
import inspect
import pickle
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextvars import Context, copy_context
from types import FunctionType, MethodType
from typing import Any

from cloudpickle import list_registry_pickle_by_value

from arion_lib.scheduler.calls.context import portable
from arion_lib.scheduler.calls.fresh import fresh
from arion_lib.scheduler.calls.importable import importable
from arion_lib.scheduler.calls.places import Check
from arion_lib.scheduler.calls.unchanged import holds, watched
from arion_lib.scheduler.calls.values import ATOMS, by_value
from arion_lib.scheduler.errors import NotTransferableError
from arion_lib.scheduler.options import Options, declared

MOST_FUNCTIONS = 1_000
"""Functions remembered; of one more, the one met longest ago is forgotten and would be pickled again."""
MOST_WATCHED, MOST_BYTES = 100, 1 << 23
"""Of these, functions that keep something changeable alive, and the bytes of their pickles."""
KEPT = frozenset({FunctionType, MethodType, type})
"""Types of callables that are equal only where they are the same."""


class Function:
    """A function that workers can be told about: its number, its pickle, and how its runs have been so far."""

    __slots__ = (
        "__weakref__",
        "call",
        "context",
        "context_data",
        "data",
        "lane",
        "mean",
        "name",
        "number",
        "options",
        "passing",
        "plain",
        "unchanged",
    )

    def __init__(self, call: Callable[..., Any], number: int, unchanged: tuple[Check, ...] | None) -> None:
        self.call, self.number, self.unchanged = call, number, unchanged
        self.name: str = getattr(call, "__name__", None) or type(call).__name__
        self.options: Options = declared(call)
        self.lane: str = self.options.lane or ("loop" if inspect.iscoroutinefunction(call) else "processes")
        self.data: bytes | None = None
        self.passing = unchanged is None
        """Whether another one may take its place at any submit: then a worker must not keep it for long."""
        self.plain = False
        """Whether it is pickled, and runs in a process without urgency or deadline: a submit need not ask more."""
        self.context: Context | None = None
        self.context_data: bytes | None = None
        self.mean: float | None = None
        """Seconds that a run took lately, on average; None before the first."""


class Functions:
    """The functions that one scheduler has met. Called by many threads at once."""

    def __init__(self) -> None:
        self._known: OrderedDict[Callable[..., Any], Function] = OrderedDict()
        self._watched: OrderedDict[Callable[..., Any], int] = OrderedDict()
        """Of these, those that use something changeable, with the bytes of their pickles: they keep that alive."""
        self._bytes = 0
        self._registered: set[str] = list_registry_pickle_by_value()
        self._lock = threading.Lock()
        self._numbers = 0

    def find(self, call: Callable[..., Any]) -> Function:
        """Return what is known of a function as it now is, with the submitter's context. Costs one lookup mostly."""
        context = copy_context()
        if list_registry_pickle_by_value() != self._registered:
            self._know_none()
        try:
            found = self._known.get(call)
            if (
                found is not None
                and (found.context == context or self._travels_alike(found, context))
                and (not found.unchanged or holds(found.unchanged))
            ):
                return found
        except (TypeError, ValueError):  # not hashable, or a variable's value that cannot be compared: met anew
            pass
        return self._meet(call, context)

    def _travels_alike(self, function: Function, context: Context) -> bool:
        """Whether of another context the same travels: that of a web request differs in what describes the request."""
        known = function.context
        if known is None or portable(known) != portable(context):
            return False
        with self._lock:
            if function.context is known:  # not None by now: see `_pickled_context`
                function.context = context
        return True

    def _meet(self, call: Callable[..., Any], context: Context) -> Function:
        if not callable(call):
            raise TypeError(f"fn must be callable, got {call!r}: write submit(fn, argument), not submit(fn(argument))")
        unchanged = watched(call, only_fixed=True) if type(call) in KEPT or importable(call) else None
        with self._lock:
            self._numbers += 1
            function = Function(call, self._numbers, unchanged)
            function.context = context
            if unchanged is not None:
                self._keep(function)
        return function

    def _keep(self, function: Function) -> None:
        self._known[function.call] = function
        self._known.move_to_end(function.call)
        if len(self._known) > MOST_FUNCTIONS:
            self._forget(next(iter(self._known)))

    def _know_none(self) -> None:
        """Forget all functions: modules were registered that travel by value, or are not any more."""
        with self._lock:
            self._registered = list_registry_pickle_by_value()
            self._known.clear()
            self._watched.clear()
            self._bytes = 0

    def _forget(self, call: Callable[..., Any]) -> None:
        self._known.pop(call, None)
        self._bytes -= self._watched.pop(call, 0)

    def pickled(self, function: Function) -> None:
        """Fill in a function's pickle and its context's; done at submit, once. Raises `NotTransferableError`."""
        checks = None  # looked at before it is pickled: what changes meanwhile is noticed
        if importable(function.call):
            data = pickle.dumps(function.call, 5)
        else:
            if function.unchanged is None and type(function.call) in KEPT and not _is_coroutine(function.call):
                checks = watched(function.call)
            data = by_value(function.call, f"function {function.name!r}")
        context, context_data = _pickled_context(function.context)
        options = function.options
        urgent = options.priority > 0 or options.timeout is not None or options.deadline is not None
        with self._lock:
            if function.data is not None:
                return  # another thread was first: what is there belongs together
            function.context, function.context_data = context, context_data
            if checks is not None:
                self._watch(function, data, checks)
                data = fresh(data)
            function.data = data  # behind all that travels with it: from here on other threads submit the function
            function.plain = function.lane == "processes" and not urgent and options.plain

    def _watch(self, function: Function, data: bytes, checks: tuple[Check, ...]) -> None:
        """Know a function again that uses something changeable, as long as nothing of it changes."""
        function.unchanged, function.passing = checks, True
        if len(data) > MOST_BYTES:
            return
        self._forget(function.call)
        self._keep(function)
        self._watched[function.call] = len(data)
        self._bytes += len(data)
        while self._bytes > MOST_BYTES or len(self._watched) > MOST_WATCHED:
            self._forget(next(iter(self._watched)))


def _pickled_context(context: Context | None) -> tuple[Context | None, bytes | None]:
    """Return what a function is known again by, and the pickle of the variables that travel with it."""
    pairs = []
    for variable, value in portable(context or Context()):
        try:
            by_value((variable, value), "context variable")
        except NotTransferableError:
            continue
        pairs.append((variable, value))
    if not all(type(value) in ATOMS for _, value in pairs):
        context = None  # a value may be changed in its place: the function is met anew each time
    return context, by_value(pairs, "context") if pairs else None


def _is_coroutine(call: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(call)


def unwrapped(
    call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
    """Return the same call with the function apart from what a partial or a bound method adds to it.

    The function is pickled once for all calls then, and what it is bound to is an argument of each.

    >>> unwrapped(functools.partial(pow, 2), (5,), {})
    (<built-in function pow>, (2, 5), {})
    """
    while type(call) in WRAPPED:
        inner: Any = call
        if type(call) is MethodType:
            if not importable(inner.__func__):
                break
            call, args = inner.__func__, (inner.__self__, *args)
        else:
            if any(type(arg).__name__ == "_PlaceholderType" for arg in inner.args):  # they take the call's arguments
                break
            call, args, kwargs = inner.func, (*inner.args, *args), {**inner.keywords, **kwargs}
    return call, args, kwargs


WRAPPED = frozenset({functools.partial, MethodType})
