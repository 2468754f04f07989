"""Maps that may fail, and calls that must not come too fast: each method stands beside what it runs.

Idea        `catch` is a template with a `try`; `retry` wraps the function of the map; `throttle` waits in the loop.
Invariant   `retry` calls at most `times` more. Two elements leave `throttle` at least 1 / `per_second` seconds apart.
When wrong  An error that is none of `errors` goes through, and carries the stage and the element as ever.
See         tests/lazy/test_remote.py · arion_lib/lazy/template.py
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Self, TypeVar

from arion_lib.lazy.barriers.parallel import ParallelMap
from arion_lib.lazy.refusals import checks
from arion_lib.lazy.source import describe, name_of
from arion_lib.lazy.stages import Map, Stage
from arion_lib.lazy.terminal import Terminal

T_co = TypeVar("T_co", covariant=True)
Errors = tuple[type[Exception], ...]


class CatchingMap(Stage):
    """A map; elements for which it raises one of `errors` are left out, after `seen` was called."""

    name, given = "map", "f errors seen"
    body = """\
try:
    $x = $f($x)
except $errors as $error:
    $seen($x, $error)
    drop"""

    def __init__(self, instead_of: Map, errors: Errors, seen: Callable[[Any, Exception], object]) -> None:
        super().__init__(*instead_of.args, errors, seen)
        self._label = f"{instead_of.label}.catch({', '.join(map(name_of, errors))})"
        self._waits = instead_of.waits

    @property
    def waits(self) -> bool:  # type: ignore[override]
        return self._waits

    @property
    def label(self) -> str:
        return self._label


class RetriedMap(Map):
    """A map whose function may wait before it is called again."""

    waits = True
    shape = Map


class Retrying:
    """A function that is called up to `times` times more where it raises one of `errors`."""

    def __init__(self, fn: Callable[[Any], Any], times: int, errors: Errors, wait: float) -> None:
        self.fn, self.errors = fn, errors
        self.waits = [wait * 2**n for n in range(times)]
        self.__qualname__ = f"{name_of(fn)}, retry={times}"

    def __call__(self, x: object) -> object:
        for wait in self.waits:
            try:
                return self.fn(x)
            except self.errors:
                time.sleep(wait)
        return self.fn(x)


class RetryingAsync(Retrying):
    """The same for an async function."""

    async def __call__(self, x: object) -> object:
        import asyncio

        for wait in self.waits:
            try:
                return await self.fn(x)
            except self.errors:
                await asyncio.sleep(wait)
        return await self.fn(x)


class Throttle(Stage):
    """The elements as they are, no faster than `pace` lets them through."""

    name, given = "throttle", "pace"
    setup = "$due = 0"
    body = "$due = $pace($due)"
    one_to_one = element_wise = waits = True

    @property
    def label(self) -> str:
        return f"throttle({self.args[0]})"


class Pace:
    """Waits for the time when the next element is due, and returns when the one after it will be."""

    def __init__(
        self,
        per_second: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._per_second, self._clock, self._sleep = per_second, clock, sleep

    def __call__(self, due: float) -> float:
        now = self._clock()
        if now < due:
            self._sleep(due - now)
        return max(due, now) + 1 / self._per_second

    def __str__(self) -> str:
        return f"{self._per_second:g}"


class Remote(Terminal[T_co]):
    """The operations for what runs elsewhere."""

    __slots__ = ()

    def catch(self, *errors: type[Exception], on_error: Callable[[Any, Exception], object] | None = None) -> Self:
        """Leave out elements for which the `map` just before raises one of `errors`; each is told to `on_error` first.

        Raises `TypeError` where there is no plain `map` before it.

        >>> lazy(["1", "x"]).map(int).catch(ValueError, on_error=lambda x, error: print("not a number:", x)).to_list()
        not a number: x
        [1]
        """
        checks.errors(errors)
        last = self.stages[-1] if self.stages else None
        if not isinstance(last, Map):
            raise TypeError(f"catch() must follow a plain map, got {last.label if last else describe(self.source)}")
        if on_error is not None:
            checks.function("on_error", on_error)
        return self._remade(self.source, (*self.stages[:-1], CatchingMap(last, errors, on_error or _nothing)))

    def retry(self, times: int, *errors: type[Exception], wait: float = 0) -> Self:
        """Call the function of the `map` just before up to `times` times more where it raises one of `errors`.

        Waits `wait` seconds before the second call, and twice as long before each further one. Works for calls that
        overlap, too. Raises `TypeError` where there is no `map` before it.

        >>> answers = iter([ConnectionError(), 7])
        >>> def ask(n):
        ...     if isinstance(answer := next(answers), Exception):
        ...         raise answer
        ...     return answer
        >>> lazy(["first"]).map(ask).retry(2, ConnectionError).to_list()
        [7]
        """
        times = checks.at_least("times", 1, times)
        checks.errors(errors)
        wait = checks.seconds("wait", wait)
        last = self.stages[-1] if self.stages else None
        again: Stage
        if type(last) is Map:
            again = RetriedMap(Retrying(_function(last), times, errors, wait))
        elif type(last) is ParallelMap:
            kind = RetryingAsync if last.workers.concurrency else Retrying
            again = ParallelMap(kind(_function(last), times, errors, wait), last.workers)
        else:
            raise TypeError(f"retry() must follow a map, got {last.label if last else describe(self.source)}")
        return self._remade(self.source, (*self.stages[:-1], again))

    def throttle(self, per_second: float) -> Self:
        """Let at most `per_second` elements through a second, evenly spaced; before a `map` it paces its calls.

        >>> lazy("ab").throttle(1_000_000).to_list()
        ['a', 'b']
        """
        return self._remade(self.source, (*self.stages, Throttle(Pace(checks.rate("per_second", per_second)))))


def _function(stage: Stage) -> Callable[[Any], Any]:
    fn = stage.args[0]
    assert callable(fn)  # noqa: S101 - checked when the stage was made
    return fn


def _nothing(element: object, error: Exception) -> None:
    """Take no note of an error."""
