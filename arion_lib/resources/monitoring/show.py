"""The figures of a manager as a table, for a notebook.

Idea        One row a resource: how often, how many are open, what failed, and the percentiles of its three times.
Invariant   Every text is escaped; a figure that was never measured is a dash.
When wrong  Nothing was acquired yet: the table says so in its cells.
See         notebooks/2_resource_manager.ipynb · tests/resources/test_show.py
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from arion_lib.histogram import Timing
from arion_lib.resources.monitoring.metrics import Figures
from arion_lib.units import seconds_text

HEADS = ("resource", "acquired", "open", "failures", "acquire p50 / p95", "hold p50 / p95", "release p50 / p95")


def table_html(caption: str, figures: Mapping[str, Figures]) -> str:
    """Lay the figures out as an HTML table."""
    rows = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in _row(*item))}</tr>" for item in figures.items()
    )
    heads = "".join(f'<th scope="col">{head}</th>' for head in HEADS)
    return f"<table><caption>{escape(caption)}</caption><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"


def _row(name: str, figures: Figures) -> tuple[str, ...]:
    failures = ", ".join(f"{number} x {phase}" for phase, number in figures.failures.items()) or "none"
    timings = (figures.acquire, figures.hold, figures.release)
    return (name, str(figures.acquisitions), str(figures.open), failures, *map(_timing, timings))


def _timing(timing: Timing) -> str:
    return f"{seconds_text(timing.p50)} / {seconds_text(timing.p95)}"
