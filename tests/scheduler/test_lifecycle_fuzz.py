"""Random histories of the lifecycle against an oracle, without a process, a thread or real time (histories.py)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arion_lib.scheduler.lifecycle import Lifecycle
from arion_lib.scheduler.states import WAITING, Ended
from arion_lib.scheduler.task import Task
from tests.scheduler.histories import play
from tests.selection import examples


@settings(max_examples=examples(700), deadline=None)
@given(seed=st.integers(0, 2**32), length=st.integers(1, 60))
def test_every_history_leads_each_task_where_the_oracle_says(seed: int, length: int) -> None:
    play(seed, length)


class ForgetsFailures(Lifecycle):
    """Lets a task run after one that has failed."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._ends._meet = lambda dependent, _, now: self._unblock(dependent, now)  # type: ignore[method-assign]


class KeepsPlaces(Lifecycle):
    """Gives no place of a limited tag back."""

    def _hand_on(self, task: Task[Any], now: float) -> None:
        """Do nothing."""


class LosesWhatIsPutBack(Lifecycle):
    """Forgets to queue again what a dead worker had not begun."""

    def put_back(self, task: Task[Any]) -> None:
        task._place = WAITING


class EndsTwice(Lifecycle):
    """Takes the answer of a call whose task has ended."""

    def succeed(self, task: Task[Any], value: Any, worker: int, began: float, ended: float) -> None:
        task._place = WAITING if isinstance(task._place, Ended) else task._place
        super().succeed(task, value, worker, began, ended)


class ForgetsTheTime(Lifecycle):
    """Never looks at the clock."""

    def advance(self, now: float) -> None:
        """Do nothing."""


class RetriesForEver(Lifecycle):
    """Counts no death of a worker."""

    def lose(self, task: Task[Any], exit_code: int | None, worker: int, began: float, ended: float) -> None:
        super().lose(task, exit_code, worker, began, ended)
        task.more().deaths = 0


@pytest.mark.parametrize(
    "broken", [ForgetsFailures, KeepsPlaces, LosesWhatIsPutBack, EndsTwice, ForgetsTheTime, RetriesForEver]
)
def test_the_control_a_broken_lifecycle_is_found_out(broken: type[Lifecycle]) -> None:
    def play_many() -> None:
        for seed in range(500):
            play(seed, 60, broken)

    with pytest.raises(AssertionError):
        play_many()
