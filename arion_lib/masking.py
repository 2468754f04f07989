"""Text that may be shown: the secrets of URLs and connection strings are replaced by `***`.

Idea        A password stands before the last `@` of an address, any other secret behind a name that says what it is
            and `=` or a colon.
Invariant   No part of a password is left, whatever it is made of (but for two with a blank, which no URL may hold:
            digits before it read like a port, and an @ and an address behind it like two addresses); too much is
            hidden rather than too little.
When wrong  A secret without a telling name and outside of an address is not recognised: do not put it into messages.
See         tests/ground/test_masking.py
"""

from __future__ import annotations

import itertools
import re

# The user of an address and a colon. What looks like a port and ends is no password, so that an @ further on in the
# sentence does not matter.
_USER = re.compile(r"://[^:/@\s]*:(?!\d{1,5}(?:/\w*)?[:,;)]*\s)")
_PORT = re.compile(r"\d{1,5}\b")
_ADDRESS = re.compile(r"""(?i)(?<=\s)[^\w\s]*(?:\w+=)?["']?[a-z][a-z0-9+.-]*://""")
_NAMED = r"password|passwd|pwd|secret|token|(?:api|access|private|secret)[_-]?key"
_PARAMETER = re.compile(
    rf"""(?ix) ( [?&](?=[^=&?\#\s]*(?:{_NAMED}|key))[^=&?\#\s]*=   # in a URL's query: any name that holds such a word
             | (?:{_NAMED})\s?=\s? )                # in other text: a name that ends in one
        (?: '(?:[^'\\]|\\.)*' | "(?:[^"\\]|\\.)*" | [^\s&\#]+ )"""
)
# A quoted value ends at its quote, or with the text where a message was cut off. Quotes behind backslashes are those
# of JSON inside a string of JSON.
_VALUE = r"""b?'(?:[^'\\]|\\.)*(?:'|\\?\Z) | b?"(?:[^"\\]|\\.)*(?:"|\\?\Z)
             | (?P<quote>\\+["'])(?:(?!(?P=quote)).)*(?:(?P=quote)|\Z) | \[[^\]]*\]? | \{[^}]*\}?"""
# JSON, and what prints like it: a name in quotes and a colon. A number ends at the next comma or bracket.
_FIELD = re.compile(
    rf"""(?isx) ( (?:{_NAMED})\\*["']\s*:\s* ) (?: {_VALUE} | \S+?(?=,["'\\] | [,\]}}]{{0,9}}(?:\s|\Z)) )"""
)
# Other text: name, colon and value on one line. The host of a URL may have such a name; behind its colon is a port.
_LINE = re.compile(rf"(?isx) ( (?<![\w.@-])(?<!://)[\w.-]*(?:{_NAMED})[ \t]*:[ \t]* ) (?: {_VALUE} | \S+ )")


def masked(text: str) -> str:
    """Return the text with the passwords of URLs and the values of parameters named like secrets as `***`.

    >>> masked("cannot reach postgresql://ann:p@ss@db/shop?access_token=abc&a=1")
    'cannot reach postgresql://ann:***@db/shop?access_token=***&a=1'
    >>> masked("host=db password='open sesame' user=ann"), masked("redis://:pw@h/0")
    ('host=db password=*** user=ann', 'redis://:***@h/0')
    >>> masked('{"password": "x", "port": 1}'), masked("user: ann, password: x")
    ('{"password": ***, "port": 1}', 'user: ann, password: ***')
    """
    text = _without_passwords(text)
    for secret in (_PARAMETER, _FIELD, _LINE):
        text = secret.sub(r"\1***", text)
    return text


def _without_passwords(text: str) -> str:
    """Mask to the last @ before the next address: an unescaped password may hold `@`, `/`, `://`, `?`, `#` and blanks.

    The next address stands behind a blank. Where no @ comes before it, it was none, but a part of the password.
    """
    shown, done, begun = [], 0, -1  # where a password begins that has not ended yet
    addresses = [0, *(address.start() for address in _ADDRESS.finditer(text)), len(text)]
    for start, end in itertools.pairwise(addresses):
        if begun < 0 or _PORT.match(text, begun):
            user = _USER.search(text, start, end)
            begun = user.end() if user else -1
        if begun >= 0 and (at := text.rfind("@", max(begun, start), end)) >= 0:
            shown += [text[done:begun], "***"]
            done, begun = at, -1
    return "".join([*shown, text[done:]])
