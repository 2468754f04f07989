"""How a task is to be run: what `with_options` takes and what `@task` declares on a function.

Idea        Options are a frozen value beside the call, never keywords within it: `submit(f, priority=3)` gives f its
            own `priority`, as the `Executor` contract says it must.
Invariant   An `Options` that exists is valid (test_options.py); thousands of tasks share one.
When wrong  A wrong option is refused where it is written, before any task exists.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_options.py
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, TypeVar

LANES = ("processes", "threads", "loop")
Lane = Literal["processes", "threads", "loop"]
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Options:
    """How to run a task. Times are in seconds; every field has the default of a plain `submit`.

    `priority`: higher runs sooner; equal ones in the order they became ready.
    `after`: tasks that must have ended well first, beyond those among the arguments.
    `if_dependency_fails`: "fail" (the default) fails this task too, with the cause chained; "run" runs it all the same;
    a failed task among the arguments always fails it.
    `retries`: how many more attempts a failed, timed-out or killed attempt is given; with more than 0 a task may run
    more than once (at-least-once). `retry_on` names the exceptions of the task's own code that are worth another
    attempt. `backoff` seconds pass before the second attempt, twice that before the third, and so on.
    `timeout`: for one attempt from its start. `deadline`: for all of it from submission.
    `delay`: the task becomes ready that many seconds after its submission at the earliest; `deadline` counts from the
    submission, too. Waiting so costs no worker.
    `at`: the same, until a `datetime` with a time zone. It is made a delay when the task is submitted: a clock that is
    set afterwards changes nothing; a time that has passed is no delay.
    `lane`: "processes", "threads" or "loop"; None is the function's own declaration, else "loop" for an `async def`
    and "processes" for the rest.
    `key`: where there is a journal, of two calls with the same key one is run.
    """

    priority: int = 0
    after: tuple[Future[Any], ...] = ()
    if_dependency_fails: Literal["fail", "run"] = "fail"
    retries: int = 0
    retry_on: tuple[type[BaseException], ...] = (Exception,)
    backoff: float = 0.0
    timeout: float | None = None
    deadline: float | None = None
    delay: float = 0.0
    at: datetime | None = None
    lane: Lane | None = None
    name: str | None = None
    tags: frozenset[str] = field(default=frozenset())
    key: str | None = None

    def __post_init__(self) -> None:
        if type(self.priority) is not int:
            raise TypeError(f"priority must be an int, higher runs sooner, got {self.priority!r}")
        if type(self.retries) is not int or self.retries < 0:
            raise ValueError(f"retries must be an int >= 0, got {self.retries!r}")
        for name, seconds in (("backoff", self.backoff), ("delay", self.delay)):
            if not (isinstance(seconds, (int, float)) and 0 <= seconds < math.inf):
                raise ValueError(f"{name} must be seconds >= 0, got {seconds!r}")
        for name, value in (("timeout", self.timeout), ("deadline", self.deadline)):
            if value is not None and not (isinstance(value, (int, float)) and 0 < value < math.inf):
                raise ValueError(f"{name} must be seconds > 0 or None, got {value!r}")
        _check_containers(self)
        if self.name is not None and not isinstance(self.name, str):
            raise TypeError(f"name must be a str or None, got {self.name!r}")
        if self.lane is not None and self.lane not in LANES:
            raise ValueError(f"lane must be one of {', '.join(LANES)}, got {self.lane!r}")
        if self.if_dependency_fails not in ("fail", "run"):
            raise ValueError(f"if_dependency_fails must be 'fail' or 'run', got {self.if_dependency_fails!r}")

    @property
    def plain(self) -> bool:
        """Whether a task of these waits for nothing but a worker."""
        return not (self.after or self.delay or self.at or self.tags or self.key)

    def not_before(self, now: float, wall: float) -> float | None:
        """Return when a task submitted now may become ready, by the clock of `now`; None for at once.

        >>> Options(delay=3).not_before(100.0, 0.0), Options().not_before(100.0, 0.0)
        (103.0, None)
        """
        seconds = max(self.delay, self.at.timestamp() - wall if self.at is not None else 0.0)
        return now + seconds if seconds > 0 else None

    def but(self, **changes: Any) -> Options:
        """Return a copy with some options changed; `after`, `tags` and `retry_on` may be any iterable, or one alone.

        >>> Options().but(priority=3, tags={"nightly"}).priority
        3
        >>> Options().but(prioritty=3)
        Traceback (most recent call last):
            ...
        TypeError: an option must be one of priority, after, if_dependency_fails, retries, retry_on, backoff, timeout, \
deadline, delay, at, lane, name, tags, key, got 'prioritty'
        """
        for name in changes:
            if name not in Options.__slots__:
                raise TypeError(f"an option must be one of {', '.join(Options.__slots__)}, got {name!r}")
        if "after" in changes:
            changes["after"] = _tasks(changes["after"])
        if "tags" in changes:
            changes["tags"] = _tags(changes["tags"])
        if "retry_on" in changes:
            changes["retry_on"] = _classes(changes["retry_on"])
        return replace(self, **changes)


def _check_containers(options: Options) -> None:
    """Refuse what would fail later, in the supervisor: there it would be about everybody's tasks."""
    if options.at is not None and not (isinstance(options.at, datetime) and options.at.tzinfo is not None):
        raise TypeError(f"at must be a datetime with a time zone, or None, got {options.at!r}")
    if type(options.retry_on) is not tuple:
        raise TypeError(f"retry_on must be a tuple of exception classes, got {options.retry_on!r}")
    for one in options.retry_on:
        if not (isinstance(one, type) and issubclass(one, BaseException)):
            raise TypeError(f"retry_on must be a tuple of exception classes, got {one!r} in it")
    if type(options.after) is not tuple:
        raise TypeError(f"after must be a tuple of tasks, got {options.after!r}")
    _tasks(options.after)
    if type(options.tags) is not frozenset or not all(isinstance(tag, str) for tag in options.tags):
        raise TypeError(f"tags must be a frozenset of str, got {options.tags!r}")
    if options.key is not None and not isinstance(options.key, str):
        raise TypeError(f"key must be a str or None, got {options.key!r}")


def _classes(retry_on: type[BaseException] | Iterable[type[BaseException]]) -> tuple[type[BaseException], ...]:
    if isinstance(retry_on, type):
        return (retry_on,)
    try:
        return tuple(retry_on)
    except TypeError:
        raise TypeError(f"retry_on must be exception classes, got {retry_on!r}") from None


def _tasks(after: Future[Any] | Iterable[Future[Any]]) -> tuple[Future[Any], ...]:
    try:
        tasks: tuple[Any, ...] = (after,) if isinstance(after, Future) else tuple(after)
    except TypeError:
        raise TypeError(f"after must be tasks of this scheduler, got {after!r}") from None
    for one in tasks:
        if not (isinstance(one, Future) and hasattr(one, "number")):
            raise TypeError(f"after must be tasks of this scheduler, got {one!r}")
    return tasks


def _tags(tags: str | Iterable[str]) -> frozenset[str]:
    try:
        return frozenset((tags,)) if isinstance(tags, str) else frozenset(tags)
    except TypeError:
        raise TypeError(f"tags must be strings, got {tags!r}") from None


PLAIN = Options()


def task(**options: Any) -> Callable[[F], F]:
    """Declare on a function how it is to be run; the function itself stays what it was.

    What is declared holds for every submit of it, unless that submit's own options say otherwise.

    >>> @task(lane="threads", retries=3)
    ... def fetch(address: str) -> bytes: ...
    >>> declared(fetch).retries
    3
    """
    declaration = PLAIN.but(**options)
    if declaration.after:
        raise TypeError("after must be given with the submit: a function cannot come after a task")
    if declaration.key:
        raise TypeError("key must be given with the submit: it is that of one call")

    def declare(function: F) -> F:
        function.__arion_task__ = options  # type: ignore[attr-defined]
        return function

    return declare


def declared(function: Callable[..., Any]) -> Options:
    """Return what `@task` declared on a function, or the plain options."""
    options = getattr(function, "__arion_task__", None)
    return PLAIN if options is None else PLAIN.but(**options)
