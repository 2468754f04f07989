"""Which of several errors is raised, and how the others are kept.

Idea        Clean-up goes on whatever fails; at the end one error is primary and the rest ride along on it.
Invariant   No error is lost: each is raised, grouped, or noted on the one that is, and `errors_of` lists them all.
When wrong  Control flow (Ctrl-C, exit, cancellation) comes first, then the body's error, an acquisition's, a release's.
See         notebooks/2_resource_manager.ipynb · tests/resources/test_settle.py
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Sequence
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
        return f"{where}: {type(self.error).__name__}: {self.error}"


_DOING = {Phase.ACQUIRE: "while acquiring", Phase.RELEASE: "while releasing", Phase.BODY: "in the body, using"}
_RANK = {Phase.BODY: 2, Phase.ACQUIRE: 3, Phase.RELEASE: 4}


def rank(failure: Failure) -> int:
    """How early in line a failure stands; 0 is first.

    >>> rank(Failure(Phase.RELEASE, "db", KeyboardInterrupt())), rank(Failure(Phase.BODY, None, ValueError()))
    (0, 2)
    """
    if isinstance(failure.error, KeyboardInterrupt | SystemExit):
        return 0
    return 1 if not isinstance(failure.error, Exception) else _RANK[failure.phase]


class Unwinding:
    """The errors of one unwinding, while it goes on: what the next resource is told, and what is left at the end."""

    __slots__ = ("failures",)

    def __init__(self) -> None:
        self.failures: list[Failure] = []

    def primary(self) -> Failure | None:
        """The failure that stands first in line: the one that the next resource to be released is told."""
        return min(self.failures, key=rank, default=None)  # min keeps the earliest of equals

    def told(self) -> BaseException | None:
        """The error that the next resource to be released gets to see."""
        return None if not self.failures else min(self.failures, key=rank).error

    def suppress(self, error: BaseException) -> None:
        """A resource said that this error is dealt with: nobody after it is told, and it is not raised."""
        self.failures = [failure for failure in self.failures if failure.error is not error]

    def failed(self, phase: Phase, resource: str | None, error: BaseException) -> None:
        """Remember an error, unless it is one that is already known and was only raised again."""
        if not any(failure.error is error for failure in self.failures):
            self.failures.append(Failure(phase, resource, error))

    def outcome(self) -> BaseException | None:
        """The one error to raise, carrying the others, or None when all went well."""
        return settle(self.failures) if self.failures else None


def settle(failures: Sequence[Failure]) -> BaseException | None:
    """Choose the error to raise; never wrap it. Several release errors alone make one `ExceptionGroup`.

    >>> body, late = ValueError("body"), OSError("late")
    >>> chosen = settle([Failure(Phase.BODY, None, body), Failure(Phase.RELEASE, "db", late)])
    >>> chosen is body, chosen.__notes__
    (True, ["also while releasing 'db': OSError: late"])
    """
    if not failures:
        return None
    first = min(failures, key=rank)
    releases = [f.error for f in failures if isinstance(f.error, Exception)]
    if rank(first) == _RANK[Phase.RELEASE] and len(failures) > 1:
        names = ", ".join(str(f.resource) for f in failures)
        return _carry(ExceptionGroup(f"{len(failures)} resources failed to release: {names}", releases), failures)
    for other in failures:
        if other is not first:
            first.error.add_note(f"also {other}")
    return _carry(first.error, failures)


def _carry(error: BaseException, failures: Sequence[Failure]) -> BaseException:
    """Put the list of failures onto the error, for `errors_of`; an error that takes no attributes keeps its notes."""
    known = {id(failure.error): failure for failure in errors_of(error)}
    for failure in failures:
        known.setdefault(id(failure.error), failure)
        for carried in errors_of(failure.error):  # of an inner manager, or of resources that opened side by side
            known.setdefault(id(carried.error), carried)
    with contextlib.suppress(AttributeError):
        error.__arion_failures__ = tuple(known.values())  # type: ignore[attr-defined]
    return error


def errors_of(error: BaseException) -> tuple[Failure, ...]:
    """List every failure that rode along on an error that a manager raised, in the order they happened.

    >>> errors_of(ValueError("of somebody else"))
    ()
    """
    return getattr(error, "__arion_failures__", ())
