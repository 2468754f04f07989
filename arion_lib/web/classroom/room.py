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
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

MOST_LEARNERS = 1_000
MOST_PREDICTIONS = 200
"""Different names of predictions; five notebooks have about fifteen."""

LONGEST = 60
"""Characters kept of an exercise's or a prediction's name."""

MOST = 1e30
"""The largest number that is a prediction."""

MOST_BARS = 24
"""Rows of a histogram: what one screen shows."""


@dataclass(slots=True)
class Tried:
    """One learner at one exercise."""

    tries: int = 0
    right: bool = False
    likely: str = ""


@dataclass(slots=True)
class Learner:
    """One learner: where they were last, and how their exercises stand.

    `nickname`: as the board shows it; a second learner of the same name has a number behind it.
    """

    nickname: str
    notebook: str = ""
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
    """So many predictions between two numbers; `measured`: the room's measurements are mostly here.

    `gap`: nobody's number lies here, nor does what was measured; it stands for all the steps between its neighbours.
    """

    low: float
    high: float
    count: int
    measured: bool
    gap: bool = False


@dataclass(slots=True)
class Room:
    """The state of a class. A learner is known by their nickname and by the `me` that each of their events carries."""

    learners: dict[tuple[str, str], Learner] = field(default_factory=dict)
    said: dict[tuple[str, str], dict[tuple[str, str], float]] = field(default_factory=dict)
    measured: dict[tuple[str, str], dict[tuple[str, str], float]] = field(default_factory=dict)

    def add(self, event: Mapping[str, object]) -> bool:
        """Take in one event; return whether it was one of ours."""
        nickname, kind, name, me = (_short(event.get(key)) for key in ("learner", "kind", "name", "me"))
        nickname, name = one_line(nickname), one_line(name)
        if not nickname or not name or kind not in ("check", "prediction", "measured"):
            return False
        who = (nickname, me)
        if who not in self.learners and len(self.learners) >= MOST_LEARNERS:
            return False
        learner = self.learners.setdefault(who, Learner(self._shown(nickname)))
        learner.notebook = one_line(_short(event.get("notebook"))) or learner.notebook
        if kind == "check":
            _checked(learner.exercises.setdefault(name, Tried()), event)
        else:
            self._number(self.said if kind == "prediction" else self.measured, who, name, event)
        return True

    def _shown(self, nickname: str) -> str:
        others = sum(nickname == name for name, _ in self.learners)
        return f"{nickname} ({others + 1})" if others else nickname

    def _number(
        self,
        table: dict[tuple[str, str], dict[tuple[str, str], float]],
        who: tuple[str, str],
        name: str,
        event: Mapping[str, object],
    ) -> None:
        value, key = event.get("value"), (name, one_line(_short(event.get("unit"))))
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST:
            return
        if key in table or len(table) < MOST_PREDICTIONS:
            table.setdefault(key, {})[who] = float(value)

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
        """Return each prediction's name, unit, histogram, and the median of what the room measured.

        None instead, until half of those who predicted have measured: the board must not tell what others still guess.
        """
        found = []
        for (name, unit), by_learner in self.said.items():
            measured = self.measured.get((name, unit), {})
            enough = 2 * len(measured.keys() & by_learner) >= len(by_learner)
            middle = statistics.median(measured.values()) if enough else None
            found.append((name, unit, histogram(list(by_learner.values()), middle), middle))
        return found


def histogram(values: list[float], measured: float | None = None) -> list[Bar]:
    """Count the values in steps of 1, 2, 5, 10, 20 ...: predictions differ by factors. Zero has a bar of its own.

    The bars reach from the smallest to the largest of the values and the measurement; steps without either are one
    gap, and past `MOST_BARS` bars neighbours are put together.

    >>> [(bar.low, bar.high, bar.count, bar.measured) for bar in histogram([0, 3, 4], measured=7)]
    [(0.0, 0.0, 1, False), (2.0, 5.0, 2, False), (5.0, 10.0, 0, True)]
    >>> [(bar.low, bar.high, bar.gap) for bar in histogram([1, 3000])]
    [(1.0, 2.0, False), (2.0, 2000.0, True), (2000.0, 5000.0, False)]
    """
    steps = Counter(_step(value) for value in values if value > 0)
    here = None if not measured else _step(measured)
    taken = sorted({*steps, *(() if here is None else (here,))})
    bars = [Bar(0.0, 0.0, values.count(0), measured == 0)] if 0 in (*values, measured) else []
    for step in taken:
        if bars and bars[-1].high and bars[-1].high < _edge(step):
            bars.append(Bar(bars[-1].high, _edge(step), 0, False, gap=True))
        bars.append(Bar(_edge(step), _edge(step + 1), steps[step], step == here))
    while len(bars) > MOST_BARS:
        bars = [_together(bars[at : at + 2]) for at in range(0, len(bars), 2)]
    return bars


def _together(bars: list[Bar]) -> Bar:
    count, measured = sum(bar.count for bar in bars), any(bar.measured for bar in bars)
    return Bar(bars[0].low, bars[-1].high, count, measured, gap=not count and not measured)


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


def one_line(text: str) -> str:
    r"""Return the text on one line, without what cannot be seen and what turns the writing's direction.

    >>> one_line("  Ada \n Lovelace\u202e\u200b "), one_line("\u200b\ud83d")
    ('Ada Lovelace', '')
    """
    seen = (" " if character.isspace() else character for character in text)
    return " ".join("".join(c for c in seen if not unicodedata.category(c).startswith("C")).split())


def _in_parts(name: str) -> list[tuple[int, str]]:
    """
    >>> sorted(["ada-10", "Bob", "ada-9"], key=_in_parts)
    ['ada-9', 'ada-10', 'Bob']
    """
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", name.casefold())]
