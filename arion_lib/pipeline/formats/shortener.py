"""Long strings cut short, so that a parser which gathers a whole string never has to.

Idea        Of a string of which nobody wants the end the beginning is enough: what is left out is skipped by a pattern.
Invariant   What is kept is JSON if, and only if, the text around what is left out was; state and time do not follow a
            string's length, nor how the text was cut.
When wrong  A number or a word that is too long raises ValueError: it cannot be cut short.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_documents.py
"""

from __future__ import annotations

import re

TOKEN = 1_024
"""Bytes of a string around the records that are looked at: a member's name on the path is shorter."""

_QUOTE, _BACKSLASH, _U = b'"\\u'
_WORDS = b"+-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_WORD = re.compile(rb"[-+.0-9A-Za-z]*")
_INSIDE = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
# Strings and words that are short, and what stands between them; possessive, so that it costs no memory.
_SHORT = re.compile(
    rb'(?:[^-+.0-9A-Za-z"]++|[-+.0-9A-Za-z]{1,%d}+(?![-+.0-9A-Za-z])|"(?:[^"\\]|\\.){0,%d}+")*+' % (TOKEN, TOKEN // 6),
    re.DOTALL,
)


class Shortener:
    r"""Leave out the rest of each long string of a text that comes in pieces.

    What is left out is not looked at, except for its end. A number or a word of more than `TOKEN` bytes is refused.

    >>> shortener = Shortener()
    >>> shortener.step(b'{"a": [1]}', 0), shortener.inside
    ((10, b'{"a": [1]}'), False)
    """

    def __init__(self) -> None:
        self.inside = False  # of a string
        self._length = 0  # bytes so far of the string, or of the number or word, that the text ended in
        self._escape = 0  # bytes to come of an escape
        self._skipping = False

    def step(self, text: bytes, at: int) -> tuple[int, bytes]:
        """Go some way into the text from `at`: return where that ends, and what is kept of it. Raises ValueError."""
        if self._skipping:
            end = self._to_end(text, at)
            return end, b"" if self.inside else b'"'
        end = self._some(text, at) if self.inside else self._to_string(text, at)
        return end, text[at:end]

    def rest(self, text: bytes) -> int:
        """Say how many bytes at the beginning of the next text belong to the string that the last one ended in."""
        if not self.inside:
            return 0
        return min(_INSIDE.match(text, self._escape).end() + 1, len(text))  # type: ignore[union-attr]  # as below

    def _to_string(self, text: bytes, at: int) -> int:
        """Go on to the end of the text, or into a string that is long or ends in a later text."""
        word = _WORD.match(text, at).end()  # type: ignore[union-attr]  # no word is one, too
        self._length += word - at if self._length else 0
        end = _SHORT.match(text, at).end()  # type: ignore[union-attr]  # nothing is short, too
        if self._length > TOKEN or (end < len(text) and text[end] != _QUOTE):
            raise ValueError(f"a number or word around the records must have at most {TOKEN} bytes, and has more")
        if end == len(text):
            if not (self._length and word == end):  # another word than the one that the text began in
                last = text[max(at, end - TOKEN) : end]
                self._length = len(last) - len(last.rstrip(_WORDS))
            return end
        self.inside, self._length = True, 0
        return end + 1

    def _some(self, text: bytes, at: int) -> int:
        """Go on to the end of the string, or of what is kept of it: never inside of a character or an escape."""
        while at < len(text):
            byte = text[at]
            if self._escape:
                self._escape += 3 if byte == _U and self._escape == 1 else -1
            elif byte == _QUOTE:
                self.inside, self._length = False, 0
                return at + 1
            elif self._length >= TOKEN and byte & 0xC0 != 0x80:
                self._skipping = True
                return at
            elif byte == _BACKSLASH:
                self._escape = 1
            self._length += 1
            at += 1
        return at

    def _to_end(self, text: bytes, at: int) -> int:
        """Go on behind the quote that ends the string, or to the end of the text."""
        end = _INSIDE.match(text, at + self._escape).end()  # type: ignore[union-attr]  # nothing is inside, too
        self._escape = int(end < len(text) and text[end] == _BACKSLASH)
        if end < len(text) and text[end] == _QUOTE:
            self.inside = self._skipping = False
            self._length = 0
        return min(end + 1, len(text))
