"""The contract Validator: what is wrong with a row; and plugins that keep it.

Idea        A validator says what is wrong, as a list of sentences. An empty list means: nothing.
Invariant   `validate` raises nothing on account of a row and changes none.
When wrong  Each complaint names the field, the rule and the value.
See         notebooks/3_contracts_and_plugins.ipynb · tests/contracts/test_shipped.py
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Literal

from arion_lib.contracts.contract import Contract


class Validator(Contract, kind="validators", metrics=True):
    """Say what is wrong with a row."""

    severity: Literal["warning", "error"] = "error"

    @abstractmethod
    def validate(self, row: Mapping[str, Any]) -> list[str]:
        """Return a complaint for each broken rule."""


class Required(Validator, name="required", version="1.0", tags=["presence"]):
    """Ask for fields.

    >>> Required("id", "eur").validate({"id": 1})
    ['eur must be present']
    """

    def __init__(self, *fields: str) -> None:
        self.fields = fields

    def validate(self, row: Mapping[str, Any]) -> list[str]:
        return [f"{field} must be present" for field in self.fields if field not in row]


class Between(Validator, name="between", version="1.0", tags=["numbers"]):
    """Ask for a number from `least` to `most`; a field that is absent is not this validator's business.

    >>> Between("eur", 0, 100).validate({"eur": 120}), Between("eur", 0, 100).validate({})
    (['eur must be from 0 to 100, got 120'], [])
    """

    def __init__(self, field: str, least: float, most: float) -> None:
        if not least <= most:
            raise ValueError(f"least must be <= most, got {least} and {most}")
        self.field, self.least, self.most = field, least, most

    def validate(self, row: Mapping[str, Any]) -> list[str]:
        value = row.get(self.field, self.least)
        if isinstance(value, int | float) and self.least <= value <= self.most:
            return []
        return [f"{self.field} must be from {self.least} to {self.most}, got {value!r}"]


class Matches(Validator, name="matches", version="1.0", tags=["text"]):
    """Ask for a text that a regular expression matches as a whole.

    >>> Matches("sku", r"[A-Z]{2}-[0-9]+").validate({"sku": "ab-1"})
    ["sku must match [A-Z]{2}-[0-9]+, got 'ab-1'"]
    """

    severity = "warning"

    def __init__(self, field: str, pattern: str) -> None:
        self.field, self.pattern = field, re.compile(pattern)

    def validate(self, row: Mapping[str, Any]) -> list[str]:
        value = row.get(self.field)
        if value is None or (isinstance(value, str) and self.pattern.fullmatch(value)):
            return []
        return [f"{self.field} must match {self.pattern.pattern}, got {value!r}"]
