"""What discovery found: which plugins were loaded, which were skipped and why.

Idea        Discovery runs by itself, before the first look-up; its report stays with the registry, to be read later.
Invariant   Each candidate is in the report once, as loaded or as skipped.
When wrong  A skipped candidate has the first line of the error that its import raised.
See         arion_lib/contracts/plugins/discovery.py · tests/contracts/test_discovery.py
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Loaded:
    """A candidate that was loaded, and what it registered."""

    name: str
    value: str
    plugins: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Skipped:
    """A candidate that was not, and why."""

    name: str
    value: str
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """What discovery found."""

    loaded: tuple[Loaded, ...] = ()
    skipped: tuple[Skipped, ...] = ()

    def __str__(self) -> str:
        lines = [f"loaded   {x.name} ({x.value}): {', '.join(x.plugins) or 'nothing new'}" for x in self.loaded]
        lines += [f"skipped  {x.name} ({x.value}): {x.reason}" for x in self.skipped]
        return "\n".join(lines) or "nothing found"
