"""Which of several errors is raised, and how the others are kept.

Idea        Clean-up goes on whatever fails; at the end one error is primary and the rest ride along on it.
Invariant   No error is lost: each is raised, grouped, or noted on the one that is, and `errors_of` lists them all.
            What a canceller swallows (CancelledError, GeneratorExit) is raised only when nothing else went wrong.
When wrong  Ctrl-C and exit come first, then the body's error, an acquisition's, a release's, and cancellation last.
See         notebooks/2_resource_manager.ipynb · tests/resources/test_settle.py
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


class Phase(enum.Enum):
    """Where in a resource's life an error came from."""

    BODY = "body"
    ACQUIRE = "acquire"
    RELEASE = "release"


@dataclass(frozen=True, slots=True)
class Failure:
    """One error with the place it came from; the body's has no resource."""

    phase: Phase
    resource: str | None
    error: BaseException

    def __str__(self) -> str:
        where = "in the body" if self.resource is None else f"{_DOING[self.phase]} {self.resource!r}"
        return f"{where}: {error_text(self.error)}"


_DOING = {Phase.ACQUIRE: "while acquiring", Phase.RELEASE: "while releasing", Phase.BODY: "in the body, using"}
_RANK = {Phase.BODY: 2, Phase.ACQUIRE: 3, Phase.RELEASE: 4}
_SWALLOWED = (asyncio.CancelledError, GeneratorExit)
"""What the code that asked for an end catches: a time-out, a task group, `close()` of a generator."""


def error_text(error: BaseException) -> str:
    """Write an error as the last line of a traceback does; one whose `str` raises is named alone.

    >>> error_text(ValueError("late"))
    'ValueError: late'
    """
    try:
        return f"{type(error).__name__}: {error}"
    except Exception as e:  # noqa: BLE001  telling of an error must not keep anything from being released
        return f"{type(error).__name__} whose str raises {type(e).__name__}"


def add_note(error: BaseException, text: str) -> None:
    """Add a note to an error; one that takes no attributes (a frozen dataclass) goes without."""
    with contextlib.suppress(Exception):
        error.add_note(text)


def rank(failure: Failure) -> int:
    """How early in line a failure stands; 0 is first.

    >>> rank(Failure(Phase.RELEASE, "db", KeyboardInterrupt())), rank(Failure(Phase.BODY, None, ValueError()))
    (0, 2)
    """
    if isinstance(failure.error, Exception):
        return _RANK[failure.phase]
    if isinstance(failure.error, _SWALLOWED):
        return 5
    return 0 if isinstance(failure.error, KeyboardInterrupt | SystemExit) else 1


def settle(failures: Sequence[Failure]) -> BaseException | None:
    """Choose the error to raise. Only when several releases failed, and nothing else, is it an `ExceptionGroup`.

    >>> body, late = ValueError("body"), OSError("late")
    >>> chosen = settle([Failure(Phase.BODY, None, body), Failure(Phase.RELEASE, "db", late)])
    >>> chosen is body, chosen.__notes__
    (True, ["also while releasing 'db': OSError: late"])
    """
    if not failures:
        return None
    first = min(failures, key=rank)
    releases = [f for f in failures if rank(f) == _RANK[Phase.RELEASE]]
    grouped = rank(first) == _RANK[Phase.RELEASE] and len(releases) > 1
    raised: BaseException = first.error
    if grouped:
        names = ", ".join(str(f.resource) for f in releases)
        errors = [f.error for f in releases if isinstance(f.error, Exception)]
        raised = ExceptionGroup(f"{len(errors)} resources failed to release: {names}", errors)
    for other in failures:
        if other is not first and not (grouped and rank(other) == _RANK[Phase.RELEASE]):
            add_note(raised, f"also {other}")
    return _carry(raised, failures)


def _carry(error: BaseException, failures: Sequence[Failure]) -> BaseException:
    """Put the list of failures onto the error, for `errors_of`; an error that takes no attributes goes without."""
    known = {id(failure.error): failure for failure in errors_of(error)}
    for failure in failures:
        known.setdefault(id(failure.error), failure)
        for carried in errors_of(failure.error):  # of an inner manager, or of resources that opened side by side
            known.setdefault(id(carried.error), carried)
    with contextlib.suppress(Exception):
        error.__arion_failures__ = tuple(known.values())  # type: ignore[attr-defined]
    return error


def errors_of(error: BaseException) -> tuple[Failure, ...]:
    """List every failure that rode along on an error that a manager raised, in the order they happened.

    >>> errors_of(ValueError("of somebody else"))
    ()
    """
    return getattr(error, "__arion_failures__", ())


def parts(error: BaseException) -> Iterator[BaseException]:
    """The error and, where it is a group, everything in it."""
    yield error
    if isinstance(error, BaseExceptionGroup):
        for inside in error.exceptions:
            yield from parts(inside)
