"""A call as it travels: the function once, its arguments each time, other tasks' results in their places.

Idea        A function is pickled once and known by a number from then on; a plain call is a tuple (number, *arguments).
Invariant   A call means what it meant at submit: arguments are copied then (but for large buffers), and a function
            whose globals, defaults or closure have changed since is another function, with another number.
When wrong  What cannot travel raises `NotTransferableError` at submit, for that task alone.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_calls.py
"""

from __future__ import annotations

import builtins
import functools
import inspect
import pickle
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextvars import Context, copy_context
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

import cloudpickle

from arion_lib.scheduler.calls.context import portable
from arion_lib.scheduler.calls.values import ATOMS, Packed, by_value, pack
from arion_lib.scheduler.errors import NotTransferableError
from arion_lib.scheduler.options import Options, declared

if TYPE_CHECKING:
    from arion_lib.scheduler.task import Task

MOST_FUNCTIONS = 1_000
"""Functions remembered; of one more, the one met longest ago is forgotten and would be pickled again."""


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
        "plain",
        "unchanged",
    )

    def __init__(self, call: Callable[..., Any], number: int, unchanged: tuple[_Seen | _Made, ...] | None) -> None:
        self.call, self.number, self.unchanged = call, number, unchanged
        self.name: str = getattr(call, "__name__", None) or type(call).__name__
        self.options: Options = declared(call)
        self.lane: str = self.options.lane or ("loop" if inspect.iscoroutinefunction(call) else "processes")
        self.data: bytes | None = None
        self.plain = False
        """Whether it is pickled, and runs in a process without urgency or deadline: a submit need not ask more."""
        self.context: Context | None = None
        self.context_data: bytes | None = None
        self.mean: float | None = None
        """Seconds that a run took lately, on average; None before the first."""

    def observe(self, seconds: float) -> None:
        """Take one more run into the average."""
        mean = self.mean
        self.mean = seconds if mean is None else mean + (seconds - mean) * 0.1


class Functions:
    """The functions that one scheduler has met. `find` is called by many threads at once."""

    def __init__(self) -> None:
        self._known: OrderedDict[Callable[..., Any], Function] = OrderedDict()
        self._lock = threading.Lock()
        self._numbers = 0
        self._empty = Context()

    def find(self, call: Callable[..., Any]) -> Function:
        """Return what is known of a function as it now is, with the submitter's context. Costs one lookup mostly."""
        context = copy_context()
        try:
            found = self._known.get(call)
            if found is not None and found.context == context and (not found.unchanged or _holds(found.unchanged)):
                return found
        except (TypeError, ValueError):  # not hashable, or a variable's value that cannot be compared: met anew
            pass
        return self._meet(call, context)

    def _meet(self, call: Callable[..., Any], context: Context) -> Function:
        if not callable(call):
            raise TypeError(f"fn must be callable, got {call!r}: write submit(fn, argument), not submit(fn(argument))")
        with self._lock:
            self._numbers += 1
            function = Function(call, self._numbers, _captured(call))
            function.context = context
            if function.unchanged is not None:
                self._known[call] = function
                self._known.move_to_end(call)
                if len(self._known) > MOST_FUNCTIONS:
                    self._known.popitem(last=False)
        return function


def pickled(function: Function) -> None:
    """Fill in a function's pickle and its context's; done at submit, once. Raises `NotTransferableError`."""
    function.data = _by_reference(function.call) or by_value(function.call, f"function {function.name!r}")
    pairs = []
    for variable, value in portable(function.context or Context()):
        try:
            by_value((variable, value), "context variable")
        except NotTransferableError:
            continue
        pairs.append((variable, value))
    if not all(type(value) in ATOMS for _, value in pairs):
        function.context = None  # a value may be changed in its place: the function is met anew each time
    function.context_data = by_value(pairs, "context") if pairs else None
    options = function.options
    urgent = options.priority > 0 or options.timeout is not None or options.deadline is not None or not options.plain
    function.plain = function.lane == "processes" and not urgent


def _by_reference(call: Callable[..., Any]) -> bytes | None:
    """Return the pickle of a function that a worker can import; None for one that must travel by value."""
    if _importable(call):
        return pickle.dumps(call, 5)
    return None


def _importable(call: Any) -> bool:
    module, name = getattr(call, "__module__", None), getattr(call, "__qualname__", "")
    if module in (None, "__main__") or not isinstance(call, (FunctionType, BuiltinFunctionType, type)):
        return False
    if _travels_by_value(str(module)):
        return False
    found: Any = sys.modules.get(str(module))
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is call


def _travels_by_value(module: str) -> bool:
    """Whether a module, or a package that it is in, was given to `cloudpickle.register_pickle_by_value`."""
    registered = cloudpickle.list_registry_pickle_by_value()
    return bool(registered) and any(module == one or module.startswith(f"{one}.") for one in registered)


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
            if not _importable(inner.__func__):
                break
            call, args = inner.__func__, (inner.__self__, *args)
        else:
            if any(type(arg).__name__ == "_PlaceholderType" for arg in inner.args):  # they take the call's arguments
                break
            call, args, kwargs = inner.func, (*inner.args, *args), {**inner.keywords, **kwargs}
    return call, args, kwargs


WRAPPED = frozenset({functools.partial, MethodType})


class _Seen:
    """A place where a function looks something up, and what was there when it was pickled."""

    __slots__ = ("name", "space", "value")

    def __init__(self, space: dict[str, Any], name: str) -> None:
        self.space, self.name, self.value = space, name, space.get(name, _Seen)

    def holds(self) -> bool:
        return self.space.get(self.name, _Seen) is self.value


class _Made:
    """What a function was made of when it was pickled: reloading replaces its code, not the function."""

    __slots__ = ("code", "defaults", "function")

    def __init__(self, function: FunctionType) -> None:
        self.function, self.code, self.defaults = function, function.__code__, function.__defaults__

    def holds(self) -> bool:
        return self.function.__code__ is self.code and self.function.__defaults__ is self.defaults


def _holds(seen: tuple[_Seen | _Made, ...]) -> bool:
    return all(one.holds() for one in seen)


def _captured(call: Callable[..., Any]) -> tuple[_Seen | _Made, ...] | None:
    """Return what must not change for a function to stay the same; None when that cannot be told cheaply."""
    if _importable(call):
        return ()
    if type(call) is not FunctionType:
        return None
    found: dict[tuple[int, str], _Seen | _Made] = {}
    return tuple(found.values()) if _collect(call, found, {call}) else None


def _collect(call: FunctionType, found: dict[tuple[int, str], _Seen | _Made], visited: set[FunctionType]) -> bool:
    if call.__closure__ or call.__dict__ or call.__kwdefaults__:  # what these hold may change in its place
        return False
    values: list[Any] = [*(call.__defaults__ or ())]
    found[id(call), ""] = _Made(call)
    space = call.__globals__
    for name in set(_names(call.__code__)):
        found[id(space), name] = seen = _Seen(space, name)
        if seen.value is not _Seen:
            values.append(seen.value)
        elif not hasattr(builtins, name):
            continue
    return all(_fixed(value, found, visited) for value in values)


def _fixed(value: Any, found: dict[tuple[int, str], _Seen | _Made], visited: set[FunctionType]) -> bool:
    """Whether a captured value cannot change as long as it is the same object."""
    if type(value) in ATOMS or isinstance(value, ModuleType) or _importable(value):
        return True
    if type(value) is tuple:
        return all(_fixed(one, found, visited) for one in value)
    if type(value) is FunctionType:
        if value in visited:
            return True
        visited.add(value)
        return _collect(value, found, visited)
    return False


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


# --- arguments ---


class _Met(threading.local):
    """The tasks that the pickler met among the arguments of the call that this thread is packing."""

    places: dict[Task[Any], int] | None = None


class _Needed(threading.local):
    """In a worker: the results that the call now being unpacked needs."""

    values: Any = ()


MET, NEEDED = _Met(), _Needed()


def needed(place: int) -> Any:
    """Return, while arguments are unpickled, the result that takes the place of a task."""
    return NEEDED.values[place]


def arguments(args: tuple[Any, ...], kwargs: dict[str, Any], name: str) -> tuple[Packed, list[Task[Any]]]:
    """Pickle arguments; return them and the tasks met among them, at any depth, whose results they need."""
    places = MET.places = {}
    try:
        return pack((args, kwargs), f"arguments of {name!r}"), list(places)
    finally:
        MET.places = None


class Linked:
    """Arguments that are atoms and whole results of other tasks: no pickle is needed to put them together."""

    __slots__ = ("args", "places")

    def __init__(self, args: tuple[Any, ...], places: tuple[int, ...]) -> None:
        self.args, self.places = args, places


ALONE = Linked((None,), (0,))
"""Another task's result and nothing else: the same for all links of a chain."""


def linked(args: tuple[Any, ...], kind: type[Any]) -> tuple[Linked, Sequence[Any]] | None:
    """Return arguments that are atoms and tasks (objects of `kind`), and those tasks; None when others are among them.

    >>> found, needs = linked((1, 2.5), float)
    >>> found.args, found.places, needs
    ((1, None), (1,), [2.5])
    """
    if len(args) == 1 and type(args[0]) is kind:
        return ALONE, args
    places: list[int] = []
    needs: list[Any] = []
    plain: list[Any] = []
    for place, arg in enumerate(args):
        if type(arg) is kind:
            places.append(place)
            needs.append(arg)
            plain.append(None)
        elif type(arg) in ATOMS:
            plain.append(arg)
        else:
            return None
    return Linked(tuple(plain), tuple(places)), needs


def placeholder(task: Task[Any]) -> tuple[Callable[[int], Any], tuple[int]]:
    """Tell the pickler what to write for a task; remember the task as one whose result is needed."""
    places = MET.places
    if places is None:
        raise TypeError(
            f"a task can be pickled only as an argument of another task's submit, got {task!r}: "
            "pass it to submit, or pickle task.result()"
        )
    return needed, (places.setdefault(task, len(places)),)
