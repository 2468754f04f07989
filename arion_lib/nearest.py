"""Did you mean ...? The known word that a mistyped one is closest to.

Idea        One place decides what counts as near; messages differ only in how they show a word.
Invariant   Nothing is suggested that is not known.
When wrong  Nothing is near: the hint is empty, or lists what there is.
See         tests/ground/test_nearest.py
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable

CUTOFF = 0.5
"""How alike two words must be, 0 to 1: `difflib`'s ratio."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that is most like `word`; None when none is near.

    >>> nearest("databse", ["cache", "database"]), nearest("x", ["cache"])
    ('database', None)
    """
    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=CUTOFF)), None)


def did_you_mean(word: str, known: Iterable[str], shown: Callable[[str], str] = repr) -> str:
    """Return the end of an error message: the known word that is near, as `shown` writes it, or nothing.

    >>> did_you_mean("databse", ["database"]), did_you_mean("x", ["database"])
    ("; did you mean 'database'?", '')
    """
    near = nearest(word, known)
    return f"; did you mean {shown(near)}?" if near else ""


def near_or_known(word: str, known: Iterable[str]) -> str:
    """Return the end of an error message: the known word that is near, or else all of them.

    >>> near_or_known("databse", ["database"]), near_or_known("x", ["database", "cache"])
    ("; did you mean 'database'?", '; there are database, cache')
    """
    names = list(known)
    return did_you_mean(word, names) or f"; there are {', '.join(names) or 'none'}"
