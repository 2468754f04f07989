"""A `repr` for messages: of bounded length, and it never fails.

Idea        `reprlib` stops after so many items; what is still too long loses its middle.
Invariant   A value whose `repr` fits is shown as `repr` shows it; the cost does not grow with a container's length.
When wrong  A `__repr__` that raises is named with its error.
See         tests/ground/test_short_repr.py
"""

from __future__ import annotations

import reprlib

LIMIT = 160
"""Characters, unless the caller asks for another number."""


def short_repr(value: object, limit: int = LIMIT) -> str:
    """Return `repr(value)`, cut in the middle past `limit` characters (20 or more).

    >>> short_repr({"cost": 2}), short_repr(list(range(1_000_000)), 20)
    ("{'cost': 2}", '[0, 1, 2,  ... ...]')
    """
    try:
        text = _Repr(limit).repr(value)
    except Exception as e:  # noqa: BLE001  a user's __repr__ may do anything; what is being reported matters more
        return f"<{type(value).__name__} whose repr raises {type(e).__name__}>"
    if len(text) <= limit:
        return text
    tail = limit // 5
    return f"{text[: limit // 2]} ... {text[len(text) - tail :]}"


class _Repr(reprlib.Repr):
    """The standard one with a single limit: no container of more items could have a `repr` that fits."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.maxdict = self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = limit
        self.maxdeque = self.maxarray = limit
        self.maxstring = self.maxlong = self.maxother = 2 * limit
        self.maxlevel = 20

    def repr_instance(self, x: object, level: int) -> str:  # noqa: ARG002  reprlib's signature
        """Let the errors of an object's own `repr` through, and keep both of its ends."""
        return repr(x)

    def repr_dict(self, x: dict[object, object], level: int) -> str:
        """Keep the order of the keys, which the standard one sorts."""
        if not x or level <= 0:
            return "{...}" if x else "{}"
        pairs = [f"{self.repr1(k, level - 1)}: {self.repr1(v, level - 1)}" for k, v in _first(x, self.maxdict)]
        return "{" + ", ".join([*pairs, *(["..."] if len(x) > self.maxdict else [])]) + "}"


def _first(x: dict[object, object], many: int) -> list[tuple[object, object]]:
    return [item for item, _ in zip(x.items(), range(many), strict=False)]
