"""The submitter's context variables, as far as they can travel.

Idea        A context is a mapping; the pairs whose value can be pickled go with the function, and the call runs inside
            a context that has them.
Invariant   What one task sets is unseen by the next: each call runs in a copy.
When wrong  A value that cannot be pickled stays behind, with a debug record; a task that needs it sees the default.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_context.py
"""

from __future__ import annotations

import logging
import sys
from contextvars import Context, ContextVar
from importlib import import_module
from typing import Any

log = logging.getLogger(__name__)

MOST_VARIABLES = 10_000
"""Variables that are known at once; a program has dozens."""
STAY = ("ipykernel", "IPython", "asyncio", "jupyter_client", "decimal", "zmq", "anyio", "sniffio", "tornado")
"""Packages whose variables describe this process and its loop: of no use in another."""


def portable(context: Context) -> list[tuple[ContextVar[Any], Any]]:
    """Return the pairs of a context that may travel, in the order of their names."""
    pairs = [(variable, value) for variable, value in context.items() if not _stays(variable)]
    return sorted(pairs, key=lambda pair: pair[0].name)


def context_of(pairs: list[tuple[ContextVar[Any], Any]]) -> Context:
    """Return a new context in which the variables have these values."""
    context = Context()
    for variable, value in pairs:
        context.run(variable.set, value)
    return context


def place_of(variable: ContextVar[Any]) -> str | None:
    """Return `module:name` of a variable that another process can import, else None."""
    place = _found(variable)
    return None if place is None or place.startswith("__main__:") else place


def variable_at(place: str) -> ContextVar[Any] | None:
    """Return the variable at `module:name`; None where there is none."""
    module, _, name = place.partition(":")
    if not name:
        return None
    try:
        found = getattr(import_module(module), name, None)
    except ImportError:
        return None
    return found if isinstance(found, ContextVar) else None


_PLACES: dict[ContextVar[Any], str | None] = {}


def _found(variable: ContextVar[Any]) -> str | None:
    """Return where a variable is; of so many that a program must be making them anew, the answers are forgotten."""
    try:
        return _PLACES[variable]
    except KeyError:  # looked for once: another thread may forget them all at any time
        place = _search(variable)
    if len(_PLACES) >= MOST_VARIABLES:
        _PLACES.clear()
    _PLACES[variable] = place
    return place


def _search(variable: ContextVar[Any]) -> str | None:
    for module_name, module in sys.modules.copy().items():  # a copy in one step: other threads import meanwhile
        for name, value in getattr(module, "__dict__", {}).copy().items():
            if value is variable:
                return f"{module_name}:{name}"
    return None


def _stays(variable: ContextVar[Any]) -> bool:
    """Whether a variable means nothing elsewhere: one of the packages above, or one that no module has.

    The latter are a library's own, kept in its objects (a kernel has several): a task could not even name them.
    """
    place = _found(variable)
    return place is None or place.partition(":")[0].partition(".")[0] in STAY
