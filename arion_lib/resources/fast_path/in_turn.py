"""Close one after the other in the caller's thread or task, without `unwinding` while there is nothing to decide.

Idea        While nothing has failed and nothing lives elsewhere, the last opened goes next, and there is no error.
Invariant   The order, the accounts and the errors are those of `Unwinding.releases`: only its steps are left out.
            They took an eighth of the processor time of a `with` block that holds one resource.
When wrong  The first error is kept by the unwinding, which decides about everything that is still open.
See         arion_lib/resources/unwinding.py · tests/resources/test_fast_path.py
"""

from __future__ import annotations

from types import CoroutineType
from typing import Any, TypeAlias

from arion_lib.resources.carriers.by_task import coroutine_of
from arion_lib.resources.entry import Entry, Lease, clock
from arion_lib.resources.unwinding import Unwinding

Waiting: TypeAlias = tuple[Lease, float, Any, Any]
"""A release that has begun and waits: its resource, when it began, its coroutine, and what that waits for."""


def close_in_turn(entry: Entry, unwinding: Unwinding) -> None:
    """Close what is open, the last opened first, until one fails or is found to live in a thread of its own."""
    leases, began = entry.leases, clock()
    while leases:
        lease = leases.popitem()[1]
        if lease.carrier is not None:
            leases[lease.name] = lease  # the last one, as it was
            return
        try:
            lease.cm.__exit__(None, None, None)
        except BaseException as late:  # noqa: BLE001  every other resource is still released; the unwinding keeps this
            unwinding.account(entry, (lease, began, None, late))
            return
        began = entry.closed(lease, began)


def aclose_in_turn(entry: Entry, unwinding: Unwinding) -> Waiting | None:
    """Do the same in a task until one has to wait: most never do, and a call costs less than a coroutine.

    Returns what waits, for the caller to await and to account for.
    """
    leases, began = entry.leases, clock()
    while leases:
        lease = leases.popitem()[1]
        if lease.carrier is not None:
            leases[lease.name] = lease
            return None
        try:
            if lease.asynchronous:
                release = lease.cm.__aexit__(None, None, None)
                if type(release) is not CoroutineType:
                    release = coroutine_of(release)
                try:
                    return lease, began, release, release.send(None)
                except StopIteration:
                    pass
            else:
                lease.cm.__exit__(None, None, None)
        except BaseException as late:  # noqa: BLE001  as above
            unwinding.account(entry, (lease, began, None, late))
            return None
        began = entry.closed(lease, began)
    return None
