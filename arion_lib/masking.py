"""Text that may be shown: the secrets of URLs and connection strings are replaced by `***`.

Idea        A password stands before the last `@` of an address, any other secret behind a name that says what it is
            and `=` or a colon.
Invariant   No part of a password is left, whatever it is made of (but for one of digits before a blank, which no URL
            may hold and which reads like a port); too much is hidden rather than too little.
When wrong  A secret without a telling name and outside of an address is not recognised: do not put it into messages.
See         tests/ground/test_masking.py
"""

from __future__ import annotations

import re

# To the last @ before the next address: an unescaped password may hold `@`, `/`, `?`, `#` and spaces. What looks like a
# port and ends is none, so that an @ further on in the sentence does not matter.
_USERINFO = re.compile(r"(?<=://)([^:/@\s]*):(?!\d{1,5}(?:/\w*)?[:,;)]*\s)(?:(?!://).)*@", re.DOTALL)
_NAMED = r"password|passwd|pwd|secret|token|(?:api|access|private|secret)[_-]?key"
_PARAMETER = re.compile(
    rf"""(?ix) ( [?&][^=&\#\s]*(?:{_NAMED}|key)[^=&\#\s]*=   # in a URL's query: any name that holds such a word
             | \b[\w-]*(?:{_NAMED})\s?=\s? )                # in other text: a name that ends in one
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
    text = _USERINFO.sub(r"\1:***@", text)
    for secret in (_PARAMETER, _FIELD, _LINE):
        text = secret.sub(r"\1***", text)
    return text
