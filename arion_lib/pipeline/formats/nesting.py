"""How deep a record may be nested: a limit of our own, the same on every Python.

Idea        Nesting of depth d takes 2 d bytes, so short records need no look; a long one has its brackets counted.
Invariant   Whatever is deeper than LIMIT is refused before a parser sees it, in a record of 2 LIMIT bytes or more.
When wrong  `DecodeError`, a verdict like any other. The interpreter's own limit is about 1,000 up to Python 3.11, more
            than 100,000 on 3.14, and an exhausted stack somewhere else.
See         tests/pipeline/test_nesting.py
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from arion_lib.pipeline.batch import Record

LIMIT = 500
"""Objects and arrays inside one another, at most."""

SHORT = 2 * LIMIT
"""Bytes of the longest text that needs no look: a level takes two."""

_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)  # possessive: the cost follows the length
_BRACKET = re.compile(rb"[\[{]|[\]}]")


def too_deep(raw: bytes) -> bool:
    """Say whether a record is nested deeper than LIMIT. Costs two counts of a byte in one that is long.

    >>> too_deep(b"[" * 501 + b"]" * 501), too_deep(b"[" * 500 + b"]" * 500), too_deep(b"[],"  * 1000)
    (True, False, False)
    """
    if len(raw) <= SHORT or raw.count(b"[") + raw.count(b"{") <= LIMIT:
        return False
    depth = 0
    for bracket in _BRACKET.finditer(_STRING.sub(b"", raw)):
        depth += 1 if bracket[0] in b"[{" else -1
        if depth > LIMIT:
            return True
    return False


def all_short(block: bytes, separator: bytes = b"\n") -> bool:
    r"""Say whether every piece of a block between two separators is too short to be nested too deeply.

    Looks at a small part of the bytes: it jumps from separator to separator, as far as it can.

    >>> all_short(b"{}\n" * 1000), all_short(b"{}\n" + b" " * 1001)
    (True, False)
    """
    start, width = 0, SHORT
    while start + width < len(block):
        found = block.rfind(separator, start, start + width)
        if found < 0:
            return False
        start = found + 1
    return True


def shallow(parse: Callable[[bytes], Record]) -> Callable[[bytes], Record]:
    """Wrap `parse` with the check of one record's depth."""

    def parse_shallow(raw: bytes) -> Record:
        if too_deep(raw):
            raise msgspec.DecodeError("nested too deeply")
        return parse(raw)

    return parse_shallow
