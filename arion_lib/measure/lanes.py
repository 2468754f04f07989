"""Who did what, when, as text: a lane for each worker, a bar for each task of the last seconds, drawn as SVG.

Idea        A recorder has the bars; drawing them is a pure function.
Invariant   The drawing is bounded: what is narrower than a pixel is drawn by the pixel, worst first.
When wrong  A kind that is none of ours is drawn as "unseen"; of too many lanes, the rest is counted.
See         tests/measure/test_lanes.py · notebooks/5_task_scheduler.ipynb

    from arion_lib.measure.lanes import lanes_svg
    from arion_lib.measure.recorder import Recorder

    recorder = Recorder(seconds=10)
    recorder.begin("worker 1", task=7, name="resize", at=time.monotonic())
    recorder.end("worker 1", task=7, kind="succeeded", at=time.monotonic())
    now = time.monotonic()
    view.value = lanes_svg(recorder.lanes(now), now=now, title="Workers")
"""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from arion_lib.measure.recorder import Bar

LEFT, RIGHT, TOP = 92, 12, 26  # pixels around the lanes; as in `live`, so that the time axes stand below each other
HEIGHT = 20  # of a lane
MOST_LANES = 24
LETTER = 7  # pixels that a letter of a bar's name takes

KINDS = {  # from the one that may be hidden behind others to the one that must be seen
    "unseen": "#BBBBBB",
    "succeeded": "#009E73",
    "running": "#0072B2",
    "cancelled": "#CC79A7",
    "retrying": "#56B4E9",
    "timed out": "#E69F00",
    "failed": "#D55E00",
    "quarantined": "#000000",
}
"""The ways a bar can end, worst last, and their colours."""

_DARK = {"running", "succeeded", "failed", "quarantined"}  # a name on them is written in white
_WORST = {kind: place for place, kind in enumerate(KINDS)}


def lanes_svg(
    lanes: Mapping[str, Sequence[Bar]], *, now: float, title: str, seconds: float = 10.0, width: int = 640
) -> str:
    """Draw each lane's bars over the last `seconds` as one SVG element; at most 24 lanes, the rest is counted.

    The element carries role and aria-label with what each lane did, for whoever hears the figure.

    >>> bars = [Bar(1, "resize", 0.0, 1.0, "succeeded"), Bar(2, "resize", 1.0)]
    >>> lanes_svg({"worker 1": bars}, now=2.0, title="Workers")[:111]
    '<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="Workers. worker 1: 1 succeeded, now resize." vie'
    """
    shown = {name: _seen(lanes[name], now - seconds) for name in list(lanes)[:MOST_LANES]}
    bottom = TOP + max(1, len(shown)) * HEIGHT
    label = " ".join([f"{title}.", *(f"{name}: {_words(bars)}." for name, bars in shown.items()), _rest(lanes)])
    drawing = _Drawing(now, seconds, width)
    parts = [drawing.lane(name, bars, TOP + place * HEIGHT) for place, (name, bars) in enumerate(shown.items())]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{html.escape(label.rstrip())}" '
        f'viewBox="0 0 {width} {bottom + 38}" width="{width}" height="{bottom + 38}" '
        f'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>'
        f'<text x="6" y="17" font-size="13" font-weight="bold">{html.escape(title)}</text>{"".join(parts)}'
        f'<text x="{LEFT}" y="{bottom + 14}">{seconds:g} s ago</text>'
        f'<text x="{width - RIGHT}" y="{bottom + 14}" text-anchor="end">now</text>'
        f'<text x="6" y="{bottom + 14}">{_rest(lanes)}</text>{_legend(shown, bottom + 31)}</svg>'
    )


def _seen(bars: Sequence[Bar], since: float) -> list[Bar]:
    return [bar for bar in bars if bar.end is None or bar.end >= since]


def _words(bars: Sequence[Bar]) -> str:
    counts = Counter(bar.kind for bar in bars if bar.end is not None)
    words = [f"{counts[kind]} {kind}" for kind in KINDS if counts[kind]]
    return ", ".join(words + [f"now {bar.name}" for bar in bars if bar.end is None]) or "nothing"


def _rest(lanes: Mapping[str, Sequence[Bar]]) -> str:
    return f"and {len(lanes) - MOST_LANES} more" if len(lanes) > MOST_LANES else ""


def _legend(lanes: Mapping[str, Sequence[Bar]], y: int) -> str:
    found, x, parts = {bar.kind for bars in lanes.values() for bar in bars}, LEFT, []
    for kind in (kind for kind in KINDS if kind in found):
        parts.append(f'<rect x="{x}" y="{y - 9}" width="10" height="10" fill="{KINDS[kind]}"/>')
        parts.append(f'<text x="{x + 14}" y="{y}">{kind}</text>')
        x += 26 + LETTER * len(kind)
    return "".join(parts)


@dataclass(frozen=True, slots=True)
class _Drawing:
    now: float
    seconds: float
    width: int

    def lane(self, name: str, bars: Sequence[Bar], top: int) -> str:
        wide = [bar for bar in bars if self._x(bar.end) - self._x(bar.start) >= 1]
        rects = [self._wide(bar, top) for bar in wide]
        rects += [self._narrow(*run, top) for run in _runs(self._columns(bars))]
        return (
            f'<text x="{LEFT - 6}" y="{top + 14}" text-anchor="end">{html.escape(name)}</text>'
            f'<path d="M{LEFT} {top + HEIGHT - 1}H{self.width - RIGHT}" stroke="#ddd"/>{"".join(rects)}'
        )

    def _x(self, at: float | None) -> float:
        """Where a moment lies; what is over the edge lies on it."""
        right = self.width - RIGHT
        ago = min(self.seconds, max(0.0, self.now - at)) if at is not None else 0.0
        return right - ago / self.seconds * (right - LEFT)

    def _wide(self, bar: Bar, top: int) -> str:
        x, wide = self._x(bar.start), self._x(bar.end) - self._x(bar.start)
        took = (self.now if bar.end is None else bar.end) - bar.start
        ink = "white" if bar.kind in _DARK else "black"
        named = html.escape(bar.name[: int(wide / LETTER)]) if wide > 5 * LETTER else ""
        return (
            f'<rect x="{x:.1f}" y="{top + 2}" width="{wide:.1f}" height="{HEIGHT - 5}" fill="{_colour(bar.kind)}" '
            f'stroke="white" stroke-width="0.5"><title>{html.escape(bar.name)}: {bar.kind}, {took:.3g} s</title></rect>'
            + (f'<text x="{x + 3:.1f}" y="{top + 13}" fill="{ink}">{named}</text>' if named else "")
        )

    def _columns(self, bars: Sequence[Bar]) -> dict[int, str]:
        """Give each pixel in which a bar begins and ends the worst kind of those that do."""
        found: dict[int, str] = {}
        for bar in bars:
            column = int(self._x(bar.start))
            if self._x(bar.end) - self._x(bar.start) < 1 and _place(bar.kind) >= _place(found.get(column, "unseen")):
                found[column] = bar.kind
        return found

    def _narrow(self, first: int, last: int, kind: str, top: int) -> str:
        return (
            f'<rect x="{first}" y="{top + 2}" width="{last + 1 - first}" height="{HEIGHT - 5}" '
            f'fill="{_colour(kind)}"><title>short tasks: {kind}</title></rect>'
        )


def _runs(columns: Mapping[int, str]) -> Iterator[tuple[int, int, str]]:
    """Join neighbours of one kind.

    >>> list(_runs({5: "failed", 2: "succeeded", 3: "succeeded"}))
    [(2, 3, 'succeeded'), (5, 5, 'failed')]
    """
    runs: list[tuple[int, int, str]] = []
    for column, kind in sorted(columns.items()):
        if runs and runs[-1][1:] == (column - 1, kind):
            runs[-1] = (runs[-1][0], column, kind)
        else:
            runs.append((column, column, kind))
    return iter(runs)


def _place(kind: str) -> int:
    return _WORST.get(kind, 0)


def _colour(kind: str) -> str:
    return KINDS.get(kind, KINDS["unseen"])
