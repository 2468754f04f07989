r"""Where in a document an array of a wanted name may begin.

Idea        A pattern finds the name with a `[` behind it, however JSON may write it; a parser then says whether it is
            the member that is meant. Elements of elements have no name: there each `[` outside of strings may be one.
Invariant   No array of the name is left out, wherever the text was cut. Of a text that is JSON, few places are given
            that lie inside of a string: only at its beginning and its end.
When wrong  It judges nothing: text that is no JSON gets some places.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_documents.py
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain, takewhile

from arion_lib.pipeline.formats.shortener import Shortener

_NAMED = re.compile(rb'"[ \t\r\n]*+:[ \t\r\n]*+\[')
_ANY = re.compile(rb'"(?:[^"\\]|\\.)*+"?|\[', re.DOTALL)
_BRACKET = ord("[")


class Brackets:
    r"""Find the `[` that may begin an array called `name`; "item" is what elements of arrays are called.

    >>> list(Brackets("a").places(b'{"first": 1, "b": [1], "a": [2], "\\u0061": [3]}', Shortener(), behind_name=False))
    [29, 44]
    """

    def __init__(self, name: str) -> None:
        self._name = None if name == "item" else re.compile(_spelt(name) + _NAMED.pattern)
        self._longest = 6 * len(name.encode())  # an escape takes six bytes

    def places(self, text: bytes, before: Shortener, *, behind_name: bool) -> Iterator[int]:
        """Give the index behind each, in order.

        `before`: the state that the text before this one ended in; `behind_name`: it ended behind the name, or later.
        """
        if self._name is None:
            found = (one.end() for one in _ANY.finditer(text, before.rest(text)))
            yield from (end for end in found if text[end - 1] == _BRACKET)
            return
        last = text.find(b"[") + 1 if behind_name else 0
        if last:
            yield last
        # The name may have begun in the text before: up to here anything may be the end of it.
        cut = takewhile(lambda one: one.start() <= self._longest, _NAMED.finditer(text))
        for one in chain(cut, self._name.finditer(text)):
            if one.end() > last:
                last = one.end()
                yield last


def _spelt(name: str) -> bytes:
    r"""Return a pattern of a name in quotes, but for the second one, in all the ways that JSON has for it.

    >>> re.match(_spelt("aé"), b'"\\u0061\\u00E9') is not None
    True
    """
    return b'"' + b"".join(map(_ways, name))


def _ways(one: str) -> bytes:
    units = one.encode("utf-16-be")
    escaped = b"".join(rb"\\u%b" % units[at : at + 2].hex().encode() for at in range(0, len(units), 2))
    # What may be written with a letter behind the backslash (a line's end, say) is taken for every such letter.
    short = rb"|\\[^u]" if one in '"\\/\b\f\n\r\t' else b""
    return rb"(?:%b|(?i:%b)%b)" % (re.escape(one.encode()), escaped, short)
