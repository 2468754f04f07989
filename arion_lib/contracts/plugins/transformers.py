"""The contract Transformer: one value of one type into one of another; and plugins that keep it.

Idea        A generic contract: a plugin says which types it stands between, and is judged with these in place.
Invariant   `transform` is a function of its argument: no state, no side effect.
When wrong  A value that cannot be transformed raises `ValueError` with the value.
See         notebooks/3_contracts_and_plugins.ipynb · tests/contracts/test_shipped.py
"""

from __future__ import annotations

import json
from abc import abstractmethod
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

from arion_lib.contracts.contract import Contract

Source = TypeVar("Source")
Target = TypeVar("Target")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Transformer(Contract, Generic[Source, Target], kind="transformers", metrics=True):
    """Turn a `Source` into a `Target`."""

    @abstractmethod
    def transform(self, value: Source) -> Target:
        """Return the value in its new form."""


class Cents(Transformer[str, int], name="cents", version="1.0", tags=["money"]):
    """Read an amount of money as whole cents, exactly.

    >>> Cents().transform("12.30"), Cents().transform("-7")
    (1230, -700)
    """

    def transform(self, value: str) -> int:
        sign, digits = (-1, value[1:]) if value.startswith("-") else (1, value)
        whole, _, part = digits.partition(".")
        if not (whole + part).isdecimal() or not whole or len(part) > 2:
            raise ValueError(f"value must be an amount like '12.30', got {value!r}")
        return sign * (int(whole) * 100 + int(part.ljust(2, "0")))


class Timestamp(Transformer[float, datetime], name="timestamp", version="1.0", tags=["time"]):
    """Turn seconds since 1970 into a date and time in UTC.

    >>> Timestamp().transform(0).isoformat()
    '1970-01-01T00:00:00+00:00'
    """

    def transform(self, value: float) -> datetime:
        return EPOCH + timedelta(seconds=value)  # `fromtimestamp` knows the years from 1970 to 3000 alone on Windows


class JsonObject(Transformer[str, dict[str, Any]], name="json", version="1.0", tags=["text"]):
    """Read a text as a JSON object.

    >>> JsonObject().transform('{"a": 1}')
    {'a': 1}
    """

    def transform(self, value: str) -> dict[str, Any]:
        found = json.loads(value)
        if not isinstance(found, dict):
            raise ValueError(f"value must be a JSON object, got {value!r}")  # noqa: TRY004 - its content, not its type
        return found
