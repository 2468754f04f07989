"""At most so many tasks of a tag at once."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arion_lib.scheduler import Scheduler, State
from arion_lib.scheduler.bounds.limits import Limits
from tests.scheduler import jobs
from tests.scheduler.gates import PATIENCE, until

TAGS = st.frozensets(st.sampled_from(["a", "b", "free"]), max_size=3)


@given(tags=st.lists(TAGS, max_size=30), data=st.data())
def test_no_limit_is_passed_and_nobody_waits_for_ever(tags: list[frozenset[str]], data: st.DataObject) -> None:
    most = {"a": 2, "b": 1}
    limits = Limits[int](most)
    held = [number for number, its in enumerate(tags) if limits.take(number, its, number % 3)]
    done: list[int] = []
    while held:
        count = Counter(tag for number in held for tag in tags[number])
        assert all(count[tag] <= limit for tag, limit in most.items())
        number = held.pop(data.draw(st.integers(0, len(held) - 1)))
        done.append(number)
        asking = limits.give_back(tags[number])
        while asking:
            other = asking.pop()
            if limits.take(other, tags[other], other % 3):
                held.append(other)
            else:
                asking += limits.asking(tags[other])
        count = Counter(tag for number in held for tag in tags[number])
        full = {tag for tag, limit in most.items() if count[tag] == limit}
        assert all(its & full for number, its in enumerate(tags) if number not in held and number not in done)
    assert sorted(done) == list(range(len(tags)))


@pytest.mark.parametrize("limits", [{"db": 0}, {"db": 1.5}, {3: 1}], ids=str)
def test_a_limit_that_is_none_is_refused(limits: Any, no_leaks: None) -> None:
    with pytest.raises(ValueError, match="limits must be"):
        Scheduler(1, limits=limits)


class Together:
    """Counts how many are in at once, and the most that were."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.lock, self.go = threading.Lock(), threading.Event()

    def enter(self) -> None:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        self.go.wait(PATIENCE)
        with self.lock:
            self.now -= 1


def test_a_limited_tag_keeps_no_thread_from_others(no_leaks: None) -> None:
    with Scheduler(0, threads=8, limits={"db": 2}) as scheduler:
        together = Together()
        limited = scheduler.with_options(lane="threads", tags="db")
        tasks = [limited.submit(together.enter) for _ in range(10)]
        try:
            until(lambda: scheduler._core.life.admitted == 10, "the intake of all")
            assert [task.status() for task in tasks[2:]] == [State.PENDING] * 8
            assert scheduler.with_options(lane="threads").submit(jobs.add, 1, 2).result(PATIENCE) == 3
            until(lambda: together.now == 2, "two of them")
            assert tasks[5].cancel()
        finally:
            together.go.set()
        for task in tasks[:5] + tasks[6:]:
            task.result(PATIENCE)
        assert together.most == 2


def test_a_failed_attempt_gives_its_place_back(no_leaks: None, notes: str) -> None:
    with Scheduler(2, limits={"db": 1}) as scheduler:
        limited = scheduler.with_options(tags="db", retries=2)
        tasks: list[Any] = [limited.submit(jobs.fail_times, f"{notes}{n}", 1) for n in range(5)]
        stopped = limited.with_options(timeout=0.05, retries=0).submit(jobs.spin_quietly)
        died = limited.with_options(retries=0).submit(jobs.die, 3)
        assert [task.result(PATIENCE) for task in tasks] == ["at last"] * 5
        assert stopped.exception(PATIENCE)
        assert died.exception(PATIENCE)
        assert list(limited.map(jobs.add, range(50), timeout=PATIENCE)) == list(range(50))
