"""Run a reader's code so that whatever it does becomes a value.

Idea        A thread of its own with a deadline; what comes back is an `Outcome`, never an exception and never a hang.
Invariant   `run` returns within `seconds` and a little more, whatever the code does with Python's own loops.
When wrong  Code that waits inside C (a lock nobody releases) cannot be interrupted: its daemon thread is left behind,
            and the outcome is `TIME` all the same.
See         tests/workbook/test_outcome.py
"""

from __future__ import annotations

import linecache
import re
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from functools import update_wrapper
from types import TracebackType
from typing import Any, Generic, TypeVar

from arion_lib.interrupting import interrupt, settle
from arion_lib.short_repr import short_repr

T = TypeVar("T")
R = TypeVar("R")


class Kind(Enum):
    """How a run ended."""

    VALUE = "value"
    RAISED = "raised"
    READ_AHEAD = "read ahead"
    TIME = "time"
    TODO = "todo"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What running an answer on one input gave: a value, or the way it failed."""

    kind: Kind
    value: Any = None
    text: str = ""  # for RAISED the message, for READ_AHEAD what was read
    line: str = ""  # the reader's own line that raised
    printed: str = ""  # what the answer printed meanwhile: shown, never compared

    def same_as(self, other: Outcome) -> bool:
        """True when both ended the same way: equal values of the same type, or the same type of exception.

        >>> Outcome(Kind.VALUE, 1).same_as(Outcome(Kind.VALUE, True))
        False
        """
        if self.kind is not other.kind or type(self.value) is not type(other.value):
            return False
        try:
            return bool(self.value == other.value) and repr(self.value) == repr(other.value)
        except Exception:  # noqa: BLE001 - a reader's own __eq__ or __repr__ may do anything: then it is not equal
            return False

    def alike(self, other: Outcome) -> bool:
        """True when both may have the same cause: `same_as`, and an exception with the same message.

        Many mistakes end in a TypeError. A diagnosis with violations is compared by their codes alone: it names places.

        >>> typo, slip = (Outcome(Kind.RAISED, "NameError", f"name {name!r} is not defined") for name in ("a", "b"))
        >>> typo.same_as(slip), typo.alike(slip)
        (True, False)
        """
        listed = self.kind is Kind.RAISED and str(self.value).endswith(")")
        return self.same_as(other) and (listed or self.text == other.text)

    def __str__(self) -> str:
        """
        >>> str(Outcome(Kind.VALUE, [1, 2])), str(Outcome(Kind.TIME, 5.0))
        ('[1, 2]', 'no end after 5 s')
        """
        match self.kind:
            case Kind.VALUE:
                return _by_own_names(short_repr(self.value))
            case Kind.RAISED:
                said = f"{self.value}: {_by_own_names(self.text)}".removesuffix(": ")
                return said + (f"   <- {self.line}" if self.line else "")
            case Kind.TIME:
                return f"no end after {self.value:g} s"
            case _:
                return self.text or self.kind.value


class ReadAhead(BaseException):
    """Raised inside a `Counted` source that is asked for more than it should be; no `except Exception` catches it."""


class OutOfTime(BaseException):
    """Raised inside code that ran past its deadline."""


class Counted(Generic[T]):
    """A one-shot source that counts what is pulled from it and refuses to give more than `at_most` elements.

    >>> source = Counted(range(1_000_000), at_most=3)
    >>> next(source), next(source), source.pulled
    (0, 1, 2)
    """

    def __init__(self, source: Iterable[T], at_most: int) -> None:
        self.pulled = 0
        self.at_most = at_most
        self._source = iter(source)

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        if self.pulled >= self.at_most:
            raise ReadAhead(f"pulled element {self.pulled + 1} of the source where {self.at_most} are enough")
        item = next(self._source)
        self.pulled += 1
        return item


class CountedCalls(Generic[T, R]):
    """What `counted` returns; `calls` says how often it was called."""

    def __init__(self, fn: Callable[[T], R]) -> None:
        self.calls = 0
        self._fn = fn
        update_wrapper(self, fn)

    def __call__(self, x: T) -> R:
        self.calls += 1
        return self._fn(x)


def counted(fn: Callable[[T], R]) -> CountedCalls[T, R]:
    """Return `fn` with a number `calls` that says how often it was called.

    >>> square = counted(lambda n: n * n)
    >>> list(map(square, range(3))), square.calls
    ([0, 1, 4], 3)
    """
    return CountedCalls(fn)


def first(iterable: Iterable[T], limit: int = 10_000) -> list[T]:
    """Return at most `limit` elements as a list: safe on a stream without end.

    >>> from itertools import count
    >>> first(count(), 3)
    [0, 1, 2]
    """
    found: list[T] = []
    for item in iterable:
        found.append(item)
        if len(found) >= limit:
            break
    return found


def peak_of(code: Callable[[], object]) -> int:
    """Call `code` and return the most bytes that Python objects held meanwhile, over what there was before.

    >>> peak_of(lambda: bytearray(3_000_000)) > 2_000_000 > peak_of(lambda: [bytearray(300_000) for _ in "ab"])
    True
    """
    with traced():
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        code()
        return tracemalloc.get_traced_memory()[1] - before


@contextmanager
def traced() -> Iterator[None]:
    """Have tracemalloc on during the block, and afterwards as it was before."""
    on = tracemalloc.is_tracing()
    if not on:
        tracemalloc.start()
    try:
        yield
    finally:
        if not on:
            tracemalloc.stop()


def run(code: Callable[[], object], seconds: float = 5.0, own: str = "") -> Outcome:
    """Call `code` in a thread of its own and return its outcome; `own` is the file name of the reader's code.

    Costs a thread start (about 0.1 ms). Past `seconds`, and on Ctrl-C, the thread is told to stop between two of its
    bytecodes; one that does not is left behind, with whatever `code` had changed for the whole process.
    """
    box: list[Outcome] = []

    def work() -> None:
        with suppress(OutOfTime):  # the interrupt may arrive just after the outcome was made
            box.append(_outcome(code, own))

    thread = threading.Thread(target=work, name="check", daemon=True)
    with _own_errors_unheard():
        thread.start()
        try:
            thread.join(seconds)
            if not thread.is_alive() and box:
                return box[0]
        finally:
            _stop(thread)
    return Outcome(Kind.TIME, seconds)


@contextmanager
def _own_errors_unheard() -> Iterator[None]:
    """Keep Python from printing a `ReadAhead` that comes out of a generator which catches even its own end."""
    hook = sys.unraisablehook

    def others(told: sys.UnraisableHookArgs) -> None:
        if not isinstance(told.exc_value, (ReadAhead, OutOfTime)):
            hook(told)

    try:
        sys.unraisablehook = others
        yield
    finally:
        sys.unraisablehook = hook


def _stop(thread: threading.Thread) -> None:
    try:
        for _ in range(5):  # more than once: code may catch BaseException and go on
            if thread.is_alive():
                interrupt(thread, OutOfTime)
                thread.join(0.2)
    finally:
        settle()


def _outcome(code: Callable[[], object], own: str) -> Outcome:
    try:
        return Outcome(Kind.VALUE, code())
    except NotImplementedError:
        return Outcome(Kind.TODO)
    except ReadAhead as e:
        return Outcome(Kind.READ_AHEAD, text=str(e))
    except OutOfTime:
        return Outcome(Kind.TIME)
    except BaseException as e:  # noqa: BLE001 - the boundary: whatever a reader's code raises becomes a value
        return Outcome(Kind.RAISED, _name(e), _message(e), _own_line(e.__traceback__, own))


def _by_own_names(text: str) -> str:
    """Leave of a function that Python names by all that it stands in its own name alone.

    >>> _by_own_names("probe.<locals>.on_bad() missing 1 required positional argument: 'line'")
    "on_bad() missing 1 required positional argument: 'line'"
    """
    return re.sub(r"[\w.<>]+\.<locals>\.(?=\w)", "", text)


def _name(error: BaseException) -> str:
    """Return the type of an error; where it lists violations, their codes too: only the same ones are equal."""
    codes = [f"{v.code} of {v.cls}.{v.member}" for v in getattr(error, "violations", ())]
    return type(error).__name__ + (f" ({', '.join(codes)})" if codes else "")


def _message(error: BaseException) -> str:
    """Return the first line of a message; of a diagnosis with violations all of it, for it is there to be read."""
    lines = str(error).splitlines() or [""]
    return lines[0][:200] if not getattr(error, "violations", ()) else ("\n" + " " * 32).join(lines)


def _own_line(trace: TracebackType | None, own: str) -> str:
    """Return the last line of the traceback that lies in the file `own`, as written."""
    line = ""
    while trace is not None:
        if own and trace.tb_frame.f_code.co_filename == own:
            line = linecache.getline(own, trace.tb_lineno).strip()
        trace = trace.tb_next
    return line
