"""A figure in words, made from the same data as its lines: the text that a screen reader gets.

Idea        Who cannot see the picture needs its finding, its axes with units, where each series starts and ends.
Invariant   The same data give the same text, so a figure of deterministic data has a deterministic description.
When wrong  A series without points is described as empty.
See         arion_lib/measure/plots.py · tests/measure/test_describe.py
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

Point = tuple[float, float]
Text = Callable[[float], str]


def lines_text(
    title: str, x_label: str, y_label: str, series: Mapping[str, Sequence[Point]], x_text: Text, y_text: Text
) -> str:
    """Describe lines: where each starts, its highest point if that is inside, and where it ends.

    >>> lines_text("Grows", "input", "peak", {"naive": [(1, 5), (2, 9), (3, 7)]}, "{:g} MB".format, "{:g} kB".format)
    'Grows. Lines of peak against input. naive: 5 kB at 1 MB, highest 9 kB at 2 MB, 7 kB at 3 MB.'
    """
    told = [f"{name}: {_course(points, x_text, y_text)}." for name, points in series.items()]
    return " ".join([f"{_sentence(title)} Lines of {y_label} against {x_label}.", *told])


def bars_text(title: str, y_label: str, bars: Mapping[str, float], baseline: str) -> str:
    """Describe bars by their values, largest last.

    >>> bars_text("Ours is ahead", "time ratio", {"ours": 0.5, "peer": 1.0}, "peer")
    'Ours is ahead. Bars of time ratio, peer = 1. ours: 0.5. peer: 1.'
    """
    told = [f"{name}: {value:.3g}." for name, value in sorted(bars.items(), key=lambda item: item[1])]
    return " ".join([f"{_sentence(title)} Bars of {y_label}, {baseline} = 1.", *told])


def spans_text(title: str, spans: Mapping[str, Sequence[tuple[float, float, str]]], x_text: Text) -> str:
    """Describe a timeline: each row's spans in order.

    >>> spans_text("Released in reverse", {"db": [(0, 1, "acquire"), (1, 3, "hold")]}, "{:g} s".format)
    'Released in reverse. Timeline. db: acquire 0 s to 1 s, hold 1 s to 3 s.'
    """
    told = [
        f"{name}: {', '.join(f'{kind} {x_text(start)} to {x_text(end)}' for start, end, kind in row) or 'nothing'}."
        for name, row in spans.items()
    ]
    return " ".join([f"{_sentence(title)} Timeline.", *told])


def _course(points: Sequence[Point], x_text: Text, y_text: Text) -> str:
    if not points:
        return "no points"
    top = max(points, key=lambda point: point[1])
    told = [points[0]] if len(points) == 1 else [points[0], points[-1]]
    words = [f"{y_text(y)} at {x_text(x)}" for x, y in told]
    if top[1] > max(y for _, y in told):
        words.insert(1, f"highest {y_text(top[1])} at {x_text(top[0])}")
    return ", ".join(words)


def _sentence(title: str) -> str:
    return title if title.endswith((".", "!", "?")) else f"{title}."
