"""What few tasks need, made when it is first needed: so a handle of the many others stays small.

Idea        A plain task has none of it: no needs, no earlier attempts, no error, nobody who waits for it by name.
Invariant   What is not set is as the class says.
When wrong  An error is unpickled here, users' code that it is, by the first thread that asks for it.
See         tests/scheduler/test_released.py · tests/scheduler/test_users_code.py
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from types import MappingProxyType
from typing import Any, Generic, Protocol, TypeVar

from arion_lib.scheduler.calls.failures import Failure, Raised
from arion_lib.scheduler.states import Event

T = TypeVar("T")


class More(Generic[T]):
    """What few tasks need, made when it is first needed; what is not set is as the class says."""

    attempts = 0
    """How many attempts came before the present one."""
    deaths = 0
    blocked = 0
    """How many tasks this one still waits for."""
    needs: Sequence[T] = ()
    """The tasks whose results are among the arguments, in the order of their places."""
    dependents: Sequence[T] = ()
    carried: Mapping[int, Any] = MappingProxyType({})
    """Results that it needs, by their tasks' numbers, as far as they had to be packed for another process."""
    has_places = False
    """Whether it counts against the limits of its tags."""
    past: Sequence[Event] = ()
    """Events of attempts before the last one."""
    error: BaseException | Failure | Raised | None = None
    cause: T | None = None
    """The task whose end is this one's error's cause; None once that is set, by the first thread that asks."""
    callbacks: Sequence[Callable[[Future[Any]], object]] = ()
    waiters: list[Any] | None = None
    not_before = 0.0
    """When it may become ready, by the monotonic clock; 0 for at once."""
    ready_at = 0.0
    """When it became ready; 0 for at its submission."""


class Failed(Protocol):
    """A task that has not ended well."""

    def more(self) -> More[Any]: ...

    def cancelled(self) -> bool: ...


def error_of(failed: Failed) -> BaseException | None:
    """Unpickle the error of a task that failed, and those that led to it: users' code, here where it is asked for.

    A loop, from the first cause on: a chain of a thousand links would be as many calls deep.
    """
    chain: list[Any] = [failed]
    while (cause := chain[-1].more().cause) is not None:
        chain.append(cause)
    led_to: BaseException | None = None
    for task in reversed(chain):
        more = task.more()
        cause, error = more.cause, more.error
        if isinstance(error, (Failure, Raised)):
            more.error = error = error.exception()
        if cause is not None and error is not None:
            error.__cause__ = CancelledError() if cause.cancelled() else led_to
            more.cause = None
        led_to = error
    return led_to
