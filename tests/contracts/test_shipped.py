"""The three contracts that ship, and their plugins: written as a user would, kept like everybody's."""

from __future__ import annotations

import errno
from datetime import UTC, datetime
from typing import Any

import pytest

from arion_lib.contracts.contract import check, registry
from arion_lib.contracts.plugins import transformers
from arion_lib.contracts.violations import ContractCallError

KINDS = ("processors", "validators", "transformers")


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_plugins_that_keep_their_contract(kind: str) -> None:
    plugins = [plugin for plugin in registry.plugins(kind) if plugin.cls.__module__.startswith("arion_lib.")]
    assert len(plugins) >= 2
    for plugin in plugins:
        assert check(plugin.cls) == []
        assert plugin.tags
        assert plugin.cls.__doc__


def test_processors_leave_their_rows_alone() -> None:
    rows = [{"shop": "a", "eur": 2}, {"shop": "a", "eur": 3}]
    before = [dict(row) for row in rows]
    deduplicate: Any = registry.create("processors", "deduplicate", "shop")
    totals: Any = registry.create("processors", "totals", "shop", "eur")
    assert deduplicate.process(rows) == [{"shop": "a", "eur": 2}]
    assert totals.process(rows, scale=2) == [{"shop": "a", "eur": 10}]
    assert rows == before
    with pytest.raises(KeyError, match="row 0 must have the field 'city', got shop, eur"):
        registry.create("processors", "deduplicate", "city").process(rows)  # type: ignore[attr-defined]
    with pytest.raises(ContractCallError, match="'rows'"):
        totals.process("rows")


def test_validators_complain_in_sentences() -> None:
    between: Any = registry.create("validators", "between", "eur", 0, 10)
    assert between.validate({"eur": 11}) == ["eur must be from 0 to 10, got 11"]
    assert between.validate({"eur": "x"}) == ["eur must be from 0 to 10, got 'x'"]
    assert registry.create("validators", "matches", "sku", "[A-Z]+").validate({"sku": "A"}) == []  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="least must be <= most, got 3 and 1"):
        registry.create("validators", "between", "eur", 3, 1)


@pytest.mark.parametrize(("text", "cents"), [("0", 0), ("12.3", 1230), ("-0.05", -5), ("1234567890.12", 123456789012)])
def test_cents_are_exact(text: str, cents: int) -> None:
    transformer: Any = registry.create("transformers", "cents")
    assert transformer.transform(text) == cents


@pytest.mark.parametrize("text", ["", ".", "1.234", "1e3", "--1", "a"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    transformer: Any = registry.create("transformers", "cents")
    with pytest.raises(ValueError, match="value must be an amount like"):
        transformer.transform(text)


class OnWindows(datetime):
    """`datetime` where the C library refuses a moment."""

    @classmethod
    def fromtimestamp(cls, _seconds: float, _zone: Any = None) -> Any:
        raise OSError(errno.EINVAL, "Invalid argument")


@pytest.mark.parametrize(
    ("seconds", "moment"),
    [(-1.5, datetime(1969, 12, 31, 23, 59, 58, 500_000, UTC)), (64_060_588_800, datetime(4000, 1, 1, tzinfo=UTC))],
)
def test_a_moment_that_windows_has_no_time_for_is_turned_too(
    seconds: float, moment: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stand-in: its C library knows the years from 1970 to 3000."""
    stamp: Any = registry.create("transformers", "timestamp")
    assert stamp.transform(0.0) == datetime(1970, 1, 1, tzinfo=UTC)
    monkeypatch.setattr(transformers, "datetime", OnWindows)
    assert stamp.transform(float(seconds)) == moment


def test_a_generic_contract_is_checked_with_its_types() -> None:
    stamp: Any = registry.create("transformers", "timestamp")
    assert stamp.transform(1.5) == datetime(1970, 1, 1, 0, 0, 1, 500_000, UTC)
    with pytest.raises(ContractCallError, match="'value' must be float, got '1'"):
        stamp.transform("1")
    with pytest.raises(ValueError, match="value must be a JSON object"):
        registry.create("transformers", "json").transform("[1]")  # type: ignore[attr-defined]
