"""The plugins as a table."""

from __future__ import annotations

from typing import Any

from arion_lib.contracts.plugins.plugin_table import plugin_table
from arion_lib.contracts.registry import Registry

Shelf = tuple[Registry, Any]


def _counted(source: Any) -> Any:
    class Counted(source):
        def read(self, n: int) -> int:
            if n < 0:
                raise ValueError
            return n if n == 0 else self.read(n - 1)

    return Counted


def test_the_table_shows_plugins_and_what_was_measured(shelf: Shelf) -> None:
    registry, source = shelf
    counted = _counted(source)
    table = plugin_table(registry.plugins())
    assert str(table).splitlines() == [
        "kind     name     version  tags  class",
        "sources  counted  0        -     Counted",
    ]
    assert plugin_table(registry.plugins(), metrics=True).rows()[0][5:] == ("-",) * 8
    counted().read(0)
    assert plugin_table(registry.plugins(), metrics=True).rows()[0][5:9] == ("read", "1", "0", "1")
    assert table._repr_html_().count("<tr>") == 2
