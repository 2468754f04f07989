"""Closing, decided in one place: which resource is next, which error it is told, and which one comes out.

Idea        A generator decides and closes nothing. Two drivers, in `threads` and in `tasks`, close what it yields and
            send back how that ended; so `with` and `async with` cannot come to different ends.
Invariant   Every open resource is closed once, users before what they use, whatever the others raise.
When wrong  The error of one release is kept, told to the releases after it, and settled at the end: see `settle`.
See         notebooks/2_resource_manager.ipynb · tests/resources/test_unwinding.py
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from graphlib import TopologicalSorter
from typing import TypeAlias

from arion_lib.resources.entry import Entry, Lease, ResourceError
from arion_lib.resources.settle import Failure, Phase, errors_of, parts, rank, settle

Release: TypeAlias = tuple[Lease, BaseException | None]
"""An order to a driver: the resource to close, and the error that it is told."""

Ended: TypeAlias = tuple[Lease, float, BaseException | None, BaseException | None]
"""A driver's answer: the resource, when its release began, the told error that it suppressed, its own error."""


class Unwinding:
    """The errors of one block while it is unwound, and the decisions that follow from them."""

    __slots__ = ("failures",)

    def __init__(self, failures: Iterable[Failure] = ()) -> None:
        self.failures = [*failures]

    def releases(
        self, entry: Entry, order: Mapping[str, Sequence[str]] | None = None
    ) -> Generator[Release | None, Ended | None, None]:
        """Yield what to release next, and be sent how it ended, or None while it still runs somewhere else.

        None is yielded when nothing more can begin: wait for one of those that run, and send how that ended.
        `order` gives for each name the names to be released before it. Without it the last opened goes first.
        """
        if order is None:
            while entry.leases:
                ended = yield entry.leases.popitem()[1], self.told() if self.failures else None
                while ended is None:
                    ended = yield None
                if ended[2] is ended[3]:  # both None, as for most: nothing to keep, so a call less
                    entry.closed(ended[0], ended[1])
                else:
                    self.account(entry, ended)
            return
        sorter = TopologicalSorter(order)
        sorter.prepare()
        while sorter.is_active():
            # Those with a thread or task of their own begin first, so that none of them waits for one that has none.
            ready = sorted(sorter.get_ready(), key=lambda name: entry.leases[name].carrier is None)
            for name in ready:
                ended = yield entry.leases.pop(name), self.told()
                if ended is not None:
                    sorter.done(self.account(entry, ended))
            if not ready:
                ended = None
                while ended is None:
                    ended = yield None
                sorter.done(self.account(entry, ended))

    def account(self, entry: Entry, ended: Ended) -> str:
        """Keep what came of one release; returns the name of its resource."""
        lease, began, suppressed, error = ended
        if suppressed is not None:
            self.suppress(suppressed)
        if error is None:
            entry.closed(lease, began)
        else:
            entry.not_closed(lease, began, error)
            self.failed(Phase.RELEASE, lease.name, error)
        return lease.name

    def told(self) -> BaseException | None:
        """The error that the next resource gets to see: the first in line, as `settle` ranks them."""
        return min(self.failures, key=rank).error if self.failures else None  # min keeps the earliest of equals

    def suppress(self, error: BaseException) -> None:
        """A resource has dealt with this error: no other is told of it. What an inner block put onto it is kept."""
        self.failures = [failure for failure in self.failures if failure.error is not error]
        dealt = {id(part) for part in parts(error)}
        for carried in errors_of(error):
            if id(carried.error) not in dealt:
                self.failed(carried.phase, carried.resource, carried.error)

    def failed(self, phase: Phase, resource: str | None, error: BaseException) -> None:
        """Keep an error, unless it is a known one that was only raised again.

        One that was raised *from* a known error replaces that: the resource has translated it, as in nested blocks.
        """
        for place, known in enumerate(self.failures):
            if known.error is error:
                return
            if error.__cause__ is known.error and isinstance(error, Exception) and isinstance(known.error, Exception):
                self.failures[place] = Failure(known.phase, known.resource, error)
                return
        self.failures.append(Failure(phase, resource, error))

    def ended_early(self, inner: Entry, outer: Entry, raised: BaseException | None) -> None:
        """Report a block that was still open when the one around it ended, and keep what ending it raised."""
        misuse = f"{inner.label} was still open when {outer.label} ended: leave it first"
        self.failed(Phase.RELEASE, inner.label, ResourceError(misuse))
        if raised is not None:
            self.failed(Phase.RELEASE, inner.label, raised)

    def outcome(self) -> BaseException | None:
        """The one error to raise, carrying the others, or None when all went well."""
        return settle(self.failures) if self.failures else None


def begun(entry: Entry, phase: Phase, error: BaseException | None) -> Unwinding:
    """The unwinding of a block that ends in an error, or without one."""
    unwinding = Unwinding((entry.failures or ()) if phase is Phase.ACQUIRE else ())
    if error is not None:
        unwinding.failed(phase, None, error)
    return unwinding
