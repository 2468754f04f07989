"""How one resource is made: what it is, what it needs, how long it may take.

Idea        A recipe says how to open a resource; opening happens elsewhere, any number of times.
Invariant   A recipe never changes and owns nothing, so managers, threads and tests may share it.
When wrong  What cannot be opened and closed is refused here, when it is written, not when it runs.
See         notebooks/2_resource_manager.ipynb · tests/resources/test_recipe.py
"""

from __future__ import annotations

import contextlib
import enum
import inspect
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar, overload

from arion_lib.resources.making.retry import Retry
from arion_lib.resources.making.wrappers import Awaited, warn_if_it_stays_open

T = TypeVar("T", covariant=True)

RELEASE_TIMEOUT = 30.0
"""Seconds that a release may take where nothing else is said and where it can be left behind."""


class Kind(enum.Flag):
    """Which of the two protocols a resource speaks; `UNKNOWN` when only calling its factory can tell."""

    SYNC = enum.auto()
    ASYNC = enum.auto()
    UNKNOWN = 0


class Holder(Protocol):
    """What a recipe must know of the manager that it is read from."""

    @property
    def declared(self) -> Mapping[str, Recipe[Any]]:
        """The recipes that the manager's class declares."""

    def __getitem__(self, name: str, /) -> Any:
        """The open resource of that name."""


@dataclass(frozen=True, slots=True, eq=False)
class Recipe(Generic[T]):
    """One resource of a manager; make it with `resource(...)`. As a class attribute it reads as the open resource."""

    make: Callable[..., Any]
    kind: Kind
    after: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()  # parameters of `make` that receive open resources
    itself: object = field(default=None, repr=False)  # the one object that is entered, where `make` makes no new one
    timeout: float | None = None
    release_timeout: float | None = None  # None: RELEASE_TIMEOUT where a release can be left behind
    retry: Retry | None = None
    optional: bool = False
    lazy: bool = False
    thread_bound: bool = False
    check: Callable[[Any], object] | None = None
    label: str = ""
    plain: bool = field(init=False)  # nothing but opening and closing: the managers' short way
    asynchronous: bool = field(init=False)
    limited: bool = field(init=False)  # an acquisition or a release may be left behind at a deadline of its own
    carried: bool = field(init=False)  # so it needs a thread of its own in a `with` block: only that can be left behind
    name: list[str] = field(default_factory=list, repr=False)  # filled by __set_name__, as a class attribute only

    def __post_init__(self) -> None:
        extras = (self.takes, self.timeout, self.release_timeout, self.retry)
        object.__setattr__(self, "plain", self.kind != Kind.UNKNOWN and not any(extras))
        object.__setattr__(self, "asynchronous", Kind.ASYNC in self.kind)
        limited = self.timeout is not None or self.release_timeout not in (None, math.inf)
        object.__setattr__(self, "limited", limited)
        object.__setattr__(self, "carried", limited and not self.thread_bound)

    @property
    def needs(self) -> tuple[str, ...]:
        """The names that must be open before this one, each once."""
        return tuple(dict.fromkeys((*self.after, *self.takes)))

    def __set_name__(self, owner: type, name: str) -> None:
        self.name.append(name)

    @overload
    def __get__(self, instance: None, owner: type) -> Recipe[T]: ...
    @overload
    def __get__(self, instance: Holder, owner: type) -> T: ...
    def __get__(self, instance: Holder | None, owner: type) -> Any:
        if instance is None:
            return self
        if len(self.name) > 1:  # shared by several classes
            return instance[next(name for name, recipe in instance.declared.items() if recipe is self)]
        return instance[self.name[0]]


@overload
def resource(target: AbstractContextManager[T], /, **options: Any) -> Recipe[T]: ...
@overload
def resource(target: AbstractAsyncContextManager[T], /, **options: Any) -> Recipe[T]: ...
@overload
def resource(target: Callable[..., AbstractContextManager[T]], /, **options: Any) -> Recipe[T]: ...
@overload
def resource(target: Callable[..., AbstractAsyncContextManager[T]], /, **options: Any) -> Recipe[T]: ...
@overload
def resource(target: Callable[..., Awaitable[AbstractContextManager[T]]], /, **options: Any) -> Recipe[T]: ...
@overload
def resource(target: Callable[..., Awaitable[AbstractAsyncContextManager[T]]], /, **options: Any) -> Recipe[T]: ...
@overload
def resource(target: Callable[..., Iterator[T]], /, **options: Any) -> Recipe[T]: ...
@overload
def resource(target: Callable[..., AsyncIterator[T]], /, **options: Any) -> Recipe[T]: ...
def resource(target: Any, /, **options: Any) -> Recipe[Any]:
    """Describe a resource: a context manager, a function that returns one, or a generator function with one `yield`.

    The function may be asynchronous. A plain value becomes a resource by `contextlib.nullcontext(value)`.

    A function's parameters without defaults name the resources it needs and receives, open:

    >>> def session(db):
    ...     yield f"session on {db}"
    >>> resource(session).needs
    ('db',)

    Options: `after` (names that must be open first), `timeout` (seconds, for all attempts together) and
    `release_timeout` (seconds; 30 where it is not given and the release can be left behind; `math.inf` for no limit),
    `retry` (a `Retry`),
    `optional` (its failure leaves it absent), `lazy` (opened at its first use), `thread_bound` (never leaves the
    caller's thread, as sqlite3 demands), `check` (a health check: called with the open value, raises when it is ill).
    The class of `target` may declare the same names under `resource_options`; what is written here wins. When it
    has a method `fresh`, each acquisition enters what that returns, so that managers may be open side by side.

    With a time limit, or in a `parallel` manager, a synchronous resource lives in a thread of its own. It starts with a
    copy of the caller's context variables; those that it sets (a `decimal.localcontext`, a trace's span) are its own:
    the body does not see them. In `async with` a synchronous resource cannot have a time limit.

    Raises TypeError for what is not a resource and for an option of the wrong type, ValueError for one out of range.
    """
    if isinstance(target, Recipe):
        raise TypeError(f"target must be a resource, not a recipe of one: pass {target.label} itself")
    options = {**_declared(target), **options}
    _refuse_bad_options(options)
    if options.get("timeout") == math.inf:
        options["timeout"] = None
    options["after"] = _names(options.get("after", ()))
    return Recipe(**_opener(target), label=_label(target), **options)


OPTIONS = ("after", "timeout", "release_timeout", "retry", "optional", "lazy", "thread_bound", "check")


def _declared(target: Any) -> dict[str, Any]:
    """The options that the target's class declares under `resource_options`."""
    if isinstance(target, type) or not hasattr(type(target), "resource_options"):  # the class says it: a test double
        return {}  # has any attribute that it is asked for
    declared = target.resource_options
    return dict(declared() if callable(declared) else declared)


def _names(after: object) -> tuple[str, ...]:
    names = (after,) if isinstance(after, str) or not isinstance(after, Iterable) else tuple(after)
    if not all(isinstance(name, str) for name in names):
        raise TypeError(f"after must be a name or a list of names, got {after!r}")
    return names


def _refuse_bad_options(options: dict[str, Any]) -> None:
    for name in options:
        if name not in OPTIONS:
            raise TypeError(f"option must be one of {', '.join(OPTIONS)}, got {name!r}")
    _refuse_bad_limits(options)
    for name in ("optional", "lazy", "thread_bound"):
        if not isinstance(options.get(name, False), bool):
            raise TypeError(f"{name} must be True or False, got {options[name]!r}")
    if options.get("check") is not None and not callable(options["check"]):
        raise TypeError(f"check must be a function of the open resource, got {options['check']!r}")
    if options.get("retry") is not None and not isinstance(options["retry"], Retry):
        raise TypeError(f"retry must be a Retry, got {options['retry']!r}: write Retry(attempts=3)")


def _refuse_bad_limits(options: dict[str, Any]) -> None:
    for name in ("timeout", "release_timeout"):
        seconds = options.get(name)
        if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, int | float)):
            raise TypeError(f"{name} must be a number of seconds, got {seconds!r}")
        if seconds is not None and not seconds > 0:
            raise ValueError(f"{name} must be > 0 seconds (or math.inf for no limit), got {seconds!r}")
        if seconds is not None and seconds != math.inf and options.get("thread_bound"):
            raise ValueError(
                f"{name} must be None for a thread_bound resource: the caller's thread cannot be left behind"
            )


def _opener(target: Any) -> dict[str, Any]:
    """What to call for a context manager, which protocol it will speak, and what it must be given."""
    if not isinstance(target, type) and (kind := kind_of(type(target))):
        warn_if_it_stays_open(target)
        if hasattr(type(target), "fresh"):
            return {"make": target.fresh, "kind": kind}
        return {"make": lambda: target, "kind": kind, "itself": target}
    takes = _required(target) if callable(target) else ()
    if inspect.iscoroutinefunction(target):
        return {"make": lambda **given: Awaited(target(**given)), "kind": Kind.ASYNC, "takes": takes}
    if inspect.isgeneratorfunction(target):
        return {"make": contextlib.contextmanager(target), "kind": Kind.SYNC, "takes": takes}
    if inspect.isasyncgenfunction(target):
        return {"make": contextlib.asynccontextmanager(target), "kind": Kind.ASYNC, "takes": takes}
    if callable(target):
        return {"make": target, "kind": kind_of(target) if isinstance(target, type) else Kind.UNKNOWN, "takes": takes}
    raise TypeError(
        f"a resource must be a context manager, a function returning one, or a generator function, got {target!r}:"
        " give it __enter__ and __exit__, or wrap it in contextlib.closing (a plain value: in contextlib.nullcontext)"
    )


def kind_of(cls: type) -> Kind:
    """Which context manager protocols a class speaks.

    >>> kind_of(contextlib.ExitStack)
    <Kind.SYNC: 1>
    """
    kind = Kind.UNKNOWN
    if hasattr(cls, "__enter__") and hasattr(cls, "__exit__"):
        kind |= Kind.SYNC
    if hasattr(cls, "__aenter__") and hasattr(cls, "__aexit__"):
        kind |= Kind.ASYNC
    return kind


def _required(function: Callable[..., Any]) -> tuple[str, ...]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # some built-ins tell nothing of their signature: they get nothing
        return ()
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return tuple(p.name for p in parameters if p.default is p.empty and p.kind in named)


def _label(target: Any) -> str:
    return getattr(target, "__qualname__", None) or type(target).__qualname__
