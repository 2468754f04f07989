"""The plugins as a table: text for a terminal, HTML for a notebook.

Idea        One row for each plugin, and one for each of its methods that was called.
Invariant   Without measurements the table is the same on every machine.
When wrong  A plugin that was never called has dashes, not zeros.
See         notebooks/3_contracts_and_plugins.ipynb · tests/contracts/test_plugin_table.py
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from arion_lib.contracts.plugins.metrics import Figures
from arion_lib.contracts.registry import Plugin
from arion_lib.units import seconds_text

HEAD = ("kind", "name", "version", "tags", "class")
MEASURED = ("method", "calls", "errors", "timed", "mean", "p50", "p95", "max")
NONE = "-"


@dataclass(frozen=True, slots=True, repr=False)
class PluginTable:
    """A table of `plugins`; with `metrics` also what was measured of their methods."""

    plugins: tuple[Plugin, ...]
    metrics: bool = False

    @property
    def head(self) -> tuple[str, ...]:
        return HEAD + MEASURED if self.metrics else HEAD

    def rows(self) -> list[tuple[str, ...]]:
        return [row for plugin in self.plugins for row in self._rows_of(plugin)]

    def _rows_of(self, plugin: Plugin) -> list[tuple[str, ...]]:
        what = plugin.kind, plugin.name, plugin.version, ", ".join(sorted(plugin.tags)) or NONE, plugin.cls.__name__
        if not self.metrics:
            return [what]
        found = plugin.metrics()
        return [(*what, name, *_cells(figures)) for name, figures in found.items()] or [what + (NONE,) * len(MEASURED)]

    def __str__(self) -> str:
        lines = [self.head, *self.rows()]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head = "".join(f"<th style='text-align:left'>{escape(word)}</th>" for word in self.head)
        body = "".join(
            "<tr>" + "".join(f"<td style='text-align:left'>{escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self.rows()
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def plugin_table(plugins: Iterable[Plugin], *, metrics: bool = False) -> PluginTable:
    """Return a table of `plugins`, for example `plugin_table(registry.plugins("processors"))`."""
    return PluginTable(tuple(plugins), metrics)


def _cells(figures: Figures) -> tuple[str, ...]:
    times = (figures.mean, figures.p50, figures.p95, figures.max)
    return (str(figures.calls), str(figures.errors), str(figures.timed), *map(seconds_text, times))
