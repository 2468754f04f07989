"""Several measurements side by side: versions of a program, or one program on growing input.

Idea        One call, a fresh process for each version and size, one table that prints as text and shows as HTML.
Invariant   Rows keep the order they were asked for in; ratios refer to the first row.
When wrong  A version that is killed becomes a row that says so; exceptions stop the call.
See         arion_lib/measure/plots.py (draws these tables) · tests/measure/test_tables.py

    from arion_lib.measure import measure_each, measure_growth

    table = measure_each({"naive": naive, "streaming": streaming}, path, unit="B")    # memory and throughput of each
    table                                    # a notebook shows the table; print(table) writes it
    table["naive"].peak, table["naive"].rate
    growth = measure_growth({"naive": naive, "streaming": streaming}, {10_000_000: small, 100_000_000: large}, unit="B")
    growth["naive", 100_000_000].peak, growth.slope("naive"), growth.series("naive")  # [(size, peak bytes), ...]
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from arion_lib.measure.fresh import ChildDied
from arion_lib.measure.results import Measurement, Memory
from arion_lib.measure.run import Measured, measure, measure_memory
from arion_lib.units import amount_text, bytes_text, rate_text, seconds_text

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Stopped:
    """A version that did not reach its end; `reason` says how it was stopped."""

    reason: str
    short: str = "stopped"  # the reason in the width of a table's cell


@dataclass(frozen=True, slots=True, repr=False)
class Table:
    """Measurements by name, in order. Shows as an HTML table in a notebook, prints as text."""

    rows: tuple[tuple[str, Measurement | Stopped], ...]

    def __getitem__(self, name: str) -> Measurement:
        for label, result in self.rows:
            if label == name:
                if isinstance(result, Stopped):
                    raise LookupError(f"{name!r} was stopped: {result.reason}")
                return result
        raise KeyError(f"name must be one of {', '.join(label for label, _ in self.rows)}, got {name!r}")

    def __iter__(self) -> Iterator[str]:
        return (label for label, _ in self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def measurements(self) -> dict[str, Measurement]:
        """Give the versions that reached their end."""
        return {label: result for label, result in self.rows if isinstance(result, Measurement)}

    def cells(self) -> tuple[list[str], list[list[str]]]:
        """Give the heading and the rows as texts."""
        first = next(iter(self.measurements().values()), None)
        return ["version", "peak memory", "seconds", "throughput", "time ratio"], [
            [label, *_figures(result, first)] for label, result in self.rows
        ]

    def __str__(self) -> str:
        return text_table(*self.cells())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_table(*self.cells())


@dataclass(frozen=True, slots=True, repr=False)
class Growth:
    """Peak memory of each version at each input size."""

    unit: str
    rows: tuple[tuple[str, float, Memory | Stopped], ...]

    def __getitem__(self, key: tuple[str, float]) -> Memory:
        for name, size, result in self.rows:
            if (name, size) == key:
                if isinstance(result, Stopped):
                    raise LookupError(f"{key} was stopped: {result.reason}")
                return result
        raise KeyError(f"key must be a (version, size) that was measured, got {key!r}")

    def __add__(self, other: Growth) -> Growth:
        """Give both in one, to be drawn on the same axes: the versions of `other` behind these, in the same unit."""
        if self.unit != other.unit or set(self.versions) & set(other.versions):
            raise ValueError(
                f"both must have one unit and versions of their own, got {self.versions}, {other.versions}"
            )
        return Growth(self.unit, self.rows + other.rows)

    @property
    def versions(self) -> list[str]:
        """Names of the versions, in order."""
        return list(dict.fromkeys(name for name, _, _ in self.rows))

    @property
    def sizes(self) -> list[float]:
        """Input sizes, in order."""
        return list(dict.fromkeys(size for _, size, _ in self.rows))

    def series(self, name: str) -> list[tuple[float, int]]:
        """Give (size, peak bytes) of one version, as far as it got."""
        return [(size, r.peak) for label, size, r in self.rows if label == name and isinstance(r, Memory)]

    def slope(self, name: str) -> float:
        """Bytes of peak memory for each further unit of input, between the smallest and the largest size measured."""
        points = sorted(self.series(name))
        if len(points) < 2:
            raise ValueError(f"a slope needs two sizes that were measured, got {len(points)} for {name!r}")
        (x0, y0), (x1, y1) = points[0], points[-1]
        return (y1 - y0) / (x1 - x0)

    def cells(self) -> tuple[list[str], list[list[str]]]:
        """Give the heading and the rows as texts: a row for each version, a column for each size."""
        found = {(name, size): result for name, size, result in self.rows}
        body = [[name, *(_peak(found[name, size]) for size in self.sizes)] for name in self.versions]
        return ["peak memory at", *(amount_text(size, self.unit) for size in self.sizes)], body

    def __str__(self) -> str:
        return text_table(*self.cells())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_table(*self.cells())


def measure_each(versions: Mapping[str, Measured], *args: object, unit: str = "") -> Table:
    """Measure memory and throughput of each version on the same arguments; `unit` names what `tick` counts.

    Raises `TypeError` when `versions` is no dict, `ValueError` when it is empty.
    """
    _check_mapping("versions", versions, "name to function")
    rows = ((name, _unless_killed(partial(measure, fn, *args, unit=unit))) for name, fn in versions.items())
    return Table(tuple(rows))


def measure_growth(versions: Mapping[str, Measured], inputs: Mapping[float, object], *, unit: str = "") -> Growth:
    """Measure the memory of each version as `fn(input)` for each input; `inputs` maps a size in `unit` to the input.

    Raises `TypeError` when one of them is no dict, `ValueError` when one is empty.
    """
    _check_mapping("versions", versions, "name to function")
    _check_mapping("inputs", inputs, "size to input")
    rows = (
        (name, size, _unless_killed(partial(measure_memory, fn, x)))
        for name, fn in versions.items()
        for size, x in inputs.items()
    )
    return Growth(unit, tuple(rows))


def text_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out rows under a heading; the first column to the left, figures to the right.

    >>> print(text_table(["version", "peak"], [["naive", "+1.50 GB"], ["ours", "+12 kB"]]))
    version |     peak
    --------+---------
    naive   | +1.50 GB
    ours    |   +12 kB
    """
    widths = [max(len(line[i]) for line in [head, *rows]) for i in range(len(head))]
    lines = [" | ".join(_padded(line, widths)).rstrip() for line in [head, *rows]]
    return "\n".join([lines[0], "-+-".join("-" * width for width in widths), *lines[1:]])


def html_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write the same as an HTML table whose headings a screen reader can announce.

    >>> html_table(["version", "peak"], [["<a>", "1 B"]])[:55]
    '<table><thead><tr><th scope="col">version</th><th scope'
    """
    top = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{html.escape(row[0])}</th>{"".join(f"<td>{html.escape(c)}</td>" for c in row[1:])}</tr>'
        for row in rows
    )
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _check_mapping(name: str, given: object, what: str) -> None:
    """Refuse what is no dict, and an empty one: its table would be empty too."""
    if not isinstance(given, Mapping):
        raise TypeError(f"{name} must be a dict of {what}, got {type(given).__name__}")
    if not given:
        raise ValueError(f"{name} must be a dict of {what}, got an empty one: nothing would be measured")


def _padded(line: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [
        cell.rjust(width) if i else cell.ljust(width) for i, (cell, width) in enumerate(zip(line, widths, strict=True))
    ]


def _unless_killed(attempt: Callable[[], T]) -> T | Stopped:
    try:
        return attempt()
    except ChildDied as error:
        return Stopped(str(error), f"killed by {error.signal}" if error.signal else f"exit code {error.exitcode}")


def _figures(result: Measurement | Stopped, first: Measurement | None) -> list[str]:
    if isinstance(result, Stopped):
        return [result.short, "", "", ""]
    rate = rate_text(result.rate, result.throughput.unit) if result.throughput.count else ""
    ratio = f"{result.seconds / first.seconds:.3g}x" if first is not None else ""
    return [f"+{bytes_text(result.peak)}", seconds_text(result.seconds), rate, ratio]


def _peak(result: Memory | Stopped) -> str:
    return result.short if isinstance(result, Stopped) else f"+{bytes_text(result.peak)}"
