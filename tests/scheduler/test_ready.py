"""The ready queue against what sorting would give."""

from __future__ import annotations

import heapq
from collections import defaultdict
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from arion_lib.scheduler.ready import ReadyQueue

priorities = st.integers(-3, 3)


class Item:
    """Something to queue, equal to nothing else."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __repr__(self) -> str:
        return f"Item({self.number})"


@given(st.lists(priorities, max_size=60))
def test_it_gives_what_a_stable_sort_would(given_priorities: list[int]) -> None:
    queue: ReadyQueue[int] = ReadyQueue()
    for number, priority in enumerate(given_priorities):
        queue.push(number, priority)
    expected = sorted(range(len(given_priorities)), key=lambda number: -given_priorities[number])
    assert list(queue.drain()) == expected
    assert len(queue) == 0


def test_the_control_a_heap_of_priorities_alone_is_not_stable() -> None:
    class Entry:
        def __init__(self, number: int) -> None:
            self.number = number

        def __lt__(self, other: Entry) -> bool:
            return False  # one priority for all

    heap: list[Entry] = []
    for number in range(10):
        heapq.heappush(heap, Entry(number))
    assert [heapq.heappop(heap).number for _ in range(10)] != list(range(10))


class Model:
    """The same, obviously right and slow: a list for each priority, looked through at each pop."""

    def __init__(self, ageing: float | None, clock: Any) -> None:
        self.waiting: dict[int, list[tuple[Item, float]]] = defaultdict(list)
        self.ageing, self.clock = ageing, clock

    def __len__(self) -> int:
        return sum(map(len, self.waiting.values()))

    def next_priority(self) -> int:
        def worth(priority: int) -> tuple[float, int]:
            waited = self.clock() - self.waiting[priority][0][1]
            return (priority + (waited / self.ageing if self.ageing else 0), priority)

        return max((priority for priority, items in self.waiting.items() if items), key=worth)

    def pop(self) -> Item:
        return self.waiting[self.next_priority()].pop(0)[0]

    def push(self, item: Item, priority: int) -> None:
        self.waiting[priority].append((item, self.clock()))

    def push_front(self, item: Item, priority: int, since: float) -> None:
        self.waiting[priority].insert(0, (item, since))

    def discard(self, item: Item, priority: int) -> None:
        self.waiting[priority] = [pair for pair in self.waiting[priority] if pair[0] is not item]

    def counts(self) -> dict[int, int]:
        return {p: len(items) for p, items in sorted(self.waiting.items(), reverse=True) if items}


steps = st.one_of(
    st.tuples(st.just("push"), priorities),
    st.tuples(st.just("extend"), priorities),
    st.tuples(st.just("pop"), st.none()),
    st.tuples(st.just("take"), st.integers(1, 5)),
    st.tuples(st.just("discard"), st.integers(0, 30)),
    st.tuples(st.just("wait"), st.integers(1, 9)),
)


def check(ageing: float | None, plan: list[tuple[str, Any]]) -> None:
    now = [0.0]
    queue: ReadyQueue[Item] = ReadyQueue(ageing, clock=lambda: now[0])
    model = Model(ageing, lambda: now[0])
    inside: dict[Item, int] = {}
    for number, (step, value) in enumerate(plan):
        if step in ("push", "extend"):
            items = [Item(number * 10 + offset) for offset in range(1 if step == "push" else 3)]
            if step == "push":
                queue.push(items[0], value)
            else:
                queue.extend(items, value)
            for item in items:
                model.push(item, value)
                inside[item] = value
        elif step == "wait":
            now[0] += value
        elif step == "discard" and inside:
            item = list(inside)[value % len(inside)]
            priority = inside.pop(item)
            queue.discard(item, priority)
            model.discard(item, priority)
        elif step == "pop" and len(model):
            assert queue.highest() == model.next_priority()
            item = queue.pop()
            assert item is model.pop()
            del inside[item]
        elif step == "take":
            expected = [model.pop() for _ in range(min(value, len(model)))]
            assert queue.take(value) == expected
            for item in expected:
                del inside[item]
        assert len(queue) == len(model)
        assert queue.counts() == model.counts()
        assert set(queue) == set(inside)
    assert list(queue.drain()) == [model.pop() for _ in range(len(model))]


@given(st.lists(steps, max_size=40))
def test_pushing_popping_and_discarding_in_any_order_agrees_with_the_model(plan: list[tuple[str, Any]]) -> None:
    check(None, plan)


@example([("push", 0), ("wait", 9), ("push", 0), ("push", 1), ("discard", 0), ("pop", None)])
@given(st.lists(steps, max_size=40))
def test_waiting_counts_as_priority_when_told_so(plan: list[tuple[str, Any]]) -> None:
    check(4.0, plan)


def starved(queue: ReadyQueue[str], now: list[float]) -> bool:
    """Whether an unimportant item is still waiting after a hundred urgent ones came, one a second."""
    queue.push("low", 0)
    for _ in range(100):
        queue.push("urgent", 9)
        now[0] += 1.0
        if queue.pop() == "low":
            return False
    return True


def test_with_ageing_nothing_starves() -> None:
    now = [0.0]
    assert not starved(ReadyQueue(ageing=2.0, clock=lambda: now[0]), now)


def test_the_control_without_ageing_it_does() -> None:
    now = [0.0]
    assert starved(ReadyQueue(clock=lambda: now[0]), now)


@given(st.lists(priorities, min_size=1, max_size=20), st.data())
def test_what_is_put_back_comes_first_of_its_priority(given_priorities: list[int], data: st.DataObject) -> None:
    queue: ReadyQueue[Item] = ReadyQueue()
    of = {Item(number): priority for number, priority in enumerate(given_priorities)}
    for item, priority in of.items():
        queue.push(item, priority)
    taken = queue.take(data.draw(st.integers(1, len(of))))
    for item in reversed(taken):
        queue.push_front(item, of[item])
    assert list(queue.drain()) == sorted(of, key=lambda item: (-of[item], item.number))


def test_many_discarded_items_are_swept_away() -> None:
    queue: ReadyQueue[Item] = ReadyQueue(ageing=1.0)
    items = [Item(number) for number in range(5_000)]
    for item in items:
        queue.push(item, item.number % 3)
    for item in items[:4_500]:
        queue.discard(item, item.number % 3)
    assert sum(len(waiting) for waiting in queue._queues.values()) < 2_000
    assert {item.number for item in queue.drain()} == set(range(4_500, 5_000))


def test_an_empty_queue_says_so() -> None:
    queue: ReadyQueue[int] = ReadyQueue()
    assert queue.highest() is None
    assert queue.take(3) == []
    with pytest.raises(IndexError):
        queue.pop()
    with pytest.raises(ValueError, match="ageing"):
        ReadyQueue(ageing=0.0)


def test_the_counts_by_priority_follow_what_is_put_back() -> None:
    queue = ReadyQueue[str]()
    queue.extend(["a", "b"], 1)
    queue.push("c", 0)
    first = queue.pop()
    assert queue.counts() == {1: 1, 0: 1}
    queue.push_front(first, 1)
    assert queue.counts() == {1: 2, 0: 1}
