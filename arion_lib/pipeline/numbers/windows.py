"""Tumbling windows: each moment belongs to exactly one stretch of time.

Idea        Round a time down to the window's length; the start of the window is one more part of the group's key.
Invariant   Windows of one length are gapless, never overlap, and start where UTC midnight of 1970-01-01 says.
When wrong  A time that cannot be read refuses its record; a missing one belongs to the window None.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_windows.py
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec

from arion_lib.pipeline.batch import Record
from arion_lib.pipeline.projection import getter, split_path

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Window:
    """The part of a group's key that says in which stretch of time a record falls.

    `field` holds an ISO 8601 date-time (without an offset it is UTC) or a number that counts from 1970 in units of
    which there are `per_second` (1, or 1000 for milliseconds). `seconds` is the window's
    length, at least a microsecond.

    >>> hour = Window("created", seconds=3600)
    >>> hour({"created": "2026-03-01T10:59:59+02:00"}), hour({"created": 1772352000}), hour({})
    ('2026-03-01T08:00:00Z', '2026-03-01T08:00:00Z', None)
    """

    def __init__(self, field: str, seconds: float, per_second: int = 1) -> None:
        split_path(field)
        if not 1e-6 <= seconds <= 86_400 * 366 * 1_000:
            raise ValueError(f"seconds must be >= 0.000001 and at most a thousand years, got {seconds}")
        if per_second < 1:
            raise ValueError(f"per_second must be >= 1 (1000 for milliseconds), got {per_second}")
        self.field = field
        self.seconds = seconds
        self._micros = round(seconds * 1_000_000)
        self._per_second = per_second
        self._get = getter(field)

    @classmethod
    def of(cls, text: str) -> Window:
        """Read FIELD:SECONDS, or FIELD:SECONDS:ms where numbers in the field count milliseconds. Raises `ValueError`.

        >>> Window.of("created:3600:ms")({"created": 1772352000_000})
        '2026-03-01T08:00:00Z'
        """
        name, _, seconds = text.removesuffix(":ms").rpartition(":")
        try:
            return cls(name, float(seconds), 1_000 if text.endswith(":ms") else 1)
        except ValueError as error:
            raise ValueError(f"window must be FIELD:SECONDS or FIELD:SECONDS:ms, got {text!r:.80}: {error}") from error

    def __call__(self, record: Record) -> str | None:
        """Name the window of `record` by its start. Raises ValueError for a time that cannot be read."""
        return self.start(self._get(record))

    def start(self, time: Any) -> str | None:
        """Name the window that `time` falls into. Raises ValueError for a value that is no time of years 1 to 9999."""
        if time is None:
            return None
        micros = self._microseconds(time)
        return _name(micros - micros % self._micros)

    def _microseconds(self, time: Any) -> int:
        try:
            if isinstance(time, str):
                time = msgspec.convert(time, datetime)  # RFC 3339, as the decoder of a projection reads it
            if isinstance(time, datetime):
                return ((time if time.tzinfo else time.replace(tzinfo=UTC)) - _EPOCH) // _MICROSECOND
            if isinstance(time, int) and not isinstance(time, bool):
                return time * 1_000_000 // self._per_second
            # To the microsecond first: 0.3 is a little less than three tenths, and belongs to the window they start.
            return round(_number(time) * 1_000_000 / self._per_second)
        except (TypeError, ValueError, OverflowError, msgspec.ValidationError) as error:
            rule = "an ISO 8601 date-time or a number of seconds"
            raise ValueError(f"{self.field} must be {rule}, got {str(time)[:80]!r}") from error


def _number(time: Any) -> float | Decimal:
    if isinstance(time, float | Decimal):
        return time
    raise TypeError(f"{type(time).__name__} is no time")


@lru_cache(maxsize=1_024)
def _name(micros: int) -> str:
    try:
        return (_EPOCH + timedelta(microseconds=micros)).isoformat().replace("+00:00", "Z")
    except OverflowError as error:
        raise ValueError(
            f"a time must lie in the years 1 to 9999, got {micros // 1_000_000} seconds from 1970"
        ) from error
