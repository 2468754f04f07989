"""Sums that stay exact, and keys that stay apart, on their way into a database and back.

Idea        A database's integer has 64 bits and its decimal is a float; what does not fit travels as tagged text.
Invariant   decode(encode(x)) is x, type and digits; add(a, b) never rounds an int or a Decimal.
When wrong  A number or key that could not be kept exactly is refused before anything is written.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_exact.py
"""

from __future__ import annotations

import json
import math
from decimal import Context, Decimal, Inexact

from arion_lib.pipeline.batch import Aggregate, Key, Number

DIGITS = 10_000
"""A number of an aggregate has at most so many digits before the point, and so many after it."""

# Twice DIGITS, and room for the carries of 10**1000 additions: within it, no sum of allowed numbers is rounded.
EXACT = Context(prec=2 * DIGITS + 1_000, Emax=10 * DIGITS, Emin=-10 * DIGITS, traps=[Inexact])
_INT64 = 1 << 63
_BIGGEST_INT = 10**DIGITS
KEY_LIMIT = 2_000
"""Bytes of an encoded key, at most: PostgreSQL's index takes no entry of more than a third of a page, 2,704 bytes."""

_KEY_TYPES = (str, int, float, bool, type(None))
_write_json = json.JSONEncoder(separators=(",", ":")).encode

Stored = int | float | str | None
"""What a number becomes in a column: an int of 64 bits and a finite float as they are, the rest as tagged text."""


def add(a: Number, b: Number) -> Number:
    """Return a + b: exact for ints and Decimals of any size, a float once a float takes part.

    A finite float that meets a Decimal joins as the decimal a person would read (`repr`), so sums asked for
    in Decimal stay Decimal.

    >>> add(2**64, 1), add(Decimal("0.1"), Decimal("0.2")), add(1, 0.5), add(Decimal("0.1"), 0.2)
    (18446744073709551617, Decimal('0.3'), 1.5, Decimal('0.3'))
    """
    if isinstance(a, Decimal) or isinstance(b, Decimal):
        if _unbounded(a) or _unbounded(b):
            return float(a) + float(b)
        return EXACT.add(_decimal(a), _decimal(b))
    try:
        return a + b
    except OverflowError:  # an int past 1e308 met a float
        huge, other = (a, b) if isinstance(a, int) else (b, a)
        return _infinity(huge) + float(other)


def least(a: Number, b: Number) -> Number:
    """Return the smaller of two numbers, compared exactly; nan where one is nan.

    >>> least(2**53, float(2**53 + 2)), least(Decimal("0.1"), 0.1)
    (9007199254740992, Decimal('0.1'))
    """
    if a != a or b != b:
        return math.nan
    return b if b < a else a


def greatest(a: Number, b: Number) -> Number:
    """Return the larger of two numbers, compared exactly; nan where one is nan.

    >>> greatest(3, 2.5)
    3
    """
    if a != a or b != b:
        return math.nan
    return b if b > a else a


def merge(a: Aggregate, b: Aggregate) -> Aggregate:
    """Return what is known of a group when two parts of it come together; a figure only one part has is kept.

    >>> merge(Aggregate(2, sum=3, min=1, values=1), Aggregate(1, sum=4, min=0, values=1))
    Aggregate(count=3, sum=7, min=0, max=None, values=2)
    """
    return Aggregate(
        a.count + b.count,
        a.sum if b.sum is None else b.sum if a.sum is None else add(a.sum, b.sum),
        a.min if b.min is None else b.min if a.min is None else least(a.min, b.min),
        a.max if b.max is None else b.max if a.max is None else greatest(a.max, b.max),
        _values(a, b),
    )


def _values(a: Aggregate, b: Aggregate) -> int | None:
    """Count the numbers of both sums; where one sum's numbers were not counted, those of the whole are not known."""
    if a.sum is None or b.sum is None:
        return b.values if a.sum is None else a.values
    return None if a.values is None or b.values is None else a.values + b.values


def check_number(number: Number | None) -> None:
    """Refuse a figure that no sum could keep exactly.

    Raises
    ------
    ValueError
        It is not an int, float, Decimal or None, is a Decimal that is not finite, or has more than DIGITS digits.

    >>> check_number(Decimal("1.50"))
    """
    if number is None or type(number) is float:
        return
    if type(number) is int:
        if abs(number) >= _BIGGEST_INT:
            raise ValueError(
                f"an int of an aggregate must have at most {DIGITS} digits, got {number.bit_length()} bits"
            )
        return
    if type(number) is not Decimal:
        raise ValueError(f"a figure of an aggregate must be int, float, Decimal or None, got {number!r:.80}")
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int):
        raise ValueError(f"a Decimal of an aggregate must be finite, got {number}")  # noqa: TRY004  a value, not a type
    if exponent < -DIGITS or exponent >= DIGITS or number.adjusted() >= DIGITS:
        raise ValueError(f"a Decimal of an aggregate must have at most {DIGITS} digits before and after the point")


def encode_number(number: Number | None) -> Stored:
    """Return the column value that keeps `number` (one that `check_number` lets pass, or a sum of such) exactly.

    >>> encode_number(7), encode_number(0.5), encode_number(2**64), encode_number(Decimal("1.50"))
    (7, 0.5, 'i18446744073709551616', 'd1.50')
    """
    if isinstance(number, Decimal):
        return f"d{number}"
    if isinstance(number, float):
        return number if math.isfinite(number) else f"f{number}"
    if number is None or -_INT64 <= number < _INT64:
        return number
    return f"i{Decimal(number)}"  # str(number) alone refuses more than 4,300 digits


def decode_number(stored: Stored) -> Number | None:
    """Return the number that `encode_number` turned into `stored`.

    >>> decode_number("i18446744073709551616"), decode_number("d1.50"), decode_number("finf"), decode_number(None)
    (18446744073709551616, Decimal('1.50'), inf, None)
    """
    if not isinstance(stored, str):
        return stored
    tag, digits = stored[:1], stored[1:]
    if tag == "i":
        return int(Decimal(digits))  # int(digits) alone refuses more than 4,300 digits
    return Decimal(digits) if tag == "d" else float(digits)


def encode_key(key: Key) -> str:
    """Return the key as a JSON array in ASCII: 1, 1.0, "1" and true stay four different keys.

    -0.0 becomes 0.0, as they are one key of a Python dict. Note that a dict also holds 1, 1.0 and True to be one
    key: what is to stay apart must not have met in a dict before.

    Raises
    ------
    ValueError
        It is not a tuple of str, int, float, bool and None, or has more than KEY_LIMIT bytes in this form.

    >>> encode_key((1, 1.0, "1", True, None)), encode_key(("é",))
    ('[1,1.0,"1",true,null]', '["\\\\u00e9"]')
    """
    if not isinstance(key, tuple) or not all(type(part) in _KEY_TYPES for part in key):
        raise ValueError(f"a key must be a tuple of str, int, float, bool or None, got {key!r:.80}")
    if 0.0 in key:
        key = tuple(0.0 if type(part) is float and part == 0.0 else part for part in key)
    try:
        text = _write_json(key)
    except ValueError as error:  # an int of more than 4,300 digits
        raise ValueError("a key must not hold an int of more than 4,300 digits") from error
    if len(text) > KEY_LIMIT:
        raise ValueError(
            f"a group's key must have at most {KEY_LIMIT} bytes as JSON in ASCII, got {len(text)}: {text:.60}..."
        )
    return text


def check_key(key: Key) -> None:
    """Refuse a key that `encode_key` would refuse. Cost: a look at the lengths, where they leave no doubt.

    >>> check_key(("paid", None))
    """
    if _longest(key) > KEY_LIMIT:
        encode_key(key)


def _longest(key: Key) -> int:
    """Return a length that the encoded key cannot pass: an escaped character takes 6 bytes, a pair of them 12."""
    return 2 + sum(
        (3 + 12 * len(part)) if isinstance(part, str) else (8 + part.bit_length()) if isinstance(part, int) else 32
        for part in key
    )


def decode_key(text: str) -> Key:
    """Return the key that `encode_key` turned into `text`.

    >>> decode_key('[1,1.0,"1",true,null]')
    (1, 1.0, '1', True, None)
    """
    return tuple(json.loads(text))


def _infinity(number: Number) -> float:
    return math.inf if number > 0 else -math.inf


def _unbounded(number: Number) -> bool:
    return isinstance(number, float) and not math.isfinite(number)


def _decimal(number: Number) -> Decimal:
    return Decimal(repr(number)) if isinstance(number, float) else Decimal(number)
