"""Whether an open resource still works: each says it in its own way, and one answer per resource comes back.

Idea        A health check is a function of the open value that raises when the resource is ill.
Invariant   A check never ends the others: its error becomes a value.
When wrong  A resource without a check is `checked=False`, which claims nothing; an absent one is not ok.
See         notebooks/2_resource_manager.ipynb · tests/resources/test_health.py
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from arion_lib.masking import masked
from arion_lib.resources.entry import Entry, clock
from arion_lib.resources.settle import error_text


@dataclass(frozen=True, slots=True)
class Health:
    """What a check said of one resource, and how many seconds it took."""

    ok: bool
    checked: bool = True
    error: str = ""
    seconds: float = 0.0


def check_all(entry: Entry) -> dict[str, Health]:
    """Check what is open, one after the other. Raises TypeError for a check that can only be awaited."""
    return {name: _ended(value) for name, value in _checks(entry)} | _absent(entry)


def _ended(call: Any) -> Health:
    began = clock()
    try:
        answer = call()
    except Exception as error:  # noqa: BLE001  whatever a check raises is its answer
        return _ill(error, began)
    if inspect.isawaitable(answer):
        if inspect.iscoroutine(answer):
            answer.close()
        raise TypeError("check must be synchronous here, got one to be awaited: await acheck() instead")
    return Health(True, call is not _unchecked, seconds=clock() - began)


async def acheck_all(entry: Entry) -> dict[str, Health]:
    """Check what is open, one after the other; checks may be asynchronous."""
    return {name: await _awaited(call) for name, call in _checks(entry)} | _absent(entry)


async def _awaited(call: Any) -> Health:
    began = clock()
    try:
        answer = call()
        if inspect.isawaitable(answer):
            await answer
    except Exception as error:  # noqa: BLE001  as above
        return _ill(error, began)
    return Health(True, call is not _unchecked, seconds=clock() - began)


def _ill(error: Exception, began: float) -> Health:
    return Health(False, True, masked(error_text(error)), clock() - began)


def _unchecked() -> None:
    """Stands in for the check of a resource that has none."""


def _checks(entry: Entry) -> Iterator[tuple[str, Any]]:
    for name, lease in list(entry.leases.items()):
        recipe = entry.recipe(name)
        check = recipe.check if recipe is not None else None
        yield name, _unchecked if check is None else lambda check=check, value=lease.value: check(value)


def _absent(entry: Entry) -> dict[str, Health]:
    return {name: Health(False, True, f"absent: {masked(error_text(error))}") for name, error in entry.absent.items()}
