"""A row of boxes and arrows: how data flows, as one line of Python.

Idea        A diagram is text in its cell, drawn as SVG, and its words are its alternative text.
Invariant   The same arguments draw the same picture, byte for byte; nothing is loaded from anywhere. It is an image: a
            notebook that JupyterLab does not trust yet, such as a fresh clone's, shows images and takes SVG apart.
When wrong  An unknown box below is refused with the boxes that exist.
See         notebooks/1_streaming_pipeline.ipynb · tests/workbook/test_diagram.py
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape

WIDE, HIGH, GAP, TOP, LOW = 128, 58, 44, 34, 150
INK, BLUE, ORANGE = "#222222", "#0072B2", "#D55E00"  # Okabe-Ito


@dataclass(frozen=True, slots=True)
class Flow:
    """Boxes from left to right. Shown as an image in a notebook, as its alternative text elsewhere."""

    alt: str
    boxes: tuple[str, ...]
    below: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return self.alt

    def _repr_html_(self) -> str:
        width, picture = self._width(), b64encode(self.svg().encode()).decode()
        style = f"max-width:{width}px;width:100%"
        return (
            f'<img alt="{escape(self.alt)}" width="{width}" style="{style}" src="data:image/svg+xml;base64,{picture}">'
        )

    def _width(self) -> int:
        return len(self.boxes) * (WIDE + GAP) - GAP + 8

    def svg(self) -> str:
        """Return the picture."""
        names = [_split(box)[0] for box in self.boxes]
        width, height = self._width(), (LOW + HIGH if self.below else TOP + HIGH) + 8
        parts = [_box(i, TOP, *_split(box), colour=BLUE) for i, box in enumerate(self.boxes)]
        parts += [_right(i) for i in range(len(names) - 1)]
        for name, box in self.below.items():
            parts += [_box(names.index(name), LOW, *_split(box), colour=ORANGE), _down(names.index(name))]
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{escape(self.alt)}" '
            f'viewBox="0 0 {width} {height}" width="{width}" height="{height}" style="background:white" '
            f'font-family="sans-serif" fill="{INK}"><title>{escape(self.alt)}</title>{"".join(parts)}</svg>'
        )


def flow(alt: str, *boxes: str, below: Mapping[str, str] | None = None) -> Flow:
    """Return a diagram of `boxes` ("name: note"), joined by arrows; `below` hangs further boxes under those named.

    >>> flow("A sender posts to a sink.", "sender: posts", "sink: stores", below={"sink": "bin: what is bad"})
    A sender posts to a sink.
    """
    names = [_split(box)[0] for box in boxes]
    unknown = [name for name in below or {} if name not in names]
    if unknown:
        raise ValueError(f"below must name boxes of {names}, got {unknown}")
    if not alt:
        raise ValueError("alt must say what the picture shows, got ''")
    return Flow(alt, boxes, dict(below or {}))


def _split(box: str) -> tuple[str, str]:
    name, _, note = box.partition(":")
    return name.strip(), note.strip()


def _box(column: int, y: int, name: str, note: str, *, colour: str) -> str:
    x, middle = 4 + column * (WIDE + GAP), 4 + column * (WIDE + GAP) + WIDE // 2
    return (
        f'<rect x="{x}" y="{y}" width="{WIDE}" height="{HIGH}" rx="8" fill="white" stroke="{colour}" stroke-width="2"/>'
        f'<text x="{middle}" y="{y + 25}" text-anchor="middle" font-size="15" font-weight="bold">{escape(name)}</text>'
        f'<text x="{middle}" y="{y + 44}" text-anchor="middle" font-size="11.5">{escape(note)}</text>'
    )


def _right(column: int) -> str:
    x, y = 4 + column * (WIDE + GAP) + WIDE, TOP + HIGH // 2
    return _arrow(f"M{x + 4} {y}H{x + GAP - 10}", f"M{x + GAP - 4} {y}l-9 -5v10z")


def _down(column: int) -> str:
    x, y = 4 + column * (WIDE + GAP) + WIDE // 2, TOP + HIGH
    return _arrow(f"M{x} {y + 4}V{LOW - 10}", f"M{x} {LOW - 4}l-5 -9h10z")


def _arrow(line: str, head: str) -> str:
    return f'<path d="{line}" stroke="{INK}" stroke-width="2" fill="none"/><path d="{head}"/>'
