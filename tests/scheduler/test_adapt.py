"""The rule of how many workers there should be, under a clock of our own."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arion_lib.scheduler.bounds.adapt import PATIENCE, Adaptation


@dataclass
class Pool:
    """What is adapted, without any workers."""

    size: int = 1
    seconds: float = 0.0
    tasks: int = 0
    scaled: list[int] = field(default_factory=list)

    def queued_seconds(self) -> float:
        return self.seconds

    def unfinished(self) -> int:
        return self.tasks

    def scale(self, size: int) -> None:
        self.size = size
        self.scaled.append(size)


@given(
    minimum=st.integers(0, 5),
    more=st.integers(1, 10),
    target=st.floats(0.01, 10),
    seconds=st.floats(0, 1e6) | st.just(math.inf),
    tasks=st.integers(0, 10_000),
)
def test_what_is_wanted_is_within_the_bounds_and_enough(
    minimum: int, more: int, target: float, seconds: float, tasks: int
) -> None:
    pool = Pool(seconds=seconds if tasks else 0.0, tasks=tasks)
    wanted = Adaptation(pool, minimum, minimum + more, target).wanted()
    assert minimum <= wanted <= minimum + more
    assert wanted <= max(minimum, tasks)
    assert wanted >= 1 or not tasks
    if minimum < wanted < min(minimum + more, tasks):
        assert pool.seconds / wanted <= target * (1 + 1e-9)


def test_more_workers_come_at_once() -> None:
    pool = Pool(size=1, seconds=10.0, tasks=100)
    Adaptation(pool, 1, 8, target=2.0).look(0.0)
    assert pool.scaled == [5]


def test_what_is_unknown_counts_as_one_worker_a_task() -> None:
    pool = Pool(size=1, seconds=math.inf, tasks=3)
    Adaptation(pool, 1, 8, target=1.0).look(0.0)
    assert pool.size == 3


def test_fewer_come_only_after_they_were_enough_for_a_while() -> None:
    pool = Pool(size=5)
    rule = Adaptation(pool, 1, 8, target=1.0)
    rule.look(0.0)
    rule.look(PATIENCE * 0.99)
    assert pool.scaled == []
    rule.look(PATIENCE)
    assert pool.scaled == [1]


def test_work_in_between_begins_the_patience_anew() -> None:
    pool = Pool(size=2)
    rule = Adaptation(pool, 1, 8, target=1.0)
    rule.look(0.0)
    pool.seconds, pool.tasks = 2.0, 10
    rule.look(1.0)
    pool.seconds, pool.tasks = 0.0, 0
    rule.look(1.5)
    rule.look(1.5 + PATIENCE * 0.9)
    assert pool.scaled == []
    rule.look(1.5 + PATIENCE)
    assert pool.scaled == [1]


def test_the_control_a_rule_without_patience_flaps() -> None:
    pool, scaled = Pool(), []
    for look in range(20):
        pool.seconds, pool.tasks = (4.0, 4) if look % 2 else (0.0, 0)
        scaled.append(Adaptation(pool, 1, 8, target=1.0).wanted())
    assert len(set(scaled)) > 1
    rule, steady = Adaptation(pool, 1, 8, target=1.0), Pool()
    rule._lane = steady
    for look in range(20):
        steady.seconds, steady.tasks = (4.0, 4) if look % 2 else (0.0, 0)
        rule.look(look * 0.25)
    assert steady.scaled == [4]


@pytest.mark.parametrize(("minimum", "maximum", "target"), [(-1, 2, 1.0), (3, 2, 1.0), (0, 0, 1.0), (1, 2, 0.0)])
def test_bounds_that_are_none_are_refused(minimum: int, maximum: int, target: float) -> None:
    with pytest.raises(ValueError, match="must be"):
        Adaptation(Pool(), minimum, maximum, target)
