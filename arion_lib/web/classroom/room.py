"""What the teacher's board knows, from the events in their order: a plain value, without server, store or clock.

Idea        Events in, a picture of the room out. Everything shown is computed when somebody looks.
Invariant   The picture depends on the events alone; an event that is not understood changes nothing.
When wrong  What a learner sends is bounded: long texts are cut, and past `MOST_LEARNERS` nobody new is taken in.
See         tests/web/test_classroom.py
"""

from __future__ import annotations

import math
import re
import statistics
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

MOST_LEARNERS = 1_000
MOST_PREDICTIONS = 200
"""Different names of predictions; five notebooks have about fifteen."""

LONGEST = 60
"""Characters kept of a nickname, an exercise or a prediction's name."""


@dataclass(slots=True)
class Tried:
    """One learner at one exercise."""

    tries: int = 0
    right: bool = False
    likely: str = ""


@dataclass(slots=True)
class Learner:
    """One learner: where they were last, and how their exercises stand."""

    nickname: str
    notebook: str = ""
    at: str = ""
    exercises: dict[str, Tried] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stall:
    """An exercise, how many are through, how many tried and are not, and the most frequent reasons."""

    exercise: str
    through: int
    stuck: int
    reasons: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Bar:
    """So many predictions between two numbers; `measured`: the room's measurements are mostly here."""

    low: float
    high: float
    count: int
    measured: bool


@dataclass(slots=True)
class Room:
    """The state of a class."""

    learners: dict[str, Learner] = field(default_factory=dict)
    said: dict[tuple[str, str], dict[str, float]] = field(default_factory=dict)
    measured: dict[tuple[str, str], dict[str, float]] = field(default_factory=dict)

    def add(self, event: Mapping[str, object]) -> bool:
        """Take in one event; return whether it was one of ours."""
        nickname, kind, name = (_short(event.get(key)) for key in ("learner", "kind", "name"))
        if not nickname or not name or kind not in ("check", "prediction", "measured"):
            return False
        if nickname not in self.learners and len(self.learners) >= MOST_LEARNERS:
            return False
        learner = self.learners.setdefault(nickname, Learner(nickname))
        learner.notebook, learner.at = _short(event.get("notebook")) or learner.notebook, _short(event.get("at"))
        if kind == "check":
            _checked(learner.exercises.setdefault(name, Tried()), event)
        else:
            self._number(self.said if kind == "prediction" else self.measured, nickname, name, event)
        return True

    def _number(
        self, table: dict[tuple[str, str], dict[str, float]], nickname: str, name: str, event: Mapping[str, object]
    ) -> None:
        value, key = event.get("value"), (name, _short(event.get("unit")))
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
            return
        if key in table or len(table) < MOST_PREDICTIONS:
            table.setdefault(key, {})[nickname] = float(value)

    def exercises(self) -> list[str]:
        """Return the exercises that somebody tried, in their order."""
        found = {name for learner in self.learners.values() for name in learner.exercises}
        return sorted(found, key=lambda name: [(len(part), part) for part in name.split(".")])

    def by_name(self) -> list[Learner]:
        """Return the learners as a teacher looks for them: by name, what is counted in its order."""
        return sorted(self.learners.values(), key=lambda learner: _in_parts(learner.nickname))

    def stalls(self) -> list[Stall]:
        """Return the exercises, the one where most are stuck first."""
        found = []
        for name in self.exercises():
            tried = [learner.exercises[name] for learner in self.learners.values() if name in learner.exercises]
            stuck = [one for one in tried if not one.right and one.tries]
            reasons = Counter(one.likely for one in stuck if one.likely)
            found.append(Stall(name, sum(one.right for one in tried), len(stuck), tuple(reasons.most_common(3))))
        return sorted(found, key=lambda stall: -stall.stuck)

    def predictions(self) -> list[tuple[str, str, list[Bar], float | None]]:
        """Return each prediction's name, unit, histogram, and the median of what the room measured (None: nothing)."""
        found = []
        for (name, unit), by_learner in self.said.items():
            measured = self.measured.get((name, unit))
            middle = statistics.median(measured.values()) if measured else None
            found.append((name, unit, histogram(list(by_learner.values()), middle), middle))
        return found


def histogram(values: list[float], measured: float | None = None) -> list[Bar]:
    """Count the values in steps of 1, 2, 5, 10, 20 ...: predictions differ by factors. Zero has a bar of its own.

    The bars reach from the smallest to the largest of the values and the measurement.

    >>> [(bar.low, bar.high, bar.count, bar.measured) for bar in histogram([0, 3, 4], measured=7)]
    [(0.0, 0.0, 1, False), (2.0, 5.0, 2, False), (5.0, 10.0, 0, True)]
    """
    shown = [*values, *([] if measured is None else [measured])]
    bars = []
    if 0 in shown:
        bars.append(Bar(0.0, 0.0, values.count(0), measured == 0))
    positive = [value for value in shown if value > 0]
    if positive:
        step, last = _step(min(positive)), _step(max(positive))
        for number in range(step, last + 1):
            low, high = _edge(number), _edge(number + 1)
            count = sum(low <= value < high for value in values)
            bars.append(Bar(low, high, count, measured is not None and low <= measured < high))
    return bars


def _edge(step: int) -> float:
    return float((1, 2, 5)[step % 3]) * 10.0 ** (step // 3)


def _step(value: float) -> int:
    """Return the number of the step that holds `value`."""
    step = 3 * math.floor(math.log10(value)) - 1
    while _edge(step + 1) <= value:
        step += 1
    return step


def _checked(tried: Tried, event: Mapping[str, object]) -> None:
    mark = event.get("mark")
    if mark in ("ok", "no"):
        tried.tries += 1
        tried.right = tried.right or mark == "ok"
        likely = event.get("likely")
        tried.likely = likely[:200] if isinstance(likely, str) else ""


def _short(value: object) -> str:
    return value[:LONGEST] if isinstance(value, str) else ""


def _in_parts(name: str) -> list[tuple[int, str]]:
    """
    >>> sorted(["ada-10", "Bob", "ada-9"], key=_in_parts)
    ['ada-9', 'ada-10', 'Bob']
    """
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", name.casefold())]
