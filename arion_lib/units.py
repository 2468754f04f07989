"""Seconds, bytes and rates as a person reads them.

Idea        Three significant digits and the unit that keeps the figure between 1 and 1,000.
Invariant   A printed figure reads back to within half a per cent, and a larger value never prints smaller.
When wrong  What is no finite number is written as Python does.
See         tests/ground/test_units.py

Units are decimal, as disks and networks count: 1 MB is 1,000,000 bytes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

SECONDS: Mapping[str, float] = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}
BYTES: Mapping[str, float] = {"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}
COUNTS: Mapping[str, float] = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}


def seconds_text(seconds: float | None) -> str:
    """Write a duration with its unit; one that was never measured is a dash.

    >>> [seconds_text(x) for x in (0, 84e-6, 0.0123, 1.5, 1234, None)]
    ['0 s', '84.0 us', '12.3 ms', '1.50 s', '1,230 s', '-']
    """
    return "-" if seconds is None else _scaled(seconds, SECONDS, zero="0 s")


def clock_text(seconds: float | None) -> str:
    """Write how long something has been going on: past a minute in minutes, past an hour in hours.

    >>> [clock_text(x) for x in (None, 0.0123, 59.99, 75, 7_300)]
    ['-', '12.3 ms', '1 min 0 s', '1 min 15 s', '2 h 1 min']
    """
    if seconds is None or seconds < 59.95:  # what `seconds_text` would round up to a minute
        return seconds_text(seconds)
    whole = round(seconds)
    if whole >= 3_600:
        return f"{whole // 3_600} h {whole % 3_600 // 60} min"
    return f"{whole // 60} min {whole % 60} s"


def bytes_text(size: float) -> str:
    """Write a number of bytes with its unit; whole bytes stay whole.

    >>> [bytes_text(x) for x in (0, 999, 1_000, 24_000_000, 999_999_999, -1_500)]
    ['0 B', '999 B', '1.00 kB', '24.0 MB', '1.00 GB', '-1.50 kB']
    """
    if abs(size) < 999.5 and size == round(size):
        return f"{size:.0f} B"
    return _scaled(size, BYTES, zero="0 B")


def count_text(count: float) -> str:
    """Write a number of things, shortened by k, M or G.

    >>> [count_text(x) for x in (0, 7, 999, 40_000, 1_234_567)]
    ['0', '7', '999', '40.0 k', '1.23 M']
    """
    if abs(count) < 999.5 and count == round(count):
        return f"{count:.0f}"
    return _scaled(count, COUNTS, zero="0").rstrip()


def rate_text(rate: float, unit: str) -> str:
    """Write a throughput; `unit` is what is counted (`"B"` is scaled as bytes).

    >>> rate_text(350e6, "B"), rate_text(18_000, "records"), rate_text(2.5, "tasks")
    ('350 MB/s', '18.0 k records/s', '2.50 tasks/s')
    """
    return amount_text(rate, unit) + "/s"


def amount_text(amount: float, unit: str) -> str:
    """Write an amount of whatever is counted: bytes as bytes, all else as a count and its name.

    >>> amount_text(1e8, "B"), amount_text(1e6, "records"), amount_text(1, "records"), amount_text(3, "")
    ('100 MB', '1.00 M records', '1 record', '3')
    """
    return bytes_text(amount) if unit == "B" else f"{count_text(amount)} {one_or_many(amount, unit)}".rstrip()


def how_many(count: int, things: str) -> str:
    """Write a whole number of things, `things` being their plural.

    >>> how_many(1, "tries"), how_many(0, "lines"), how_many(1200, "lines")
    ('1 try', '0 lines', '1,200 lines')
    """
    return f"{count:,} {one_or_many(count, things)}"


def one_or_many(count: float, plural: str) -> str:
    """Return the plural, or for exactly one its singular; what is no plural, such as a unit, stays.

    >>> [one_or_many(1, word) for word in ("batches", "tasks/s", "classes", "us", "MB", "")], one_or_many(2, "batches")
    (['batch', 'task/s', 'class', 'us', 'MB', ''], 'batches')
    """
    word, slash, rate = plural.partition("/")
    if count != 1 or len(word) < 3 or not word.endswith("s"):
        return plural
    for ending, single in (("ies", "y"), ("ches", "ch"), ("shes", "sh"), ("sses", "ss"), ("xes", "x"), ("s", "")):
        if word.endswith(ending):
            return word.removesuffix(ending) + single + slash + rate
    return plural


def _scaled(value: float, units: Mapping[str, float], zero: str) -> str:
    # Rounded before the unit is chosen: 999.6 kB must become 1.00 MB, never 1000 kB.
    rounded = float(f"{abs(value):.3g}")
    if rounded == 0:
        return zero
    if not math.isfinite(rounded):
        return str(value)
    unit, factor = next(((u, f) for u, f in reversed(list(units.items())) if f <= rounded), next(iter(units.items())))
    figure = rounded / factor
    text = f"{figure:,.0f}" if figure >= 1000 else f"{figure:#.3g}".rstrip(".")
    return f"{'-' if value < 0 else ''}{text} {unit}"


def progress_text(progress: Sequence[float | None] | None) -> str:
    """Return (done, total) as a reader wants it; the total may be None for unknown.

    >>> progress_text((30, 120)), progress_text((1500, None)), progress_text(None)
    ('25 %', '1,500', '')
    """
    if progress is None:
        return ""
    done, total = progress[0] or 0.0, progress[1]
    return f"{done:,g}" if total is None else f"{100 * min(1.0, done / total):.0f} %"
