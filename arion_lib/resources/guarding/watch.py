"""A manager that is forgotten while resources are open says so.

Idea        The watch is dropped with its manager; if resources are open then, it warns and names them.
Invariant   A manager that was left has no finalizer any more, because a Ctrl-C that falls into one is lost.
When wrong  A `ResourceWarning` names the manager and what is open.
See         tests/resources/test_manager.py
"""

from __future__ import annotations

import warnings

from arion_lib.resources.entry import Entry
from arion_lib.resources.guarding.interrupts import interrupts


class Watch:
    """Warns when it is dropped while resources are open."""

    __slots__ = ("entry", "label")

    def __init__(self, label: str, entry: Entry) -> None:
        self.label, self.entry = label, entry

    def __del__(self) -> None:
        if not hasattr(self, "entry"):
            return  # Ctrl-C fell into `__init__`: nobody has this manager
        if self.entry.outer is not None:
            return  # the block around ends this one, and reports it
        blocks = [self.entry]
        for block in blocks:
            blocks.extend(block.inner)
            interrupts.free(block)  # or Ctrl-C would be this manager's affair for ever
        if names := [name for block in blocks for name in block.leases]:
            warnings.warn(
                f"{self.label} was never left; still open: {', '.join(names)}: use `with`",
                ResourceWarning,
                stacklevel=2,
            )


class Dismissed:
    """What a watch becomes when it is over."""

    __slots__ = ("entry", "label")
