"""Text that may be shown: the secrets of URLs and connection strings are replaced by `***`.

Idea        A password stands before the last `@` of an address, any other secret behind a name that says what it is.
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


def masked(text: str) -> str:
    """Return the text with the passwords of URLs and the values of parameters named like secrets as `***`.

    >>> masked("cannot reach postgresql://ann:p@ss@db/shop?access_token=abc&a=1")
    'cannot reach postgresql://ann:***@db/shop?access_token=***&a=1'
    >>> masked("host=db password='open sesame' user=ann"), masked("redis://:pw@h/0")
    ('host=db password=*** user=ann', 'redis://:***@h/0')
    """
    return _PARAMETER.sub(r"\1***", _USERINFO.sub(r"\1:***@", text))
