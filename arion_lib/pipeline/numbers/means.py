"""The mean of numbers of which only the sum and the count were kept.

Idea        A mean cannot be merged, but sum and count can: so the division is made when somebody asks, never stored.
Invariant   Of ints it is the float nearest to the true mean, of Decimals 28 digits of it, however large the sum is.
When wrong  Where the sum or the count is not known, and for the mean of nothing, it is None, not a guess.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_exact.py
"""

from __future__ import annotations

import math
from decimal import Context, Decimal


def mean(total: int | float | Decimal | None, values: int | None) -> float | Decimal | None:
    """Return total / values: a Decimal (28 digits) of a Decimal total, otherwise the nearest float.

    None where one of the two is not known, and for the mean of nothing.

    >>> mean(7, 2), mean(Decimal("0.5"), 2), mean(None, 2), mean(7, None), mean(0, 0)
    (3.5, Decimal('0.25'), None, None, None)
    """
    if total is None or not values:
        return None
    if isinstance(total, Decimal):
        return Context(prec=28).divide(total, Decimal(values))
    try:
        return total / values
    except OverflowError:  # an int whose quotient is past 1e308
        return math.inf if total > 0 else -math.inf
