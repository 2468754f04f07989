"""The contenders of the contracts' bench do what they are compared for."""

from __future__ import annotations

from typing import Any

import pytest

from arion_lib.bench import contracts
from arion_lib.contracts.violations import ContractError

BASES = [(contracts.OurShape,), contracts._pure_interface(lambda *bases: bases)]


@pytest.mark.parametrize("bases", BASES, ids=["ours", "pure"])
def test_who_is_timed_at_the_class_statement_does_compare_signatures(bases: tuple[type, ...]) -> None:
    contracts._widened(*bases)()
    with pytest.raises((ContractError, TypeError)):

        class _Renamed(*bases):  # type: ignore[misc]
            def area(self, factor: int = 1) -> float:
                return 1.0

            def name(self, short: bool) -> str:
                return "square"

            def move(self, x: int, y: int) -> None: ...


def test_the_control_an_abstract_base_class_does_not() -> None:
    class Renamed(contracts.AbstractShape):  # type: ignore[misc]
        area = name = move = lambda self, factor: None

    renamed: Any = Renamed()
    assert renamed.area(2) is None  # it was made, and its method takes what the contract's does not


@pytest.mark.parametrize("make", [contracts.OurSettings, contracts._traitlets_settings, contracts._attrs_settings])
def test_who_is_timed_at_an_assignment_does_check_it(make: Any) -> None:
    settings = make()
    settings.mode = "binary"
    with pytest.raises(Exception, match="mode"):
        settings.mode = 3
    plain: Any = contracts.PlainSettings()
    plain.mode = 3  # the control
    assert plain.mode == 3
